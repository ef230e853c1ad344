"""Where bars, dots and cells stand, in percent."""

from __future__ import annotations

import numpy as np
import pytest

from edgedense.measures import drift
from edgedense.measures.metrics import ReliabilityBin
from edgedense.report import plots
from edgedense.report.plots import Plot


def places(plot: Plot, line: int = 0) -> list[tuple[float, float]]:
    return [(point.x, point.y) for point in plot.lines[line].points]


def test_bars_point_to_the_side_of_the_change() -> None:
    worse, better, same = plots.delta_bars(["a", "b", "c"], [-4.0, 2.0, 0.0])
    assert (worse.left, worse.width, worse.kind, worse.said) == (0, 50, "bad", "-4.0")
    assert (better.left, better.width, better.kind, better.said) == (50, 25, "good", "+2.0")
    assert (same.left, same.width) == (50, 0)


def test_small_changes_do_not_fill_the_plot() -> None:
    (bar,) = plots.delta_bars(["a"], [0.5])
    assert bar.width == 25  # of the 50 that one point has


def test_bars_of_steps_are_shares_of_the_first() -> None:
    (_, first), (name, second) = plots.relative_bars(["as trained", "prune"], {"size": [8.0, 2.0], "time": [4.0, 6.0]})
    assert name == "prune"
    assert [(bar.name, bar.said, bar.kind) for bar in first] == [
        ("size", "100 %", "before"),
        ("time", "100 %", "before"),
    ]
    assert [bar.said for bar in second] == ["25 %", "150 %"]
    assert [bar.width for bar in second] == pytest.approx([100 * 0.25 / 1.5, 100])  # the longest fills the track


def evaluated(confusion: list[list[int]]) -> drift.Evaluation:
    """An evaluation with this confusion matrix, of classes a, b, c."""
    truth = [i for i, row in enumerate(confusion) for _ in range(sum(row))]
    decided = [j for row in confusion for j, count in enumerate(row) for _ in range(count)]
    return drift.evaluate(np.eye(len(confusion))[decided], truth, tuple("abc"[: len(confusion)]), model="m")


def test_cells_are_shaded_by_their_share_of_the_row() -> None:
    matrix = plots.confusion(evaluated([[3, 1], [0, 2]]))
    (name, (hit, miss)), (_, (none, all_of)) = matrix.rows
    assert (name, hit.count, hit.kind, miss.kind) == ("a", 3, "good", "bad")
    assert (none.shade, miss.shade, hit.shade, all_of.shade) == (0, round(8 + 82 / 4), round(8 + 82 * 3 / 4), 90)
    assert miss.said == "a taken for b: 1"


def test_mistakes_are_the_most_frequent_first_without_hits() -> None:
    evaluation = evaluated([[5, 1, 0], [0, 1, 3], [0, 0, 2]])
    assert plots.mistakes(evaluation) == [("b", "c", "3", "75.0 %"), ("a", "b", "1", "16.7 %")]
    assert len(plots.mistakes(evaluation, most=1)) == 1


def test_a_reliable_model_lies_on_the_diagonal() -> None:
    plot = plots.reliability_curves(None, [ReliabilityBin(0.2, 0.3, 16, 0.25, 0.25), ReliabilityBin(0.9, 1, 0, 1, 1)])
    assert plot.diagonal
    assert places(plot) == [(25, 75), (100, 0)]
    assert [dot.radius for dot in plot.lines[0].dots] == [9, 2]  # all images and none


def test_noise_marks_the_worst_layers_and_cuts_off_what_is_exact() -> None:
    line, worst = plots.layer_profile([("a", 30.0), ("b", 0.0), ("c", 120.0)], mark=1).lines
    assert [(point.x, point.y) for point in line.points] == [(0, 50), (50, 100), (100, 0)]
    assert [dot.said for dot in worst.dots] == ["b: 0.0 dB"]


class TestLearningCurves:
    def test_the_line_marks_the_best_epoch(self) -> None:
        assert [plots.learning_curves([3, 2, 1], [3, 2, 1], best, "t").marked for best in (0, 1, 2)] == [0, 50, 100]

    def test_larger_is_higher_up_and_the_axis_ends_at_the_top(self) -> None:
        plot = plots.learning_curves([1.0, 0.5], [0.25, 0.0], 0, "t", top=1.0)
        assert places(plot, 0) == [(0, 0), (100, 50)]
        assert places(plot, 1) == [(0, 75), (100, 100)]
        assert plot.y_ticks[0] == (100, "0")
        assert plot.y_ticks[-1] == (0, "1")

    def test_one_epoch_is_a_dot(self) -> None:
        assert [len(line.dots) for line in plots.learning_curves([1.0], [1.0], 0, "t").lines] == [1, 1]

    def test_at_most_ten_epochs_are_named(self) -> None:
        names = [text for _, text in plots.learning_curves([1.0] * 95, [1.0] * 95, 0, "t").x_ticks]
        assert names == ["1", "11", "21", "31", "41", "51", "61", "71", "81", "91"]


def test_plots_of_next_to_nothing() -> None:
    assert plots.delta_bars([], []) == ()
    assert plots.relative_bars([], {"size": []}) == ()
    assert places(plots.layer_profile([])) == []
    assert places(plots.layer_profile([("a", -3.0)])) == [(0, 100)]
    assert plots.reliability_curves(None, ()).lines == ()
