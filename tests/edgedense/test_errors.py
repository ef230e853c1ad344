"""What is said of errors."""

from __future__ import annotations

import pickle

import pytest

from edgedense.errors import DeviceError, EdgedenseError, GateError, first_line


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


@pytest.mark.parametrize("kind", [EdgedenseError, GateError, DeviceError])
def test_an_error_comes_whole_from_another_process(kind: type[EdgedenseError]) -> None:
    error = pickle.loads(pickle.dumps(kind("a picture", "none", "another")))
    assert (type(error), error.expected, error.found, error.hint) == (kind, "a picture", "none", "another")
    assert str(error) == "expected a picture; found none. Try: another"
