"""`edgedense benchmark` of another machine than this one. What it measures here is tested in tests/device/board."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgedense.boards.result import BoardTime
from tests.edgedense.boards.files import convolution_file
from tests.edgedense.test_cli import refused, succeeded


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "m.tflite"
    path.write_bytes(convolution_file(height=56, channels=64, outputs=128))
    return path


def test_a_board_is_estimated(model: Path) -> None:
    told = succeeded("benchmark", model, "--board", "pi4").out
    assert told.startswith("m.tflite: about ")
    assert "ms on pi4, estimated" in told
    entries = json.loads(succeeded("benchmark", model, "--board", "pi4", "--json").out)
    assert (entries["model"], entries["board"], entries["is_estimate"]) == ("m.tflite", "pi4", True)


def test_a_host_is_measured(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over SSH it is measured in tests/edgedense/boards/test_measure.py."""

    def measure(files: list[Path], host: str) -> list[BoardTime]:
        assert (files, host) == ([model], "pi@barn-1")
        return [BoardTime("Raspberry Pi 5", 61.4, None, False, None)]

    monkeypatch.setattr("edgedense.boards.measure.measure", measure)
    told = succeeded("benchmark", model, "--on", "pi@barn-1").out
    assert told == "m.tflite: 61.40 ms on Raspberry Pi 5, measured\n"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--board", "n100"), "AVX-VNNI"),
        (("--board", "pi5", "--on", "pi@barn-1"), "--board or --on"),
        (("--board", "pi5", "--threads", "4"), "one thread of the processor"),
        (("--on", "pi@barn-1", "--plot", "a.svg"), "--on alone"),
    ],
)
def test_refused(model: Path, options: tuple[str, ...], words: str) -> None:
    assert words in refused("benchmark", model, *options)
