"""What is shown of a device."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from edgedense.device.mqtt.messages import Status
from edgedense.device.overview.drift import Deviation
from edgedense.device.overview.rows import row, said
from edgedense.device.overview.state import Device
from edgedense.device.prediction import Prediction
from tests.device.mqtt.test_messages import ABOUT, ALERT, REPORT

NOW = REPORT.stamp.wall + 10
DEVICE = Device(
    "barn-3",
    Status(ABOUT.boot, True),
    about=ABOUT,
    report=REPORT,
    moment=REPORT.stamp.wall,
    heard=NOW,
    alert=ALERT,
    alerted=NOW - 5,
)


@pytest.mark.parametrize(
    ("result", "text"),
    [
        (Prediction((("cow", 0.98),)).to_dict(), "cow 98.0 %"),
        (Prediction(()).to_dict(), "unsure"),
        (Prediction((("mass", 0.8), ("node", 0.6)), independent=True).to_dict(), "mass 80.0 %, node 60.0 %"),
        (Prediction((), (("mass", 0.1),), independent=True).to_dict(), "no finding"),
        (Prediction((("weight", 4.25),), are_values=True, unit="kg").to_dict(), "weight 4.25 kg"),
        (Prediction((("a", 1.0), ("b", 2.0)), are_values=True).to_dict(), "a 1, b 2"),
        (None, "nothing yet"),
        ({"label": "cow", "score": "high"}, "cow"),  # what others send under the same topic
        ({"findings": [1, None]}, "no finding"),
        ({"values": {"a": None}}, "a not a number"),
    ],
)
def test_what_it_sees(result: dict[str, Any] | None, text: str) -> None:
    assert said(result) == text


def test_a_row_has_the_newest_of_each_message() -> None:
    shown = row(DEVICE, NOW, ())
    assert (shown.device, shown.presence, shown.since) == ("barn-3", "there", ABOUT.started)
    assert (shown.model, shown.sha256, shown.sees) == ("barn.tflite", "0123456789abcdef", "cow 98.0 %")
    assert (shown.alert, shown.alerted, shown.temperature) == (ALERT.said, NOW - 5, REPORT.temperature)
    entry = shown.to_dict()
    assert (entry["last"], entry["latency_ms"], entry["drifts"]) == ("2026-11-28T16:00:00.250Z", 12.5, [])
    assert row(Device("new"), NOW).to_dict()["last"] is None


def test_what_a_person_should_look_at() -> None:
    well = replace(DEVICE, report=replace(REPORT, moved=()))
    drift = Deviation("colour", "the colours got paler", 0.4, 1e-9)
    assert row(well, NOW, ()).trouble == ""
    assert row(DEVICE, NOW).trouble == "drifts, says its monitor: brightness"
    assert row(well, NOW, (drift,)).trouble == "drifts against the others: colour"
    assert row(well, NOW + 1000).trouble == "is silent"
    assert row(replace(well, status=Status(ABOUT.boot, False, "stopped")), NOW).trouble == ""
    lost = replace(DEVICE.report or REPORT, camera_lost=True, moved=())
    gone = replace(DEVICE, status=Status(ABOUT.boot, False, "connection lost"), report=lost)
    assert row(gone, NOW).trouble == "is gone; camera lost"
