"""`convert()`: from a trained DenseNet and a folder of pictures to one deployed file, as a readable list."""

from __future__ import annotations

import math
import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from edgedense import flags
from edgedense.converters import slimming
from edgedense.converters.calibration import normalization
from edgedense.converters.calibration.pictures import CalibrationLike, CalibrationSet, read_calibration
from edgedense.converters.calibration.statistics import Statistics
from edgedense.converters.network.evaluate import evaluate
from edgedense.converters.network.graph import DenseNet
from edgedense.converters.network.program import SCORES, lower
from edgedense.converters.options import Options
from edgedense.converters.passes import rewriting
from edgedense.converters.passes.rewriting import Step
from edgedense.converters.quantization import attempts, float_heads, gate, noise, temperature
from edgedense.converters.quantization.attempts import Attempt, Built, Candidate
from edgedense.converters.quantization.gate import Trial, Validation
from edgedense.converters.quantization.heads import deployed_head, features_tensor
from edgedense.converters.quantization.quantize import with_features
from edgedense.converters.quantization.stages import (
    Agree,
    Stage,
    StageFigures,
    View,
    measure_stages,
    quick_file,
    statistics_of,
)
from edgedense.converters.readers import door
from edgedense.converters.readers.scores import settled
from edgedense.converters.readers.source import Source
from edgedense.converters.readers.trained import Trained
from edgedense.converters.readers.trained import trained as as_trained
from edgedense.converters.recovery import Pictures
from edgedense.converters.slimming import Change
from edgedense.converters.tflite import edgetpu, execute
from edgedense.converters.tflite.edgetpu import Compiled
from edgedense.converters.tflite.metadata import model_metadata
from edgedense.deployed import bundle, golden, gradcam
from edgedense.errors import EdgedenseError
from edgedense.files import write_atomically
from edgedense.images import fitting, resizing
from edgedense.images.pictures import LabelledLike
from edgedense.images.preprocessing import Pixels, Preprocessing, load_image
from edgedense.images.steps import described, goes_beyond
from edgedense.images.tables import VALIDATION
from edgedense.measures import findings, metrics, stored_points, values
from edgedense.measures.labelled import fingerprint, read_labelled, scored_alone
from edgedense.measures.operating_points import parse
from edgedense.measures.stored_points import POSITIVE, Stored, require_thresholds
from edgedense.measures.temperature import ENTRY as TEMPERATURE
from edgedense.measures.temperature import Temperature, tempered
from edgedense.measures.temperature import chosen as temperature_of
from edgedense.progress import progress

LONGEST_UNIT = 32  # letters: it stands beside every value
QUICK, QUICK_ROUNDS = 8, 20  # pictures and inferences that tell how fast a network is, whatever it says


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


def convert(
    model: Any,
    calibration: CalibrationLike,
    labels: tuple[str, ...] | None = None,
    options: Options | None = None,
    validation: LabelledLike | None = None,
) -> Conversion:
    """Read, rewrite, measure, quantize and prove. Writes nothing.

    All is as for `edgedense.convert`, which calls it: `validation` are the labelled pictures on which
    `options.max_drop` is kept; GateError when it is not.
    Raises EdgedenseError when the model is no DenseNet, the pictures are unusable, or labelled pictures show that
    the preprocessing in force is not the one that the model was trained with (unless `options.force`).
    """
    options = options or Options()
    flags.check(options)
    _check(options, validation is not None)
    if options.target == "coral":
        options = replace(options, output_type="uint8")
    given, notes = _read(model, calibration, labels, options, validation)
    prepared, steps = rewriting.prepared(
        given.source, given.preprocessing, given.probes, rewriting.probes_of(given.own)
    )
    if options.calibrate_confidence:
        temperature.check(prepared)
    changes = _changes(prepared, given, options)
    network, more = rewriting.deployed(changes[-1].network, options.target, given.probes)
    with progress("measuring ranges", len(given.pictures.pixels)) as tick:
        statistics = statistics_of(network, given.pictures.pixels, tick)
    scores = given.scores
    if scores is None:
        scores = statistics[SCORES].high  # a vector has one position, so low, high and value are the same
        notes += _check_preprocessing(given.trained, given.pictures, given.names, scores, options)
    chosen = _quantized(network, statistics, scores, changes, given, options)
    equalized = rewriting.compared("equalize, absorb scales", network, chosen.built.network, given.probes)
    flatbuffer = _flatbuffer(chosen.built, given, options)
    stages: tuple[StageFigures, ...] = ()
    if options.slimming.changes or options.slimming.qat or given.trained.resized:
        stages = measure_stages(
            _stages(changes, given, options),
            flatbuffer,
            options.output_type,
            scores,
            given.held,
            None if given.source.gives_values else _agree(given.source, given.names),
        )
    found, float_network = None, network
    if options.calibrate_confidence:
        found = _temperature(chosen.built, given)
        notes.append(str(found))
        scores = tempered(scores, str(given.source.activation), found.value)
        flatbuffer = _flatbuffer(_divided(chosen.built, found.value), given, options)
        float_network = temperature.in_network(network, found.value)
    outcome = _outcome(flatbuffer, given.pictures, scores, given.source, given.names)
    stored = _operating_points(flatbuffer, given, options)
    notes += _positive_notes(given, stored)
    recipe = _recipe(
        given,
        options,
        stored,
        found,
        chosen.attempt,
        network,
        _figures(flatbuffer, outcome, chosen.trials, given),
        stages,
    )
    entries = {
        golden.ENTRY: _golden(flatbuffer, float_network, given, scores, options),
        noise.ENTRY: noise.to_bytes(chosen.built.equalization),
    }
    if options.explain:
        entries[gradcam.ENTRY] = deployed_head(chosen.built.network.head).to_bytes()
    return Conversion(
        bundle.pack(flatbuffer, given.names, recipe, entries),
        given.names,
        recipe,
        (*steps, *more, equalized),
        chosen.tried,
        chosen.trials,
        tuple(notes),
        outcome,
        stages,
    )


