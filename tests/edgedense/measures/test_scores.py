"""What the numbers of a network are called, and how they are written."""

from __future__ import annotations

import pytest

from edgedense.measures import scores


def test_names() -> None:
    assert scores.names_of(("age",), 1) == ("age",)
    assert scores.names_of((), 1) == ("value",)
    assert scores.names_of((), 2) == ("0", "1")


@pytest.mark.parametrize(("value", "text"), [(0.12634, "0.1263"), (-31.0, "-31"), (123456.0, "1.235e+05")])
def test_text(value: float, text: str) -> None:
    assert scores.text(value) == text
