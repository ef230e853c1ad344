"""What is said of errors."""

from __future__ import annotations

import pytest

from edgedense.errors import first_line


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("one\ntwo"), "ValueError: one"),
        (ValueError("\n  one  line \r\n"), "ValueError: one line"),
        (KeyError(), "KeyError"),  # another library's error may say nothing
        (ValueError("x" * 150 + " " + "y" * 100), "ValueError: " + "x" * 150 + " [...]"),
    ],
)
def test_the_first_line_of_an_error_is_told_behind_its_name(error: Exception, said: str) -> None:
    assert first_line(error) == said
