"""The state of a device, made out of its messages: whether it is there, since when, which model, what it sees.

Everything here is a function of messages and of the times at which they came. Nothing asks a clock.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from edgedense.device.mqtt.messages import About, Alert, Message, Report, Stamp, Status

Presence = Literal["there", "silent", "stopped", "gone", "unknown"]
MISSED = 3  # reports in a row; without so many a device that said no farewell is called silent
PATIENCE = 60.0  # seconds that are granted to it besides


@dataclass(frozen=True)
class Event:
    """Something that happened to a device at `moment`, in seconds of Unix time, in one sentence: `said`."""

    device: str
    moment: float
    kind: str
    said: str


@dataclass(frozen=True)
class Anchor:
    """What a device's clock says: `moment - monotonic` of a message whose moment is known, for one `boot`."""

    boot: str
    offset: float


@dataclass(frozen=True)
class Device:
    """What is known of a device. `changed` is when `status` last changed, None where nobody saw it change. `heard` is
    when its newest report came, `moment` when that was made; both are in seconds of Unix time."""

    name: str
    status: Status | None = None
    changed: float | None = None
    about: About | None = None
    report: Report | None = None
    moment: float | None = None
    heard: float | None = None
    alert: Alert | None = None
    alerted: float | None = None
    anchor: Anchor | None = None

    def presence(self, now: float) -> Presence:
        """Whether it is there. "stopped": it took its leave. "gone": the connection broke off. "silent": it should be
        there, and its reports do not come."""
        if self.status is None:
            return "unknown"
        if not self.status.online:
            return "stopped" if self.status.why == "stopped" else "gone"
        every = self.about.every if self.about else 0.0
        return "silent" if self.heard is not None and now - self.heard > MISSED * every + PATIENCE else "there"

    def since(self, now: float) -> float | None:
        """Since when that is so, in seconds of Unix time; None where it cannot be told."""
        presence = self.presence(now)
        if presence == "silent":
            return self.heard
        if presence == "there" and self.about and self.about.clock_synchronized is not False:
            return self.about.started
        return self.changed if self.changed is not None else self.moment


def moment_of(device: Device, stamp: Stamp, received: float, is_live: bool) -> tuple[float | None, Anchor | None]:
    """(when a message was made, what is now known of the device's clock).

    A clock is believed unless the device says that it is not synchronized. Without one, a message that came as soon as
    it was made (`is_live`) was made when it was `received`. For any other the moment follows from a message of the same
    boot whose moment is known: both have a monotonic clock. None where there is no such message yet.
    """
    if stamp.clock_synchronized is not False:
        return stamp.wall, Anchor(stamp.boot, stamp.wall - stamp.monotonic)
    if device.anchor is not None and device.anchor.boot == stamp.boot:
        return device.anchor.offset + stamp.monotonic, device.anchor
    if is_live:
        return received, Anchor(stamp.boot, received - stamp.monotonic)
    return None, device.anchor


def advance(device: Device, message: Message, received: float, is_live: bool) -> tuple[Device, tuple[Event, ...]]:
    """(the device after a message that came at `received`, what happened by it).

    `is_live` says that the message was made just now: it is neither one that the broker had kept, nor a late one.
    Messages that a device made earlier than the one that is known change nothing but the history.
    """
    if isinstance(message, Status):
        return _with_status(device, message, received, is_live)
    if isinstance(message, About):
        return _with_about(device, message, received)
    moment, anchor = moment_of(device, message.stamp, received, is_live)
    device = replace(device, anchor=anchor)
    if isinstance(message, Alert):
        if device.alert is None or message.stamp.order > device.alert.stamp.order:
            device = replace(device, alert=message, alerted=moment)
        return device, (Event(device.name, received if moment is None else moment, message.kind, message.said),)
    is_newer = device.report is None or message.stamp.order >= device.report.stamp.order
    if is_newer:
        heard = received if is_live else moment
        device = replace(device, report=message, moment=moment, heard=heard if heard is not None else device.heard)
    return device, ()


def _with_status(device: Device, status: Status, received: float, is_live: bool) -> tuple[Device, tuple[Event, ...]]:
    before = device.status
    if before == status:
        return device, ()
    if before is not None and status.boot != before.boot and not status.online and before.online:
        return device, ()  # the last will of a connection that the device has replaced by a new one since
    changed = received if is_live else None
    device = replace(device, status=status, changed=changed)
    if not is_live or (before is not None and before.online == status.online and before.boot == status.boot):
        return device, ()
    if status.online:
        again = before is not None and before.online
        event = Event(device.name, received, "came", "started again" if again else "is there")
    else:
        kind, said = ("stopped", "was stopped") if status.why == "stopped" else ("gone", "is no longer heard of")
        event = Event(device.name, received, kind, said)
    return device, (event,)


def _with_about(device: Device, about: About, received: float) -> tuple[Device, tuple[Event, ...]]:
    before = device.about
    if before is not None and about.start < before.start:
        return device, ()
    device = replace(device, about=about)
    if before is None or before.sha256 == about.sha256:
        return device, ()
    said = f"runs {about.model} ({about.sha256[:8]}) in the place of {before.model} ({before.sha256[:8]})"
    return device, (Event(device.name, received, "model", said),)