def _check(options: Options, validates: bool) -> None:
    """Raise EdgedenseError for what does not go together, before anything is read."""
    slimming.check(options.slimming)
    wanting = {
        "--max-drop": ("--max-drop POINTS", options.max_drop is not None),
        "--operating-point": ("--operating-point RULE", options.operating_point is not None),
        "--calibrate-confidence": ("--calibrate-confidence", options.calibrate_confidence),
    }
    for name, (typed, is_given) in wanting.items():
        if is_given and not validates:
            raise EdgedenseError(f"--validation with {name}", f"{name} alone", f"{typed} --validation FOLDER")
    if options.operating_point is not None:
        parse(options.operating_point)
    elif options.positive is not None:
        raise EdgedenseError("--operating-point with --positive", "--positive alone")
    changes = options.slimming.changes or options.slimming.qat or options.opening.size
    if validates and not changes and not any(is_given for _, is_given in wanting.values()):
        raise EdgedenseError(
            "--max-drop, --operating-point, --calibrate-confidence, or something that makes the network smaller, with "
            "--validation",
            "--validation alone",
            "--max-drop POINTS --validation FOLDER",
        )


@dataclass(frozen=True)
class _Given:
    """All that a conversion reads.

    `own` are the calibration pictures as the training saw them. `scores` are the trained model's for them, where they
    are needed before the network is measured; `held` the labelled pictures of the gate; `training` those to train on.
    """

    source: Source
    trained: Trained
    preprocessing: Preprocessing
    pictures: CalibrationSet
    names: tuple[str, ...]
    own: Pixels
    scores: np.ndarray | None
    held: Validation | None
    training: Pictures | None

    @property
    def probes(self) -> Pixels:
        """Pictures on which rewrites are compared."""
        return rewriting.probes_of(self.pictures.pixels)


@dataclass(frozen=True)
class _Chosen:
    """The attempt that is deployed, and what was tried before it."""

    attempt: Attempt
    built: Built
    tried: tuple[Candidate, ...]
    trials: tuple[Trial, ...]


