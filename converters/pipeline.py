"""`convert()`: from a trained DenseNet and a folder of pictures to one deployed file, as a readable list."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from edgedense import flags
from edgedense.boards.estimate import estimate
from edgedense.converters import conversion, slimming
from edgedense.converters.calibration.pictures import CalibrationLike
from edgedense.converters.calibration.statistics import Statistics
from edgedense.converters.clock import clock
from edgedense.converters.conversion import Conversion
from edgedense.converters.given import Given, check_preprocessing, has_thresholds, read
from edgedense.converters.linear_algebra import on_one_thread
from edgedense.converters.network.graph import DenseNet
from edgedense.converters.network.program import SCORES, lower
from edgedense.converters.options import Options
from edgedense.converters.passes import rewriting
from edgedense.converters.passes.rewriting import Probes
from edgedense.converters.pruning.shrink import Shrunk
from edgedense.converters.quantization import attempts, gate, noise, temperature
from edgedense.converters.quantization.attempts import Attempt, Built, Candidate
from edgedense.converters.quantization.gate import Trial, Validation
from edgedense.converters.quantization.heads import deployed_head, features_tensor
from edgedense.converters.quantization.measure import logits_of, statistics_of
from edgedense.converters.quantization.quantize import with_features
from edgedense.converters.quantization.shapes import shape_of_file
from edgedense.converters.quantization.stages import Stage, StageFigures, View, measure_stages, quick_file
from edgedense.converters.slimming import Change
from edgedense.converters.tflite import edgetpu, execute
from edgedense.converters.tflite.metadata import model_metadata
from edgedense.deployed import bundle, golden, gradcam
from edgedense.errors import EdgedenseError
from edgedense.images.pictures import LabelledLike
from edgedense.images.preprocessing import Pixels
from edgedense.measures import stored_points
from edgedense.measures.labelled import fingerprint
from edgedense.measures.operating_points import parse
from edgedense.measures.stored_points import POSITIVE, Stored
from edgedense.measures.temperature import Temperature, tempered
from edgedense.measures.temperature import chosen as temperature_of
from edgedense.progress import progress

QUICK = 8  # pictures that tell how fast a network is, whatever it says


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
    check(options, validation is not None)
    if options.target == "coral":
        options = replace(options, output_type="uint8")
    with on_one_thread():
        given, notes = read(model, calibration, labels, options, validation)
        return converted(given, notes, options)


def converted(given: Given, notes: Sequence[str], options: Options, shrunk: Shrunk | None = None) -> Conversion:
    """All of `convert` behind the reading of model and pictures, which gave `notes` too.

    `shrunk` is what cutting the channels by these options gives, where it is known. Raises what `convert` raises.
    """
    notes, probes = list(notes), given.probes
    prepared, steps = rewriting.prepared(given.source, given.preprocessing, probes, rewriting.probes_of(given.own))
    if options.calibrate_confidence:
        temperature.check(prepared)
    changes = _changes(prepared, given, options, shrunk)
    network, more = rewriting.deployed(changes[-1].network, options.target, probes)
    with progress("measuring ranges", len(given.pictures.pixels)) as tick:
        statistics = statistics_of(network, given.pictures.pixels, tick)
    scores = given.scores
    if scores is None:
        scores = statistics[SCORES].high  # a vector has one position, so low, high and value are the same
        notes += check_preprocessing(given.trained, given.pictures, given.names, scores, options)
    chosen = _quantized(network, statistics, scores, given, options)
    del statistics  # 100 MB of 200 pictures at 224x224
    equalized = rewriting.compared("equalize, absorb scales", network, chosen.built.network, probes)
    flatbuffer = _flatbuffer(chosen.built, given, options)
    stages: tuple[StageFigures, ...] = ()
    if options.slimming.changes or given.trained.resized:
        stages = measure_stages(
            _stages(changes, given, options),
            flatbuffer,
            options.output_type,
            scores,
            given.held,
            None if given.source.gives_values else given.agree,
        )
    found, float_network = None, network
    if options.calibrate_confidence:
        found = _temperature(chosen.built, given)
        notes.append(str(found))
        scores = tempered(scores, str(given.source.activation), found.value)
        flatbuffer = _flatbuffer(_divided(chosen.built, found.value), given, options)
        float_network = temperature.in_network(network, found.value)
    outcome = conversion.outcome(flatbuffer, given.pictures, scores, given.source, given.names)
    if options.slimming.board is not None:
        notes.append(estimate(flatbuffer, options.slimming.board).sentence)
    stored = _operating_points(flatbuffer, given, options)
    notes += _positive_notes(given, stored)
    recipe = conversion.recipe(
        given,
        options,
        stored,
        found,
        chosen.attempt,
        network,
        conversion.figures(flatbuffer, outcome, chosen.trials, given),
        stages,
    )
    entries = {
        golden.ENTRY: conversion.golden_samples(flatbuffer, float_network, given, scores, options),
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


def check(options: Options, validates: bool) -> None:
    """Raise EdgedenseError for what does not go together, before anything is read."""
    slimming.check(options.slimming)
    if options.float_layers and (options.target == "coral" or options.output_type != "float32"):
        integer = "--target coral" if options.target == "coral" else f"--output-type {options.output_type}"
        raise EdgedenseError(
            "--float-layers with a float output", f"--float-layers with {integer}, which is all integer"
        )
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
    changes = options.slimming.changes or options.opening.size
    if validates and not changes and not any(is_given for _, is_given in wanting.values()):
        raise EdgedenseError(
            "--max-drop, --operating-point, --calibrate-confidence, or something that makes the network smaller, with "
            "--validation",
            "--validation alone",
            "--max-drop POINTS --validation FOLDER",
        )


@dataclass(frozen=True)
class _Chosen:
    """The attempt that is deployed, and what was tried before it."""

    attempt: Attempt
    built: Built
    tried: tuple[Candidate, ...]
    trials: tuple[Trial, ...]


def _quantized(
    network: DenseNet, statistics: Statistics, scores: np.ndarray, given: Given, options: Options
) -> _Chosen:
    """The attempt that keeps closest to the trained model's `scores`, or the first that passes the gate."""
    specs = attempts.candidates(options.ranges, options.headroom)
    with progress("choosing ranges", len(specs)) as tick:
        attempt, tried = attempts.choose(
            *(network, statistics, given.pictures.pixels, scores, specs, options.output_type, tick, given.apart),
            Attempt(form=options.form, floats=options.float_layers),
        )
    if options.max_drop is None or given.held is None:
        return _Chosen(attempt, attempts.build(network, statistics, attempt, options.output_type), tried, ())
    with progress("validating", 1) as tick:
        attempt, built, trials = gate.passing(
            network, statistics, attempt, tried, options.max_drop, given.held, options.output_type, tick
        )
    return _Chosen(attempt, built, tried, tuple(trials))


