"""Who says how long a file takes while channels are cut."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from edgedense.boards.estimate import estimate
from edgedense.boards.result import BoardTime
from edgedense.converters.clock import clock
from edgedense.converters.options import Slimming
from tests.edgedense.boards.files import convolution_file

FILE = convolution_file()


def test_this_machine() -> None:
    with clock(Slimming(fit_latency=60)) as time:
        found = time(FILE)
    assert (found.board, found.is_estimate) == ("this machine", False)
    assert 0 < found.milliseconds < 100  # 32,768 multiplications


def test_a_board_that_is_estimated() -> None:
    with clock(Slimming(fit_latency=60, board="pi4")) as time:
        assert time(FILE) == estimate(FILE, "pi4")


def test_a_host_is_connected_once_for_all_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """That it measures is tested in tests/edgedense/boards/test_measure.py."""
    opened: list[str] = []

    @contextmanager
    def open_board(host: str) -> Iterator[SimpleNamespace]:
        opened.append(host)
        yield SimpleNamespace(time=lambda file: BoardTime("Raspberry Pi 5", len(file), None, False, None))
        opened.append("closed")

    monkeypatch.setattr("edgedense.boards.measure.open_board", open_board)
    with clock(Slimming(fit_latency=60, on="pi@barn-1")) as time:
        assert [time(FILE).milliseconds, time(FILE[:100]).milliseconds] == [len(FILE), 100]
        assert opened == ["pi@barn-1"]
    assert opened == ["pi@barn-1", "closed"]
