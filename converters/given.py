"""All that a conversion is given: the model, the pictures, what they are called, and what is to be told of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from edgedense.converters import slimming
from edgedense.converters.calibration import normalization
from edgedense.converters.calibration.pictures import CalibrationLike, CalibrationSet, read_calibration
from edgedense.converters.options import Options
from edgedense.converters.passes import rewriting
from edgedense.converters.quantization import attempts, float_heads
from edgedense.converters.quantization.gate import Validation
from edgedense.converters.quantization.measure import logits_of
from edgedense.converters.quantization.stages import Agree
from edgedense.converters.readers import door
from edgedense.converters.readers.scores import settled
from edgedense.converters.readers.source import Source
from edgedense.converters.readers.trained import Trained
from edgedense.converters.readers.trained import trained as as_trained
from edgedense.converters.recovery import Pictures
from edgedense.errors import EdgedenseError
from edgedense.images import fitting, resizing
from edgedense.images.pictures import LabelledLike
from edgedense.images.preprocessing import Pixels, Preprocessing, load_image
from edgedense.images.steps import described, goes_beyond
from edgedense.images.tables import VALIDATION
from edgedense.measures import findings, metrics, values
from edgedense.measures.labelled import read_labelled, scored_alone
from edgedense.measures.scores import HALF
from edgedense.measures.stored_points import require_thresholds
from edgedense.progress import progress

LONGEST_UNIT = 32  # letters: it stands beside every value


@dataclass(frozen=True)
class Given:
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
    def probes(self) -> rewriting.Probes:
        """Pictures on which rewrites are compared, by the runtime that computes the statistics: TensorFlow takes longer
        to build each network than to run it."""
        return rewriting.Probes(rewriting.probes_of(self.pictures.pixels), logits_of)

    @property
    def agree(self) -> Agree:
        """How often scores are decided alike: picture by picture, or where each class is scored alone, class by
        class."""
        limits = score_limits(self.source, self.names)
        return partial(findings.agreement, thresholds=limits) if limits else metrics.agreement

    @property
    def apart(self) -> attempts.Apart:
        """How far a file is from the model, picture by picture: what ranges are chosen by."""
        if self.source.gives_values:
            return values.squared_error
        activation = str(self.source.activation)
        return lambda before, after: metrics.divergence(before, after, activation)


def read(
    model: Any,
    calibration: CalibrationLike,
    labels: tuple[str, ...] | None,
    options: Options,
    validation: LabelledLike | None,
) -> tuple[Given, list[str]]:
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
        notes += check_preprocessing(trained, pictures, names, scores, options)
    if validation is not None or options.max_drop is not None:
        held = _validation(trained, preprocessing, validation, names, score_limits(source, names))
        notes += held.images.notes
    if options.slimming.trains:
        training = slimming.pictures_of(options.slimming, pictures.pixels, pictures.sha256, preprocessing, names)
        notes += training.notes
    return Given(source, trained, preprocessing, pictures, names, own, scores, held, training), notes


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


def _threshold_notes(source: Source, names: tuple[str, ...], use_own: bool) -> list[str]:
    """That classes count as seen from their own thresholds on, unless others are chosen, and which never do."""
    if not has_thresholds(source):
        return []
    without = [number for number, threshold in enumerate(source.thresholds) if threshold is None]
    notes = [f"each class counts as seen from its own threshold on, which {source.name} has"] if use_own else []
    if without:
        named = ", ".join(names[number] if len(names) > 1 else str(number) for number in without)
        notes.append(f"no threshold for {named}: never reported as seen, because the model was not trained for it")
    return notes


def _validation(
    trained: Trained,
    preprocessing: Preprocessing,
    data: LabelledLike | None,
    names: tuple[str, ...],
    limits: tuple[float, ...],
) -> Validation:
    """The labelled pictures, scored by the trained model itself; `limits` as `score_limits` gives them."""
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


def check_preprocessing(
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


def has_thresholds(source: Source) -> bool:
    """Whether the trained model has thresholds for the scores that the file gives."""
    return source.activation == "sigmoid" and bool(source.thresholds)


def score_limits(source: Source, names: tuple[str, ...]) -> tuple[float, ...]:
    """What each class's score must reach, infinite where none does; empty where classes exclude each other."""
    classes = source.network.classes
    if source.activation != "sigmoid" or len(names) > classes:
        return ()
    own = source.thresholds if has_thresholds(source) else (HALF,) * classes
    return tuple(math.inf if limit is None else limit for limit in own)
