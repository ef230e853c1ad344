"""What the figures are called, and that each is explained."""

from __future__ import annotations

import math

from edgedense.measures import drift
from edgedense.measures.result import Report
from edgedense.report.figures import KL, figures, summary_rows


def example() -> Report:
    """Six classes, so that there is a top-5; the second model has one picture of two wrong."""
    before = [[0.5, 0.1, 0.1, 0.1, 0.1, 0.1], [0.1, 0.5, 0.1, 0.1, 0.1, 0.1]]
    after = [[0.5, 0.1, 0.1, 0.1, 0.1, 0.1], [0.4, 0.2, 0.1, 0.1, 0.1, 0.1]]
    both = drift.compare(before, after, [0, 1], tuple("abcdef"), images=("a/1", "b/1"), models=("float", "int8"))
    return Report("int8", both.after, both)


def test_every_figure_is_explained_in_whole_sentences() -> None:
    report = example()
    alone = Report("int8", report.evaluation)
    pair = drift.compare([[0.9], [0.2]], [[0.8], [0.2]], [1, 0], ("a", "b"), images=("1", "2"), models=("f", "q"))
    for figure in [*figures(report), *figures(alone), *figures(Report("q", pair.after, pair))]:
        assert figure.meaning.endswith(".")
        assert figure.meaning[0].isupper() or figure.meaning[0].isdigit()
        assert len(figure.meaning.split()) >= 4, figure.name


def test_what_belongs_to_a_model_has_a_value_for_each_and_the_rest_one() -> None:
    found = {figure.name: figure.values for figure in figures(example())}
    assert found["accuracy (top-1)"] == ("100.00 %", "50.00 %")
    assert found["drop"] == ("+50.00 points",)
    assert found["agreement (top-1)"] == ("50.00 %",)


def test_rows_are_filled_on_the_left() -> None:
    rows = {row[0]: row[1:] for row in summary_rows(example())}
    assert rows["images"] == ("2", "2")
    assert rows["drop"] == ("", "+50.00 points")
    assert {len(row) for row in summary_rows(example())} == {3}


def test_the_example_of_the_kl_divergence_is_right() -> None:
    assert "0.001 is what it takes to turn 90 % into 88.6 %" in KL
    before, after = (0.9, 0.1), (0.886, 0.114)
    assert round(sum(p * math.log(p / q) for p, q in zip(before, after, strict=True)), 4) == 0.001
