"""The gate on the drop in accuracy, and what is tried, step by step, when it fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from edgedense.converters.calibration.statistics import Statistics
from edgedense.converters.network.graph import DenseNet
from edgedense.converters.network.program import lower
from edgedense.converters.quantization import attempts, noise
from edgedense.converters.quantization.attempts import Attempt, Built, Candidate
from edgedense.converters.quantization.noise import LayerNoise
from edgedense.converters.tflite import execute
from edgedense.errors import GateError
from edgedense.images.preprocessing import Pixels
from edgedense.measures import metrics
from edgedense.measures.labelled import LabelledImages

FLOAT_STEPS = (4, 16)  # how many of the worst layers go to float, one step after the other
NOISE_PICTURES = 8


@dataclass(frozen=True)
class Validation:
    """Labelled pictures that the ranges have not seen: pixels [N, height, width, 3], labels [N], float scores.

    `as_trained`: the pixels at the size that the model was trained with, where that is another one. `images` is all
    that is known of them.
    """

    pixels: Pixels
    labels: np.ndarray
    scores: np.ndarray
    as_trained: Pixels | None = None
    images: LabelledImages | None = None

    @property
    def accuracy(self) -> float:
        """The trained model's, in points of 100."""
        return 100 * metrics.accuracy(self.scores, self.labels)

    def drop(self, file: bytes) -> float:
        """By how many points of 100 the accuracy of a .tflite file is below that."""
        return self.accuracy - 100 * metrics.accuracy(execute.run(file, self.pixels), self.labels)


@dataclass(frozen=True)
class Trial:
    """One attempt, and by how many points of 100 its accuracy is below the float model's."""

    attempt: Attempt
    drop: float

    def describe(self) -> str:
        """For people."""
        return f"{self.attempt.describe()}: {self.drop:+.2f} points"


def passing(
    network: DenseNet,
    statistics: Statistics,
    first: Attempt,
    tried: tuple[Candidate, ...],
    max_drop: float,
    validation: Validation,
    output_type: str,
    build: Callable[[Attempt], Built],
    tick: Callable[[int], None],
) -> tuple[Attempt, Built, list[Trial]]:
    """The first attempt whose drop is at most `max_drop` points, with all that was tried; `build` makes each.

    Raises GateError, telling what each step gave, when none is left.
    """
    trials = []
    for attempt in ladder(network, statistics, first, tried, validation.pixels, output_type):
        built = build(attempt)
        trials.append(Trial(attempt, validation.drop(built.quantized.to_bytes())))
        tick(1)
        if trials[-1].drop <= max_drop:
            return attempt, built, trials
    raise GateError(
        f"a drop of at most {max_drop:g} points on {len(validation.labels)} validation pictures",
        "; ".join(trial.describe() for trial in trials),
        "more calibration pictures, or a higher --max-drop; nothing was written",
    )


def ladder(
    network: DenseNet,
    statistics: Statistics,
    first: Attempt,
    tried: tuple[Candidate, ...],
    pixels: Pixels,
    output_type: str,
) -> Iterator[Attempt]:
    """Attempts from fast to quiet: other ranges, then quieter operators, then the worst layers in float.

    Float layers are not offered where the output, and so the whole network, must be integer.
    """
    yield first
    others = sorted((c for c in tried if c.attempt != first), key=lambda c: c.divergence)
    for candidate in others:
        yield candidate.attempt
    quiet = replace(first, form="depthwise")
    yield quiet
    if output_type != "float32":
        return
    worst = noise.worst_first(_noise(network, statistics, quiet, pixels))
    for count in FLOAT_STEPS:
        yield replace(quiet, floats=tuple(sorted(name for name, _ in worst[:count])))


def _noise(network: DenseNet, statistics: Statistics, attempt: Attempt, pixels: Pixels) -> LayerNoise:
    built = attempts.build(network, statistics, attempt)
    return noise.layer_noise(lower(network), built.quantized.to_bytes(), built.equalization, pixels[:NOISE_PICTURES])
