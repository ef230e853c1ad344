"""`convert()`: from a trained Keras DenseNet and a folder of pictures to one deployed file, as a readable list."""

from __future__ import annotations

import platform
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np

from edgedense import bundle, golden, gradcam, metrics
from edgedense.converters import (
    attempts,
    edgetpu,
    execute,
    gate,
    keras_reader,
    noise,
    normalization,
    slimming,
    structure,
)
from edgedense.converters.attempts import Attempt, Candidate
from edgedense.converters.calibration import DEFAULT_IMAGES, CalibrationSet, read_calibration
from edgedense.converters.evaluate import evaluate
from edgedense.converters.gate import Trial, Validation
from edgedense.converters.graph import Activation, DenseNet
from edgedense.converters.heads import deployed_head, features_tensor
from edgedense.converters.keras_reader import Source
from edgedense.converters.metadata import model_metadata
from edgedense.converters.probabilities import with_probabilities
from edgedense.converters.program import SCORES, lower
from edgedense.converters.quantize import with_features
from edgedense.converters.slimming import Change, Slimming
from edgedense.converters.stages import Stage, StageFigures, View, measure_stages, quick_file, statistics_of
from edgedense.converters.statistics import Statistics
from edgedense.converters.structure import Step
from edgedense.converters.trained import Trained
from edgedense.converters.trained import trained as as_trained
from edgedense.errors import EdgedenseError
from edgedense.preprocessing import Exif, Normalization, Pixels, Preprocessing, Resize, load_image
from edgedense.progress import progress
from edgedense.validation import read_labelled

QUICK, QUICK_ROUNDS = 8, 20  # pictures and inferences that tell how fast a network is, whatever it says


@dataclass(frozen=True)
class Options:
    """What a user may choose. None: found out from the model or the pictures."""

    preprocess: Normalization | None = None
    resize: Resize = "bilinear"
    exif: Exif = "ignore"
    output_type: Literal["float32", "uint8"] = "float32"
    ranges: attempts.Estimator | None = None
    headroom: float | None = None
    size: tuple[int, int] | None = None
    images: int = DEFAULT_IMAGES
    force: bool = False
    max_drop: float | None = None
    golden_images: int = 0
    target: Literal["cpu", "coral"] = "cpu"
    explain: bool = False
    slimming: Slimming = field(default_factory=Slimming)


@dataclass(frozen=True)
class Outcome:
    """What float network and deployed file say of the calibration pictures: scores [N, classes] each."""

    pictures: CalibrationSet
    before: np.ndarray
    after: np.ndarray


@dataclass(frozen=True)
class Conversion:
    """The deployed file's bytes and everything worth telling about it."""

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
        """The recipe's figures: agreement and divergence on the calibration set, sizes."""
        return self.recipe["figures"]


