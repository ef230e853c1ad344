"""Rewrites that keep what a network computes, in order, each compared with the network before it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from edgedense.converters.calibration import normalization
from edgedense.converters.network.evaluate import evaluate, logits_tensor
from edgedense.converters.network.graph import DenseNet
from edgedense.converters.network.program import lower
from edgedense.converters.passes.fold_constants import fold_constants
from edgedense.converters.passes.fold_grey import fold_grey, round_grey
from edgedense.converters.passes.fold_normalization import fold_normalization, fold_unshifted
from edgedense.converters.passes.fold_norms import fold_norms
from edgedense.converters.passes.fold_repeats import fold_repeats
from edgedense.converters.passes.pool_first import pool_first
from edgedense.converters.passes.round_border import round_border
from edgedense.converters.passes.space_to_depth import space_to_depth
from edgedense.errors import EdgedenseError
from edgedense.images.preprocessing import Pixels, Preprocessing
from edgedense.images.steps import apply

Pass = Callable[[DenseNet], DenseNet]
Compute = Callable[[DenseNet, Pixels], np.ndarray]
PREPARE: tuple[Pass, ...] = (
    fold_repeats,  # one channel that the model repeats
    fold_grey,  # ... or that is made of an RGB picture
    fold_norms,  # batch norms that follow a convolution or meet a Dense
    fold_constants,  # channels that do not depend on the picture
)
DEPLOY: tuple[Pass, ...] = (
    fold_normalization,  # the stem reads pixels
    space_to_depth,  # ... four at a time
    pool_first,  # transitions pool before they convolve
)
CORAL_DEPLOY = tuple(fold_unshifted if rewrite is fold_normalization else rewrite for rewrite in DEPLOY)
TOLERANCE = 1e-5  # relative to the largest logit; float32 through 120 layers leaves about 1e-6
BORDER_TOLERANCE = 0.02  # half a level of 255 around the picture; 0.0005 is usual
GREY_TOLERANCE = 0.1  # half a level of 255 in a picture of pure colours; nothing in a grey one
PROBES = 4  # pictures on which every rewrite is compared


@dataclass(frozen=True)
class Step:
    """One line of the account: what was done, and how far the logits moved, relative to the largest."""

    name: str
    error: float


class Probes:
    """Pictures [N, H, W, C] on which rewrites are compared, and what the network that was asked last said of them: it
    is what the next one is compared with. `compute` gives the logits of a network in float32."""

    def __init__(self, pixels: Pixels, compute: Compute) -> None:
        self.pixels, self._compute = pixels, compute
        self._last: tuple[DenseNet, np.ndarray] | None = None

    def logits(self, network: DenseNet) -> np.ndarray:
        """The logits [N, outputs] of `network`."""
        if self._last is None or self._last[0] is not network:
            self._last = network, self._compute(network, self.pixels)
        return self._last[1]


class _Source(Protocol):
    """What is used of a trained model that was read: readers come after passes."""

    @property
    def network(self) -> DenseNet: ...

    def logits(self, batch: npt.ArrayLike, /) -> np.ndarray: ...


def prepared(source: _Source, preprocessing: Preprocessing, probes: Probes, own: Pixels) -> tuple[DenseNet, list[Step]]:
    """The network on raw pixels, compared with Keras, with its norms folded: what channels are cut from.

    `own` are pictures as Keras takes them; behind the model's own resizing they are not rounded here, so that what is
    compared is the network. Raises EdgedenseError when a step moves the logits of `own` [N, H, W, C] or of `probes`.
    """
    network = normalization.compose(source.network, preprocessing.normalize)
    expected = source.logits(normalization.normalized(own, preprocessing.normalize))
    seen = np.stack([apply(picture, preprocessing.steps) for picture in own])
    error = _distance(expected, probes.logits(network)) if np.array_equal(seen, probes.pixels) else np.inf
    if not error <= TOLERANCE:  # the reference rounds as TensorFlow does: where that is in doubt, TensorFlow decides
        error = _distance(expected, _logits(network, seen))
    read = Step("read", _checked("read", error))
    network, steps = _rewritten(network, PREPARE, probes)
    return network, [read, *steps]


def deployed(network: DenseNet, target: str, probes: Probes) -> tuple[DenseNet, list[Step]]:
    """A prepared network as a processor ("cpu") or an Edge TPU ("coral") computes it, before anything is measured."""
    network, steps = _rewritten(network, _deploy(target), probes)
    for rewrite, what, tolerance in _rounding(network):
        before, network = network, rewrite(network)
        moved = _distance(probes.logits(before), probes.logits(network))
        if moved > tolerance:
            raise EdgedenseError(
                f"{what} to move logits by less than {tolerance:g}",
                f"{moved:.2g}",
                "report this model: it is unusually sensitive to a part of a level",
            )
        steps.append(Step(rewrite.__name__, moved))
    return network, steps


def rewritten(network: DenseNet, target: str) -> DenseNet:
    """A network on raw pixels after all of this, compared with nothing."""
    for rewrite in (*PREPARE, *_deploy(target)):
        network = rewrite(network)
    for rewrite, _, _ in _rounding(network):
        network = rewrite(network)
    return network


def probes_of(pixels: Pixels) -> Pixels:
    """A few pictures, spread over all."""
    return pixels[np.linspace(0, len(pixels) - 1, min(PROBES, len(pixels))).astype(int)]


def compared(name: str, before: DenseNet, after: DenseNet, probes: Probes) -> Step:
    """How far a rewrite moved the logits; float64 decides where float32's own rounding is in doubt."""
    error = _distance(probes.logits(before), probes.logits(after))
    if error > TOLERANCE:
        error = _distance(*(_logits(network, probes.pixels, "float64") for network in (before, after)))
    return Step(name, _checked(name, error))


def _rounding(network: DenseNet) -> list[tuple[Pass, str, float]]:
    """The steps that are not exact: what each rounds, and how far that may move the logits."""
    border = (round_border, "a border rounded to whole pixels", BORDER_TOLERANCE)
    grey = (round_grey, "what makes a picture grey, rounded to 8 bits,", GREY_TOLERANCE)
    return [border] if network.grey is None else [border, grey]


def _deploy(target: str) -> tuple[Pass, ...]:
    return CORAL_DEPLOY if target == "coral" else DEPLOY


def _rewritten(network: DenseNet, rewrites: tuple[Pass, ...], probes: Probes) -> tuple[DenseNet, list[Step]]:
    steps = []
    for rewrite in rewrites:
        before, network = network, rewrite(network)
        name = rewrite.__name__
        steps.append(Step(name, 0.0) if network is before else compared(name, before, network, probes))
    return network, steps


def _checked(name: str, error: float) -> float:
    if not error <= TOLERANCE:  # also where it is not a number
        raise EdgedenseError(
            f"the step {name!r} to keep the logits (relative {TOLERANCE:g})",
            f"a change of {error:.2g}",
            "report this model: edgedense misreads it",
        )
    return error


def _logits(network: DenseNet, pixels: np.ndarray, dtype: str = "float32") -> np.ndarray:
    program = lower(network)
    return evaluate(program, pixels, output=logits_tensor(program), dtype=dtype)


def _distance(expected: np.ndarray, found: np.ndarray) -> float:
    """Largest difference, relative to the largest expected logit."""
    return float(np.abs(found - expected).max() / max(np.abs(expected).max(), 1e-30))
