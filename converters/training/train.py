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
from edgedense.converters.training import batches, dataset, fit, graph_weights, networks, schedule
from edgedense.converters.training.checkpoint import Epoch
from edgedense.converters.training.dataset import Side
from edgedense.converters.training.networks import DENSENET, Architecture
from edgedense.converters.training.options import Options
from edgedense.errors import EdgedenseError
from edgedense.measures import drift
from edgedense.measures.drift import Evaluation
from edgedense.progress import progress


@dataclass(frozen=True)
class Training:
    """A trained model and everything worth telling about it.

    `evaluation` is on the pictures `judged`, which `judged_on` names: test, or validation where there is no test
    folder. Their pixels lie in the work folder.
    """

    name: str
    labels: tuple[str, ...]
    history: tuple[Epoch, ...]
    best: int
    evaluation: Evaluation
    judged_on: str
    images: dict[str, int]
    parameters: int
    data: bytes = field(repr=False)
    judged: Side = field(repr=False)
    options: Options
    train_folder: Path
    test_folder: Path | None
    device: str
    versions: dict[str, str]
    notes: tuple[str, ...]


def train(
    data: Path | str,
    work: Path | str,
    options: Options | None = None,
    *,
    architecture: Architecture | None = None,
    name: str = "model.keras",
    say: Callable[[str], None] = lambda line: None,
) -> Training:
    """Read, split, build, train and judge. Writes checkpoints and decoded pictures into `work`, and nothing else.

    Called again after a kill with the same `work` it goes on where it was. Raises EdgedenseError when pictures,
    weights or options are unusable, or when `work` belongs to another training.
    """
    options, architecture = options or Options(), architecture or DENSENET
    flags.check(options)
    work = Path(work)
    layout = dataset.find(Path(data))
    if options.sigmoid and len(layout.names) != 2:
        raise EdgedenseError("two classes for --sigmoid", str(len(layout.names)), "leave --sigmoid out: a softmax")
    begin = networks.start(options.weights, architecture, options.normalize, options.size, options.opening)
    work.mkdir(parents=True, exist_ok=True)
    with progress("reading pictures", sum(len(folder.paths) for folder in layout.folders)) as tick:
        found = dataset.prepare(
            layout,
            options.size,
            work,
            share=options.validation,
            group_by=options.group_by,
            seed=options.seed,
            tick=tick,
        )
    for note in (*begin.notes, *found.notes):
        say(note)
    say(
        f"{len(found.train)} pictures to train on, {len(found.validation)} to validate on"
        + (f", {len(found.test)} to test on" if found.test else "")
    )
    import keras

    keras.utils.set_random_seed(options.seed)
    model = networks.build(
        architecture,
        begin,
        size=options.size,
        outputs=1 if options.sigmoid else len(layout.names),
        activation="sigmoid" if options.sigmoid else "softmax",
        head=options.head,
        dropout=options.dropout,
    )
    if begin.measures:
        graph_weights.measure(model, graph_weights.sample(found.train))
    planned = plan(options, found, architecture)
    say(f"{architecture.name} with {model.count_params():,} parameters, at most {planned.epochs} epochs on {device()}")
    score = fit.scorer(model)
    history = fit.fit(model, found.train, found.validation, planned, checkpoints(work, architecture), score, say)
    judged = found.test or found.validation
    evaluation = drift.evaluate(
        score(judged), judged.labels, found.names, model=name, activation="sigmoid" if options.sigmoid else "softmax"
    )
    return Training(
        name=name,
        labels=found.names,
        history=history,
        best=schedule.best_epoch([epoch.validation_loss for epoch in history]),
        evaluation=evaluation,
        judged_on="test" if found.test else "validation",
        images={
            side: len(part)
            for side, part in (("train", found.train), ("validation", found.validation), ("test", found.test))
            if part
        },
        parameters=model.count_params(),
        data=saved(model),
        judged=judged,
        options=options,
        train_folder=found.train_folder,
        test_folder=found.test_folder,
        device=device(),
        versions={package: version(package) for package in ("tensorflow", "keras", "numpy")},
        notes=found.notes,
    )


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
        batches.class_weights(data.train.labels, len(data.names), options.balanced),
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
