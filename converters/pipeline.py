"""`convert()`: from a trained Keras DenseNet and a folder of pictures to one deployed file, as a readable list."""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np

from edgedense import bundle, golden, gradcam, metrics
from edgedense.converters import attempts, edgetpu, execute, gate, keras_reader, noise, normalization
from edgedense.converters.attempts import Attempt, Candidate
from edgedense.converters.calibration import DEFAULT_IMAGES, CalibrationSet, read_calibration
from edgedense.converters.evaluate import evaluate, logits_tensor
from edgedense.converters.gate import Trial, Validation
from edgedense.converters.graph import Activation, DenseNet
from edgedense.converters.heads import deployed_head, features_tensor
from edgedense.converters.keras_reader import Source
from edgedense.converters.metadata import model_metadata
from edgedense.converters.passes.fold_constants import fold_constants
from edgedense.converters.passes.fold_normalization import fold_normalization, fold_unshifted
from edgedense.converters.passes.fold_norms import fold_norms
from edgedense.converters.passes.pool_first import pool_first
from edgedense.converters.passes.round_border import round_border
from edgedense.converters.passes.space_to_depth import space_to_depth
from edgedense.converters.probabilities import with_probabilities
from edgedense.converters.program import SCORES, lower
from edgedense.converters.quantize import with_features
from edgedense.converters.statistics import Statistics, measure
from edgedense.errors import EdgedenseError
from edgedense.preprocessing import Exif, Normalization, Pixels, Preprocessing, Resize, load_image
from edgedense.progress import progress
from edgedense.validation import read_labelled

PASSES: tuple[Callable[[DenseNet], DenseNet], ...] = (
    fold_norms,          # batch norms that follow a convolution or meet a Dense
    fold_constants,      # channels that do not depend on the picture
    fold_normalization,  # the stem reads pixels
    space_to_depth,      # ... four at a time
    pool_first,          # transitions pool before they convolve
)
CORAL_PASSES = tuple(fold_unshifted if rewrite is fold_normalization else rewrite for rewrite in PASSES)
TOLERANCE = 1e-5  # relative to the largest logit; float32 through 120 layers leaves about 1e-6
BORDER_TOLERANCE = 0.02  # half a level of 255 around the picture; 0.0005 is usual
PROBES = 4  # pictures on which every pass is compared
BATCH = 16  # pictures evaluated at once: 224x224 needs about 60 MB each at the widest


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


@dataclass(frozen=True)
class Step:
    """One line of the account: what was done, and how far the logits moved, relative to the largest."""

    name: str
    error: float


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
    if options.target == "coral":
        options = replace(options, output_type="uint8")
    source, added = with_probabilities(keras_reader.read(model, options.size))
    preprocessing = _preprocessing(source, options)
    with progress("reading calibration pictures", options.images) as tick:
        pictures = read_calibration(calibration, preprocessing, options.images, tick)
    names, notes = _labels(labels, pictures, source.network.classes)
    network, steps = _structure(source, preprocessing, pictures, options.target)
    statistics = _measure(network, pictures)
    scores = statistics[SCORES].high  # a vector has one position, so low, high and value are the same
    if not options.force:
        notes += _check_preprocessing(source, preprocessing, pictures, names, scores)
    specs = attempts.candidates(options.ranges, options.headroom)
    with progress("choosing ranges", len(specs)) as tick:
        attempt, tried = attempts.choose(network, statistics, pictures.pixels, scores, specs, options.output_type,
                                         tick)
    trials: list[Trial] = []
    if options.max_drop is None:
        built = attempts.build(network, statistics, attempt, options.output_type)
    else:
        held = _validation(source, preprocessing, validation, names)
        with progress("validating", 1) as tick:
            attempt, built, trials = gate.passing(network, statistics, attempt, tried, options.max_drop, held,
                                                  options.output_type, tick)
    steps.append(_step("equalize, absorb scales", network, built.network, _probes(pictures))[0])
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
    recipe = _recipe(source, preprocessing, pictures, options, attempt, network, figures)
    entries = {golden.ENTRY: _golden(flatbuffer, network, pictures.pixels[: options.golden_images]),
               noise.ENTRY: noise.to_bytes(built.equalization)}
    if options.explain:
        entries[gradcam.ENTRY] = deployed_head(built.network.head).to_bytes()
    return Conversion(bundle.pack(flatbuffer, names, recipe, entries), names, recipe, tuple(steps), tried,
                      tuple(trials), (*added, *pictures.notes, *notes), outcome)