def _read(
    model: Any,
    calibration: CalibrationLike,
    labels: tuple[str, ...] | None,
    options: Options,
    validation: LabelledLike | None,
) -> tuple[_Given, list[str]]:
    """Model and pictures, and remarks for the user."""
    source, added = settled(door.read(model, options.opening), options.opening.activation)
    added = (*added, *_channel_notes(source), *_float_head_notes(source, options))
    _check_unit(options.unit, source)
    if source.gives_values:
        _refuse_accuracy(options, validation)
    preprocessing = _preprocessing(source, options)
    with progress("reading calibration pictures", options.calibration_images) as tick:
        most, depth = options.calibration_images, options.resizing.depth
        pictures = read_calibration(calibration, preprocessing, most, tick, depth)
    preprocessing = pictures.preprocessing
    names, said = _labels(labels, pictures, source)
    if options.operating_point is not None:
        require_thresholds(names, str(source.activation), source.network.classes, options.positive)
    said += _threshold_notes(source, names, options.operating_point is None)
    notes = [*added, *_size_notes(preprocessing), *pictures.notes, *said]
    trained = as_trained(model, source, preprocessing, options.opening, _shorter_side(source, options))
    own = pictures.pixels if trained.preprocessing == preprocessing else trained.load(pictures.paths, "calibration")
    scores = held = training = None
    # A wrong preprocessing is found before hours of training; and of other pixels the network knows no scores.
    if options.slimming.changes or trained.preprocessing != preprocessing:
        scores = trained.predict(own)
        notes += _check_preprocessing(trained, pictures, names, scores, options)
    if validation is not None or options.max_drop is not None:
        held = _validation(trained, preprocessing, validation, names, _limits(source, names))
        notes += held.images.notes
    if options.slimming.trains:
        training = slimming.pictures_of(options.slimming, pictures.pixels, pictures.sha256, preprocessing, names)
        notes += training.notes
    return _Given(source, trained, preprocessing, pictures, names, own, scores, held, training), notes


def _channel_notes(source: Source) -> tuple[str, ...]:
    """What is to be said where the pictures have another number of channels than the model takes."""
    if source.one_channel and source.network.channels == 3:
        return ("the model takes one channel: the file makes RGB pictures grey (--input-channels 1: it takes one too)",)
    if source.network.channels == 1 and not source.one_channel:
        return ("the model takes RGB pictures: it gets the file's one channel three times",)
    return ()


def _float_head_notes(source: Source, options: Options) -> tuple[str, ...]:
    """What is to be said of a head that stays float, before anything is measured; EdgedenseError where it cannot."""
    head = source.network.head.float_head
    if head is None:
        return ()
    return float_heads.check(
        head,
        coral=options.target == "coral" or options.slimming.fit_edgetpu,
        explain=options.explain,
        integer_output=options.output_type != "float32",
    )


def _quantized(
    network: DenseNet,
    statistics: Statistics,
    scores: np.ndarray,
    changes: list[Change],
    given: _Given,
    options: Options,
) -> _Chosen:
    """The attempt that keeps closest to the trained model's `scores`, or the first that passes the gate."""
    specs = attempts.candidates(options.ranges, options.headroom)
    with progress("choosing ranges", len(specs)) as tick:
        attempt, tried = attempts.choose(
            network, statistics, given.pictures.pixels, scores, specs, options.output_type, tick, _apart(given.source)
        )
    good_enough = _good_enough(given.held, options)

    def build(attempt: Attempt) -> Built:
        prepared = attempts.prepare(network, statistics, attempt, options.output_type)
        return slimming.tuned(
            prepared, attempt, changes[0].network, changes[-1], options.slimming, given.training, good_enough
        )

    if options.max_drop is None or given.held is None:
        return _Chosen(attempt, build(attempt), tried, ())
    with progress("validating", 1) as tick:
        attempt, built, trials = gate.passing(
            network, statistics, attempt, tried, options.max_drop, given.held, options.output_type, build, tick
        )
    return _Chosen(attempt, built, tried, tuple(trials))


def _flatbuffer(built: Built, given: _Given, options: Options) -> bytes:
    """The .tflite without what is packed behind it."""
    quantized = built.quantized
    if options.explain:
        quantized = with_features(quantized, features_tensor(lower(built.network)))
    network, channels = given.source.network, given.preprocessing.channels
    metadata = model_metadata(given.source.name, given.names, network.classes, options.explain, channels)
    flatbuffer = quantized.to_bytes(metadata)
    if options.target == "coral" and (problems := edgetpu.check(flatbuffer)):
        raise EdgedenseError("a network that an Edge TPU takes whole", "; ".join(problems), "--target cpu")
    return flatbuffer


