"""Measured times that are kept."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from edgedense.boards import kept as module
from edgedense.boards.kept import Kept
from edgedense.errors import EdgedenseError

BOARD = {"model": "Raspberry Pi 5", "kernel": "6.6", "runtime": "ai-edge-litert 2.1.6"}


def test_by_file_and_by_board(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "new")
    kept.keep("a" * 64, BOARD, 12.5)
    assert kept.milliseconds("a" * 64, BOARD) == 12.5
    assert kept.milliseconds("a" * 64, dict(reversed(BOARD.items()))) == 12.5
    assert kept.milliseconds("b" * 64, BOARD) is None
    assert kept.milliseconds("a" * 64, {**BOARD, "kernel": "6.7"}) is None


def test_what_cannot_be_read_is_measured_again(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    kept.keep("a" * 64, BOARD, 12.5)
    (path,) = tmp_path.rglob("*.json")
    for spoiled in ("", "[]", "{}", '{"median_ms": "soon"}'):
        path.write_text(spoiled)
        assert kept.milliseconds("a" * 64, BOARD) is None


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EdgedenseError, match="a cache folder for measured times"):
        Kept(tmp_path / "file").keep("a" * 64, BOARD, 12.5)


def test_the_usual_one_is_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """platformdirs says where that is, and is not on every machine."""
    known = SimpleNamespace(user_cache_path=lambda name, appauthor: tmp_path / name)
    monkeypatch.setitem(sys.modules, "platformdirs", known)
    assert module.usual() == Kept(tmp_path / "edgedense" / "measured")
    monkeypatch.setitem(sys.modules, "platformdirs", None)
    with pytest.raises(EdgedenseError, match="pip install platformdirs"):
        module.usual()
