"""A threshold that a file carries decides wherever the file is used, and one on the command line takes its place."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgedense.deployed import bundle
from edgedense.device.camera.sources import parse
from edgedense.device.camera.stream import Frame
from edgedense.device.classifier import Classifier
from edgedense.device.live.loop import LiveRun
from edgedense.device.live.options import LiveOptions, Saving
from edgedense.device.live.output import Output
from edgedense.device.live.run import capture_job
from edgedense.device.live.saving import Saver
from edgedense.device.monitor.drift import Monitor
from edgedense.device.monitor.watch import Watch
from edgedense.device.prediction import usual_doubt
from edgedense.device.preview.state import Board
from tests.device.conftest import COLOURS, HEIGHT, RECIPE, WIDTH

MakeModel = Callable[..., bytes]
# By findings (see make_colour_model): 0.9933 red, 0.0293 green, 0.9975 blue. By the pair (red, blue): 0.7311 for blue.
MAGENTA = np.full((HEIGHT, WIDTH, 3), (200, 30, 220), np.uint8)


@pytest.fixture
def deployed(tmp_path: Path, colour_model: MakeModel) -> Callable[..., Path]:
    """A file with thresholds: of three findings, or of a pair."""

    def write(*thresholds: float | None) -> Path:
        single = len(thresholds) == 1
        model = colour_model(outputs=1) if single else colour_model(independent=True)
        recipe = {**RECIPE, "activation": "sigmoid", "thresholds": list(thresholds)}
        path = tmp_path / "stored.tflite"
        path.write_bytes(bundle.pack(model, ("red", "blue") if single else COLOURS, recipe))
        return path

    return write


class Live:
    """The loop with all its parts, fed by hand."""

    def __init__(self, file: Path, folder: Path, threshold: float | None = None) -> None:
        self.classifier = Classifier(file)
        self.rule = self.classifier.rule(threshold)
        self.out, self.board = io.StringIO(), Board()
        self.saver = Saver(Saving(folder / "unsure"), print, usual_doubt(self.rule))
        self.watch = Watch(folder / "state.json", self.classifier, self.rule)
        options = LiveOptions(threshold=threshold, on_change=True)
        self.loop = LiveRun(
            self.classifier,
            capture_job(parse("0"), self.classifier.preprocessing),
            options,
            Output(self.out, self.classifier.labels, as_json=True, independent=self.rule.independent),
            report=print,
            stop=threading.Event(),
            saver=self.saver,
            board=self.board,
            watch=self.watch,
        )

    def see(self, number: int, picture: np.ndarray) -> None:
        self.loop._classify(Frame(number, float(number), 60.0 * number, picture, picture, True, False))

    @property
    def lines(self) -> list[dict]:
        return [json.loads(line) for line in self.out.getvalue().splitlines()]

    def close(self) -> None:
        self.saver.close()
        self.watch.__exit__()
        self.classifier.close()


def test_findings_of_a_stream(deployed: Callable[..., Path], tmp_path: Path) -> None:
    """Green is a finding from 0.02 on, red is none below 0.995. At a threshold of 0.9 it is the other way round."""
    live = Live(deployed(0.995, 0.02, None), tmp_path)
    live.see(0, MAGENTA)
    live.see(1, MAGENTA - 1)  # a level less changes no answer: --on-change is silent
    live.see(2, np.zeros_like(MAGENTA))  # black: 0.0067 each
    live.close()
    first, second = live.lines
    assert [one["label"] for one in first["findings"]] == ["green"]
    assert first["findings"][0]["threshold"] == 0.02
    assert (second["frame"], second["findings"]) == (2, [])
    facts = live.board.facts()
    assert facts["seen"] == 0
    assert "blue" not in [label for label, _ in facts["top"]]  # the page does not name it either
    (kept,) = (tmp_path / "unsure").iterdir()  # 0.9933 is nearest to its threshold; with 0.5 it would be sure
    assert "_red_0.993" in kept.name
    state = json.loads((tmp_path / "state.json").read_text())
    assert state["thresholds"] == [0.995, 0.02, None]


def test_the_command_line_wins(deployed: Callable[..., Path], tmp_path: Path) -> None:
    live = Live(deployed(0.995, 0.02, None), tmp_path, threshold=0.9)
    live.see(0, MAGENTA)
    live.close()
    assert [one["label"] for one in live.lines[0]["findings"]] == ["red"]
    assert live.board.facts()["seen"] == 1
    assert not list((tmp_path / "unsure").iterdir())  # 0.9933 is sure of 0.9, and 0.0293 as well
    assert json.loads((tmp_path / "state.json").read_text())["thresholds"] == [0.9, 0.9, None]


@pytest.mark.parametrize(
    ("stored", "threshold", "expected", "doubtful"),
    [(0.7, None, "blue", True), (0.8, None, "red", True), (0.8, 0.2, "blue", False), (0.5, 0.8, "red", True)],
)
def test_a_pair(
    stored: float, threshold: float | None, expected: str, doubtful: bool, deployed: Callable[..., Path], tmp_path: Path
) -> None:
    """On the page too, whose best class is the answer."""
    live = Live(deployed(stored), tmp_path, threshold)
    live.see(0, MAGENTA)
    live.close()
    assert live.lines[0]["label"] == expected
    assert live.board.facts()["top"][0][0] == expected
    state = json.loads((tmp_path / "state.json").read_text())
    limit = stored if threshold is None else threshold
    assert state["thresholds"] == [1 - limit, limit]
    answers = Monitor.load(tmp_path / "state.json", ("red", "blue"), rule=live.rule)
    assert answers.samples == 1
    names = [path.name for path in (tmp_path / "unsure").iterdir()]
    assert bool(names) == doubtful, names
    assert all(f"_{expected}_" in name for name in names)