def _flatbuffer(built: Built, given: Given, options: Options) -> bytes:
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


def _changes(network: DenseNet, given: Given, options: Options, shrunk: Shrunk | None) -> list[Change]:
    """A prepared network, and the steps that make it smaller."""
    pixels = given.pictures.pixels

    def file(changed: DenseNet, some: Pixels) -> bytes:
        return quick_file(
            rewriting.deployed(changed, options.target, Probes(some[:1], logits_of))[0], some, options.output_type
        )

    # A board runs what a device runs: a file that says how pictures become its input.
    recipe = {"preprocessing": given.preprocessing.to_dict(), "activation": str(given.source.activation)}

    def timed(changed: DenseNet) -> bytes:
        if options.slimming.board is not None:  # an estimate only sees operators and shapes
            return shape_of_file(changed, options.form, options.target, options.output_type)
        return bundle.pack(file(changed, pixels[:QUICK]), given.names, recipe)

    good = _good_enough(given.held, options)
    with clock(options.slimming) as time:
        return slimming.slim(
            network,
            pixels,
            options.slimming,
            given.training,
            lambda changed: time(timed(changed)),
            None if good is None else lambda changed: good(file(changed, pixels)),
            shrunk,
        )


def _good_enough(held: Validation | None, options: Options) -> Callable[[bytes], bool] | None:
    """Whether a file passes the gate; None where there is none."""
    limit = options.max_drop
    if held is None or limit is None:
        return None
    return lambda file: held.drop(file) <= limit


def _stages(changes: list[Change], given: Given, options: Options) -> list[Stage]:
    """The network behind each step that changed it, from the trained one on, each ready to be deployed."""
    here, there, trained = View(given.pictures.pixels), View(given.own), given.trained
    if given.held is not None:
        here, there = replace(here, validation=given.held.pixels), replace(there, validation=given.held.as_trained)
    steps = [(change, here) for change in changes]
    if trained.resized:
        whole = rewriting.prepared(
            trained.source, trained.preprocessing, Probes(given.own[:1], logits_of), given.own[:1]
        )[0]
        size = {"height": given.preprocessing.height, "width": given.preprocessing.width}
        steps[:1] = [
            (replace(changes[0], network=whole), there),
            (replace(changes[0], name=slimming.RESIZED, parameters=size), here),
        ]
    return [
        Stage(
            change.name,
            change.parameters,
            change.network,
            rewriting.deployed(change.network, options.target, Probes(view.calibration[:1], logits_of))[0],
            view,
        )
        for change, view in steps
    ]


def _temperature(built: Built, given: Given) -> Temperature:
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


def _operating_points(flatbuffer: bytes, given: Given, options: Options) -> Stored | None:
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
        trained=[one is not None for one in source.thresholds] if has_thresholds(source) else (),
        positive=options.positive,
    )


def _positive_notes(given: Given, stored: Stored | None) -> list[str]:
    """Which of two classes is meant by "found", and thresholds at which all pictures are treated alike."""
    positive = conversion.thresholds_entry(given, stored).get(POSITIVE)
    notes = [] if positive is None else [f"{positive} is the positive class: sensitivity is the share of its pictures"]
    return notes if stored is None else [*notes, *stored.notes]
