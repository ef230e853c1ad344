"""What a report and its page say of values: by hand, on numbers small enough to check."""

from __future__ import annotations

import io

import numpy as np
import pytest
from rich.console import Console

from edgedense.measures.bootstrap import Estimate
from edgedense.measures.values import ValueReport, measured
from edgedense.report import plots, terminal, values, values_page

RIGHT = np.array([[10.0], [12], [14], [16]])
GIVEN = np.array([[11.0], [11], [17], [17]])  # errors of 1, -1, 3 and 1


def report(*given: np.ndarray, **options: object) -> ValueReport:
    models = ("a.keras", "<b>.tflite")[-len(given) :]
    return measured(models, given, RIGHT, ("age",), ["1.png", "2.png", "3.png", "4.png"], **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("estimate", "words"),
    [
        (Estimate(None), "–"),
        (Estimate(1.23456), "1.235"),
        (Estimate(4.5, 4, 5.25), "4.5 (4 to 5.25)"),
        (Estimate(-0.5, -1, 0), "-0.5 (-1 to 0)"),
    ],
)
def test_a_figure_with_its_interval(estimate: Estimate, words: str) -> None:
    assert values.said(estimate) == words


def test_the_verdict_says_whether_the_change_is_chance() -> None:
    alone = values.verdict(report(GIVEN))
    assert alone == "4 images. In brackets is the 95 % interval, by drawing images again and again."
    by_patient = values.verdict(report(GIVEN, patients=["u", "u", "v", "w"]))
    assert by_patient.startswith("4 images of 3 patients.")
    assert "drawing patients" in by_patient
    worse = values.verdict(report(RIGHT + 1, RIGHT + 3, unit="months"))
    assert "error of age rose by 2 months (95 %: +2 to +2), which is more than chance." in worse
    assert "fell by 2 (95 %: -2 to -2)" in values.verdict(report(RIGHT + 3, RIGHT + 1))
    unsure = report(RIGHT, RIGHT + np.array([[1.0], [-1], [0], [0]]))
    assert "which may be chance" in values.verdict(unsure)


def test_rows_have_a_column_for_each_model() -> None:
    both = report(RIGHT, GIVEN)
    rows = {name: cells for name, *cells in values.rows(both, both.values[0])}
    assert rows["images"] == ["4", "4"]
    assert rows["mean absolute error"][0] == "0 (0 to 0)"
    assert rows["mean absolute error"][1].startswith("1.5 (")
    first, second = rows["mean absolute error, change"]
    assert first == ""
    assert second.startswith("1.5 (")
    (alone,) = report(GIVEN).values
    assert "mean absolute error, change" not in [figure.name for figure in values.figures(alone)]


def test_the_largest_errors_come_first() -> None:
    both = report(RIGHT, GIVEN, unit="months")
    section = values.worst_section(both, both.values[0])
    assert section.title == "Largest errors, age, in months"
    assert section.headings == ("image", "right", "a.keras", "<b>.tflite", "error")
    assert section.rows[0] == ("3.png", "14", "14", "17", "+3")


def test_a_terminal_shows_figures_pictures_and_the_verdict() -> None:
    console = Console(file=io.StringIO(), width=120)
    terminal.print_value_report(report(RIGHT, GIVEN, unit="months"), console)
    said = console.file.getvalue()  # type: ignore[attr-defined]
    for words in ("age, in months", "limits of agreement, upper", "3.png", "4 images."):
        assert words in said


def test_a_bland_altman_plot_by_hand() -> None:
    """Errors from -1 to 3 and limits from -2.2 to 4.2; a twentieth of that is left on either side."""
    (value,) = report(GIVEN).values
    plot = plots.bland_altman(value, 0, "months")
    low, high = 1 - 1.96 * (8 / 3) ** 0.5, 1 + 1.96 * (8 / 3) ** 0.5
    margin = (high - low) / 20
    at = {level.said.split()[0]: level.y for level in plot.levels}
    assert at["bias"] == pytest.approx(50)
    assert at["upper"] == pytest.approx(100 * margin / (high - low + 2 * margin))
    assert at["lower"] == pytest.approx(100 - at["upper"])
    ((line,),) = (plot.lines,)
    assert line.kind == "after"
    assert len(line.dots) == 4
    worst = line.dots[0]  # 17 where 14 is right: the mean is 15.5 of 10.5 to 16.5
    assert worst.said == "3.png: 17, right is 14"
    assert worst.x == pytest.approx(100 * (15.5 - 10.5 + 0.3) / 6.6)
    assert worst.y < at["bias"]
    assert plot.up == "error, months"
    assert plots.bland_altman(report(RIGHT, GIVEN).values[0], 0).lines[0].kind == "before"


def test_of_very_many_pictures_some_are_drawn() -> None:
    right = np.arange(2500.0)[:, None]
    many = measured(("m",), [right + right / 100], right, ("age",), [str(i) for i in range(2500)])
    dots = plots.bland_altman(many.values[0], 0).lines[0].dots
    assert len(dots) == plots.MOST_DOTS
    assert (dots[0].said.split(":")[0], dots[1].said.split(":")[0]) == ("2499", "2497")
    page = values_page.to_html(many)
    assert "1500 of the pictures are not drawn" in page


def test_one_picture_has_no_limits_and_no_interval_of_its_errors() -> None:
    one = measured(("m",), [GIVEN[:1]], RIGHT[:1], ("age",), ["1.png"])
    plot = plots.bland_altman(one.values[0], 0)
    assert [level.said for level in plot.levels] == ["bias +1"]
    assert "–" in values_page.to_html(one)


def test_a_page_has_all_of_it_and_escapes_names() -> None:
    page = values_page.to_html(report(RIGHT, GIVEN, unit="months", recipe={"unit": "months"}), {"3.png": b"jpeg"})
    assert "<b>.tflite" not in page
    assert "&lt;b&gt;.tflite" in page
    assert page.count("data:image/jpeg") == 1
    for words in ("Bland-Altman", "1.5 months", "was 0", "How far the values moved", "Recipe"):
        assert words in page
    alone = values_page.to_html(report(GIVEN))
    assert "How far the values moved" not in alone
    assert "Recipe" not in alone
