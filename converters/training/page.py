"""What came out of a training: tables for people, and one HTML page."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edgedense.converters.training.train import Training
from edgedense.report import plots, tables
from edgedense.report.page import training_to_html
from edgedense.report.terminal import Extra, Report, print_tables


def print_result(result: Training, out: Path, compared: Extra | None, console: Any) -> None:
    """The classification report and the confusion matrix for people, a comparison, and what to do next."""
    print_tables(Report(title(result), result.evaluation), console)
    console.print(f"{out}: {len(result.data) / 1e6:.1f} MB. {summary(result)}", highlight=False, soft_wrap=True)
    if compared is not None:
        console.print(tables.table(compared.title, compared.headings, compared.rows))
        console.print(compared.said, highlight=False, soft_wrap=True)
    console.print(f"Convert it:\n\n    {convert_line(result, out)}\n", highlight=False, soft_wrap=True)


def title(result: Training) -> str:
    """What the figures are of."""
    return f"{result.name} on {result.images[result.judged_on]} {result.judged_on} pictures"


def summary(result: Training) -> str:
    """Size of the network, which epoch was kept, and what the figures are worth."""
    best = result.history[result.best]
    said = (
        f"{result.parameters:,} parameters, epoch {result.best + 1} of {len(result.history)}, validation loss "
        f"{best.validation_loss:.4f}, accuracy {100 * best.validation_accuracy:.2f} %."
    )
    if result.judged_on == "validation":
        said += " There is no test folder: these pictures also chose the epoch, so new ones may do worse."
    return said


def convert_line(result: Training, out: Path) -> str:
    """The command that makes the deployed file of this model."""
    words = ["edgedense", "convert", str(out), "--calibration", str(result.train_folder)]
    if result.test_folder:
        words += ["--validation", str(result.test_folder), "--max-drop", "1"]
    return shlex.join([*words, "--out", str(out.with_suffix(".tflite"))])


def to_html(result: Training, extras: Sequence[Extra] = ()) -> str:
    """The page: figures, learning curves, classes, confusion, reliability, every epoch, how it was made."""
    history = result.history
    curves = [
        (
            "Loss",
            plots.learning_curves(
                [e.loss for e in history], [e.validation_loss for e in history], result.best, "Loss over the epochs"
            ),
        ),
        (
            "Accuracy",
            plots.learning_curves(
                [e.accuracy for e in history],
                [e.validation_accuracy for e in history],
                result.best,
                "Accuracy over the epochs",
                top=1.0,
            ),
        ),
    ]
    content = Report(title(result), result.evaluation, recipe=_recipe(result), extras=(*extras, _epochs(result)))
    return training_to_html(content, summary(result), curves)


def _epochs(result: Training) -> Extra:
    rows = tuple(
        (
            str(i + 1),
            e.phase,
            f"{e.rate:.2g}",
            f"{e.loss:.4f}",
            f"{100 * e.accuracy:.1f} %",
            f"{e.validation_loss:.4f}",
            f"{100 * e.validation_accuracy:.1f} %",
            f"{e.seconds:.0f} s",
        )
        for i, e in enumerate(result.history)
    )
    return Extra(
        "Epochs",
        "Losses are mean cross-entropies; on training pictures weighted by class.",
        ("epoch", "phase", "rate", "loss", "accuracy", "validation loss", "accuracy", "time"),
        rows,
    )


def _recipe(result: Training) -> Mapping[str, Any]:
    return {
        "classes": ", ".join(result.labels),
        "pictures": result.images,
        "notes": "; ".join(result.notes) or "none",
        "device": result.device,
        "options": asdict(result.options),
        "versions": result.versions,
    }
