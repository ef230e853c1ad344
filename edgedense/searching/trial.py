"""One trial, from cheap to dear: made, quantized and scored in a worker."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from edgedense.boards.estimate import estimate
from edgedense.converters.calibration.ranges import RangeSpec
from edgedense.converters.calibration.statistics import Statistics
from edgedense.converters.network.graph import DenseNet
from edgedense.converters.network.kept import Kept, identity
from edgedense.converters.network.program import lower
from edgedense.converters.options import Criterion
from edgedense.converters.passes import rewriting
from edgedense.converters.pruning.importance import Importance
from edgedense.converters.pruning.reconstruct import QUICK
from edgedense.converters.pruning.shrink import mended
from edgedense.converters.quantization import attempts, noise
from edgedense.converters.quantization.attempts import Attempt
from edgedense.converters.quantization.measure import statistics_of
from edgedense.converters.recovery import RecoverySpec, recover
from edgedense.converters.tflite import execute
from edgedense.deployed import bundle
from edgedense.images.preprocessing import Pixels
from edgedense.measures import metrics, validation
from edgedense.measures.labelled import LabelledImages, some
from edgedense.progress import progress
from edgedense.searching.bench import CHEAP_VALIDATION, Bench, Task, bench, places
from edgedense.searching.choice import Choice, Size

Rung = Literal["cheap", "full", "trained"]
RUNGS: tuple[Rung, ...] = ("cheap", "full", "trained")
CHEAP_RANGES = RangeSpec("minmax", 1.15)
NOISE_PICTURES = 4  # on which the layers are found that int8 harms most


@dataclass(frozen=True)
class Settings:
    """What the sampler decides of a trial.

    `share`: of the budget, which the fraction of channels to cut follows from. `size` as in `Choice`. `floats`: how
    many layers stay float, those that int8 harms most. `epochs`: how long is trained, should the trial get so far.
    """

    share: float
    importance: Criterion
    size: Size | None
    form: Literal["maximum", "depthwise"]
    floats: int
    epochs: int


@dataclass(frozen=True)
class Try:
    """One trial on one rung, as a worker gets it. `limit` are the milliseconds that its estimate must keep. `choice` is
    what a lower rung made of the settings."""

    name: str
    settings: Settings
    rung: Rung
    limit: float
    importance: Importance
    choice: Choice | None = None


@dataclass(frozen=True)
class Outcome:
    """What a rung gave. `choice` None: not even the smallest network keeps the limit, and all else is 0.

    `milliseconds` and `instructions` are the estimate's. `accuracy` is in points of 100 as gates count it, `loss` the
    mean negative logarithm of the right class's score, which tells apart what is equally accurate. `file` is the
    flatbuffer, where somebody has to measure it.
    """

    name: str
    rung: Rung
    choice: Choice | None
    milliseconds: float = 0.0
    instructions: float | None = None
    accuracy: float = 0.0
    loss: float = 0.0
    file: bytes = b""


def attempt(task: Task, item: Try, keep: bool) -> Outcome:
    """The trial's outcome on its rung; with `keep` it has the file.

    Raises EdgedenseError for a model or pictures that cannot be used.
    """
    found = bench(task, item.settings.size)
    images, pixels = found.validation
    if item.rung == "cheap":
        made = _cheap(found, item)
        chosen = places(len(pixels), CHEAP_VALIDATION)
        images, pixels = some(images, chosen), pixels[chosen]
    else:
        made = _dear(found, item, task.work / item.name)
    if made is None:
        return Outcome(item.name, item.rung, None)
    choice, file = made
    scores, time = execute.run(file, pixels), estimate(file, task.board)
    return Outcome(
        *(item.name, item.rung, choice, time.milliseconds, time.instructions),
        *(validation.points(scores, images, found.limits), loss(scores, images), _packed(found, file) if keep else b""),
    )


def _packed(found: Bench, file: bytes) -> bytes:
    """As a board runs it: it says how pictures become its input."""
    given = found.given
    recipe = {"preprocessing": given.preprocessing.to_dict(), "activation": str(given.source.activation)}
    return bundle.pack(file, given.names, recipe)


def loss(scores: np.ndarray, images: LabelledImages) -> float:
    """The mean of -log of the score [N, K] of what is true; where classes are scored alone, over all that is known."""
    if images.kind == "classes":
        right = metrics.distribution(scores)[np.arange(len(scores)), images.labels]
    else:
        right = np.where(images.truth == 1, scores, 1 - np.asarray(scores, np.float64))[~np.isnan(images.truth)]
    return float(-np.log(np.maximum(right, metrics.FLOOR)).mean())


def _cheap(found: Bench, item: Try) -> tuple[Choice, bytes] | None:
    """A choice and its file, made of a few pictures and with one range estimator."""
    wanted, network = item.settings, found.network
    fraction = found.fraction(wanted.importance, item.importance, wanted.form, item.limit)
    if fraction is None:
        return None
    if fraction:
        selection = found.selection(wanted.importance, item.importance, fraction)
        network = mended(network, selection, found.cheap, progress, QUICK).network
    deployed = rewriting.rewritten(network, "cpu")
    statistics = statistics_of(deployed, found.cheap)
    tried = Attempt(CHEAP_RANGES, wanted.form)
    if wanted.floats:
        tried = replace(tried, floats=_worst(deployed, statistics, tried, found.cheap, wanted.floats))
    choice = Choice(
        prune_channels=fraction or None,
        importance=wanted.importance if fraction else Choice().importance,
        size=wanted.size,
        form=wanted.form,
        float_layers=tried.floats,
    )
    return choice, attempts.build(deployed, statistics, tried).quantized.to_bytes()


def _dear(found: Bench, item: Try, work: Path) -> tuple[Choice, bytes]:
    """The same with all calibration pictures and the best of several range estimators, on the rung "trained" after a
    recovery: the flatbuffer that `convert` makes of the choice that is returned."""
    choice, given, network = item.choice, found.given, found.network
    assert choice is not None
    pixels, kept = given.pictures.pixels, identity(network)
    if choice.prune_channels is not None:
        shrunk = found.shrunk(choice.importance, item.importance, choice.prune_channels)
        network, kept = shrunk.network, shrunk.kept
    if item.rung == "trained":
        choice = replace(choice, epochs=item.settings.epochs)
        network = _trained(found, network, kept, choice.epochs, work)
    deployed = rewriting.rewritten(network, "cpu")
    statistics = statistics_of(deployed, pixels)
    base = Attempt(form=choice.form, floats=choice.float_layers)
    specs = attempts.candidates(None, None)
    assert given.scores is not None
    with progress("choosing ranges", len(specs)) as tick:
        best, _ = attempts.choose(
            *(deployed, statistics, pixels, given.scores, specs, "float32", tick, given.apart), base
        )
    file = attempts.build(deployed, statistics, best).quantized.to_bytes()
    return replace(choice, ranges=best.ranges.estimator, headroom=best.ranges.headroom), file


def _trained(found: Bench, network: DenseNet, kept: Kept, epochs: int, work: Path) -> DenseNet:
    return recover(network, found.network, kept, found.recovery, RecoverySpec(epochs=epochs), work).network


def _worst(deployed: DenseNet, statistics: Statistics, attempt: Attempt, pixels: Pixels, count: int) -> tuple[str, ...]:
    """The layers that int8 harms most, sorted by name."""
    built = attempts.build(deployed, statistics, attempt)
    found = noise.layer_noise(lower(deployed), built.quantized.to_bytes(), built.equalization, pixels[:NOISE_PICTURES])
    return tuple(sorted(name for name, _ in noise.worst_first(found)[:count]))