def _validation(
    trained: Trained,
    preprocessing: Preprocessing,
    data: LabelledLike | None,
    names: tuple[str, ...],
    limits: tuple[float, ...],
) -> Validation:
    """The labelled pictures, scored by the trained model itself; `limits` as `_limits` gives them."""
    if data is None or not names:
        raise EdgedenseError(
            "labelled pictures and labels to measure with",
            "none" if names else "a model without labels",
            "--validation FOLDER or --validation TABLE.csv" + ("" if names else ", --labels FILE"),
        )
    images = read_labelled(data, names, "several" if limits else "classes", VALIDATION)
    if limits:
        images = scored_alone(images)
    pixels = trained.load(images.paths, "validation")
    scores = trained.predict(pixels)
    if trained.preprocessing == preprocessing:
        return Validation(pixels, images, scores, thresholds=limits)
    own = np.stack([load_image(path, preprocessing) for path in images.paths])
    return Validation(own, images, scores, pixels, limits)


def _changes(network: DenseNet, given: _Given, options: Options) -> list[Change]:
    """A prepared network, and the steps that make it smaller."""
    pixels = given.pictures.pixels

    def file(changed: DenseNet, some: Pixels) -> bytes:
        return quick_file(rewriting.deployed(changed, options.target, some[:1])[0], some, options.output_type)

    def latency(changed: DenseNet) -> float:
        return execute.latencies([file(changed, pixels[:QUICK])], QUICK_ROUNDS)[0]

    good = _good_enough(given.held, options)
    return slimming.slim(
        network,
        pixels,
        options.slimming,
        given.training,
        latency,
        None if good is None else lambda changed: good(file(changed, pixels)),
    )


def _good_enough(held: Validation | None, options: Options) -> Callable[[bytes], bool] | None:
    """Whether a file passes the gate; None where there is none."""
    limit = options.max_drop
    if held is None or limit is None:
        return None
    return lambda file: held.drop(file) <= limit


def _stages(changes: list[Change], given: _Given, options: Options) -> list[Stage]:
    """The network behind each step that changed it, from the trained one on, each ready to be deployed."""
    here, there, trained = View(given.pictures.pixels), View(given.own), given.trained
    if given.held is not None:
        here, there = replace(here, validation=given.held.pixels), replace(there, validation=given.held.as_trained)
    steps = [(change, here) for change in changes]
    if trained.resized:
        whole = rewriting.prepared(trained.source, trained.preprocessing, given.own[:1], given.own[:1])[0]
        size = {"height": given.preprocessing.height, "width": given.preprocessing.width}
        steps[:1] = [
            (replace(changes[0], network=whole), there),
            (replace(changes[0], name=slimming.RESIZED, parameters=size), here),
        ]
    if options.slimming.qat and given.training is not None:
        spec = asdict(slimming.qat_spec(options.slimming, len(given.training.pixels)))
        steps.append((replace(changes[-1], name=slimming.QAT, parameters=spec), here))
    return [
        Stage(
            change.name,
            change.parameters,
            change.network,
            rewriting.deployed(change.network, options.target, view.calibration[:1])[0],
            view,
        )
        for change, view in steps
    ]


def _refuse_accuracy(options: Options, validation: LabelledLike | None) -> None:
    """EdgedenseError where labelled pictures are to be counted right or wrong, and the model gives values."""
    given = {
        "--max-drop": options.max_drop is not None,
        "--operating-point": options.operating_point is not None,
        "--calibrate-confidence": options.calibrate_confidence,
        "--validation": validation is not None,
    }
    if used := [name for name, value in given.items() if value]:
        raise EdgedenseError(
            f"a model that tells classes apart for {' and '.join(used)}",
            "one that gives values (--activation none), which are not right or wrong",
            f"leave {' and '.join(used)} out; edgedense validate --data TABLE.csv measures how far off the values are",
        )


def _check_unit(unit: str | None, source: Source) -> None:
    """EdgedenseError for a unit of what are no values, or that would spoil the line it is printed on."""
    if unit is None:
        return
    if not source.gives_values:
        raise EdgedenseError(
            "a model that gives values for --unit", f"one that ends in {source.activation}", "leave it out"
        )
    if not unit.strip() or unit != unit.strip() or not unit.isprintable() or len(unit) > LONGEST_UNIT:
        raise EdgedenseError(f"a unit of up to {LONGEST_UNIT} letters, such as months, on one line", repr(unit))


def _apart(source: Source) -> attempts.Apart:
    """How far a file is from the model, picture by picture: what ranges are chosen by."""
    if source.gives_values:
        return values.squared_error
    return lambda before, after: metrics.divergence(before, after, str(source.activation))


def _preprocessing(source: Source, options: Options) -> Preprocessing:
    """What was said, or what the model's kind says."""
    normalize = source.normalization(options.preprocess)
    return normalization.preprocessing(
        source.size, source.steps, normalize, options.resizing, source.trained_size, options.opening.channels
    )


