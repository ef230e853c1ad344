"""Repeated messages are found, in whatever order they come."""

from __future__ import annotations

import random

import pytest

from edgedense.device.overview import numbers
from edgedense.device.overview.numbers import Numbers


def test_each_number_is_new_once_in_any_order() -> None:
    order = [*range(1, 60), *range(1, 60)]
    random.Random(0).shuffle(order)
    found, seen = Numbers(), set()
    for number in order:
        assert found.is_new("a", number) is (number not in seen)
        seen.add(number)
    assert found._boots == {"a": [[1, 59]]}  # without gaps it is one run, so that memory stays small


def test_boots_count_for_themselves_and_the_oldest_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numbers, "BOOTS", 2)
    found = Numbers()
    assert [found.is_new(boot, 7) for boot in "aabbc"] == [True, False, True, False, True]
    assert set(found._boots) == {"b", "c"}


def test_gaps_without_end_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numbers, "RUNS", 2)
    found = Numbers()
    assert [found.is_new("a", number) for number in (1, 3, 5, 7)] == [True] * 4
    assert found._boots["a"] == [[1, 5], [7, 7]]
    assert not found.is_new("a", 2)  # the gap is closed: a message is rather lost than counted twice
