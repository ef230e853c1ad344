"""The state of a device follows from its messages."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgedense.device.mqtt.messages import Alert, Message, Report, Stamp, Status
from edgedense.device.overview.state import Device, Event, advance
from tests.device.mqtt.test_messages import ABOUT, ALERT, REPORT

NOW = 1795881700.0
NEW = Device("barn-3")
BOOT = ABOUT.boot
ONLINE, GONE = Status(BOOT, True), Status(BOOT, False, "connection lost")


def after(*messages: Message, device: Device = NEW, live: bool = True) -> tuple[Device, list[Event]]:
    """The device after messages that came one second after the other."""
    events: list[Event] = []
    for second, message in enumerate(messages):
        device, more = advance(device, message, NOW + second, live)
        events += more
    return device, events


def report(sequence: int, start: int = 12, boot: str = BOOT, clock: bool | None = True, monotonic: float = 0) -> Report:
    stamp = Stamp(boot, start, sequence, NOW - 1000, clock, monotonic)
    return replace(REPORT, stamp=stamp)


def test_who_is_there_and_since_when() -> None:
    device, events = after(ABOUT, ONLINE, REPORT)
    assert (device.presence(NOW + 10), device.since(NOW + 10)) == ("there", ABOUT.started)
    assert [(event.moment, event.kind) for event in events] == [(NOW + 1, "came")]
    device, events = after(GONE, device=device)
    assert (device.presence(NOW + 10), device.since(NOW + 10)) == ("gone", NOW)
    assert [event.said for event in events] == ["is no longer heard of"]
    device, _ = after(Status(BOOT, False, "stopped"))
    assert device.presence(NOW) == "stopped"
    assert NEW.presence(NOW) == "unknown"
    assert NEW.since(NOW) is None


def test_what_the_broker_kept_is_no_news_and_has_no_time() -> None:
    device, events = after(ABOUT, GONE, REPORT, live=False)
    assert events == []
    assert device.changed is None
    assert device.since(NOW) == REPORT.stamp.wall  # it was last heard of then


def test_a_device_without_farewell_is_silent_after_three_reports() -> None:
    device, _ = after(ABOUT, ONLINE, REPORT)  # a report each 60 s; the last came at NOW + 2
    assert device.presence(NOW + 2 + 3 * 60 + 60) == "there"
    assert device.presence(NOW + 2 + 3 * 60 + 61) == "silent"
    assert device.since(NOW + 1000) == NOW + 2


def test_the_last_will_of_a_connection_that_was_replaced_is_nothing() -> None:
    device, events = after(ONLINE, Status("another boot", True), GONE)
    assert device.status == Status("another boot", True)
    assert [event.said for event in events] == ["is there", "started again"]


def test_an_older_report_changes_nothing() -> None:
    device, _ = after(report(5), report(4), report(9, start=11))
    assert device.report == report(5)
    device, _ = after(report(1, start=13), device=device)
    assert device.report == report(1, start=13)


@pytest.mark.parametrize(
    ("clock", "live", "moment"), [(True, False, NOW - 1000), (False, True, NOW), (None, True, NOW - 1000)]
)
def test_a_clock_is_believed_unless_the_device_does_not(clock: bool | None, live: bool, moment: float) -> None:
    device, _ = after(report(1, clock=clock), live=live)
    assert device.moment == moment


def test_without_a_clock_the_moment_follows_from_a_later_message_of_the_same_boot() -> None:
    unknown, _ = after(report(1, clock=False, monotonic=5), live=False)
    assert unknown.moment is None
    known, _ = after(report(3, clock=True, monotonic=65), device=unknown)  # made at NOW - 1000
    alert = Alert(Stamp(BOOT, 12, 2, 0.0, False, 35), "camera lost", "no frames", {})
    _, events = after(alert, device=known, live=False)
    assert [event.moment for event in events] == [NOW - 1030]


def test_an_alert_and_a_new_model_are_told() -> None:
    device, events = after(ABOUT, ALERT, replace(ABOUT, start=13, model="new.tflite", sha256="f" * 64))
    assert device.alert == ALERT
    assert [event.kind for event in events] == [ALERT.kind, "model"]
    assert events[1].said == "runs new.tflite (ffffffff) in the place of barn.tflite (01234567)"
    assert after(ABOUT, device=device)[0].about == device.about  # an older start
