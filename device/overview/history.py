"""The history of a fleet in a file: what is written into it, as it comes.

SQLite keeps it whole through a power cut or a kill. Of a report that is kept which the table and the drift want, in
about 80 bytes; what devices looked at is kept as one `tally` an hour. Reports are kept for some days, and what
happened (alerts, comings and goings, new models) ten times as long.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgedense.device.monitor.samples import Floats
from edgedense.device.mqtt.messages import HASH, About, Alert, Report, Stamp
from edgedense.device.overview.drift import Past
from edgedense.device.overview.rows import said
from edgedense.device.overview.state import Event
from edgedense.device.overview.tally import outcomes, tally
from edgedense.errors import EdgedenseError

DAY = 24 * 3600.0
USUAL = 7  # days before the last one with which it is compared
KEEP = 30  # days
BY_MOMENT = "device IN (SELECT id FROM devices)"  # with it SQLite goes by the index, and not through all reports
EVENTS = 10  # times as long what happened is kept
_LAYOUT = 1  # of the file
_ID = 0x65646765  # "edge": what SQLite's `application_id` of such a file is
_TABLES = f"""
CREATE TABLE devices (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE boots (
    id INTEGER PRIMARY KEY, device INTEGER NOT NULL, boot TEXT NOT NULL, start INTEGER, offset REAL, sha256 TEXT,
    model TEXT, every REAL, started REAL, version TEXT, board TEXT, source TEXT, UNIQUE (device, boot)
);
CREATE TABLE models (sha256 TEXT PRIMARY KEY, outcomes TEXT NOT NULL);
CREATE TABLE reports (
    boot INTEGER NOT NULL, sequence INTEGER NOT NULL, device INTEGER NOT NULL, moment REAL, monotonic REAL NOT NULL,
    sees TEXT NOT NULL, camera_lost INTEGER NOT NULL, moved TEXT, temperature REAL, fps REAL, latency REAL,
    waiting INTEGER, PRIMARY KEY (boot, sequence)
) WITHOUT ROWID;
CREATE INDEX by_moment ON reports (device, moment);
CREATE TABLE hours (
    hour INTEGER NOT NULL, device INTEGER NOT NULL, sha256 TEXT NOT NULL, tally BLOB NOT NULL,
    PRIMARY KEY (hour, device, sha256)
) WITHOUT ROWID;
CREATE TABLE events (
    id INTEGER PRIMARY KEY, device INTEGER NOT NULL, moment REAL, monotonic REAL, kind TEXT NOT NULL,
    said TEXT NOT NULL, boot INTEGER, sequence INTEGER, UNIQUE (boot, sequence)
);
CREATE INDEX events_by_moment ON events (moment);
PRAGMA application_id = {_ID};
PRAGMA user_version = {_LAYOUT};
"""


@dataclass
class _Boot:
    """A row of `boots`: its `number`, and the `offset` of the device's monotonic clock from Unix time."""

    number: int
    device: int
    offset: float | None


class History:
    """Opens or makes the file. Use it as a context manager, in one thread. Nothing is sure before `commit`.

    Raises EdgedenseError when the file is something else, is used by another collector, or cannot be written.
    """

    def __init__(self, path: Path, keep: float = KEEP) -> None:
        self.path, self._keep = path, keep
        with _told(path):
            self._file = sqlite3.connect(path, timeout=5.0, isolation_level=None)
            check(self._file, path, may_be_new=True)
            self._file.execute("PRAGMA auto_vacuum = INCREMENTAL")  # before anything else is in a new file
            self._file.execute("PRAGMA journal_mode = WAL")  # others read while this writes
            self._file.execute("PRAGMA synchronous = NORMAL")  # a power cut may cost the last seconds, never the file
            if not self._file.execute("PRAGMA user_version").fetchone()[0]:
                self._file.executescript(f"BEGIN; {_TABLES} COMMIT;")
            self._devices = {name: number for number, name in self._file.execute("SELECT id, name FROM devices")}
        self._boots: dict[tuple[str, str], _Boot] = {}
        self._outcomes: dict[str, tuple[str, ...]] = {}
        self._tallies: dict[tuple[int, int, str], Floats] = {}

    def __enter__(self) -> History:
        return self

    def __exit__(self, *_: object) -> None:
        self.commit(everything=True)
        self._file.close()

    def about(self, device: str, about: About) -> None:
        """Keep what a device says of itself at its start."""
        boot, counted = self._boot(device, about.boot), outcomes(about)
        sha256, started = about.sha256[:HASH], None if about.clock_synchronized is False else about.started
        self._write(
            "UPDATE boots SET start = ?, sha256 = ?, model = ?, every = ?, started = ?, version = ?, board = ?, "
            "source = ? WHERE id = ?",
            (
                *(about.start, sha256, about.model, about.every, started),
                *(about.version, about.board, about.source, boot.number),
            ),
        )
        self._outcomes[sha256] = counted
        self._write("INSERT OR REPLACE INTO models VALUES (?, ?)", (sha256, json.dumps(counted, ensure_ascii=False)))

    def report(self, device: str, report: Report, moment: float | None) -> bool:
        """Keep a report that was made at `moment`. False where it was kept before."""
        boot, stamp = self._boot(device, report.stamp.boot), report.stamp
        moment = _known(boot, stamp, moment)
        is_new = self._write(
            "INSERT OR IGNORE INTO reports VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(boot.number, stamp.sequence, boot.device, moment, stamp.monotonic, said(report.result)),
                *(report.camera_lost, " ".join(report.moved) or None, report.temperature, round(report.fps, 2)),
                *(round(report.latency, 6), report.waiting),
            ),
        )
        if is_new and moment is not None:
            self._settle(boot, stamp, moment)
            self._count(boot.device, report, moment)
        return is_new

    def alert(self, device: str, alert: Alert, moment: float | None) -> bool:
        """Keep an alert. False where it was kept before."""
        boot, stamp = self._boot(device, alert.stamp.boot), alert.stamp
        moment = _known(boot, stamp, moment)
        is_new = self._write(
            "INSERT OR IGNORE INTO events (device, moment, monotonic, kind, said, boot, sequence) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            (boot.device, moment, stamp.monotonic, alert.kind, alert.said, boot.number, stamp.sequence),
        )
        if is_new and moment is not None:
            self._settle(boot, stamp, moment)
        return is_new

    def event(self, event: Event) -> None:
        """Keep what happened, where it has no number of its own."""
        values = (self._device(event.device), event.moment, event.kind, event.said)
        self._write("INSERT INTO events (device, moment, kind, said) VALUES (?, ?, ?, ?)", values)

    def recent(self, count: int) -> list[Event]:
        """The newest events whose moment is known, the oldest first."""
        asked = (
            "SELECT devices.name, moment, kind, said FROM events JOIN devices ON devices.id = events.device "
            "WHERE moment NOT NULL ORDER BY moment DESC LIMIT ?"
        )
        with _told(self.path):
            return [Event(*found) for found in reversed(self._file.execute(asked, (count,)).fetchall())]

    def commit(self, *, everything: bool = False) -> None:
        """Make sure of what was kept. Tallies are written with `everything`, which is for once in a while: a kill may
        cost those since. Raises EdgedenseError when the disk does not take it."""
        with _told(self.path):
            if everything:
                self._write_tallies()
            if self._file.in_transaction:
                self._file.execute("COMMIT")

    def trim(self, now: float) -> None:
        """Forget what is too old."""
        self._write_tallies()
        oldest, oldest_event = now - self._keep * DAY, now - EVENTS * self._keep * DAY
        self._write(f"DELETE FROM reports WHERE {BY_MOMENT} AND moment < ?", (oldest,))
        self._write("DELETE FROM hours WHERE hour < ?", (oldest // 3600,))
        self._write("DELETE FROM events WHERE moment < ?", (oldest_event,))
        self.commit()
        with _told(self.path):
            self._file.execute("PRAGMA incremental_vacuum(1000)").fetchall()

    def _write(self, statement: str, values: Iterable[object]) -> bool:
        """Whether a row was written."""
        with _told(self.path):
            if not self._file.in_transaction:
                self._file.execute("BEGIN IMMEDIATE")
            return self._file.execute(statement, tuple(values)).rowcount > 0

    def _device(self, name: str) -> int:
        if name not in self._devices:
            self._write("INSERT INTO devices (name) VALUES (?)", (name,))
            self._devices[name] = self._file.execute("SELECT last_insert_rowid()").fetchone()[0]
        return self._devices[name]

    def _boot(self, device: str, boot: str) -> _Boot:
        found = self._boots.get((device, boot))
        if found is None:
            number = self._device(device)
            self._write("INSERT OR IGNORE INTO boots (device, boot) VALUES (?, ?)", (number, boot))
            asked = "SELECT id, device, offset FROM boots WHERE device = ? AND boot = ?"
            found = self._boots[device, boot] = _Boot(*self._file.execute(asked, (number, boot)).fetchone())
        return found

    def _settle(self, boot: _Boot, stamp: Stamp, moment: float) -> None:
        """Now that one moment of the boot is known, those of earlier messages follow."""
        if boot.offset is not None:
            return
        boot.offset = moment - stamp.monotonic
        self._write("UPDATE boots SET offset = ? WHERE id = ?", (boot.offset, boot.number))
        for table in ("reports", "events"):
            self._write(
                f"UPDATE {table} SET moment = ? + monotonic WHERE boot = ? AND moment IS NULL",
                (boot.offset, boot.number),
            )

    def _count(self, device: int, report: Report, moment: float) -> None:
        key = (int(moment // 3600), device, report.model)
        counted = self._outcomes.get(report.model)
        if counted is None:
            found = self._file.execute("SELECT outcomes FROM models WHERE sha256 = ?", (report.model,)).fetchone()
            if found is None:
                return  # nobody has said what this model's labels are
            counted = self._outcomes[report.model] = tuple(json.loads(found[0]))
        if key not in self._tallies:
            asked = "SELECT tally FROM hours WHERE hour = ? AND device = ? AND sha256 = ?"
            kept = self._file.execute(asked, key).fetchone()
            self._tallies[key] = unpacked(kept[0]) if kept else tally(report, counted) * 0
        self._tallies[key] += tally(report, counted)

    def _write_tallies(self) -> None:
        for key, vector in self._tallies.items():
            self._write("INSERT OR REPLACE INTO hours VALUES (?, ?, ?, ?)", (*key, packed(vector)))
        self._tallies.clear()


def _known(boot: _Boot, stamp: Stamp, moment: float | None) -> float | None:
    return boot.offset + stamp.monotonic if moment is None and boot.offset is not None else moment


def check(file: sqlite3.Connection, path: Path, *, may_be_new: bool = False) -> None:
    """Raise EdgedenseError when the file is not the history of a fleet, or is one of another layout."""
    kind, layout, tables = (
        file.execute(asked).fetchone()[0]
        for asked in ("PRAGMA application_id", "PRAGMA user_version", "SELECT COUNT(*) FROM sqlite_master")
    )
    if may_be_new and not tables:
        return
    if (kind, layout) != (_ID, _LAYOUT):
        found = f"{path}, which has version {layout}" if kind == _ID else f"{path}, which is another database"
        raise EdgedenseError(f"the history of a fleet, version {_LAYOUT}", found, "another file")


def pasts(file: sqlite3.Connection, now: float) -> dict[str, Past]:
    """What each device reported in the last day and in the seven days before it, with the model of its last day."""
    names = dict(file.execute("SELECT id, name FROM devices"))
    counted = {sha256: tuple(json.loads(text)) for sha256, text in file.execute("SELECT sha256, outcomes FROM models")}
    since, until = (now - DAY) // 3600, now // 3600
    recent = _sums(file, since, until, {})
    usual = _sums(file, since - 24 * USUAL, since - 1, {device: sha256 for device, (sha256, _) in recent.items()})
    return {
        names[device]: Past(counted[sha256], usual[device][1], vector)
        for device, (sha256, vector) in recent.items()
        if device in usual and sha256 in counted
    }


def _sums(file: sqlite3.Connection, since: float, until: float, only: dict[int, str]) -> dict[int, tuple[str, Floats]]:
    """The sum of each device's tallies of hours from `since` to `until`, of the model in `only` or else of the last."""
    found: dict[int, tuple[str, Floats]] = {}
    asked = "SELECT device, sha256, tally FROM hours WHERE hour BETWEEN ? AND ? ORDER BY hour"
    for device, sha256, blob in file.execute(asked, (since, until)):
        if only and only.get(device) != sha256:
            continue
        if device in found and found[device][0] == sha256:
            found[device][1].__iadd__(unpacked(blob))
        else:
            found[device] = (sha256, unpacked(blob))
    return found


def packed(vector: Floats) -> bytes:
    """A tally as it is kept. Most of it is zero."""
    return zlib.compress(vector.astype(np.float32).tobytes(), 1)


def unpacked(blob: bytes) -> Floats:
    """The tally again, float64."""
    return np.frombuffer(zlib.decompress(blob), np.float32).astype(np.float64)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """What SQLite says is told as EdgedenseError."""
    try:
        yield
    except sqlite3.Error as error:
        raise EdgedenseError("a file for the history that can be written", f"{path}: {error}") from error
