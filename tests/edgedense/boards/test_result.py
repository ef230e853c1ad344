"""What is said of a time."""

from __future__ import annotations

import pytest

from edgedense.boards.result import BoardTime


@pytest.mark.parametrize(
    ("milliseconds", "wanted"),
    [(61.4, "about 61 ms"), (9.96, "about 10 ms"), (9.94, "about 9.9 ms"), (0.42, "about 0.4 ms")],
)
def test_an_estimate_is_called_one(milliseconds: float, wanted: str) -> None:
    time = BoardTime("pi5", milliseconds, 239.8e6, True, 0.021)
    assert str(time) == f"{wanted} on pi5, estimated"
    assert "239.8 M instructions, at most 2.1 % off" in time.sentence


def test_a_measurement() -> None:
    time = BoardTime("Raspberry Pi 5", 61.414, None, False, None)
    assert str(time) == time.sentence == "61.41 ms on Raspberry Pi 5, measured"
    assert time.to_dict()["is_estimate"] is False