def _shorter_side(source: Source, options: Options) -> int | None:
    """That of the pictures in training."""
    said = options.resizing
    own = source.trained_size or source.size
    return fitting.chosen(own, said.fit, said.shorter_side, said.crop_fraction)[1]


def _size_notes(preprocessing: Preprocessing) -> list[str]:
    """What the file does to a picture's size because the model did it, and what no pixel can be."""
    p = preprocessing
    notes = []
    if p.steps:
        notes.append(
            f"the model takes {p.height}x{p.width} pixels, and they are {described(p.steps)} inside of it: the file's "
            "preprocessing does the same, and rounds to whole levels"
        )
    if goes_beyond(p.steps) or resizing.goes_beyond(p.resize):
        notes.append("what this resizing makes brighter than white or darker than black is cut off: pixels end there")
    return notes


def _labels(
    labels: tuple[str, ...] | None, pictures: CalibrationSet, source: Source
) -> tuple[tuple[str, ...], list[str]]:
    """The labels to store: those given, or the class folders' names where there are as many as classes. Folders are
    no names of values."""
    classes = source.network.classes
    wanted = 2 if classes == 1 and not source.gives_values else classes
    if labels is not None:
        if len(labels) not in (wanted, classes):
            raise EdgedenseError(
                f"{wanted} labels, as the model has outputs", str(len(labels)), "another --labels file"
            )
        return labels, []
    if source.gives_values:
        return (), [] if classes == 1 else ["no labels stored (--labels FILE names the values)"]
    if len(pictures.names) == wanted:
        return tuple(pictures.names), []
    if pictures.names:
        return (), [
            f"no labels stored: the model has {wanted} classes, the calibration pictures {len(pictures.names)} "
            "(--labels FILE names them)"
        ]
    return (), ["no labels stored (--labels FILE names the classes)"]


def _has_thresholds(source: Source) -> bool:
    """Whether the trained model has thresholds for the scores that the file gives."""
    return source.activation == "sigmoid" and bool(source.thresholds)


def _limits(source: Source, names: tuple[str, ...]) -> tuple[float, ...]:
    """What each class's score must reach, infinite where none does; empty where classes exclude each other."""
    classes = source.network.classes
    if source.activation != "sigmoid" or len(names) > classes:
        return ()
    own = source.thresholds if _has_thresholds(source) else (metrics.HALF,) * classes
    return tuple(math.inf if limit is None else limit for limit in own)


def _agree(source: Source, names: tuple[str, ...]) -> Agree:
    """How often scores are decided alike: picture by picture, or where each class is scored alone, class by class."""
    limits = _limits(source, names)
    return partial(findings.agreement, thresholds=limits) if limits else metrics.agreement


def _threshold_notes(source: Source, names: tuple[str, ...], use_own: bool) -> list[str]:
    """That classes count as seen from their own thresholds on, unless others are chosen, and which never do."""
    if not _has_thresholds(source):
        return []
    without = [number for number, threshold in enumerate(source.thresholds) if threshold is None]
    notes = [f"each class counts as seen from its own threshold on, which {source.name} has"] if use_own else []
    if without:
        named = ", ".join(names[number] if len(names) > 1 else str(number) for number in without)
        notes.append(f"no threshold for {named}: never reported as seen, because the model was not trained for it")
    return notes


def _temperature(built: Built, given: _Given) -> Temperature:
    """That of the file's own logits for the labelled pictures."""
    held = given.held
    assert held is not None
    assert held.images is not None
    file = temperature.with_logits(built.quantized, temperature.logits_name(built.network)).to_bytes()
    with progress("fitting the temperature", len(held.pixels)) as tick:
        logits = execute.run(file, held.pixels, tick)
    return temperature_of(
        logits,
        held.images.truth[:, -logits.shape[1] :],  # of two classes and one logit the second one's
        str(given.source.activation),
        sha256=fingerprint(held.images),
        patients=held.images.patients,
    )


def _divided(built: Built, value: float) -> Built:
    """With its logits divided by a temperature. The network that it was built of keeps its own."""
    logits = temperature.logits_name(built.network)
    return replace(built, quantized=temperature.with_temperature(built.quantized, logits, value))


