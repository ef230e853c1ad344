"""What is said of where models look."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from edgedense.measures.bootstrap import Estimate
from edgedense.measures.masks import Case, Focus, ModelFocus, Seen
from edgedense.report import masks_section, terminal, validation_page
from edgedense.report.masks_section import section, verdict
from tests.pages import compared

AFTER = ModelFocus("m.tflite", Estimate(0.4, 0.3, 0.5), Estimate(0.75, 0.5, 1.0), 1)
BEFORE = ModelFocus("m.keras", Estimate(0.5, 0.4, 0.6), Estimate(1.0, 1.0, 1.0), 0)
CASE = Case("a/<b>.png", "cat", 0.1, Seen(0.4, True), None, None, (b"jpeg",))
ALONE = Focus(2, Estimate(0.1, 0.05, 0.2), AFTER, (CASE, replace(CASE, image="c.png", pictures=())))
BOTH = replace(
    ALONE,
    before=BEFORE,
    cases=(replace(CASE, before=Seen(0.5, True), correlation=0.9, pictures=(b"before", b"after")),),
    inside_change=Estimate(-0.1, -0.2, -0.05),
    hits_change=Estimate(-0.25, -0.5, 0.0),
    correlation=Estimate(0.95, 0.9, 0.99),
    least_correlation=0.9,
)


def test_one_model() -> None:
    found = section(ALONE)
    assert found.headings == ("", "m.tflite")
    assert found.rows == (
        ("heatmap inside", "40.0 % (30.0 to 50.0)"),
        ("peak inside", "75.0 % (50.0 to 100.0)"),
        ("area of the mask", "10.0 % (5.0 to 20.0)"),
        ("no evidence", "1"),
    )
    assert [(one.name, one.said, len(one.pictures)) for one in found.shown] == [
        ("a/<b>.png", ("cat: 40.0% inside", "the mask covers 10.0%"), 1)
    ]


def test_two_models() -> None:
    found = section(BOTH)
    assert found.headings == ("", "m.keras", "m.tflite", "change, in points")
    assert found.rows == (
        ("heatmap inside", "50.0 % (40.0 to 60.0)", "40.0 % (30.0 to 50.0)", "-10.0 (-20.0 to -5.00)"),
        ("peak inside", "100.0 % (100.0 to 100.0)", "75.0 % (50.0 to 100.0)", "-25.0 (-50.0 to +0.00)"),
        ("area of the mask", "10.0 % (5.0 to 20.0)", "10.0 % (5.0 to 20.0)", ""),
        ("no evidence", "0", "1", ""),
        ("correlation", "", "", "0.95000, at least 0.90000"),
    )
    assert found.shown[0].said[0] == "cat: 50.0% → 40.0% inside"
    assert "On the left is the heatmap of m.keras, on the right that of m.tflite." in found.caption
    assert len(found.shown[0].pictures) == 2


def test_figures_without_an_interval_and_without_a_correlation() -> None:
    known = replace(BOTH, inside_change=Estimate(None), hits_change=Estimate(0.5), correlation=Estimate(None))
    found = section(replace(known, area=Estimate(0.1)))
    assert [row[3] for row in found.rows] == ["–", "+50.0", "", ""]
    assert found.rows[2][1] == "10.00 %"


@pytest.mark.parametrize(
    ("focus", "said"),
    [
        (ALONE, "m.tflite looks at what is marked more than chance would."),
        (replace(ALONE, area=Estimate(0.35)), "m.tflite looks at what is marked not clearly more than chance would."),
        (BOTH, "has 10 points less of its heatmap inside the mask than m.keras, which is more than chance."),
        (replace(BOTH, inside_change=Estimate(6e-5, 1e-6, 1e-4)), "has 0.006 points more of its heatmap inside"),
        (
            replace(BOTH, inside_change=Estimate(0.0, 0.0, 0.0)),
            "has as much of its heatmap inside the mask as m.keras.",
        ),
        (replace(BOTH, inside_change=Estimate(-0.1, -0.2, 0.1)), "than m.keras, which may be chance."),
    ],
)
def test_the_verdict(focus: Focus, said: str) -> None:
    assert said in verdict(focus)
    assert verdict(focus).startswith("2 pictures with a mask.")
    assert verdict(replace(focus, images=1)).startswith("1 picture with a mask.")


def test_the_page_shows_it_and_escapes_names() -> None:
    report, shown = compared(3)
    page = validation_page.to_html(replace(report, masks=BOTH), shown)
    assert masks_section.TITLE in page
    assert "a/&lt;b&gt;.png" in page
    assert page.count("data:image/jpeg") == len(shown) + 2
    assert masks_section.TITLE not in validation_page.to_html(report, shown)


def test_the_terminal_says_it_too() -> None:
    report, _ = compared(3)
    console = Console(file=io.StringIO(), width=120)
    terminal.print_tables(replace(report, masks=BOTH), console)
    assert isinstance(console.file, io.StringIO)
    said = console.file.getvalue()
    assert "-10.0 (-20.0 to -5.00)" in said
    assert "m.tflite has 10 points less of its heatmap inside the mask" in " ".join(said.split())
