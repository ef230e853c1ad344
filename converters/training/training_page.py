"""The HTML page of a training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from edgedense.converters.training.train import Training
from edgedense.measures.result import Report
from edgedense.report import plots
from edgedense.report.template import render
from edgedense.report.validation_page import judged
from edgedense.report.wording import Section, recipe_rows


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


def to_html(result: Training, further: Sequence[Section] = ()) -> str:
    """The page: figures, learning curves, classes, confusion, reliability, every epoch, how it was made."""
    history = result.history
    curves = (
        plots.learning_curves([e.loss for e in history], [e.validation_loss for e in history], result.best, "Loss"),
        plots.learning_curves(
            [e.accuracy for e in history], [e.validation_accuracy for e in history], result.best, "Accuracy", top=1.0
        ),
    )
    return render(
        "training.html",
        **judged(Report(title(result), result.evaluation)),
        summary=summary(result),
        curves=curves,
        further=(*further, _epochs(result)),
        recipe=recipe_rows(_recipe(result)),
    )


def _epochs(result: Training) -> Section:
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
    return Section(
        "Epochs",
        "The rate is the size of training's steps. On training pictures the loss counts rare classes more.",
        ("epoch", "phase", "rate", "loss", "accuracy", "validation loss", "validation accuracy", "time"),
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