def convert(model: Path | str, calibration: Path | str, labels: tuple[str, ...] | None = None,
            options: Options | None = None, validation: Path | str | None = None) -> Conversion:
    """Read, rewrite, measure, quantize and prove. Writes nothing.

    `validation` is the folder of labelled pictures on which `options.max_drop` is kept; GateError when it is not.
    Raises EdgedenseError when the model is no DenseNet, the pictures are unusable, or labelled pictures show that
    the preprocessing in force is not the one that the model was trained with (unless `options.force`).
    """
    options = options or Options()
    slimming.check(options.slimming)
    if options.target == "coral":
        options = replace(options, output_type="uint8")
    source, added = with_probabilities(keras_reader.read(model, options.size))
    preprocessing = _preprocessing(source, options)
    with progress("reading calibration pictures", options.images) as tick:
        pictures = read_calibration(calibration, preprocessing, options.images, tick)
    names, notes = _labels(labels, pictures, source.network.classes)
    trained = as_trained(model, source, preprocessing)
    own = trained.load(pictures.paths, "calibration") if trained.resized else pictures.pixels
    scores = None
    if options.slimming.changes or trained.resized:  # before hours of training
        scores = trained.predict(own)
        notes += _check_preprocessing(trained, pictures, names, scores, options)
    held = None
    if validation is not None or options.max_drop is not None:
        held = _validation(trained, preprocessing, validation, names)
    probes = structure.probes_of(pictures.pixels)
    prepared, steps = structure.prepared(source, preprocessing.normalize, probes)
    changes = _changes(prepared, pictures, preprocessing, held, names, options)
    network, more = structure.deployed(changes[-1].network if changes else prepared, options.target, probes)
    steps += more
    statistics = _measure(network, pictures)
    if scores is None:
        scores = statistics[SCORES].high  # a vector has one position, so low, high and value are the same
        notes += _check_preprocessing(trained, pictures, names, scores, options)
    specs = attempts.candidates(options.ranges, options.headroom)
    with progress("choosing ranges", len(specs)) as tick:
        attempt, tried = attempts.choose(network, statistics, pictures.pixels, scores, specs, options.output_type,
                                         tick)
    trials: list[Trial] = []
    if options.max_drop is None or held is None:
        built = attempts.build(network, statistics, attempt, options.output_type)
    else:
        with progress("validating", 1) as tick:
            attempt, built, trials = gate.passing(network, statistics, attempt, tried, options.max_drop, held,
                                                  options.output_type, tick)
    steps.append(structure.compared("equalize, absorb scales", network, built.network, probes))
    quantized = built.quantized
    if options.explain:
        quantized = with_features(quantized, features_tensor(lower(built.network)))
    flatbuffer = quantized.to_bytes(model_metadata(source.name, names, source.network.classes, options.explain))
    if options.target == "coral" and (problems := edgetpu.check(flatbuffer)):
        raise EdgedenseError("a network that an Edge TPU takes whole", "; ".join(problems), "--target cpu")
    outcome = _outcome(flatbuffer, pictures, scores)
    figures = _figures(flatbuffer, outcome)
    if trials:
        figures["validation_drop_points"] = round(trials[-1].drop, 4)
    stages: tuple[StageFigures, ...] = ()
    if changes or trained.resized:
        stages = measure_stages(_stages(prepared, changes, trained, own, pictures, held, options), flatbuffer,
                                options.output_type, scores, None if held is None else held.labels)
    recipe = _recipe(source, preprocessing, pictures, options, attempt, network, figures, stages)
    entries = {golden.ENTRY: _golden(flatbuffer, network, pictures.pixels[: options.golden_images]),
               noise.ENTRY: noise.to_bytes(built.equalization)}
    if options.explain:
        entries[gradcam.ENTRY] = deployed_head(built.network.head).to_bytes()
    return Conversion(bundle.pack(flatbuffer, names, recipe, entries), names, recipe, tuple(steps), tried,
                      tuple(trials), (*added, *pictures.notes, *notes), outcome, stages)


def _validation(trained: Trained, preprocessing: Preprocessing, folder: Path | str | None,
                names: tuple[str, ...]) -> Validation:
    """The gate's pictures, scored by the trained model itself."""
    if folder is None or not names:
        raise EdgedenseError("labelled pictures for --max-drop", "none" if names else "a model without labels",
                             "--validation FOLDER with one sub-folder per class" + ("" if names else ", --labels FILE"))
    images = read_labelled(folder, names)
    pixels = trained.load(images.paths, "validation")
    scores = trained.predict(pixels)
    if not trained.resized:
        return Validation(pixels, images.labels, scores)
    smaller = np.stack([load_image(path, preprocessing) for path in images.paths])
    return Validation(smaller, images.labels, scores, as_trained=pixels)


def _changes(network: DenseNet, pictures: CalibrationSet, preprocessing: Preprocessing, held: Validation | None,
             names: tuple[str, ...], options: Options) -> list[Change]:
    """The steps that make a prepared network smaller; none where none was asked for."""
    if not options.slimming.changes:
        return []
    training = slimming.pictures_of(options.slimming, pictures.pixels, pictures.sha256, preprocessing, names)

    def file(changed: DenseNet, pixels: Pixels) -> bytes:
        return quick_file(structure.deployed(changed, options.target, pixels[:1])[0], pixels, options.output_type)

    def latency(changed: DenseNet) -> float:
        return execute.latencies([file(changed, pictures.pixels[:QUICK])], QUICK_ROUNDS)[0]

    def good_enough(changed: DenseNet) -> bool:
        assert held is not None
        assert options.max_drop is not None
        return held.drop(file(changed, pictures.pixels)) <= options.max_drop

    return slimming.slim(network, pictures.pixels, options.slimming, training, latency,
                         None if options.max_drop is None else good_enough)


def _stages(prepared: DenseNet, changes: list[Change], trained: Trained, own: Pixels, pictures: CalibrationSet,
            held: Validation | None, options: Options) -> list[Stage]:
    """The network behind each step that changed it, from the trained one on, each ready to be deployed.

    `own` are the calibration pictures at the size that the model was trained with.
    """
    here, there = View(pictures.pixels), View(own)
    if held is not None:
        here, there = replace(here, validation=held.pixels), replace(there, validation=held.as_trained)
    steps = [(Change("as trained", {}, prepared), here), *((change, here) for change in changes)]
    if trained.resized:
        whole = structure.prepared(trained.source, trained.preprocessing.normalize, own[:1])[0]
        size = {"height": prepared.height, "width": prepared.width}
        steps[:1] = [(Change("as trained", {}, whole), there), (Change("input size", size, prepared), here)]
    return [Stage(change.name, change.parameters,
                  structure.deployed(change.network, options.target, view.calibration[:1])[0], view)
            for change, view in steps]


