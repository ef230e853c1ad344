from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from edgedense.errors import EdgedenseError
from edgedense.images.in_memory import PictureInMemory
from edgedense.scoring.kept import Kept, fingerprint

SCORES = (np.array([[0.1, 0.9]]), np.array([[1 / 3, 2 / 3]]))


def test_a_piece_is_read_as_it_was_written(tmp_path: Path) -> None:
    Kept(tmp_path / "new" / "work", {"file": "a"}).write(3, SCORES)
    again = Kept(tmp_path / "new" / "work", {"file": "a"})
    found = again.read(3)
    assert found is not None
    assert [one.tolist() for one in found] == [one.tolist() for one in SCORES]
    assert again.read(4) is None


def test_what_is_about_something_else_is_kept_apart(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Kept(tmp_path, {"file": "a"}).write(0, SCORES)
    assert not caplog.messages
    assert Kept(tmp_path, {"file": "b"}).read(0) is None
    assert "the scores of 1 other runs" in caplog.messages[0]
    assert Kept(tmp_path, {"file": "a"}).read(0) is not None
    assert len(caplog.messages) == 1


def test_a_damaged_piece_is_none(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    kept = Kept(tmp_path, {"file": "a"})
    kept.write(0, SCORES)
    (path,) = tmp_path.rglob("piece-000000.npz")
    for content in (path.read_bytes()[:-40], b"", b"PK"):
        path.write_bytes(content)
        assert kept.read(0) is None
    assert len(caplog.messages) == 3
    assert "is damaged and is made again" in caplog.messages[0]


def test_a_place_that_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EdgedenseError, match="a folder for --work"):
        Kept(tmp_path / "file", {})


def test_pictures_are_known_by_name_size_and_time_or_by_content(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"123")
    os.utime(path, ns=(0, 1))
    before = fingerprint([path], ["a.png"])
    (tmp_path / "moved").mkdir()
    moved = path.rename(tmp_path / "moved" / "a.png")
    assert fingerprint([moved], ["a.png"]) == before
    assert fingerprint([moved], ["b.png"]) != before
    os.utime(moved, ns=(0, 2))
    assert fingerprint([moved], ["a.png"]) != before
    held = [fingerprint([PictureInMemory("a", data)], ["a"]) for data in (b"1", b"1", b"2")]
    assert held[0] == held[1] != held[2]
    with pytest.raises(EdgedenseError, match="No such file"):
        fingerprint([tmp_path / "gone.png"], ["gone.png"])
