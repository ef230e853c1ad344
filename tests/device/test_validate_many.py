"""`validate` and `compare` on many pictures: kept scores, processes, an early end. Real files, no TensorFlow."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import edgedense
from edgedense import cli
from edgedense.deployed import bundle
from edgedense.errors import EdgedenseError
from edgedense.images.preprocessing import Preprocessing
from edgedense.measures.scores import NONE
from edgedense.scoring.scorer import MANY, PIECE
from edgedense.scoring.task import File, Piece, Task

LEVELS = {"red": (200, 40, 40), "green": (40, 200, 40), "blue": (40, 40, 200)}
COUNT = 2 * PIECE + 10


def cards(count: int = COUNT) -> list[tuple[Any, str]]:
    """Cards in memory, with their names; every hundredth one is called something else."""
    pictures = {name: np.full((2, 3, 3), levels, np.uint8) for name, levels in LEVELS.items()}
    names = [*LEVELS]
    return [(pictures[names[i % 3]], names[(i + (i % 100 == 0)) % 3]) for i in range(count)]


def call(*arguments: object) -> None:
    cli.app([str(a) for a in arguments], standalone_mode=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """As many pictures as three pieces have, in files."""
    for name, levels in LEVELS.items():
        (tmp_path / "cards" / name).mkdir(parents=True)
        for number in range(COUNT // 3):
            Image.new("RGB", (3, 2), levels).save(tmp_path / "cards" / name / f"{number}.png")
    return tmp_path / "cards"


def test_kept_scores_give_the_same_report(
    colours: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = []
    for more in ((), ("--work", tmp_path / "work"), ("--work", tmp_path / "work")):
        call("validate", colours, "--data", folder, "--json", *more)
        said.append(capsys.readouterr().out)
    assert said == [said[0]] * 3
    (about,) = (tmp_path / "work").rglob("about.json")
    assert json.loads(about.read_text())["images"] == COUNT // 3 * 3
    assert len(list(about.parent.glob("piece-*.npz"))) == 3


@pytest.mark.slow
def test_processes_give_the_same_report(colours: Path) -> None:
    whole = edgedense.validate(colours, cards())
    shared = edgedense.validate(colours, cards(), scale=edgedense.Scale(processes=2))
    assert isinstance(shared, edgedense.Report)
    assert shared.to_json() == whole.to_json()


@pytest.mark.slow
def test_a_command_that_was_killed_goes_on(colours: Path, folder: Path, tmp_path: Path) -> None:
    """By a signal that no program can catch, while its processes are at work."""
    command = [sys.executable, "-m", "edgedense.cli", "validate", str(colours), "--data", str(folder), "--json"]
    sharing = [*command, "--work", str(tmp_path / "work"), "--processes", "2"]
    killed = subprocess.Popen(sharing, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 60
    while not list(tmp_path.rglob("piece-*.npz")) and killed.poll() is None:
        assert time.monotonic() < end
        time.sleep(0.001)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    whole, resumed = (subprocess.run(one, capture_output=True, check=True).stdout for one in (command, sharing))
    assert resumed == whole


def test_a_command_decides_for_processes_where_there_are_many_pictures(
    colours: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def refuse(ray: str | None, workers: int) -> None:
        asked.append(workers)
        raise EdgedenseError("no processes", "some")

    monkeypatch.setattr("edgedense.scoring.scorer.open_jobs", refuse)
    scale = edgedense.Scale().for_command()
    edgedense.validate(colours, cards(30), threads=3, scale=scale)
    assert not asked
    with pytest.raises(EdgedenseError, match="no processes"):
        edgedense.validate(colours, cards(MANY), threads=3, scale=scale)
    assert asked == [3]
    edgedense.validate(colours, cards(MANY), threads=3)  # a script need not be written for processes


@pytest.fixture
def other(colour_model: Callable[..., bytes], tmp_path: Path) -> Path:
    """A file that decides alike, under another name."""
    recipe = {"preprocessing": Preprocessing(48, 64, "none").to_dict()}
    (tmp_path / "other.tflite").write_bytes(bundle.pack(colour_model(), tuple(LEVELS), recipe))
    return tmp_path / "other.tflite"


def test_comparing_ends_when_the_drop_is_known_well_enough(colours: Path, other: Path) -> None:
    """Without a picture that tells two files apart, 1,024 of them leave an interval of 0.5 points to each side."""
    report = edgedense.compare(colours, other, cards(1200), scale=edgedense.Scale(until=0.6))
    assert isinstance(report, edgedense.Report)
    assert report.early is not None
    assert report.drift is not None
    assert (report.images, report.early.total) == (1024, 1200)
    assert (report.drift.drop_low, report.drift.drop_high) == (report.early.look.low, report.early.look.high)
    assert 0.4 < report.drift.drop_high < 0.6
    assert report.to_dict()["early"]["is_narrow"]
    page = edgedense.to_html(report)
    assert "1024 of 1200 pictures were looked at, in random order" in page


def test_an_early_end_needs_a_drop(
    colours: Path, findings: Path, colour_model: Callable[..., bytes], folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(EdgedenseError, match="a reference to measure from; found --until alone"):
        call("validate", colours, "--data", folder, "--until", 0.5)
    with pytest.raises(EdgedenseError, match="classes exclude each other for --until"):
        call("compare", findings, findings, "--data", folder, "--until", 0.5)
    values = tmp_path / "values.tflite"
    recipe = {"preprocessing": Preprocessing(48, 64, "none").to_dict(), "activation": NONE}
    values.write_bytes(bundle.pack(colour_model(), tuple(LEVELS), recipe))
    with pytest.raises(EdgedenseError, match="classes apart for --until"):
        call("compare", values, values, "--data", folder, "--until", 0.5)


@pytest.mark.parametrize("option", [("--work", "w"), ("--processes", 2), ("--until", 1), ("--ray", "auto")])
def test_options_for_many_pictures_are_not_ignored(option: tuple[str, object], colours: Path, folder: Path) -> None:
    with pytest.raises(EdgedenseError, match="--data"):
        call("validate", colours, *option)
    with pytest.raises(EdgedenseError, match=f"alone, which measures nothing else; found {option[0]}"):
        call("validate", colours, "--data", folder, "--operating-point", 0.5, "--out", "new.tflite", *option)


def test_another_process_refuses_another_file(colours: Path, tmp_path: Path) -> None:
    copied = tmp_path / "copied.tflite"
    copied.write_bytes(colours.read_bytes())
    file = File.of("copied.tflite", copied)
    piece = Piece(0, tuple(folder_pictures(tmp_path)))
    (scores,) = Task((file,))(piece)
    assert scores.argmax(axis=1).tolist() == [0, 2]
    copied.write_bytes(colours.read_bytes() + b"x")
    with pytest.raises(EdgedenseError, match="the same deployed file wherever the work is done"):
        Task((file,))(piece)
    copied.unlink()
    with pytest.raises(EdgedenseError, match="No such file"):
        Task((file,))(piece)
    assert str(piece) == f"piece 0 of the pictures, {piece.pictures[0]} to {piece.pictures[1]}"


def folder_pictures(folder: Path) -> list[Path]:
    """A red and a blue card."""
    paths = [folder / f"{name}.png" for name in ("red", "blue")]
    for path in paths:
        Image.new("RGB", (3, 2), LEVELS[path.stem]).save(path)
    return paths
