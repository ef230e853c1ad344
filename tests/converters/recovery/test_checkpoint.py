"""A checkpoint gives back what was saved, and never that of another run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgedense.converters.recovery.checkpoint import Checkpoint, Epoch, load, make_folder, save
from edgedense.errors import EdgedenseError

STATE = (np.arange(6, dtype=np.float32).reshape(2, 3), np.array(7, np.int64), np.zeros(0, np.float32))
BEST = (np.ones(3, np.float32),)
CHECKPOINT = Checkpoint(STATE, BEST, 0.7, (Epoch(1, 0.5, 0.6), Epoch(2, 0.25, 0.4, True)), True)


def test_what_was_saved_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "run.npz"
    save(path, "mark", CHECKPOINT)
    found = load(path, "mark")
    assert found is not None
    assert (found.start, found.history, found.done) == (0.7, CHECKPOINT.history, True)
    for one, other in zip((*found.state, *found.best), (*STATE, *BEST), strict=True):
        assert one.dtype == other.dtype
        assert np.array_equal(one, other)
    assert [item.name for item in tmp_path.iterdir()] == ["run.npz"]


def test_nothing_is_there(tmp_path: Path) -> None:
    assert load(tmp_path / "run.npz", "mark") is None


def test_another_run_is_refused(tmp_path: Path) -> None:
    save(tmp_path / "run.npz", "mark", CHECKPOINT)
    with pytest.raises(EdgedenseError, match="of another run"):
        load(tmp_path / "run.npz", "other")


@pytest.mark.parametrize("keep", [0, 10, 500])
def test_damage_is_told(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "run.npz"
    save(path, "mark", CHECKPOINT)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(EdgedenseError, match="a checkpoint that can be read"):
        load(path, "mark")


def test_the_work_folder_is_made(tmp_path: Path) -> None:
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()


def test_a_work_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in ("file", "file/work"):
        with pytest.raises(EdgedenseError, match="a folder for checkpoints"):
            make_folder(tmp_path / place)
