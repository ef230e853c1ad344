"""All devices below one prefix: takes their messages in, and tells how the fleet is.

Nothing here knows of a network. One thread takes messages in; what the page shows is read by others.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field

from edgedense.device.mqtt.messages import About, Alert, Message, Report, decode, split_topic
from edgedense.device.overview.history import History
from edgedense.device.overview.judging import Judge, Judged
from edgedense.device.overview.numbers import Numbers
from edgedense.device.overview.rows import Row, row
from edgedense.device.overview.state import Device, Event, advance
from edgedense.errors import EdgedenseError
from edgedense.notes import LOG

RECENT = 50  # events that the page shows
JUDGE_EVERY = 600.0  # seconds between two looks at who drifts
TRIM_EVERY = 3600.0


@dataclass(frozen=True)
class Shown:
    """What a reader of the page gets: rows that have changed since it asked last, names that are no longer there, and
    the newest events, the newest first, or None where there is no new one. `version` is what to ask with next."""

    version: int
    rows: tuple[Row, ...]
    left: tuple[str, ...]
    events: tuple[Event, ...] | None


@dataclass
class _Entry:
    """A device, the numbers of its messages that have come, and how it is shown. `is_stale`: more is known by now."""

    device: Device
    numbers: Numbers = field(default_factory=Numbers)
    row: Row | None = None
    is_stale: bool = True
    version: int = 0


class Fleet:
    """The devices below `prefix`. `history` keeps what they say, and `judge` says by it who drifts against the others.

    `take` and `look` belong to one thread, `shown` to any.
    """

    def __init__(self, prefix: str, history: History | None = None, judge: Judge | None = None) -> None:
        self._prefix, self._history, self._judge = prefix, history, judge
        self._entries: dict[str, _Entry] = {}
        self._drifts: Judged | None = None
        self._judged_at = self._trimmed_at = float("-inf")
        self._strange: set[str] = set()
        self._lock = threading.Lock()
        self._version = self._told = 0  # and the version of the newest event
        self._events: deque[Event] = deque(history.recent(RECENT) if history else (), RECENT)
        self._left: dict[str, int] = {}

    def take(self, topic: str, payload: bytes, received: float, retained: bool) -> None:
        """A message that came at `received`, in seconds of Unix time; `retained` where the broker had kept it. What is
        none of a device's is left aside."""
        found = split_topic(self._prefix, topic)
        if found is None or found[1] == "picture":
            return
        name, kind = found
        if not payload:  # so a retained message is taken back
            if kind == "status" and not retained:
                self._forget(name)
            return
        try:
            message = decode(kind, payload)
        except EdgedenseError as error:
            if topic not in self._strange and len(self._strange) < RECENT:
                self._strange.add(topic)
                LOG.warning(f"{topic} is left aside: {error}")
            return
        self._advance(name, message, received, is_live=not retained and kind != "late")

    def look(self, now: float) -> None:
        """Bring what is shown up to date, which time alone may change, and once in a while have it judged who
        drifts."""
        if self._judge is not None and now - self._judged_at >= JUDGE_EVERY:
            self._judged_at = now
            self._judge.begin(now)
        if self._judge is not None and (judged := self._judge.answer()) is not None:
            self._tell_drifts(judged, now)
        if self._history is not None and now - self._trimmed_at >= TRIM_EVERY:
            self._trimmed_at = now
            self._history.trim(now)
        changed = {}
        for name, entry in self._entries.items():
            # Of a thousand devices few have said anything since. To make all rows anew would hold up the page.
            if entry.is_stale or entry.row is None or entry.device.presence(now) != entry.row.presence:
                entry.is_stale = False
                if (shown := self._row(entry, now)) != entry.row:
                    changed[name] = shown
        if changed:
            for shown in changed.values():
                _ = shown.json  # made here, so that who asks for the page need not wait for it
            with self._lock:
                self._version += 1
                for name, shown in changed.items():
                    self._entries[name].row, self._entries[name].version = shown, self._version

    @property
    def version(self) -> int:
        """Grows whenever something that is shown has changed."""
        return self._version

    def shown(self, since: int = 0) -> Shown:
        """What has changed since version `since`, as it was at the last `look`."""
        with self._lock:
            rows = [e.row for e in self._entries.values() if e.version > since and e.row is not None]
            left = tuple(name for name, version in self._left.items() if version > since)
            events = tuple(reversed(self._events)) if self._told > since or not since else None
            return Shown(self._version, tuple(sorted(rows, key=lambda one: one.device)), left, events)

    def _advance(self, name: str, message: Message, received: float, is_live: bool) -> None:
        entry = self._entries.get(name)
        if entry is None:
            entry = _Entry(Device(name))
            with self._lock:
                self._entries[name] = entry
                self._left.pop(name, None)
        if isinstance(message, (Report, Alert)) and not entry.numbers.is_new(
            message.stamp.boot, message.stamp.sequence
        ):
            return
        entry.is_stale = True
        entry.device, events = advance(entry.device, message, received, is_live)
        if self._history is not None:
            events = self._keep(self._history, entry.device, message, received, is_live, events)
        self._tell(events)

    def _keep(
        self,
        history: History,
        device: Device,
        message: Message,
        received: float,
        is_live: bool,
        events: tuple[Event, ...],
    ) -> tuple[Event, ...]:
        """Write it into the history, and give those of `events` that are news to it."""
        if isinstance(message, About):
            history.about(device.name, message)
        if isinstance(message, (Report, Alert)):
            anchor = device.anchor
            moment = anchor.offset + message.stamp.monotonic if anchor and anchor.boot == message.stamp.boot else None
            if isinstance(message, Report):
                history.report(device.name, message, moment)
                return events
            return events if history.alert(device.name, message, moment) else ()
        for event in events:
            history.event(event)
        return events

    def _tell(self, events: tuple[Event, ...]) -> None:
        if events:
            with self._lock:
                self._version += 1
                self._told = self._version
                self._events.extend(events)

    def _row(self, entry: _Entry, now: float) -> Row:
        return row(entry.device, now, (self._drifts or {}).get(entry.device.name))

    def _forget(self, name: str) -> None:
        with self._lock:
            if self._entries.pop(name, None) is not None:
                self._version += 1
                self._left[name] = self._version

    def _tell_drifts(self, judged: Judged, now: float) -> None:
        before, self._drifts = self._drifts, judged
        for entry in self._entries.values():
            entry.is_stale = True
        if before is None:
            return  # at the start it is not known since when
        for name, found in judged.items():
            if [one.feature for one in found] == [one.feature for one in before.get(name, ())]:
                continue
            said = "; ".join(dict.fromkeys(one.said for one in found)) or "is as the others again"
            event = Event(name, now, "drifts" if found else "as the others", said)
            if self._history is not None:
                self._history.event(event)
            self._tell((event,))
