"""`edgedense.fleet` on a history. On a broker it is tested beside the collector, in tests/device/overview."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

import edgedense
from edgedense import EdgedenseError
from edgedense.device.overview.history import History
from edgedense.device.overview.state import Event
from tests.device.mqtt.test_messages import ABOUT, REPORT

REPORTED = datetime(2026, 11, 24, 15, 30)  # on a Tuesday, by the clock of the machine


@pytest.fixture
def history(tmp_path: Path) -> Path:
    """A device that reported once, and took its leave a minute later."""
    path, moment = tmp_path / "fleet.db", REPORTED.timestamp()
    with History(path) as opened:
        opened.about("barn-3", replace(ABOUT, started=moment - 60))
        opened.report("barn-3", replace(REPORT, stamp=replace(REPORT.stamp, wall=moment)), moment)
        opened.event(Event("barn-3", moment + 60, "stopped", "was stopped"))
    return path


@pytest.mark.parametrize(
    ("at", "presence"),
    [
        (REPORTED + timedelta(seconds=30), "there"),
        ("2026-11-24 15:30:30", "there"),
        ((REPORTED + timedelta(seconds=90)).astimezone(timezone(timedelta(hours=5))), "stopped"),
        (None, "stopped"),
    ],
)
def test_how_it_was_at_a_moment(history: Path, at: Any, presence: str) -> None:
    found = edgedense.fleet(history=history, at=at)
    assert isinstance(found, edgedense.Overview)
    assert [(row.device, row.presence, row.sees) for row in found.devices] == [("barn-3", presence, "cow 98.0 %")]
    assert found.to_dict() == {"devices": [row.to_dict() for row in found.devices]}


def test_before_the_first_report_nobody_is_there(history: Path) -> None:
    assert edgedense.fleet(history=str(history), at=date(2026, 11, 24)).devices == ()


@pytest.mark.parametrize(
    ("since", "until", "events"),
    [
        (date(2026, 11, 24), date(2026, 11, 24), ["was stopped"]),  # the whole of the day
        ("2026-11-24", REPORTED + timedelta(seconds=30), []),
        (REPORTED, None, ["was stopped"]),
    ],
)
def test_what_happened_in_a_period(history: Path, since: Any, until: Any, events: list[str]) -> None:
    found = edgedense.fleet(history=history, since=since, until=until)
    assert isinstance(found, edgedense.Period)
    assert [event.said for event in found.events] == events
    assert [(stay.device, stay.reports) for stay in found.devices] == [("barn-3", 1)]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "a BROKER, or --history FILE"),
        ({"broker": "mqtt://broker", "history": "fleet.db"}, "a BROKER to ask, or --history FILE to read; found both"),
        ({"broker": "mqtt://broker", "at": "2026-11-24"}, "no BROKER with --at"),
        ({"history": "fleet.db", "password_file": "password"}, "a BROKER with --password-file"),
        ({"history": "fleet.db", "ca": "ca.pem"}, "a BROKER with --ca"),
        ({"history": "fleet.db", "at": "2026-11-24", "since": "2026-11-24"}, "either --at or --since"),
        ({"history": "fleet.db", "until": "2026-11-24"}, "--since with --until"),
        ({"history": "nowhere.db", "at": "2026-11-24"}, "no file nowhere.db"),
        ({"history": "nowhere.db", "at": "Tuesday"}, "a day or a moment"),
        ({"broker": "mqtt://broker", "password_file": "nowhere"}, "a file that holds the broker's password"),
        ({"broker": "http://broker"}, "mqtt://BROKER or mqtts://BROKER"),
    ],
)
def test_what_does_not_go_together(given: dict[str, Any], message: str) -> None:
    with pytest.raises(EdgedenseError, match=message):
        edgedense.fleet(**given)