def _validation(source: Source, preprocessing: Preprocessing, folder: Path | str | None,
                names: tuple[str, ...]) -> Validation:
    """The gate's pictures, scored by the Keras model itself."""
    if folder is None or not names:
        raise EdgedenseError("labelled pictures for --max-drop", "none" if names else "a model without labels",
                             "--validation FOLDER with one sub-folder per class" + ("" if names else ", --labels FILE"))
    images = read_labelled(folder, names)
    with progress("reading validation pictures", len(images.paths)) as tick:
        rows = []
        for path in images.paths:
            rows.append(load_image(path, preprocessing))
            tick(1)
    pixels = np.stack(rows)
    with progress("scoring the float model", len(pixels)) as tick:
        parts = []
        for start in range(0, len(pixels), BATCH):
            batch = normalization.normalized(pixels[start : start + BATCH], preprocessing.normalize)
            parts.append(source.predict(batch))
            tick(len(batch))
    return Validation(pixels, images.labels, np.concatenate(parts))


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


def passes(target: str) -> tuple[Callable[[DenseNet], DenseNet], ...]:
    """The passes that need no measuring, for a processor ("cpu") or an Edge TPU ("coral")."""
    return CORAL_PASSES if target == "coral" else PASSES


def _structure(source: Source, preprocessing: Preprocessing, pictures: CalibrationSet,
               target: str) -> tuple[DenseNet, list[Step]]:
    """The network on raw pixels after the passes that need no measuring, each compared with the one before."""
    probes = _probes(pictures)
    network = normalization.compose(source.network, preprocessing.normalize)
    expected = source.logits(normalization.normalized(probes, preprocessing.normalize))
    logits = _logits(network, probes)
    steps = [Step("read", _checked("read", _distance(expected, logits)))]
    for rewrite in passes(target):
        before, network = network, rewrite(network)
        step, logits = _step(rewrite.__name__, before, network, probes, logits)
        steps.append(step)
    rounded = round_border(network)
    moved = _distance(logits, _logits(rounded, probes))
    if moved > BORDER_TOLERANCE:
        raise EdgedenseError(f"a border rounded to whole pixels to move logits by less than {BORDER_TOLERANCE:g}",
                             f"{moved:.2g}", "report this model: it is unusually sensitive to its border")
    return rounded, [*steps, Step(round_border.__name__, moved)]


def _step(name: str, before: DenseNet, after: DenseNet, probes: Pixels,
          logits: np.ndarray | None = None) -> tuple[Step, np.ndarray]:
    """The step's error and the logits behind it; float64 decides where float32's own rounding is in doubt.

    `logits` are those before the step, where they are known.
    """
    expected = _logits(before, probes) if logits is None else logits
    found = _logits(after, probes)
    error = _distance(expected, found)
    if error > TOLERANCE:
        error = _distance(_logits(before, probes, "float64"), _logits(after, probes, "float64"))
    return Step(name, _checked(name, error)), found


def _checked(name: str, error: float) -> float:
    if not error <= TOLERANCE:  # also where it is not a number
        raise EdgedenseError(f"the step {name!r} to keep the logits (relative {TOLERANCE:g})",
                             f"a change of {error:.2g}", "report this model: edgedense misreads it")
    return error


def _probes(pictures: CalibrationSet) -> Pixels:
    spread = np.linspace(0, len(pictures.pixels) - 1, min(PROBES, len(pictures.pixels))).astype(int)
    return pictures.pixels[spread]


def _logits(network: DenseNet, pixels: Pixels, dtype: str = "float32") -> np.ndarray:
    program = lower(network)
    return evaluate(program, pixels, output=logits_tensor(program), dtype=dtype)


def _distance(expected: np.ndarray, found: np.ndarray) -> float:
    """Largest difference, relative to the largest expected logit."""
    return float(np.abs(found - expected).max() / max(np.abs(expected).max(), 1e-30))


def _measure(network: DenseNet, pictures: CalibrationSet) -> Statistics:
    pixels = pictures.pixels
    with progress("measuring ranges", len(pixels)) as tick:
        return measure(lower(network), [pixels[i : i + BATCH] for i in range(0, len(pixels), BATCH)], tick)


def _check_preprocessing(source: Source, preprocessing: Preprocessing, pictures: CalibrationSet,
                         names: tuple[str, ...], scores: np.ndarray) -> list[str]:
    """Stop when labelled pictures show that the model was trained with another preprocessing.

    Returns a note where folders are no classes, so that nothing could be checked.
    """
    if pictures.labels is None:
        return []
    if unknown := [name for name in pictures.names if name not in names]:
        return [f"the preprocessing was not checked: the calibration folder {unknown[0]!r} is no label of the model"]
    labels = np.array([names.index(name) for name in pictures.names])[pictures.labels]

    def score(pixels: Pixels, normalize: Normalization) -> np.ndarray:
        return source.predict(normalization.normalized(pixels, normalize))

    choice = normalization.better_choice(preprocessing, scores, pictures.paths, labels, score)
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
            network: DenseNet, figures: dict[str, Any]) -> dict[str, Any]:
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
