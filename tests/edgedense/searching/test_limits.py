"""Budgets and durations as they are typed, and the clock that goes on after an interruption."""

from __future__ import annotations

import math

import pytest

from edgedense.errors import EdgedenseError
from edgedense.searching import limits
from edgedense.searching.limits import Budget, Clock, parse_budget, parse_duration


@pytest.mark.parametrize(("text", "limit"), [("60ms", 60), ("2.5", 2.5), (" 0.5 ms", 0.5), ("50%", 4), ("100%", 8)])
def test_a_budget(text: str, limit: float) -> None:
    assert parse_budget(text).limit(unpruned=8.0) == limit


@pytest.mark.parametrize("text", ["", "0ms", "-3ms", "101%", "60 s", "nan", "half"])
def test_no_budget(text: str) -> None:
    with pytest.raises(EdgedenseError, match="60ms"):
        parse_budget(text)


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("60m", 3600), ("1.5h", 5400)])
def test_a_duration(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["60", "0m", "1d", "-1m", ""])
def test_no_duration(text: str) -> None:
    with pytest.raises(EdgedenseError, match="90s"):
        parse_duration(text)


def test_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(limits.time, "monotonic", lambda: now)
    clock, endless = Clock(60.0, earlier=20.0, _started=95.0), Clock(None, _started=95.0)
    assert (clock.elapsed, clock.left) == (25.0, 35.0)
    assert endless.left == math.inf


def test_one_of_the_two() -> None:
    assert Budget(milliseconds=3.0).limit(100.0) == 3.0
    assert Budget(share=0.25).limit(100.0) == 25.0
