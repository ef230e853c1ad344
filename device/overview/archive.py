"""Reading a history: how the fleet was at one moment, and what happened between two. No broker is asked."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from edgedense.device.board.telemetry import iso
from edgedense.device.mqtt.messages import About, Status
from edgedense.device.overview.drift import Deviation, against_others
from edgedense.device.overview.history import BY_MOMENT, check, pasts, unpacked
from edgedense.device.overview.rows import Row, row
from edgedense.device.overview.state import Device, Event
from edgedense.device.overview.tally import as_counts
from edgedense.errors import EdgedenseError

_PRESENCE = {"came": (True, ""), "stopped": (False, "stopped"), "gone": (False, "connection lost")}
_REPORTS = """
SELECT devices.name, boots.*, reports.* FROM devices
JOIN reports ON reports.device = devices.id AND reports.moment =
    (SELECT MAX(moment) FROM reports AS newest WHERE newest.device = devices.id AND newest.moment <= :moment)
JOIN boots ON boots.id = reports.boot ORDER BY devices.name, boots.start, reports.sequence
"""
_LAST = """
SELECT devices.name, events.kind, events.said, MAX(events.moment) AS moment FROM events
JOIN devices ON devices.id = events.device WHERE events.moment <= :moment AND events.kind {} GROUP BY events.device
"""
_OWN = ("came", "stopped", "gone", "model", "drifts", "as the others")  # kinds of events that no device has sent


@dataclass(frozen=True)
class Stay:
    """What one device did in a period: so many `reports`, the share of them by what was seen, the processor's lowest
    and highest temperature in degrees Celsius, and in what it drifted against the others at the end."""

    device: str
    reports: int
    seen: Mapping[str, float]
    coldest: float | None
    warmest: float | None
    drifts: tuple[Deviation, ...] | None

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        seen = {name: round(share, 4) for name, share in self.seen.items()}
        drifts = None if self.drifts is None else [one.to_dict() for one in self.drifts]
        return {**vars(self), "seen": seen, "drifts": drifts}


@dataclass(frozen=True)
class Period:
    """What happened from `since` to `until`, in seconds of Unix time, in the order of time."""

    since: float
    until: float
    events: tuple[Event, ...]
    devices: tuple[Stay, ...]

    def to_dict(self) -> dict[str, Any]:
        """For JSON. Times are in UTC."""
        return {
            "since": iso(self.since),
            "until": iso(self.until),
            "events": [{**vars(event), "moment": iso(event.moment)} for event in self.events],
            "devices": [device.to_dict() for device in self.devices],
        }


def parse_moment(text: str) -> float:
    """ "2026-11-24", "2026-11-24 15:30" or "2026-11-24T15:30:00Z" -> seconds of Unix time. Without a zone it is this
    machine's time. Raises EdgedenseError."""
    try:
        return datetime.fromisoformat(text.strip().replace("Z", "+00:00").replace("z", "+00:00")).timestamp()
    except (ValueError, OverflowError, OSError):
        raise EdgedenseError("a day or a moment", repr(text), "2026-11-24 or '2026-11-24 15:30'") from None


def is_day(text: str) -> bool:
    """Whether it names a day, without a time."""
    return len(text.strip()) == len("2026-11-24")


def parse_end(text: str) -> float:
    """As `parse_moment`; of a day it is the end."""
    moment = parse_moment(text)
    if is_day(text):
        moment = (datetime.fromtimestamp(moment) + timedelta(days=1)).timestamp()  # 23 to 25 hours
    return moment


def judged(path: Path, moment: float) -> dict[str, tuple[Deviation, ...]]:
    """Who drifted against the others at `moment`, in seconds of Unix time (see `against_others`). Raises EdgedenseError
    when the file is no history."""
    with _opened(path) as file:
        return against_others(pasts(file, moment))


def at(path: Path, moment: float) -> list[Row]:
    """The fleet as it was at `moment`, in seconds of Unix time: all devices that had reported before. Raises
    EdgedenseError when the file is no history."""
    with _opened(path) as file:
        drifts = against_others(pasts(file, moment))
        came = {one["name"]: one for one in _last(file, moment, f"IN {tuple(_PRESENCE)}")}
        alerts = {one["name"]: one for one in _last(file, moment, f"NOT IN {_OWN}")}
        newest = {one["name"]: one for one in file.execute(_REPORTS, {"moment": moment})}
    return [_row(report, came.get(name), alerts.get(name), moment, drifts.get(name)) for name, report in newest.items()]


