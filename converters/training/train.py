"""`train()`: from a folder of pictures to a trained Keras DenseNet, as a readable list."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from edgedense import flags
from edgedense.converters.training import dataset, fit, goal, graph_weights, layout, networks, schedule
from edgedense.converters.training.checkpoint import Epoch
from edgedense.converters.training.dataset import Side
from edgedense.converters.training.goal import Goal, OneClass
from edgedense.converters.training.layout import Layout, Source
from edgedense.converters.training.networks import DENSENET, Architecture
from edgedense.converters.training.options import Options
from edgedense.errors import EdgedenseError, listed
from edgedense.images.tables import Table
from edgedense.measures import drift, findings
from edgedense.measures.metrics import Floats
from edgedense.measures.result import Report
from edgedense.progress import progress


@dataclass(frozen=True)
class Training:
    """A trained model and everything worth telling about it.

    `report` and the goal's `figure` are of the pictures `judged`, which `judged_on` names: test, or validation where
    there are none to test on. Their pixels lie in the work folder. `calibration` is what `edgedense convert` takes to
    calibrate by: the pictures that were trained on, with those that were held out of them. `test` are those to test on.
    """

    name: str
    labels: tuple[str, ...]
    goal: Goal
    history: tuple[Epoch, ...]
    best: int
    report: Report
    figure: float | None
    judged_on: str
    images: dict[str, int]
    parameters: int
    data: bytes = field(repr=False)
    judged: Side = field(repr=False)
    options: Options
    calibration: Source
    test: Source | None
    device: str
    versions: dict[str, str]
    notes: tuple[str, ...]


def train(
    data: Path | str | Table,
    work: Path | str,
    options: Options | None = None,
    *,
    architecture: Architecture | None = None,
    name: str = "model.keras",
    say: Callable[[str], None] = lambda line: None,
) -> Training:
    """Read, split, build, train and judge. Writes checkpoints and decoded pictures into `work`, and nothing else.

    `data` is a folder (`layout.of_folder`) or a table (`layout.of_table`; a path that ends in .csv or .tsv is one).
    Called again after a kill with the same `work` it goes on where it was. Raises EdgedenseError when pictures,
    weights or options are unusable, or when `work` belongs to another training.
    """
    options, architecture = options or Options(), architecture or DENSENET
    flags.check(options)
    work = Path(work)
    pictures = layout.find(data, options.multi_label)
    _check(options, pictures)
    begin = networks.start(options.weights, architecture, options.normalize, options.size, options.opening)
    work.mkdir(parents=True, exist_ok=True)
    with progress("reading pictures", sum(len(part.paths) for part in pictures.parts)) as tick:
        found = dataset.prepare(
            pictures,
            options.size,
            work,
            share=options.validation,
            group_by=options.group_by,
            seed=options.seed,
            tick=tick,
        )
    for note in (*begin.notes, *found.notes):
        say(note)
    say(f"{len(found.names)} classes: {listed(found.names, 20)}")
    say(
        f"{len(found.train)} pictures to train on, {len(found.validation)} to validate on"
        + (f", {len(found.test)} to test on" if found.test else "")
    )
    import keras

    keras.utils.set_random_seed(options.seed)
    planned = plan(options, found, architecture)
    model = networks.build(
        architecture,
        begin,
        size=options.size,
        outputs=planned.goal.outputs,
        activation=planned.goal.activation,
        head=options.head,
        dropout=options.dropout,
    )
    if begin.measures:
        graph_weights.measure(model, graph_weights.sample(found.train))
    say(f"{architecture.name} with {model.count_params():,} parameters, at most {planned.epochs} epochs on {device()}")
    score = fit.scorer(model)
    history = fit.fit(model, found.train, found.validation, planned, checkpoints(work, architecture), score, say)
    judged, judged_on = (found.test, "test") if found.test else (found.validation, "validation")
    scores = score(judged)
    return Training(
        name=name,
        labels=found.names,
        goal=planned.goal,
        history=history,
        best=schedule.best_epoch([epoch.validation_loss for epoch in history]),
        report=report(planned.goal, scores, judged, found.names, name, judged_on),
        figure=planned.goal.figure(scores, judged.labels),
        judged_on=judged_on,
        images={
            side: len(part)
            for side, part in (("train", found.train), ("validation", found.validation), ("test", found.test))
            if part
        },
        parameters=model.count_params(),
        data=saved(model),
        judged=judged,
        options=options,
        calibration=pictures.train.source,
        test=None if pictures.test is None else pictures.test.source,
        device=device(),
        versions={package: version(package) for package in ("tensorflow", "keras", "numpy")},
        notes=found.notes,
    )


def _check(options: Options, pictures: Layout) -> None:
    """EdgedenseError for options that do not fit the pictures or each other."""
    if options.sigmoid and options.multi_label:
        raise EdgedenseError(
            "--sigmoid or --multi-label", "both", "leave --sigmoid out: with --multi-label every class has a sigmoid"
        )
    if options.sigmoid and len(pictures.names) != 2:
        raise EdgedenseError("two classes for --sigmoid", str(len(pictures.names)), "leave --sigmoid out: a softmax")
    if options.group_by and pictures.train.patients:
        raise EdgedenseError(
            "one thing that says whose a picture is",
            "--group-by, and a column for the patient in the table",
            "leave --group-by out, or rename the column",
        )


def report(aim: Goal, scores: Floats, judged: Side, names: tuple[str, ...], model: str, judged_on: str) -> Report:
    """The figures of scores [N, outputs] on the pictures of a side."""
    title = f"{model} on {len(judged)} {judged_on} pictures"
    patients = len(set(judged.patients))
    if isinstance(aim, OneClass):
        found = drift.evaluate(scores, judged.labels, names, model=model, activation=aim.activation)
        return Report(title, found, patients=patients)
    several = findings.measure(
        [scores],
        judged.labels,
        [0.5] * len(names),
        names,
        models=[model],
        images=[str(row) for row in judged.rows],
        patients=judged.patients,
    )
    return Report(title, None, findings=several, patients=patients)


def plan(options: Options, data: dataset.Data, architecture: Architecture) -> fit.Plan:
    """The phases and what decides them; its `settings` change with pictures, weights and every option."""
    rate = options.learning_rate
    fine = options.fine_tuning_rate if options.fine_tuning_rate is not None else rate / 10
    content = {"options": asdict(options), "data": data.fingerprint, "architecture": architecture.name}
    if Path(options.weights).is_file():
        content["weights"] = hashlib.sha256(Path(options.weights).read_bytes()).hexdigest()
    settings = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return fit.Plan(
        schedule.phases(options.weights != "none", options.head_epochs, options.epochs, rate, fine),
        options.schedule,
        options.patience,
        options.batch,
        options.augmentation,
        goal.of_labels(data.train.labels, len(data.names), balanced=options.balanced, single=options.sigmoid),
        options.seed,
        settings,
    )


def device() -> str:
    """What TensorFlow computes on: the first GPU where there is one."""
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return "the processor"
    return tf.config.experimental.get_device_details(gpus[0]).get("device_name", gpus[0].name)


def saved(model: Any) -> bytes:
    """The .keras file of a model, without a trace of its training."""
    import keras

    networks.set_phase(model, whole=True, momentum=0.99)
    fresh = keras.Model.from_config(model.get_config())
    fresh.set_weights(model.get_weights())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        fresh.save(path)
        return path.read_bytes()


def checkpoints(work: Path, architecture: Architecture) -> Path:
    """The folder that holds a network's checkpoints; it is made."""
    folder = work / architecture.name.lower()
    folder.mkdir(exist_ok=True)
    return folder


def clear(work: Path | str) -> None:
    """Remove what `train` left in `work`, and the folder when nothing else is in it."""
    work = Path(work)
    for pattern in ("pixels-*.npy", f"*/{fit.LAST}", f"*/{fit.BEST}"):
        for path in work.glob(pattern):
            path.unlink()
    for folder in (*(item for item in work.iterdir() if item.is_dir()), work):
        if not any(folder.iterdir()):
            folder.rmdir()
