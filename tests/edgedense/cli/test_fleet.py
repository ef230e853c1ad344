"""`edgedense fleet`: what it asks for, and what it prints."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from edgedense.device.overview.archive import parse_moment
from edgedense.device.overview.history import History
from edgedense.device.overview.state import Event
from tests.device.mqtt.test_messages import ABOUT, REPORT
from tests.edgedense.test_cli import edgedense, succeeded


@pytest.fixture
def history(tmp_path: Path) -> Path:
    """A Tuesday: a report at 15:30 in this machine's time, and a farewell a minute later."""
    path, moment = tmp_path / "fleet.db", parse_moment("2026-11-24 15:30")
    with History(path) as opened:
        opened.about("barn-3", replace(ABOUT, started=parse_moment("2026-11-24 15:00")))
        opened.report("barn-3", replace(REPORT, stamp=replace(REPORT.stamp, wall=moment)), moment)
        opened.event(Event("barn-3", moment + 60, "stopped", "was stopped"))
    return path


def test_how_it_was_at_a_moment(history: Path) -> None:
    told = succeeded("fleet", "--history", history, "--at", "2026-11-24 15:30:30").out
    assert "barn-3" in told
    assert "cow 98.0 %" in told
    assert "2026-11-24 15:00" in told
    assert "barn-3: drifts, says its monitor: brightness" in told
    assert told.endswith("1 devices, 1 there, 1 to look at.\n")
    now = json.loads(succeeded("fleet", "--history", history, "--json").out)["devices"]
    assert [(row["device"], row["presence"], row["drifts"]) for row in now] == [("barn-3", "stopped", None)]


def test_what_happened_on_tuesday(history: Path) -> None:
    told = succeeded("fleet", "--history", history, "--since", "2026-11-24", "--until", "2026-11-24").out
    assert "What happened, 2026-11-24 00:00 to 2026-11-25 00:00" in " ".join(told.split())  # it may go over two lines
    assert "was stopped" in told
    assert "cow 80 %, pig 20 %" in told
    found = json.loads(succeeded("fleet", "--history", history, "--since", "2026-11-24", "--json").out)
    assert [event["said"] for event in found["events"]] == ["was stopped"]
    assert [(one["device"], one["reports"]) for one in found["devices"]] == [("barn-3", 1)]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "a BROKER, or --history FILE"),
        (("mqtt://broker", "--history", "HISTORY", "--at", "2026-11-24"), "no BROKER with --at"),
        (("--history", "HISTORY", "--serve", ":80"), "a BROKER with --serve"),
        (("--history", "HISTORY", "--ca", "ca.pem"), "a BROKER with --ca"),
        (("--history", "HISTORY", "--at", "2026-11-24", "--since", "2026-11-24"), "either --at or --since"),
        (("--history", "HISTORY", "--at", "Tuesday"), "a day or a moment"),
        (("--history", "HISTORY", "--since", "2026-11-24", "--until", "2026-11-23"), "a beginning before the end"),
        (("--history", "nowhere.db"), "no file nowhere.db"),
        (("--at", "2026-11-24"), "--history with --at"),
        (("mqtt://broker", "--serve", ":80", "--json"), "--json without --serve"),
        (("mqtt://broker", "--history", "HISTORY", "--keep", "1"), "at least 9"),
        (("http://broker",), "mqtt://BROKER"),
    ],
)
def test_what_does_not_go_together(history: Path, words: tuple[str, ...], message: str) -> None:
    told = edgedense("fleet", *(str(history) if word == "HISTORY" else word for word in words))
    assert told.code == 2
    assert message in told.err.replace("\n", " ")