def between(path: Path, since: float, until: float) -> Period:
    """What happened from `since` to `until`, in seconds of Unix time. Raises EdgedenseError when the file is no
    history, and when the period has no length."""
    if since >= until:
        raise EdgedenseError("a beginning before the end", f"{iso(since)} and {iso(until)}")
    period = {"since": since, "until": until}
    with _opened(path) as file:
        drifts = against_others(pasts(file, until))
        events = file.execute(
            "SELECT devices.name, moment, kind, said FROM events JOIN devices ON devices.id = events.device "
            "WHERE moment >= :since AND moment < :until ORDER BY moment, events.id",
            period,
        ).fetchall()
        stays = file.execute(
            "SELECT devices.name, COUNT(*), MIN(temperature), MAX(temperature) FROM reports JOIN devices "
            f"ON devices.id = reports.device WHERE {BY_MOMENT} AND moment >= :since AND moment < :until "
            "GROUP BY device ORDER BY devices.name",
            period,
        ).fetchall()
        seen = _seen(file, since, until)
    return Period(
        since,
        until,
        tuple(Event(*event) for event in events),
        tuple(Stay(name, n, seen.get(name, {}), low, high, drifts.get(name)) for name, n, low, high in stays),
    )


def _row(
    report: sqlite3.Row,
    came: sqlite3.Row | None,
    alert: sqlite3.Row | None,
    now: float,
    drifts: tuple[Deviation, ...] | None,
) -> Row:
    """A report says that the device was there. Only a farewell after it says otherwise."""
    online, why, changed = True, "", None
    if came is not None and (came["kind"] == "came" or came["moment"] >= report["moment"]):
        (online, why), changed = _PRESENCE[came["kind"]], came["moment"]
    about = None
    if report["sha256"] is not None:
        started, synchronized = (report["started"], True) if report["started"] is not None else (0.0, False)
        about = About(
            boot=report["boot"],
            start=report["start"],
            started=started,
            clock_synchronized=synchronized,
            version=report["version"],
            model=report["model"],
            sha256=report["sha256"],
            labels=(),
            decides="",
            thresholds=(),
            unit="",
            source=report["source"],
            board=report["board"],
            every=report["every"],
        )
    status = Status(report["boot"], online, why)  # type: ignore[arg-type]
    device = Device(report["name"], status, changed, about, moment=report["moment"], heard=report["moment"])
    return replace(
        row(device, now, drifts),
        sees=report["sees"],
        camera_lost=bool(report["camera_lost"]),
        moved=tuple((report["moved"] or "").split()),
        alert=alert["said"] if alert else "",
        alerted=alert["moment"] if alert else None,
        **{name: report[name] for name in ("temperature", "fps", "latency", "waiting")},
    )


def _last(file: sqlite3.Connection, moment: float, kinds: str) -> list[sqlite3.Row]:
    """The last event of each device before `moment`, of these kinds."""
    return file.execute(_LAST.format(kinds), {"moment": moment}).fetchall()


def _seen(file: sqlite3.Connection, since: float, until: float) -> dict[str, dict[str, float]]:
    """Of each device the shares of what was seen in the hours that the period touches, largest first."""
    counted = {sha256: json.loads(text) for sha256, text in file.execute("SELECT sha256, outcomes FROM models")}
    sums: dict[str, dict[str, float]] = {}
    asked = (
        "SELECT devices.name, sha256, tally FROM hours JOIN devices ON devices.id = hours.device "
        "WHERE hour >= ? AND hour * 3600 < ?"
    )
    for name, sha256, blob in file.execute(asked, (since // 3600, until)):
        classes = as_counts(unpacked(blob)).classes
        for outcome, count in zip(counted.get(sha256, ()), classes, strict=False):
            if count:
                found = sums.setdefault(name, {})
                found[outcome] = found.get(outcome, 0.0) + float(count)
    return {name: _shares(found) for name, found in sums.items()}


def _shares(found: Mapping[str, float]) -> dict[str, float]:
    total = sum(found.values())
    return {key: count / total for key, count in sorted(found.items(), key=lambda one: -one[1])}


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    """The file, for reading alone."""
    if not path.is_file():
        raise EdgedenseError("the history of a fleet", f"no file {path}", "edgedense fleet BROKER --history FILE")
    file = None
    try:
        file = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        file.row_factory = sqlite3.Row
        check(file, path)
        yield file
    except sqlite3.Error as error:
        raise EdgedenseError("the history of a fleet", f"{path}: {error}") from error
    finally:
        if file is not None:
            file.close()
