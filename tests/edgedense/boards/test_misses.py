"""Lines that are fetched from memory, counted by hand."""

from __future__ import annotations

from edgedense.boards.misses import LINE, misses
from edgedense.boards.operators import Operator
from tests.edgedense.boards.files import tensor

A, B, C = (tensor(number, (1, LINE)) for number in range(3))  # one line each


def test_what_fits_into_the_cache_is_fetched_once_and_stays() -> None:
    assert misses([Operator("X", (A,), (B,)), Operator("X", (B,), (C,))], 3 * LINE) == 0


def test_what_does_not_fit_is_fetched_at_each_use() -> None:
    """A, B, B, C go through two lines: of an inference, B is there when it is read, and the others are gone."""
    assert misses([Operator("X", (A,), (B,)), Operator("X", (B,), (C,))], 2 * LINE) == 3


def test_a_tensor_that_is_larger_than_the_cache() -> None:
    large = tensor(3, (1, 10 * LINE))
    assert misses([Operator("X", (large,), (A,)), Operator("X", (large,), (A,))], 4 * LINE) == 22
