"""The topics and the messages: what a device says over MQTT, and what a reader gets back from it.

A device called DEVICE publishes under a prefix that all devices of a fleet share:

    PREFIX/DEVICE/status    whether it is there: `Status`. Kept by the broker. The last will is one too.
    PREFIX/DEVICE/about     what it is: `About`. Kept by the broker, and sent anew with each start.
    PREFIX/DEVICE/report    what it sees: `Report`. The broker keeps the newest.
    PREFIX/DEVICE/late      a `Report` that could not be sent when it was made, and is no longer news.
    PREFIX/DEVICE/alert     something that a person should know: `Alert`. The broker keeps the newest.
    PREFIX/DEVICE/picture   a JPEG, only where the device was told to send pictures.

Every payload but the picture is one JSON object in UTF-8. Its "v" is VERSION. A reader takes no notice of entries that
it does not know: entries may be added within a version, and a change of what one means is a new version.

Reports and alerts are numbered, and arrive at least once: MQTT repeats a message whose receipt it does not know of.
`Stamp.key` is the same for both copies and for no other message of the device, so that a reader can drop the second.
`Stamp.order` sorts the messages of a device, also where its clock was wrong or was set in between.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeAlias, get_args

from edgedense.device.board.telemetry import iso
from edgedense.errors import EdgedenseError, first_line

VERSION = 1
Name = Literal["status", "about", "report", "late", "alert", "picture"]
NAMES: tuple[Name, ...] = get_args(Name)
Why = Literal["interval", "change", "alert"]
Monitoring = Literal["off", "learning", "watching"]
HASH = 16  # hexadecimal digits of the model's SHA-256 that a report carries; `About` has all 64


@dataclass(frozen=True)
class Topics:
    """The topics of one device. `device` has no / in it, and neither it nor `prefix` holds + or #."""

    prefix: str
    device: str

    def of(self, name: Name) -> str:
        """The topic of one kind of message: "edgedense/barn-3/report"."""
        return f"{self.prefix}/{self.device}/{name}"


def split_topic(prefix: str, topic: str) -> tuple[str, Name] | None:
    """(device, kind of message) of a topic below `prefix`; None for any other topic."""
    if not topic.startswith(f"{prefix}/"):
        return None
    device, _, name = topic[len(prefix) + 1 :].partition("/")
    return next(((device, known) for known in NAMES if device and known == name), None)


@dataclass(frozen=True)
class Stamp:
    """When a message was made, and its place among those of its device.

    `boot` is a random name that the program takes at each start, `start` counts the starts, and `sequence` the messages
    since the start, from 1. `wall` is in seconds of Unix time, right only as far as `clock_synchronized` (None where
    the system does not say). `monotonic` is the same moment in seconds since the system has booted.

    A device without a battery starts with a wrong clock. Where a later message of the same `boot` has a right one, the
    earlier moment is the later `wall` minus the difference of both `monotonic`.
    """

    boot: str
    start: int
    sequence: int
    wall: float
    clock_synchronized: bool | None
    monotonic: float

    @property
    def key(self) -> tuple[str, int]:
        """What no other message of the device has."""
        return self.boot, self.sequence

    @property
    def order(self) -> tuple[int, int]:
        """By this the messages of a device are sorted."""
        return self.start, self.sequence

    def to_dict(self) -> dict[str, Any]:
        """The entries that each numbered message begins with."""
        return {
            "v": VERSION,
            "boot": self.boot,
            "start": self.start,
            "seq": self.sequence,
            "wall": iso(self.wall),
            "clock_synchronized": self.clock_synchronized,
            "monotonic": round(self.monotonic, 3),
        }


