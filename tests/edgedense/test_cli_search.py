"""`edgedense search` as it is typed: what it ends with, and the commands that make the same files again."""

from __future__ import annotations

import contextlib
import json
import shlex
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import models
from tests.edgedense.test_cli import CLASSES, edgedense, succeeded
from tests.pictures import fill

pytest.importorskip("optuna")
keras = pytest.importorskip("keras")
pytestmark = pytest.mark.slow


class InTurn:
    """Jobs that are done one after the other in this process, where TensorFlow is imported once."""

    workers = 2

    def each(self, work: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        return map(work, items)

    def must_see(self, *paths: Path | str) -> None: ...


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("classes")
    for number, name in enumerate(CLASSES):
        fill(folder / name, 6, seed=number)
    return folder


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DenseNet of which something can be cut: kernels compute 16 channels at once."""
    path = tmp_path_factory.mktemp("wide") / "wide.keras"
    models.densenet(body=lambda keras, x: models.body(keras, x, growth=32)).save(path)
    return path


@pytest.fixture
def usual(wide: Path, folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[object, ...]:
    monkeypatch.setattr("edgedense.jobs.jobs.open_jobs", lambda ray, workers: contextlib.nullcontext(InTurn()))
    pictures = ("--calibration", folders, "--validation", folders, "--recover", folders)
    limits = ("--budget", "80%", "--board", "pi5", "--trials", "4", "--round", "4", "--epochs", "1")
    return "search", wide, *pictures, *limits, "--force", "--out", tmp_path / "found"


def test_each_command_makes_the_file_that_was_found(usual: tuple[object, ...], tmp_path: Path) -> None:
    ended = succeeded(*usual)
    found = json.loads((tmp_path / "found" / "search.json").read_text())
    kinds = [point["kind"] for point in found["points"]]
    assert {"unpruned", "fraction", "trial"} == set(kinds)
    assert any("epochs" in point["settings"] for point in found["points"])  # one was trained
    best = next(point for point in found["points"] if point["name"] == found["chosen"])
    assert best["command"] in ended.out
    for point in found["points"]:
        *command, out = shlex.split(point["command"])
        assert out == str(tmp_path / "found" / point["file"])
        again = tmp_path / "again" / point["file"]
        again.parent.mkdir(exist_ok=True)
        succeeded(*command[1:], again)
        assert again.read_bytes() == Path(out).read_bytes(), point["command"]


@pytest.mark.parametrize(
    ("side", "operator", "words"),
    [(32, "sin", "mine.keras of --against; found SIN"), (16, "relu", "mine.keras, which takes 16x16x3")],
)
def test_another_network_that_does_not_do_is_told_before_anything_is_tried(
    usual: tuple[object, ...], tmp_path: Path, side: int, operator: str, words: str
) -> None:
    """One with an operator that nobody has counted on the board, and one for other pictures."""
    image = keras.Input((side, side, 3))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3, 2)(image))
    x = keras.layers.Dense(5, activation="softmax")(getattr(keras.ops, operator)(x))
    keras.Model(image, x).save(tmp_path / "mine.keras")
    ended = edgedense(*usual, "--against", tmp_path / "mine.keras")
    assert (ended.code, ended.out) == (2, "")
    assert words in ended.err.splitlines()[-1]
    assert list((tmp_path / "found" / "work" / "outcomes").iterdir()) == []
