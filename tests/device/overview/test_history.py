"""The history: what is written is what is read, once each, and in the order in which it was made."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgedense.device.mqtt.messages import Alert, Report, Stamp
from edgedense.device.overview import archive
from edgedense.device.overview.history import BY_MOMENT, DAY, History, pasts
from edgedense.device.overview.state import Event
from edgedense.device.overview.tally import as_counts
from edgedense.errors import EdgedenseError
from tests.device.mqtt.test_messages import ABOUT, REPORT

NOON = 20_000 * DAY + 12 * 3600.0  # of a day, at UTC


def report(sequence: int, moment: float | None = NOON, **changes: object) -> Report:
    """One whose clock runs since 1000 seconds before NOON; without a moment it is not known."""
    wall = 0.0 if moment is None else moment
    monotonic = 1000 + (sequence if moment is None else moment - NOON)
    stamp = Stamp(ABOUT.boot, ABOUT.start, sequence, wall, moment is not None, monotonic)
    return replace(REPORT, stamp=stamp, moved=(), **changes)


def written(path: Path, write: Callable[[History], None]) -> Path:
    with History(path) as history:
        history.about("barn-3", replace(ABOUT, clock_synchronized=True, started=NOON - 600))
        write(history)
    return path


def rows(path: Path, asked: str) -> list[tuple[object, ...]]:
    with sqlite3.connect(path) as file:
        found = file.execute(asked).fetchall()
    file.close()
    return found


def test_a_report_that_comes_twice_is_kept_once_also_by_the_next_collector(tmp_path: Path) -> None:
    path = tmp_path / "fleet.db"

    def write(history: History) -> None:
        assert history.report("barn-3", report(1), NOON)
        assert not history.report("barn-3", report(1), NOON)
        assert history.report("barn-4", report(1), NOON)  # another device may have started under the same name

    written(path, write)
    with History(path) as history:
        assert not history.report("barn-3", report(1), NOON)
    assert rows(path, "SELECT COUNT(*) FROM reports") == [(2,)]


def test_the_order_is_kept_where_the_clock_was_not_known(tmp_path: Path) -> None:
    def write(history: History) -> None:
        history.report("barn-3", report(2, None), None)
        history.alert("barn-3", Alert(report(1, None).stamp, "camera lost", "rpicam:0 is lost", {}), None)
        history.report("barn-3", report(60, NOON + 60), NOON + 60)  # now the clock is set: 1060 seconds after the boot
        history.report("barn-3", report(3, None), None)

    path = written(tmp_path / "fleet.db", write)
    assert rows(path, "SELECT sequence, moment FROM reports ORDER BY moment") == [
        (2, NOON + 2),
        (3, NOON + 3),
        (60, NOON + 60),
    ]
    assert rows(path, "SELECT kind, moment FROM events") == [("camera lost", NOON + 1)]


def test_the_fleet_as_it_was(tmp_path: Path) -> None:
    def write(history: History) -> None:
        history.event(Event("barn-3", NOON - 500, "came", "is there"))
        history.report("barn-3", report(1), NOON)
        history.alert("barn-3", Alert(report(2, NOON + 5).stamp, "drift", "it got dark", {}), NOON + 5)
        history.report("barn-3", report(3, NOON + 60, camera_lost=True), NOON + 60)
        history.event(Event("barn-3", NOON + 70, "gone", "is no longer heard of"))

    path = written(tmp_path / "fleet.db", write)
    assert archive.at(path, NOON - 1) == []
    (then,) = archive.at(path, NOON + 1)
    assert (then.presence, then.since, then.sees, then.alert) == ("there", NOON - 600, "cow 98.0 %", "")
    assert (then.model, then.sha256, then.latency) == ("barn.tflite", "0123456789abcdef", 0.0125)
    (then,) = archive.at(path, NOON + 61)
    assert (then.presence, then.camera_lost, then.alert, then.alerted) == ("there", True, "it got dark", NOON + 5)
    (then,) = archive.at(path, NOON + 71)
    assert (then.presence, then.since) == ("gone", NOON + 70)
    assert then.drifts is None  # there is nobody to compare with


def test_who_says_nothing_any_more_was_silent(tmp_path: Path) -> None:
    """The collector was away, and has not seen it go. A report comes each 60 seconds."""
    path = written(tmp_path / "fleet.db", lambda history: history.report("barn-3", report(1), NOON) or None)
    assert [archive.at(path, NOON + later)[0].presence for later in (200, 300)] == ["there", "silent"]


def test_what_happened_on_that_day(tmp_path: Path) -> None:
    def write(history: History) -> None:
        for number in range(4):
            seen = {"cow": 3 if number else 0, "pig": 0 if number else 3}
            heat = 50.0 + number
            made = report(number + 1, NOON + 60 * number, seen=seen, temperature=heat)
            history.report("barn-3", made, made.stamp.wall)
        history.report("barn-3", report(9, NOON + DAY), NOON + DAY)
        history.event(Event("barn-3", NOON + 100, "gone", "is no longer heard of"))
        history.event(Event("barn-3", NOON + DAY, "came", "is there"))

    path = written(tmp_path / "fleet.db", write)
    period = archive.between(path, NOON - 3600, NOON + 3600)
    assert [event.said for event in period.events] == ["is no longer heard of"]
    (stay,) = period.devices
    assert (stay.reports, stay.seen, stay.coldest, stay.warmest) == (4, {"cow": 0.75, "pig": 0.25}, 50, 53)
    assert period.to_dict()["events"][0]["device"] == "barn-3"
    with pytest.raises(EdgedenseError, match="before the end"):
        archive.between(path, NOON, NOON)


def test_the_last_day_and_the_days_before_it(tmp_path: Path) -> None:
    def write(history: History) -> None:
        for number, moment in enumerate((NOON - 9 * DAY, NOON - 7 * DAY, NOON - 2 * DAY, NOON - DAY / 2, NOON)):
            history.report("barn-3", report(number, moment), moment)

    def write_of_another_model(history: History) -> None:
        history.about("barn-3", replace(ABOUT, sha256="f" * 64))
        history.report("barn-3", report(9, NOON + 60, model="f" * 16), NOON + 60)

    path = written(tmp_path / "fleet.db", write)
    with contextlib.closing(sqlite3.connect(path)) as file:
        past = pasts(file, NOON)["barn-3"]
        assert past.outcomes == ("cow", "pig")
        assert [as_counts(vector).samples for vector in (past.usual, past.recent)] == [2, 2]
        written(path, write_of_another_model)  # for which the days before say nothing
        assert pasts(file, NOON + 60) == {}


def test_hours_are_added_up_over_restarts_of_the_collector(tmp_path: Path) -> None:
    path = written(tmp_path / "fleet.db", lambda history: history.report("barn-3", report(1), NOON) or None)
    written(path, lambda history: history.report("barn-3", report(2, NOON + 1), NOON + 1) or None)
    ((blob,),) = rows(path, "SELECT tally FROM hours")
    assert isinstance(blob, bytes)
    from edgedense.device.overview.history import unpacked

    np.testing.assert_allclose(as_counts(unpacked(blob)).classes, [1.6, 0.4], rtol=1e-6)  # twice 240 cows and 60 pigs


def test_what_is_too_old_is_forgotten(tmp_path: Path) -> None:
    def write(history: History) -> None:
        for number, days in enumerate((31, 29)):
            history.report("barn-3", report(number, NOON - days * DAY), NOON - days * DAY)
        for days in (301, 299):
            history.event(Event("barn-3", NOON - days * DAY, "came", f"{days}"))
        history.trim(NOON)

    path = written(tmp_path / "fleet.db", write)
    assert rows(path, "SELECT sequence FROM reports") == [(1,)]
    assert rows(path, "SELECT COUNT(*) FROM hours") == [(1,)]
    assert rows(path, "SELECT said FROM events") == [("299",)]
    assert rows(path, "PRAGMA auto_vacuum") == [(2,)]  # incremental: the room is given back to the disk


def test_a_kill_leaves_what_was_committed(tmp_path: Path) -> None:
    path = tmp_path / "fleet.db"
    history = History(path)
    history.report("barn-3", report(1), NOON)
    history.commit()
    history.report("barn-3", report(2), NOON)
    assert rows(path, "SELECT sequence FROM reports") == [(1,)]  # as others see it, and as it would be after a kill
    history.__exit__()


@pytest.mark.parametrize("kind", ["other database", "text", "newer", "folder"])
def test_a_file_that_is_no_history(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "file"
    if kind == "text":
        path.write_text("no database " * 100)
    elif kind == "folder":
        path.mkdir()
    else:
        file = sqlite3.connect(path)
        file.execute("CREATE TABLE a (b)")
        if kind == "newer":
            file.executescript(f"PRAGMA application_id = {0x65646765}; PRAGMA user_version = 2")
        file.close()
    before = path.read_bytes() if path.is_file() else b""
    for opened in (History, lambda path: archive.at(path, NOON)):
        with pytest.raises(EdgedenseError, match="history"):
            opened(path)
    assert before == (path.read_bytes() if path.is_file() else b"")


def test_moments() -> None:
    assert archive.parse_moment("1970-01-02T00:00:00Z") == DAY
    assert archive.parse_moment("1970-01-02 01:00+01:00") == DAY
    assert archive.parse_end("2026-11-24") - archive.parse_moment("2026-11-24") == DAY
    assert archive.parse_end("2026-11-24 15:30") == archive.parse_moment("2026-11-24 15:30")
    for text in ("", "Tuesday", "24.11.2026"):
        with pytest.raises(EdgedenseError, match="a day or a moment"):
            archive.parse_moment(text)
    with pytest.raises(EdgedenseError, match="no file"):
        archive.at(Path("nowhere"), 0)


def test_old_reports_are_found_without_going_through_all(tmp_path: Path) -> None:
    path = written(tmp_path / "fleet.db", lambda history: None)
    for asked in (f"DELETE FROM reports WHERE {BY_MOMENT} AND moment < 1", archive._REPORTS.replace(":moment", "1")):
        plan = [str(step[3]) for step in rows(path, f"EXPLAIN QUERY PLAN {asked}")]
        assert any("by_moment" in step for step in plan)
        assert not any(step == "SCAN reports" for step in plan)
