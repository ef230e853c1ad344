"""The HTML page of a training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from edgedense.converters.training.train import Training
from edgedense.report import plots
from edgedense.report.template import render
from edgedense.report.validation_page import judged
from edgedense.report.wording import Section, recipe_rows


def summary(result: Training) -> str:
    """Size of the network, which epoch was kept, and what the figures are worth."""
    best = result.history[result.best]
    said = (
        f"{result.parameters:,} parameters, epoch {result.best + 1} of {len(result.history)}, validation loss "
        f"{best.validation_loss:.4f}, {result.goal.called} {result.goal.said(best.validation_figure)}."
    )
    if result.judged_on == "validation":
        said += " There are no test pictures: these also chose the epoch, so new ones may do worse."
    return said


def to_html(result: Training, further: Sequence[Section] = ()) -> str:
    """The page: figures, learning curves, classes, confusion, reliability, every epoch, how it was made."""
    return render(
        "training.html",
        **judged(result.report),
        summary=summary(result),
        learning=_curves(result),
        further=(*further, _epochs(result)),
        recipe=recipe_rows(_recipe(result)),
    )


def _curves(result: Training) -> list[plots.Plot]:
    """The loss; and the figure where the validation pictures have one."""
    history, best = result.history, result.best
    curves = [plots.learning_curves([e.loss for e in history], [e.validation_loss for e in history], best, "Loss")]
    training = [e.figure for e in history if e.figure is not None]
    if validation := [e.validation_figure for e in history if e.validation_figure is not None]:
        called = result.goal.called
        title = called[0].upper() + called[1:]
        curves.append(plots.learning_curves(training, validation, best, title, top=1.0))
    return curves


def _epochs(result: Training) -> Section:
    goal, history = result.goal, result.history
    columns = [
        ("epoch", [str(i + 1) for i in range(len(history))]),
        ("phase", [e.phase for e in history]),
        ("rate", [f"{e.rate:.2g}" for e in history]),
        ("loss", [f"{e.loss:.4f}" for e in history]),
        (goal.called, [goal.said(e.figure) for e in history]),
        ("validation loss", [f"{e.validation_loss:.4f}" for e in history]),
        (f"validation {goal.called}", [goal.said(e.validation_figure) for e in history]),
        ("time", [f"{e.seconds:.0f} s" for e in history]),
    ]
    if all(e.figure is None for e in history):
        del columns[4]
    headings, cells = zip(*columns, strict=True)
    said = f"The rate is the size of training's steps. {goal.counted}".rstrip()
    return Section("Epochs", said, headings, tuple(zip(*cells, strict=True)))


def _recipe(result: Training) -> Mapping[str, Any]:
    return {
        "classes": ", ".join(result.labels),
        "pictures": result.images,
        "notes": "; ".join(result.notes) or "none",
        "device": result.device,
        "options": asdict(result.options),
        "versions": result.versions,
    }
