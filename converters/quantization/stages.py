"""What each step of a conversion did to the deployed file: size, speed and accuracy behind it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from edgedense.converters.network.graph import DenseNet
from edgedense.converters.pruning.cost import macs, weights
from edgedense.converters.pruning.sparsity import compressed_bytes
from edgedense.converters.quantization import attempts
from edgedense.converters.quantization.attempts import Attempt
from edgedense.converters.quantization.gate import Validation
from edgedense.converters.quantization.measure import statistics_of
from edgedense.converters.tflite import execute
from edgedense.images.preprocessing import Pixels
from edgedense.measures import values
from edgedense.progress import progress

Agree = Callable[[np.ndarray, np.ndarray], float]  # scores before and after -> the share that is decided alike
ROUNDS = 40  # inferences of each file, in turn, so that what slows the machine down slows all of them


@dataclass(frozen=True)
class View:
    """The pictures at the size that a network takes: calibration, and validation where there is any."""

    calibration: Pixels
    validation: Pixels | None = None


@dataclass(frozen=True)
class Stage:
    """A network on the way: the step that led to it, that step's parameters, and the pictures as it sees them.

    `deployed` is `network` after all passes that need no measuring; one of them pads the stem with zeros, which are no
    multiplications of the network's.
    """

    name: str
    parameters: dict[str, Any]
    network: DenseNet
    deployed: DenseNet
    view: View


@dataclass(frozen=True)
class StageFigures:
    """What the int8 file is after a step.

    `macs` per inference; `weights` in bytes of int8; `agreement` with the trained model on the calibration pictures
    and `accuracy` on the validation pictures, as fractions; where a picture shows any number of classes, it is
    `mean_auroc` in place of the accuracy. Of a model that gives values, there is in place of the agreement an `error`:
    the root of the mean of `values.squared_error`. `latency_ms`: median of one thread of this machine.
    """

    name: str
    parameters: dict[str, Any]
    macs: int
    weights: int
    flatbuffer_bytes: int
    compressed_bytes: int
    agreement: float | None
    accuracy: float | None
    latency_ms: float
    error: float | None = None
    mean_auroc: float | None = None

    def recorded(self) -> dict[str, Any]:
        """For the recipe: all but the latency, which is another one at each run and would change the file's bytes."""
        entry = asdict(self)
        del entry["latency_ms"], entry["agreement" if self.agreement is None else "error"]
        del entry["mean_auroc" if self.mean_auroc is None else "accuracy"]
        return entry


def measure_stages(
    stages: list[Stage], last: bytes, output_type: str, scores: np.ndarray, held: Validation | None, agree: Agree | None
) -> tuple[StageFigures, ...]:
    """The figures of each stage. The last one's file is `last`; the others' are made with the ranges and the form of a
    first attempt. `scores` [N, classes] are the trained model's on the calibration pictures, `held` the validation
    pictures. `agree` says how often scores after agree with those; None where they are no probabilities."""
    with progress("measuring each step", len(stages)) as tick:
        files = []
        for stage in stages[:-1]:
            files.append(quick_file(stage.deployed, stage.view.calibration, output_type))
            tick(1)
        files.append(last)
        times = execute.latencies(files, ROUNDS)
        tick(1)
    return tuple(
        _figures(stage, file, time, scores, held, agree) for stage, file, time in zip(stages, files, times, strict=True)
    )


def quick_file(network: DenseNet, pixels: Pixels, output_type: str) -> bytes:
    """The int8 file of a network after its passes, by a first attempt."""
    return attempts.build(network, statistics_of(network, pixels), Attempt(), output_type).quantized.to_bytes()


def _figures(
    stage: Stage, file: bytes, time: float, scores: np.ndarray, held: Validation | None, agree: Agree | None
) -> StageFigures:
    after = execute.run(file, stage.view.calibration)
    agreement = None if agree is None else round(agree(scores, after), 6)
    error = round(float(np.sqrt(values.squared_error(scores, after).mean())), 6) if agree is None else None
    accuracy = auroc = None
    if held is not None and stage.view.validation is not None:
        reached = round(held.points(execute.run(file, stage.view.validation)) / 100, 6)
        accuracy, auroc = (None, reached) if held.images.kind == "several" else (reached, None)
    return StageFigures(
        stage.name,
        stage.parameters,
        macs(stage.network),
        weights(stage.network),
        len(file),
        compressed_bytes(file),
        agreement,
        accuracy,
        time,
        error,
        auroc,
    )


def headings(stages: Sequence[StageFigures]) -> tuple[str, ...]:
    """Column names of `rows`. An error is in percent of the values' own standard deviation."""
    measure = "agreement" if stages[0].agreement is not None else "error"
    reached = "accuracy" if all(stage.mean_auroc is None for stage in stages) else "mean AUROC"
    return "step", "MACs, M", "MB", "gzip", "ms", "ratio", measure, reached


def rows(stages: Sequence[StageFigures]) -> list[tuple[str, ...]]:
    """Each step's cells; the ratio is that of the latency to the first."""
    return [
        (
            s.name,
            f"{s.macs / 1e6:,.1f}",
            f"{s.flatbuffer_bytes / 1e6:.2f}",
            f"{s.compressed_bytes / 1e6:.2f}",
            f"{s.latency_ms:.2f}",
            f"{s.latency_ms / stages[0].latency_ms:.2f}",
            f"{100 * (s.error or 0.0 if s.agreement is None else s.agreement):.2f}",
            "".join(f"{100 * share:.2f}" for share in (s.accuracy, s.mean_auroc) if share is not None),
        )
        for s in stages
    ]
