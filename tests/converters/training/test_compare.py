"""Two networks side by side: what each figure is of."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgedense.converters.training import compare
from edgedense.converters.training.compare import Comparison, Entry
from edgedense.converters.training.dataset import Side
from edgedense.converters.training.goal import OneClass, Several
from edgedense.converters.training.train import Options
from edgedense.errors import EdgedenseError

OURS = Entry("DenseNet121", "edgedense convert", 7_000_000, 0.9, 0.895, 30_000_000, 7_500_000, 4.0)
GOAL = OneClass(np.ones(2), single=True)
PEER = Entry("ResNet50", "TFLiteConverter", 23_500_000, 0.85, 0.84, 95_000_000, 24_000_000, 8.0)


def test_the_table_has_both_and_their_ratio() -> None:
    rows = {row[0]: row[1:] for row in compare.table(Comparison(OURS, PEER, GOAL, "test", 394)).rows}
    assert rows == {
        "accuracy, float": ("90.00 %", "85.00 %", ""),
        "accuracy, int8": ("89.50 %", "84.00 %", ""),
        "parameters": ("7,000,000", "23,500,000", "0.30"),
        "Keras file": ("30.00 MB", "95.00 MB", "0.32"),
        "int8 file": ("7.50 MB", "24.00 MB", "0.31"),
        "int8 latency, one thread": ("4.00 ms", "8.00 ms", "0.50"),
    }


def test_the_sentence_says_what_was_measured_on() -> None:
    said = compare.table(Comparison(OURS, PEER, GOAL, "validation", 30)).said
    assert "30 validation pictures" in said
    assert "ResNet50 by TFLiteConverter" in said


def test_a_file_gives_no_equal_conditions() -> None:
    with pytest.raises(EdgedenseError, match="--compare"):
        compare.check(replace(Options(), weights="brain.keras"))
    compare.check(Options())


def test_networks_are_timed_in_turns_after_a_warm_up() -> None:
    calls: list[tuple[str, int]] = []

    def named(name: str) -> compare.Predict:
        return lambda pixels: calls.append((name, int(pixels[0, 0, 0])))  # type: ignore[func-returns-value, return-value]

    pixels = np.arange(3, dtype=np.uint8).reshape(3, 1, 1, 1)
    times = compare.interleaved([named("a"), named("b")], pixels, rounds=4, warm_up=1, tick=lambda n: None)
    assert calls == [(name, number % 3) for number in range(5) for name in "ab"]
    assert len(times) == 2
    assert min(times) >= 0


def test_a_single_sigmoid_is_scored_at_a_half() -> None:
    side = Side(np.arange(4, dtype=np.uint8).reshape(4, 1, 1, 1), np.array([0, 1, 3]), np.array([0, 1, 1]))
    predict = {0: 0.4, 1: 0.6, 3: 0.2}
    found = compare.scores(lambda pixels: np.array([predict[int(pixels[0, 0, 0])]]), side, lambda n: None)
    assert found.tolist() == [[0.4], [0.6], [0.2]]
    assert GOAL.figure(found, side.labels) == pytest.approx(2 / 3)


def test_several_findings_are_compared_by_their_auroc() -> None:
    rows = compare.table(Comparison(OURS, PEER, Several(np.ones(2)), "test", 394)).rows
    assert rows[0] == ("mean AUROC, float", "0.9000", "0.8500", "")
    assert rows[1] == ("mean AUROC, int8", "0.8950", "0.8400", "")
