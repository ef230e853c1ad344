"""The history of a service's models only grows, and is right without a clock."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from edgedense.device.versions import history
from edgedense.device.versions.history import Change
from edgedense.device.versions.moments import Moment
from edgedense.errors import EdgedenseError


def add(path: Path, outcome: str = "updated") -> Change:
    return history.append(
        path, who="anna", before=None, after="a" * 64, file="m.tflite", outcome=outcome, why="it was asked for"
    )


def test_what_was_added_is_read(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    assert history.read(path) == ()
    first, second = add(path), add(path, "refused")
    assert history.read(path) == (first, second)
    assert (first.number, second.number) == (1, 2)
    assert path.stat().st_mode & 0o777 == 0o644
    assert [json.loads(line)["outcome"] for line in path.read_text().splitlines()] == ["updated", "refused"]


@pytest.mark.parametrize("cut", [1, 20, -1])
def test_a_line_that_a_power_cut_left_unfinished_takes_no_other_with_it(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "history.jsonl"
    first = add(path)
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:cut])
    unfinished = history.read(path)
    assert unfinished[0] == first
    before = path.read_bytes()
    third = add(path, "refused")
    assert path.read_bytes().startswith(before)  # not even that line is touched
    assert history.read(path)[-1] == third
    assert len(history.read(path)) == len(unfinished) + 1


def test_a_history_that_cannot_be_read_or_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(EdgedenseError, match="read"):
        history.read(tmp_path)
    with pytest.raises(EdgedenseError, match="write"):
        add(tmp_path / "none" / "history.jsonl")


def test_the_times_that_people_see(tmp_path: Path) -> None:
    change = add(tmp_path / "history.jsonl")
    early = replace(change, at=Moment("b", 20.0, 0.0, False))  # the clock began in 1970
    lost = replace(change, at=Moment("a", 20.0, 0.0, False))
    rows = history.rows([early, lost], Moment("b", 500.0, 1_000_500.0, True))
    assert rows[0] == ("", "when", "who", "from", "to", "outcome", "why")
    assert rows[1][1] == datetime.fromtimestamp(1_000_020).strftime("%Y-%m-%d %H:%M:%S")
    assert rows[2][1:] == ("no clock yet", "anna", "-", "aaaaaaaaaaaa", "updated", "it was asked for")


def test_who_asks_is_who_called_sudo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_USER", "anna")
    assert history.asking() == "anna"
    monkeypatch.delenv("SUDO_USER")
    monkeypatch.setattr(history.os, "getuid", lambda: 0)
    assert history.asking() == "root"
    monkeypatch.setattr(history.os, "getuid", lambda: 4_000_000_000)  # nobody's
    assert history.asking() == "4000000000"
