"""The judgement in a process of its own is that of the history, and what fails there is told."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import time
from pathlib import Path

import pytest

from edgedense.device.overview import archive
from edgedense.device.overview.history import DAY, History, packed
from edgedense.device.overview.judging import Apart, Judged
from tests.device.mqtt.conftest import wait_for
from tests.device.mqtt.test_messages import ABOUT
from tests.device.overview.test_drift import DARK, fleet, past

NOON = 20_000 * DAY + DAY / 2


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A fleet of which one device gets dark on its last day."""
    path = tmp_path / "fleet.db"
    pasts = {**fleet(), "barn-3": past(3, DARK)}
    with History(path) as history:
        for name in pasts:
            history.about(name, ABOUT)
    with contextlib.closing(sqlite3.connect(path)) as file, file:
        numbers = dict(file.execute("SELECT name, id FROM devices"))
        for name, one in pasts.items():
            for moment, vector in ((NOON - 3 * DAY, one.usual), (NOON - 3600, one.recent)):
                values = (moment // 3600, numbers[name], ABOUT.sha256[:16], packed(vector))
                file.execute("INSERT INTO hours VALUES (?, ?, ?, ?)", values)
    return path


def awaited(judge: Apart) -> Judged:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if (found := judge.answer()) is not None:
            return found
        time.sleep(0.02)
    raise TimeoutError


def test_another_process_finds_what_the_history_says(kept: Path) -> None:
    with Apart(kept) as judge:
        assert judge.answer() is None  # nobody has asked
        judge.begin(NOON - 5 * DAY)  # an answer that nobody waits for
        judge.begin(NOON)
        found = awaited(judge)
        assert judge.answer() is None  # it is told once
    assert {name: [one.feature for one in drifts] for name, drifts in found.items() if drifts} == {
        "barn-3": ["brightness"]
    }
    assert found == archive.judged(kept, NOON)


def test_a_failure_is_told_and_no_answer(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "other.db").write_bytes(b"no database, whatever its name says" * 40)
    with caplog.at_level(logging.WARNING, "edgedense"), Apart(tmp_path / "other.db") as judge:
        judge.begin(NOON)
        wait_for(lambda: judge.answer() or caplog.records)
    (record,) = caplog.records
    assert "could not be judged: expected the history of a fleet" in record.message


def test_a_process_that_is_at_work_ends_with_its_judge(kept: Path) -> None:
    with Apart(kept) as judge:
        judge.begin(NOON)
        process = judge._process
        assert process is not None
        assert process.poll() is None
    assert process.poll() is not None
