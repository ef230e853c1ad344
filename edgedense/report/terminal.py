"""A result as a terminal table or as JSON. `report_page.to_html` makes the page of it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from edgedense.deployed.golden import Replay
from edgedense.deployed.layer_noise import CEILING, LayerNoise, sudden_fall
from edgedense.measures.drift import Drift, Evaluation, Threshold
from edgedense.measures.metrics import rule_of_three

Row = tuple[str, ...]
SHOWN = 60  # changed images on the page; at some 3 kB each the file stays easy to mail


@dataclass(frozen=True)
class Gate:
    """A limit on the drop in accuracy, in points of 100, and whether the model kept it."""

    max_drop: float
    drop: float

    @property
    def passed(self) -> bool:
        return self.drop <= self.max_drop


@dataclass(frozen=True)
class Extra:
    """A further table of the page: its title, a sentence, headings, rows, and a plot as SVG where there is one."""

    title: str
    said: str
    headings: Row
    rows: tuple[Row, ...]
    plot: str = ""


@dataclass(frozen=True)
class Report:
    """All that a report shows. `evaluation` is the file under test, `drift` its comparison with another
    model.

    `layer_noise` holds (layer, signal-to-noise ratio in dB) from input to output. `thumbnails` holds JPEG
    bytes by the image names that `drift.changed` uses; they and `extras` go into the page only.
    """

    title: str
    evaluation: Evaluation
    drift: Drift | None = None
    gate: Gate | None = None
    recipe: Mapping[str, Any] = field(default_factory=dict)
    layer_noise: LayerNoise = ()
    thumbnails: Mapping[str, bytes] = field(default_factory=dict)
    extras: tuple[Extra, ...] = ()


def to_json(report: Report) -> str:
    """The report as one JSON object, one line, without the thumbnails. Shares are 0 to 1, `drop` is in
    points."""
    content = {
        "title": report.title,
        "evaluation": asdict(report.evaluation),
        "drift": asdict(report.drift) if report.drift else None,
        "gate": {**asdict(report.gate), "passed": report.gate.passed} if report.gate else None,
        "layer_noise": [{"layer": name, "sqnr_db": value} for name, value in report.layer_noise],
        "recipe": dict(report.recipe),
    }
    return json.dumps(content, ensure_ascii=False, allow_nan=False)


def print_tables(report: Report, console: Console) -> None:
    """The report for people: figures, classes, confusion matrix, thresholds, what changed."""
    console.print(_table(report.title, headings(report), summary_rows(report)))
    console.print(_table("Classes", class_headings(report), class_rows(report)))
    names = [row.name for row in report.evaluation.per_class]
    if len(names) <= 12:  # more do not fit a terminal; the page and the JSON have them all
        rows = [(f"{i} {name}", *map(str, report.evaluation.confusion[i])) for i, name in enumerate(names)]
        numbers = tuple(map(str, range(len(names))))
        title = f"Confusion of {report.evaluation.model}: rows are the truth"
        console.print(_table(title, ("", *numbers), rows))
    if report.drift and report.drift.thresholds:
        console.print(
            _table(
                "Thresholds that keep the sensitivity", THRESHOLD_HEADINGS, map(threshold_row, report.drift.thresholds)
            )
        )
    if report.layer_noise:
        console.print(noise_verdict(report.layer_noise), highlight=False)
    console.print(verdict(report), highlight=False)


def print_replay(model: str, result: Replay, console: Console) -> None:
    """The replay of golden samples for people."""
    each = ", ".join(f"{count} by {step}" for step, count in sorted(result.steps.items())[:4])
    largest = f", up to {max(result.steps)}" if len(result.steps) > 4 else ""
    off = f"{sum(result.steps.values())} of {result.values}" + (f": {each}{largest}" if each else "")
    rows = [
        ("probes", str(result.probes)),
        ("made with", result.made_with),
        ("run with", result.run_with),
        ("equal to the bit", "yes" if result.bit_equal else "no"),
        ("values off, by steps", off),
        ("labels changed", str(len(result.flipped))),
        ("mean KL from the float model", f"{result.kl_made:.5f} there, {result.kl_here:.5f} here"),
        ("limit", result.limit),
        ("verdict", "passed" if result.passed else "failed"),
    ]
    if result.suspect:
        rows.append(("first layer that differs", result.suspect))
    console.print(_table(f"Golden samples of {model}", ("", ""), rows))


def verdict(report: Report) -> str:
    """What the figures mean, in a sentence or two: is the drop real, and was the limit kept?"""
    if report.drift is None:
        return f"{report.evaluation.images} images."
    drift, gate = report.drift, report.gate
    if drift.lost == drift.won == 0:
        bound = 100 * rule_of_three(drift.after.images)
        said = (
            f"No image out of {drift.after.images} went from right to wrong or back. "
            f"With 95 % confidence less than {bound:.2g} % of such images would."
        )
    else:
        real = "is more than chance" if drift.p_value < 0.05 else "may be chance"
        said = (
            f"{drift.lost} images went from right to wrong, {drift.won} from wrong to right: "
            f"the difference {real} (McNemar, p = {drift.p_value:.2g})."
        )
    if gate is None:
        return said
    kept = "passed" if gate.passed else "failed"
    return f"{said} Gate {kept}: drop {gate.drop:.2f} points, limit {gate.max_drop:g}."


def noise_verdict(layers: LayerNoise) -> str:
    """Where precision went, in a sentence."""
    name, value = min(layers, key=lambda layer: layer[1])
    if value >= CEILING:
        return "All layers are equal."
    said = f"The noisiest layer is {name} with {value:.1f} dB."
    fall = sudden_fall(layers)
    return said if fall is None else f"{said} Noise begins all at once at {fall}, with {dict(layers)[fall]:.1f} dB."


def headings(report: Report) -> Row:
    """Column names of the summary."""
    if report.drift is None:
        return "", report.evaluation.model
    return "", report.drift.before.model, report.drift.after.model


def summary_rows(report: Report) -> list[Row]:
    """The figures of the summary: one row each, one column per model; what belongs to the pair stands
    last."""
    drift = report.drift
    models = (drift.before, drift.after) if drift else (report.evaluation,)
    rows = [("images", *(str(m.images) for m in models)), ("accuracy (top-1)", *(percent(m.accuracy) for m in models))]
    if models[0].top5 is not None:
        rows.append(("accuracy (top-5)", *(percent(m.top5) for m in models)))
    rows.append(("calibration error", *(percent(m.calibration_error) for m in models)))
    for i, ranking in enumerate(models[0].rankings):
        rows.append((f"AUROC, {ranking.positive}", *(number(m.rankings[i].auroc) for m in models)))
        rows.append(
            (f"average precision, {ranking.positive}", *(number(m.rankings[i].average_precision) for m in models))
        )
    if drift:
        rows += [(name, "", value) for name, value in pair_rows(drift)]
    return rows


def pair_rows(drift: Drift) -> list[tuple[str, str]]:
    """The figures that belong to two models together."""
    return [
        ("drop", f"{drift.drop:+.2f} points"),
        ("drop, 95 % interval", f"{drift.drop_low:+.2f} to {drift.drop_high:+.2f}"),
        ("McNemar's p", f"{drift.p_value:.3g}"),
        ("agreement (top-1)", percent(drift.agreement)),
        ("KL divergence, mean", f"{drift.kl_mean:.5f}"),
        ("KL divergence, worst", f"{drift.kl_worst:.4f} ({drift.kl_worst_image})"),
        ("Jensen-Shannon, mean", f"{drift.js_mean:.5f}"),
        ("cosine of logits", f"{drift.logit_cosine:.5f}"),
    ]


def class_headings(report: Report) -> Row:
    """Column names of the per-class table."""
    return ("class", "precision", "recall", "F1", *(["recall change"] if report.drift else []), "support")


def class_rows(report: Report) -> list[Row]:
    """One row per class, in percent; with two models as `before → after`."""
    if report.drift is None:
        return [
            (c.name, percent(c.precision), percent(c.recall), percent(c.f1), str(c.support))
            for c in report.evaluation.per_class
        ]
    return [
        (
            a.name,
            _pair(b.precision, a.precision),
            _pair(b.recall, a.recall),
            _pair(b.f1, a.f1),
            f"{100 * (a.recall - b.recall):+.1f}",
            str(a.support),
        )
        for b, a in zip(report.drift.before.per_class, report.drift.after.per_class, strict=True)
    ]


THRESHOLD_HEADINGS = ("class", "threshold", "moved", "sensitivity", "specificity")


def threshold_row(threshold: Threshold) -> Row:
    """One row of the table of thresholds."""
    return (
        threshold.positive,
        f"{threshold.before:.4f} → {threshold.after:.4f}",
        f"{threshold.moved:+.4f}",
        f"{percent(threshold.sensitivity_before)} → {percent(threshold.sensitivity_after)}",
        f"{percent(threshold.specificity_before)} → {percent(threshold.specificity_after)}",
    )


def percent(share: float | None) -> str:
    """0.8748 -> "87.48 %"; a dash where there is no figure."""
    return "–" if share is None else f"{100 * share:.2f} %"


def number(value: float | None) -> str:
    """Four decimals; a dash where there is no figure."""
    return "–" if value is None else f"{value:.4f}"


def _pair(before: float, after: float) -> str:
    return f"{100 * before:.1f} → {100 * after:.1f}"


def _table(title: str, headings: Row, rows: Iterable[Row]) -> Table:
    table = Table(title=title, box=SIMPLE_HEAD, title_justify="left", title_style="bold")
    for i, heading in enumerate(headings):
        table.add_column(heading, justify="right" if i else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table
