"""The gate on what a file may lose, and what is tried, step by step, when it fails."""

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
from edgedense.measures import validation as judging
from edgedense.measures.labelled import LabelledImages

FLOAT_STEPS = (4, 16)  # how many of the worst layers go to float, one step after the other
NOISE_PICTURES = 8


@dataclass(frozen=True)
class Validation:
    """Labelled pictures that the ranges have not seen: pixels [N, height, width, 3], what is known of them, and the
    trained model's scores.

    `as_trained`: the pixels at the size that the model was trained with, where that is another one. `thresholds` are
    infinite for classes that the file never reports, which do not count.
    """

    pixels: Pixels
    images: LabelledImages
    scores: np.ndarray
    as_trained: Pixels | None = None
    thresholds: tuple[float, ...] = ()

    @property
    def measured(self) -> str:
        """What the gate is about: the accuracy, or where a picture shows any number of classes the mean AUROC."""
        return judging.measured(self.images)

    def points(self, scores: np.ndarray) -> float:
        """That of scores [N, classes] on these pictures, in points of 100."""
        return judging.points(scores, self.images, self.thresholds)

    def drop(self, file: bytes) -> float:
        """By how many points of 100 a .tflite file is below the trained model."""
        return self.points(self.scores) - self.points(execute.run(file, self.pixels))


@dataclass(frozen=True)
class Trial:
    """One attempt, and by how many points of 100 it is below the float model."""

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
    tick: Callable[[int], None],
) -> tuple[Attempt, Built, list[Trial]]:
    """The first attempt whose drop is at most `max_drop` points, with all that was tried.

    Raises GateError, telling what each step gave, when none is left.
    """
    trials = []
    for attempt in ladder(network, statistics, first, tried, validation.pixels, output_type):
        built = attempts.build(network, statistics, attempt, output_type)
        trials.append(Trial(attempt, validation.drop(built.quantized.to_bytes())))
        tick(1)
        if trials[-1].drop <= max_drop:
            return attempt, built, trials
    raise GateError(
        f"a drop in {validation.measured} of at most {max_drop:g} points on {len(validation.pixels)} validation "
        "pictures",
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
