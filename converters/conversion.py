"""The result of a conversion: the deployed file, what it was made of, and what it does."""

from __future__ import annotations

import platform
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from edgedense.converters.calibration.pictures import CalibrationSet
from edgedense.converters.given import Given, has_thresholds
from edgedense.converters.network.graph import DenseNet
from edgedense.converters.network.program import SCORES, lower
from edgedense.converters.options import Options
from edgedense.converters.passes.rewriting import Step
from edgedense.converters.quantization import float_heads
from edgedense.converters.quantization.attempts import Attempt, Candidate
from edgedense.converters.quantization.gate import Trial
from edgedense.converters.quantization.quantize import float_file
from edgedense.converters.quantization.stages import StageFigures
from edgedense.converters.readers.source import Source
from edgedense.converters.tflite import edgetpu, execute
from edgedense.converters.tflite.edgetpu import Compiled
from edgedense.deployed import bundle, golden, gradcam
from edgedense.files import write_atomically
from edgedense.measures import stored_points, values
from edgedense.measures.scores import names_of
from edgedense.measures.stored_points import POSITIVE, Stored
from edgedense.measures.temperature import ENTRY as TEMPERATURE
from edgedense.measures.temperature import Temperature
from edgedense.progress import progress


@dataclass(frozen=True)
class Outcome:
    """What float network and deployed file say of the calibration pictures: scores [N, classes] each, and where these
    are values, how far apart each of them is."""

    pictures: CalibrationSet
    before: np.ndarray
    after: np.ndarray
    differences: tuple[values.Difference, ...] = ()


@dataclass(frozen=True)
class Conversion:
    """The deployed file's bytes `data`, and everything worth telling about it.

    `labels` are the class names that it carries, `recipe` all that decides its content, and what it measured, as it is
    recorded in the file. `steps` are the exact rewrites with how far each moved a logit, `candidates` the range
    estimators that were tried, `trials` what was tried until `max_drop` was kept, `stages` the int8 file behind each
    step that made the network smaller. `notes` are remarks for the user, `outcome` the scores before and after.
    """

    data: bytes
    labels: tuple[str, ...]
    recipe: dict[str, Any]
    steps: tuple[Step, ...]
    candidates: tuple[Candidate, ...]
    trials: tuple[Trial, ...]
    notes: tuple[str, ...]
    outcome: Outcome
    stages: tuple[StageFigures, ...] = ()

    @property
    def figures(self) -> dict[str, Any]:
        """The recipe's figures: agreement and divergence on the calibration set, or differences of values, sizes."""
        return self.recipe["figures"]

    @property
    def operating_points(self) -> Stored | None:
        """The thresholds that were chosen, and what they do on the pictures of the choice; None without a choice."""
        return stored_points.read(self.recipe)

    def save(self, path: Path | str) -> None:
        """Write the file, whole or not at all. Raises EdgedenseError when that fails or the name is no .tflite."""
        bundle.require_name(path)
        write_atomically(path, self.data)

    def for_edgetpu(self) -> Compiled | None:
        """What edgetpu_compiler makes of it, with labels and recipe; None where there is no compiler on PATH.

        Raises EdgedenseError when the compiler fails.
        """
        compiled = edgetpu.compile_model(bundle.without_archive(self.data))
        if compiled is None:
            return None
        head = {name: data for name, data in bundle.parse(self.data).entries.items() if name == gradcam.ENTRY}
        return replace(compiled, model=bundle.pack(compiled.model, self.labels, self.recipe, head))


def outcome(
    flatbuffer: bytes, pictures: CalibrationSet, scores: np.ndarray, source: Source, names: tuple[str, ...]
) -> Outcome:
    """What the deployed file says of the calibration pictures, beside the trained model's `scores` [N, classes]."""
    with progress("checking the result", len(pictures.pixels)) as tick:
        after = execute.run(flatbuffer, pictures.pixels, tick)
    if not source.gives_values:
        return Outcome(pictures, scores, after)
    called = names_of(names, scores.shape[1])
    paths = [path.name for path in pictures.paths]
    return Outcome(pictures, scores, after, values.differences(scores, after, called, paths))