def _operating_points(flatbuffer: bytes, given: _Given, options: Options) -> Stored | None:
    """The thresholds that are asked for, chosen with the scores of the file itself."""
    if options.operating_point is None:
        return None
    held, source = given.held, given.source
    assert held is not None
    with progress("choosing thresholds", len(held.pixels)) as tick:
        scores = execute.run(flatbuffer, held.pixels, tick)
    return stored_points.chosen(
        scores,
        held.images.truth,
        given.names,
        parse(options.operating_point),
        activation=str(source.activation),
        outputs=source.network.classes,
        sha256=fingerprint(held.images),
        trained=[one is not None for one in source.thresholds] if _has_thresholds(source) else (),
        positive=options.positive,
    )


def _thresholds(given: _Given, stored: Stored | None) -> dict[str, Any]:
    """Entries of the recipe: when classes count as seen, and which of two classes is the positive one."""
    source, names = given.source, given.names
    outputs = source.network.classes
    if stored is not None:
        return stored.entries(outputs)
    return {
        **({"thresholds": list(source.thresholds)} if _has_thresholds(source) else {}),
        **({POSITIVE: names[1]} if source.activation == "sigmoid" and outputs == 1 and len(names) == 2 else {}),
    }


def _positive_notes(given: _Given, stored: Stored | None) -> list[str]:
    """Which of two classes is meant by "found", and thresholds at which all pictures are treated alike."""
    positive = _thresholds(given, stored).get(POSITIVE)
    notes = [] if positive is None else [f"{positive} is the positive class: sensitivity is the share of its pictures"]
    return notes if stored is None else [*notes, *stored.notes]


def _check_preprocessing(
    trained: Trained, pictures: CalibrationSet, names: tuple[str, ...], scores: np.ndarray, options: Options
) -> list[str]:
    """Stop when labelled pictures show that the model was trained with another preprocessing.

    Returns a note where folders are no classes, so that nothing could be checked.
    """
    if pictures.labels is None or options.force:
        return []
    if trained.source.gives_values:
        return ["the preprocessing was not checked: the model gives values, of which folders do not say the right ones"]
    labels = pictures.indices(names)
    if labels is None:
        unknown = next(name for name in pictures.names if name not in names)
        return [f"the preprocessing was not checked: {unknown!r} of the calibration pictures is no label of the model"]
    choice = normalization.better_choice(
        trained.preprocessing, scores, pictures.paths, labels, trained.score, trained.source.normalizations
    )
    if choice is not None:
        raise normalization.refuse(choice)
    return []


def _outcome(
    flatbuffer: bytes, pictures: CalibrationSet, scores: np.ndarray, source: Source, names: tuple[str, ...]
) -> Outcome:
    with progress("checking the result", len(pictures.pixels)) as tick:
        after = execute.run(flatbuffer, pictures.pixels, tick)
    if not source.gives_values:
        return Outcome(pictures, scores, after)
    called = values.names_of(names, scores.shape[1])
    paths = [path.name for path in pictures.paths]
    return Outcome(pictures, scores, after, values.differences(scores, after, called, paths))


def _told(difference: values.Difference) -> dict[str, Any]:
    """For the recipe, which names no pictures."""
    return {key: value for key, value in asdict(difference).items() if key != "worst_image"}


def _figures(flatbuffer: bytes, outcome: Outcome, trials: tuple[Trial, ...], given: _Given) -> dict[str, Any]:
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
    divergence = _apart(given.source)(outcome.before, outcome.after)
    agreement = _agree(given.source, given.names)(outcome.before, outcome.after)
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


def _recipe(
    given: _Given,
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
        **_thresholds(given, stored),
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


def _golden(flatbuffer: bytes, network: DenseNet, given: _Given, scores: np.ndarray, options: Options) -> bytes:
    """Probes with this machine's answers, so that a device can prove that it computes the same."""
    images = given.pictures.pixels[: options.golden_images]
    runner = execute.interpreter(flatbuffer)
    keeping = execute.interpreter(flatbuffer, keep_all=True)
    program = lower(network)
    return golden.record(
        golden.raw_invoke(runner),
        lambda pixels: evaluate(program, pixels),
        height=network.height,
        width=network.width,
        channels=network.channels,
        step=golden.output_step(runner),
        runtime=f"ai-edge-litert {version('ai-edge-litert')}",
        machine=platform.machine(),
        layers=lambda pixels: golden.layer_levels(keeping, pixels),
        images=list(images),
        values=golden.value_scale(runner, scores) if given.source.gives_values else None,
    ).to_bytes()