def _preprocessing(source: Source, options: Options) -> Preprocessing:
    """What was said, or "none" for a model that normalizes its own pixels, or DenseNet's own."""
    default: Normalization = "none" if source.normalized else "densenet"
    return Preprocessing(source.network.height, source.network.width, options.preprocess or default, options.resize,
                         options.exif)


def _labels(labels: tuple[str, ...] | None, pictures: CalibrationSet,
            classes: int) -> tuple[tuple[str, ...], list[str]]:
    """The labels to store: those given, or the class folders' names where there are as many as classes."""
    wanted = 2 if classes == 1 else classes
    if labels is not None:
        if len(labels) not in (wanted, classes):
            raise EdgedenseError(f"{wanted} labels, as the model has outputs", str(len(labels)),
                                 "another --labels file")
        return labels, []
    if len(pictures.names) == wanted:
        return tuple(pictures.names), []
    if pictures.names:
        return (), [f"no labels stored: the model has {wanted} classes, the calibration folder {len(pictures.names)} "
                    "sub-folders (--labels FILE names them)"]
    return (), ["no labels stored (--labels FILE names the classes)"]


def _measure(network: DenseNet, pictures: CalibrationSet) -> Statistics:
    with progress("measuring ranges", len(pictures.pixels)) as tick:
        return statistics_of(network, pictures.pixels, tick)


def _check_preprocessing(trained: Trained, pictures: CalibrationSet, names: tuple[str, ...], scores: np.ndarray,
                         options: Options) -> list[str]:
    """Stop when labelled pictures show that the model was trained with another preprocessing.

    Returns a note where folders are no classes, so that nothing could be checked.
    """
    if pictures.labels is None or options.force:
        return []
    labels = pictures.indices(names)
    if labels is None:
        unknown = next(name for name in pictures.names if name not in names)
        return [f"the preprocessing was not checked: the calibration folder {unknown!r} is no label of the model"]
    choice = normalization.better_choice(trained.preprocessing, scores, pictures.paths, labels, trained.score)
    if choice is not None:
        raise normalization.refuse(choice)
    return []


def _outcome(flatbuffer: bytes, pictures: CalibrationSet, scores: np.ndarray) -> Outcome:
    with progress("checking the result", len(pictures.pixels)) as tick:
        return Outcome(pictures, scores, execute.run(flatbuffer, pictures.pixels, tick))


def _figures(flatbuffer: bytes, outcome: Outcome) -> dict[str, Any]:
    """What the file does on the calibration pictures, against the float network."""
    divergence = metrics.kl_divergence(outcome.before, outcome.after)
    return {
        "images": len(outcome.before),
        "calibration_agreement": round(metrics.agreement(outcome.before, outcome.after), 6),
        "calibration_kl_mean": round(float(divergence.mean()), 6),
        "calibration_kl_worst": round(float(divergence.max()), 6),
        "flatbuffer_bytes": len(flatbuffer),
    }


def _recipe(source: Source, preprocessing: Preprocessing, pictures: CalibrationSet, options: Options, attempt: Attempt,
            network: DenseNet, figures: dict[str, Any], stages: tuple[StageFigures, ...]) -> dict[str, Any]:
    """All that decides the file's content, and what it measured. No times and no paths: same input, same bytes."""
    last = network.head.steps[-1]
    return {
        "edgedense": version("edgedense"),
        "preprocessing": preprocessing.to_dict(),
        "activation": last.kind if isinstance(last, Activation) else "linear",
        "source": {"name": source.name, "sha256": source.sha256, "parameters": sum(source.parameters.values())},
        "calibration": {"sha256": pictures.sha256, "images": len(pictures.pixels)},
        "options": {"output_type": options.output_type, "target": options.target, "explain": options.explain,
                    "attempt": asdict(attempt)},
        "versions": {name: version(name) for name in ("tensorflow", "keras", "numpy", "ai-edge-litert")},
        "figures": figures,
        **({"steps": [stage.recorded() for stage in stages]} if stages else {}),
    }


def _golden(flatbuffer: bytes, network: DenseNet, images: Pixels) -> bytes:
    """Probes with this machine's answers, so that a device can prove that it computes the same."""
    runner = execute.interpreter(flatbuffer)
    keeping = execute.interpreter(flatbuffer, keep_all=True)
    program = lower(network)
    return golden.record(
        golden.raw_invoke(runner), lambda pixels: evaluate(program, pixels), height=network.height,
        width=network.width, step=golden.output_step(runner),
        runtime=f"ai-edge-litert {version('ai-edge-litert')}", machine=platform.machine(),
        layers=lambda pixels: golden.layer_levels(keeping, pixels), images=list(images),
    ).to_bytes()
