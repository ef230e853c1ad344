"""Messages in, rows out: what the page shows, and what the history keeps of it."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest

from edgedense.device.mqtt.messages import Alert, Message, Name, Stamp, Status, Topics, encode
from edgedense.device.overview import archive
from edgedense.device.overview import fleet as fleet_module
from edgedense.device.overview.drift import Deviation
from edgedense.device.overview.fleet import Fleet
from edgedense.device.overview.history import History
from edgedense.device.overview.judging import Judge
from tests.device.mqtt.test_messages import ABOUT, REPORT

NOW = REPORT.stamp.wall + 1
TOPICS = Topics("farm/barns", "barn-3")
ONLINE = Status(ABOUT.boot, True)


def take(fleet: Fleet, name: Name, message: Message, received: float = NOW, *, retained: bool = False) -> None:
    fleet.take(TOPICS.of(name), encode(message), received, retained)


def greeted(history: History | None = None, judge: Judge | None = None) -> Fleet:
    fleet = Fleet("farm/barns", history, judge)
    for name, message in (("about", ABOUT), ("status", ONLINE), ("report", REPORT)):
        take(fleet, name, message)  # type: ignore[arg-type]
    fleet.look(NOW)
    return fleet


def test_only_what_has_changed_is_told_again() -> None:
    fleet = greeted()
    first = fleet.shown()
    assert [row.device for row in first.rows] == ["barn-3"]
    assert [event.said for event in first.events or ()] == ["is there"]
    fleet.look(NOW + 1)
    assert fleet.shown(first.version) == fleet_module.Shown(first.version, (), (), None)
    take(fleet, "report", replace(REPORT, stamp=replace(REPORT.stamp, sequence=346), fps=4.0))
    fleet.look(NOW + 2)
    again = fleet.shown(first.version)
    assert ([row.fps for row in again.rows], again.events) == ([4.0], None)
    fleet.look(NOW + 1000)  # it has become silent, by time alone
    assert [row.presence for row in fleet.shown(again.version).rows] == ["silent"]


def test_a_device_whose_status_is_taken_back_is_gone_from_the_page() -> None:
    fleet = greeted()
    version = fleet.shown().version
    fleet.take(TOPICS.of("status"), b"", NOW, False)
    assert fleet.shown(version).left == ("barn-3",)
    assert fleet.shown().rows == ()
    take(fleet, "status", ONLINE)
    fleet.look(NOW)
    assert fleet.shown(version).left == ()


def test_what_is_no_message_is_left_aside_and_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    fleet = Fleet("farm/barns")
    with caplog.at_level(logging.WARNING, "edgedense"):
        for topic in ("farm/barns/barn-3/report", "farm/barns/barn-3/picture", "farm/other/report", "farm/barns/a/b/c"):
            fleet.take(topic, b"\xff", NOW, False)
            fleet.take(topic, b"\xff", NOW, False)
        fleet.take("farm/barns/barn-3/about", b"", NOW, False)
    fleet.look(NOW)
    assert fleet.shown().rows == ()
    assert [record.message.partition(":")[0] for record in caplog.records] == ["farm/barns/barn-3/report is left aside"]


def test_a_message_that_comes_twice_happens_once(tmp_path: Path) -> None:
    alert = Alert(Stamp(ABOUT.boot, 12, 400, NOW, True, 100.0), "drift", "it got dark", {})
    with History(tmp_path / "fleet.db") as history:
        fleet = greeted(history)
        for _ in range(2):
            take(fleet, "report", REPORT)
            take(fleet, "alert", alert)
    with History(tmp_path / "fleet.db") as history:  # the next collector gets what the broker had kept
        fleet = Fleet("farm/barns", history)
        take(fleet, "alert", alert, NOW + 100, retained=True)
        take(fleet, "report", REPORT, NOW + 100, retained=True)
        fleet.look(NOW + 100)
        assert [event.said for event in fleet.shown().events or ()] == ["it got dark", "is there"]
    period = archive.between(tmp_path / "fleet.db", NOW - 100, NOW + 200)
    assert [event.said for event in period.events] == ["is there", "it got dark"]
    assert [stay.reports for stay in period.devices] == [1]


def test_late_reports_are_kept_where_they_belong(tmp_path: Path) -> None:
    late = replace(REPORT, stamp=replace(REPORT.stamp, sequence=100, wall=NOW - 3000, monotonic=-2940.0))
    with History(tmp_path / "fleet.db") as history:
        fleet = greeted(history)
        take(fleet, "late", late)
        assert fleet.shown().rows[0].last == REPORT.stamp.wall
    assert archive.at(tmp_path / "fleet.db", NOW - 2000)[0].last == pytest.approx(NOW - 3000, abs=0.01)


class Said:
    """A judge that answers what a test wants, once for each time that it is asked."""

    def __init__(self, found: dict[str, tuple[Deviation, ...]]) -> None:
        self.found, self.begun = found, False

    def begin(self, now: float) -> None:
        self.begun = True

    def answer(self) -> dict[str, tuple[Deviation, ...]] | None:
        begun, self.begun = self.begun, False
        return dict(self.found) if begun else None


def test_who_begins_to_drift_against_the_others_is_told_once(tmp_path: Path) -> None:
    found: dict[str, tuple[Deviation, ...]] = {"barn-3": ()}
    with History(tmp_path / "fleet.db") as history:
        fleet = greeted(history, Said(found))
        assert fleet.shown().rows[0].drifts == ()
        found["barn-3"] = (Deviation("brightness", "it got dark", 0.5, 1e-9),)
        for later in (1, 2):
            fleet.look(NOW + later * fleet_module.JUDGE_EVERY)
        assert fleet.shown().rows[0].trouble == "is silent; drifts against the others: brightness; " + (
            "drifts, says its monitor: brightness"
        )
        found["barn-3"] = ()
        fleet.look(NOW + 3 * fleet_module.JUDGE_EVERY)
        told = [event.said for event in fleet.shown().events or ()]
        assert told == ["is as the others again", "it got dark", "is there"]
