"""What is said of pictures that show several findings."""

from __future__ import annotations

import io
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from edgedense.measures import findings
from edgedense.measures.bootstrap import Estimate
from edgedense.measures.result import Gate, Report
from edgedense.report import figures, plots, several, terminal, validation_page
from tests import pages

NAMES = ("edema", "<b>mass</b>", "hernia")
# No sentence or heading about one best class may stand where there is none.
OF_CLASSES = ("accuracy", "top-", "McNemar", "Confusion", "Recall", "Reliability", "calibration error", "label changed")


def report(*, reference: bool = True, changes: bool = True) -> Report:
    """Six pictures; the second model loses the edema of b.png. Hernia is never reported."""
    truth = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 1], [0, 0, 0], [1, np.nan, 0], [0, 0, 0]])
    before = np.where(np.nan_to_num(truth) == 1, 0.8, 0.2) + 0.02 * np.arange(6)[:, None]
    after = before.copy()
    if changes:
        after[1, 0] = 0.1
    found = findings.measure(
        [before, after] if reference else [after],
        truth,
        (0.5, 0.5, math.inf),
        NAMES,
        models=("f.keras", "q.tflite") if reference else ("q.tflite",),
        images=[f"{name}.png" for name in "abcdef"],
        draws=50,
    )
    return Report("q.tflite", None, findings=found, recipe={"edgedense": "1"})


def printed(content: Report) -> str:
    target = io.StringIO()
    terminal.print_tables(content, Console(file=target, width=120))
    return target.getvalue()


def page(content: Report) -> str:
    return validation_page.to_html(content).partition("</style>")[2]


@pytest.mark.parametrize(
    ("estimate", "keywords", "expected"),
    [
        (Estimate(0.9124, 0.88, 0.9412), {}, "0.912 (0.880 to 0.941)"),
        (Estimate(0.5, 0.25, 0.75), {"scale": 100, "digits": 1, "unit": " %"}, "50.0 % (25.0 to 75.0)"),
        (Estimate(-0.02, -0.03, 0.01), {"digits": 2, "sign": "+"}, "-0.02 (-0.03 to +0.01)"),
        (Estimate(1.0), {}, "1.000"),
        (Estimate(None), {}, "–"),
    ],
)
def test_figures_stand_with_their_intervals(estimate: Estimate, keywords: dict, expected: str) -> None:
    assert several.said(estimate, **keywords) == expected


def test_nothing_is_said_of_a_best_class() -> None:
    content = replace(report(), gate=Gate(1, 16.67, "mean AUROC"))
    for text in (printed(content), page(content), printed(report(reference=False)), page(report(reference=False))):
        for part in OF_CLASSES:
            assert part not in text
    assert "gate failed" in page(content)
    assert "drop of the mean AUROC 16.67 points, limit 1" in printed(content)


def test_terminal_has_every_class_with_its_figures() -> None:
    text = printed(report())
    for part in ("f.keras", "edema", "hernia", "never", "macro average", "micro average", "specificity", "PPV"):
        assert part in text
    (row,) = re.findall(r"edema +0\.5000 +\d.*", text)
    assert row.split()[2:] == ["66.7", "100.0", "100.0", "75.0", "80.0"]  # 2 of 3 found, nothing called in error
    alone = printed(report(reference=False))
    assert "What changed" not in alone
    assert "f.keras" not in alone


def test_verdict_tells_how_sure_the_drop_is() -> None:
    change = report().findings.change
    assert change is not None
    for low, high, said in ((-0.1, 0.3, "may be chance"), (0.1, 0.3, "is more than chance"), (None, None, "points.")):
        moved = replace(change, drop=Estimate(0.2, low, high))
        assert said in several.verdict(replace(report().findings, change=moved))
    none = replace(change, drop=Estimate(None))
    assert "there is no AUROC" in several.verdict(replace(report().findings, change=none))
    assert figures.verdict(report()).startswith("1 of 6 images are decided differently in at least one class.")
    assert "less than 50 % of such images" in figures.verdict(report(changes=False))  # 3 / 6


def test_whose_the_pictures_are_is_told_or_that_nobody_knows() -> None:
    found = report(reference=False).findings
    assert found is not None
    assert "is not known" in several.verdict(found)
    assert several.verdict(replace(found, patients=4)).startswith("6 images of 4 patients. ")
    assert "whole patients" in several.verdict(replace(found, patients=4))


def test_every_figure_is_explained_in_whole_sentences() -> None:
    for figure in [*several.figures(report().findings), *several.figures(report(reference=False).findings)]:
        assert figure.meaning.endswith(".")
        assert len(figure.meaning.split()) >= 4, figure.name


def test_page_shows_what_changed_and_escapes_names() -> None:
    html = page(report())
    assert "<b>mass</b>" not in html.replace('<b class="right">', "")
    assert "no edema" in html  # what the second model says of b.png, wrongly
    assert 'class="right"' not in html
    assert "b.png" in html
    assert "Every image is decided alike" in page(report(changes=False))
    assert "decided differently" not in page(report(reference=False))
    assert html.count("<h2>ROC curves</h2>") == 1


def test_pages_of_many_classes_leave_curves_out_and_say_so() -> None:
    html = pages.several(plots.MOST_CURVES + 5)
    # Of all classes one has no positives and one is never reported: these have no curve.
    assert html.count("ROC curve of") == plots.MOST_CURVES
    assert "3 further classes are not shown" in html


def test_whiskers_and_curves_stand_in_percent() -> None:
    plot = plots.intervals(
        ("a", "b"), {"before": [Estimate(0.8, 0.62, 0.9), Estimate(None)], "after": [Estimate(0.7), Estimate(1, 1, 1)]}
    )
    (_, (before, after), said), (_, (alone,), other) = plot.rows
    assert plot.ticks == ("0.6", "0.8", "1")
    assert (before.left, before.width, before.at) == pytest.approx((5, 70, 50))
    assert (after.width, after.at, said) == (0, pytest.approx(25), "0.800 → 0.700")
    assert (alone.kind, alone.at, other, plot.marked) == ("after", 100, "– → 1.000", None)
    low = plots.intervals(("a",), {"after": [Estimate(0.5, 0.4, 0.6)]})
    assert low.marked == pytest.approx(100 / 6)
    curve = plots.roc(None, report().findings.scored.classes[0])
    (line,) = curve.lines
    assert (line.dots[0].x, line.dots[0].y) == pytest.approx((0, 100 / 3))  # specificity 1, sensitivity 2 of 3


@pytest.mark.parametrize("labelled", [True, False])
def test_page_of_a_conversion_says_how_alike_the_models_decide(labelled: bool, tmp_path: Path) -> None:
    html = pages.conversion(tmp_path, labelled=labelled, activation="sigmoid").partition("</style>")[2]
    for part in OF_CLASSES[1:]:  # the steps on that page have an accuracy
        assert part not in html
    assert "scores moved" in html
    assert ("nobody knows what is right" in html) is not labelled
    assert ("AUROC, class by class" in html) is labelled