@dataclass(frozen=True)
class Status:
    """Whether a device is there. `why` says of one that is not whether it was stopped or is no longer heard of."""

    boot: str
    online: bool
    why: Literal["", "stopped", "connection lost"] = ""

    def to_dict(self) -> dict[str, Any]:
        """For JSON. "state" is a word, for readers that compare words, such as Home Assistant."""
        state = "online" if self.online else "offline"
        return {"v": VERSION, "boot": self.boot, "state": state, **({"why": self.why} if self.why else {})}


@dataclass(frozen=True)
class About:
    """What a device is, and since when: `started` is in seconds of Unix time.

    `model` is the file's name and `sha256` that of its bytes. `decides` is what its scores mean (see
    `edgedense.device.prediction.Rule`), with one of `thresholds` for each of `labels`; None where a class has none.
    `unit` is that of values. `every` is the time between two reports in seconds.
    """

    boot: str
    start: int
    started: float
    clock_synchronized: bool | None
    version: str
    model: str
    sha256: str
    labels: tuple[str, ...]
    decides: str
    thresholds: tuple[float | None, ...]
    unit: str
    source: str
    board: str
    every: float

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"v": VERSION, **vars(self), "started": iso(self.started)}


@dataclass(frozen=True)
class Report:
    """What a device sees, and how it does.

    `why` it was sent: the interval is over, the answer has changed, or there was an alert. `result` is the newest
    answer as `edgedense.device.prediction.Prediction.to_dict` gives it, None before the first frame. Since the last
    report `frames` were classified, and in so many of them each class was `seen`. `sample` holds the newest frame's
    features as the monitor measures them (see `edgedense.device.monitor.samples.FEATURES`).

    `model` is the beginning of the model's SHA-256. `camera_lost` says that no frames come. `monitor` is what the
    monitor does, and `moved` what is no longer as it was when it learned. `temperature` is the processor's in degrees
    Celsius, `fps` the frames a second, `latency` the seconds of the last inference. `waiting` messages were not yet
    sent when this one was made, and `given_up` were thinned out since the outbox was made.
    """

    stamp: Stamp
    why: Why
    result: Mapping[str, Any] | None
    frames: int
    seen: Mapping[str, int]
    sample: Mapping[str, float]
    model: str
    camera_lost: bool
    monitor: Monitoring
    moved: tuple[str, ...]
    temperature: float | None
    fps: float
    latency: float
    waiting: int
    given_up: int

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        own = {key: value for key, value in vars(self).items() if key not in ("stamp", "latency")}
        return {
            **self.stamp.to_dict(),
            **own,
            "sample": {name: round(value, 3) for name, value in self.sample.items()},
            "temperature": None if self.temperature is None else round(self.temperature, 1),
            "fps": round(self.fps, 2),
            "latency_ms": round(self.latency * 1e3, 3),
        }


@dataclass(frozen=True)
class Alert:
    """Something that a person should know, in one sentence: `said`.

    `kind` is "drift", "camera lost" or "camera back"; a reader shows one that it does not know as it is. `details` of
    drift are what moved, as in `edgedense.device.monitor.drift.Alert.to_dict`.
    """

    stamp: Stamp
    kind: str
    said: str
    details: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**self.stamp.to_dict(), "alert": self.kind, "said": self.said, "details": self.details}


Message: TypeAlias = Status | About | Report | Alert