def _told(difference: values.Difference) -> dict[str, Any]:
    """For the recipe, which names no pictures."""
    return {key: value for key, value in asdict(difference).items() if key != "worst_image"}


def figures(flatbuffer: bytes, outcome: Outcome, trials: tuple[Trial, ...], given: Given) -> dict[str, Any]:
    """What the file does on the calibration pictures, against the float network, and what it lost at the gate."""
    if outcome.differences:
        return {
            "images": len(outcome.before),
            "calibration_values": [
                {key: float(f"{value:.6g}") if isinstance(value, float) else value for key, value in entry.items()}
                for entry in map(_told, outcome.differences)
            ],
            "flatbuffer_bytes": len(flatbuffer),
        }
    divergence = given.apart(outcome.before, outcome.after)
    agreement = given.agree(outcome.before, outcome.after)
    lost: dict[str, Any] = {"validation_drop_points": round(trials[-1].drop, 4)} if trials else {}
    if trials and given.held is not None and given.held.images.kind == "several":
        lost["validation_drop_of"] = given.held.measured
    return {
        "images": len(outcome.before),
        "calibration_agreement": round(agreement, 6),
        "calibration_kl_mean": round(float(divergence.mean()), 6),
        "calibration_kl_worst": round(float(divergence.max()), 6),
        "flatbuffer_bytes": len(flatbuffer),
        **lost,
    }


def thresholds_entry(given: Given, stored: Stored | None) -> dict[str, Any]:
    """Entries of the recipe: when classes count as seen, and which of two classes is the positive one."""
    source, names = given.source, given.names
    outputs = source.network.classes
    if stored is not None:
        return stored.entries(outputs)
    return {
        **({"thresholds": list(source.thresholds)} if has_thresholds(source) else {}),
        **({POSITIVE: names[1]} if source.activation == "sigmoid" and outputs == 1 and len(names) == 2 else {}),
    }


def recipe(
    given: Given,
    options: Options,
    stored: Stored | None,
    found: Temperature | None,
    attempt: Attempt,
    network: DenseNet,
    figures: dict[str, Any],
    stages: tuple[StageFigures, ...],
) -> dict[str, Any]:
    """All that decides the file's content, and what it measured. No times and no paths: same input, same bytes."""
    source, pictures = given.source, given.pictures
    return {
        "edgedense": version("edgedense"),
        "preprocessing": given.preprocessing.to_dict(),
        "activation": source.activation,
        **({} if options.unit is None else {"unit": options.unit}),
        **thresholds_entry(given, stored),
        **({} if found is None else {TEMPERATURE: found.entry}),
        "source": {
            "name": source.name,
            "sha256": source.sha256,
            **({"hashed": source.hashed} if source.hashed != "file" else {}),
            "parameters": sum(source.parameters.values()),
            **options.opening.recipe,
        },
        "calibration": {"sha256": pictures.sha256, "images": len(pictures.pixels)},
        "options": {
            "output_type": options.output_type,
            "target": options.target,
            "explain": options.explain,
            "attempt": asdict(attempt),
        },
        "versions": {name: version(name) for name in ("tensorflow", "keras", "numpy", "ai-edge-litert")},
        "figures": figures,
        **({"steps": [stage.recorded() for stage in stages]} if stages else {}),
        **({} if (head := network.head.float_head) is None else {"float_head": float_heads.facts(head)}),
    }


def golden_samples(flatbuffer: bytes, network: DenseNet, given: Given, scores: np.ndarray, options: Options) -> bytes:
    """Probes with this machine's answers, so that a device can prove that it computes the same."""
    images = given.pictures.pixels[: options.golden_images]
    runner = execute.interpreter(flatbuffer)
    reference = float_file(lower(network), (SCORES,))
    return golden.record(
        golden.raw_invoke(runner),
        lambda pixels: execute.run(reference, pixels),
        height=network.height,
        width=network.width,
        channels=network.channels,
        step=golden.output_step(runner),
        runtime=f"ai-edge-litert {version('ai-edge-litert')}",
        machine=platform.machine(),
        layers=lambda pixels: golden.layer_levels(execute.interpreter(flatbuffer, keep_all=True), pixels),
        images=list(images),
        values=golden.value_scale(runner, scores) if given.source.gives_values else None,
    ).to_bytes()