def encode(message: Message | Mapping[str, Any]) -> bytes:
    """The payload: compact JSON. A number that JSON cannot hold becomes null."""
    entries = message if isinstance(message, Mapping) else message.to_dict()
    return json.dumps(_finite(entries), ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def decode(name: Name, payload: bytes) -> Message:
    """The message of that kind, which is any but the picture. Raises EdgedenseError when the payload is none of this
    version."""
    reader = _READERS[name]
    try:
        entries = json.loads(payload)
        if not isinstance(entries, dict):
            raise ValueError("no JSON object")
        if entries.get("v") != VERSION:
            raise ValueError(f"version {entries.get('v')!r}")
        return reader(entries)
    except KeyError as error:
        raise EdgedenseError(f"a {name} message of version {VERSION}", f"one without {error}") from error
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise EdgedenseError(f"a {name} message of version {VERSION}", first_line(error)) from error


def _status(entries: Mapping[str, Any]) -> Status:
    return Status(
        _text(entries["boot"]),
        _one_of(entries["state"], ("online", "offline")) == "online",
        _one_of(entries.get("why", ""), ("", "stopped", "connection lost")),
    )


def _about(entries: Mapping[str, Any]) -> About:
    return About(
        boot=_text(entries["boot"]),
        start=_count(entries["start"]),
        started=_moment(entries["started"]),
        clock_synchronized=_flag(entries["clock_synchronized"]),
        version=_text(entries["version"]),
        model=_text(entries["model"]),
        sha256=_text(entries["sha256"]),
        labels=tuple(map(_text, _list(entries["labels"]))),
        decides=_text(entries["decides"]),
        thresholds=tuple(map(_number_or_none, _list(entries["thresholds"]))),
        unit=_text(entries["unit"]),
        source=_text(entries["source"]),
        board=_text(entries["board"]),
        every=_number(entries["every"]),
    )


def _report(entries: Mapping[str, Any]) -> Report:
    result = entries["result"]
    return Report(
        stamp=_stamp(entries),
        why=_one_of(entries["why"], get_args(Why)),
        result=None if result is None else dict(result.items()),
        frames=_count(entries["frames"]),
        seen={_text(label): _count(frames) for label, frames in entries["seen"].items()},
        sample={_text(name): _number(value) for name, value in entries["sample"].items()},
        model=_text(entries["model"]),
        camera_lost=bool(_flag(entries["camera_lost"])),
        monitor=_one_of(entries["monitor"], get_args(Monitoring)),
        moved=tuple(map(_text, _list(entries["moved"]))),
        temperature=_number_or_none(entries["temperature"]),
        fps=_number(entries["fps"]),
        latency=_number(entries["latency_ms"]) / 1e3,
        waiting=_count(entries["waiting"]),
        given_up=_count(entries["given_up"]),
    )


def _alert(entries: Mapping[str, Any]) -> Alert:
    said, details = _text(entries["said"]), dict(entries["details"].items())
    return Alert(_stamp(entries), _text(entries["alert"]), said, details)


def _stamp(entries: Mapping[str, Any]) -> Stamp:
    return Stamp(
        _text(entries["boot"]),
        _count(entries["start"]),
        _count(entries["seq"]),
        _moment(entries["wall"]),
        _flag(entries["clock_synchronized"]),
        _number(entries["monotonic"]),
    )


_READERS: Mapping[Name, Callable[[Mapping[str, Any]], Message]] = {
    "status": _status,
    "about": _about,
    "report": _report,
    "late": _report,
    "alert": _alert,
}


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} in the place of a text")
    return value


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:  # SQLite's largest integer
        raise ValueError(f"{value!r} in the place of a count")
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"{value!r} in the place of a number")
    return float(value)


def _number_or_none(value: Any) -> float | None:
    return None if value is None else _number(value)


def _flag(value: Any) -> bool | None:
    if value is not None and not isinstance(value, bool):
        raise ValueError(f"{value!r} in the place of true, false or null")
    return value


def _list(value: Any) -> Sequence[Any]:
    if not isinstance(value, list):
        raise ValueError(f"{value!r} in the place of a list")
    return value


def _one_of(value: Any, known: tuple[str, ...]) -> Any:
    if value not in known:
        raise ValueError(f"{value!r} in the place of one of {', '.join(known)}")
    return value


def _moment(value: Any) -> float:
    text = _text(value)
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", text):
        raise ValueError(f"{text!r} in the place of a time")
    return datetime.fromisoformat(f"{text[:-1]}+00:00").timestamp()


def _finite(value: Any) -> Any:
    """Numbers that are not finite, such as a model's values may be, become None."""
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
