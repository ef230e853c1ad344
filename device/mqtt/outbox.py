"""The outbox: messages that the broker has not yet confirmed, in a file that a power cut does not harm.

A message is in it before it is sent for the first time, and leaves it when the broker has confirmed it. When the file
is full, reports that came with the time go first: of the oldest half every second one, so that an outage is told of in
coarser steps rather than cut off. Then go reports of a change, in the same way, and alerts last.

A disk that fails must not end the run: messages are then kept in memory, under the same rules.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sqlite3
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import TypeVar

from edgedense.device.mqtt.messages import Name
from edgedense.errors import EdgedenseError

T = TypeVar("T")

MB = 10**6
_LAYOUT = 1  # of the file; another one is put aside
_ROW = 60  # bytes that a row takes besides its payload
_FILLED = 0.5  # of the cap may be messages: SQLite's pages are from a third to all full
_IN_MEMORY = 4 * MB  # of messages, when the disk fails
_TABLES = (
    "CREATE TABLE kept (id INTEGER PRIMARY KEY AUTOINCREMENT, rank INTEGER, name TEXT, boot TEXT, "
    "monotonic REAL, payload BLOB)",
    "CREATE INDEX by_rank ON kept (rank, id)",
    "CREATE TABLE counts (name TEXT PRIMARY KEY, value INTEGER)",
    "INSERT INTO counts VALUES ('starts', 0), ('given up', 0)",
    f"PRAGMA user_version = {_LAYOUT}",
)
_NO_ROOM = ("database or disk is full", "disk I/O error")
_SIZE = f"LENGTH(payload) + {_ROW}"
_THIN = """
DELETE FROM kept WHERE id IN (
    SELECT id FROM (SELECT id, ROW_NUMBER() OVER (ORDER BY id) AS place FROM kept WHERE rank = ?)
    WHERE place <= ? AND place % 2 = 1
)
"""


class Rank(IntEnum):
    """What is given up first."""

    INTERVAL = 0
    CHANGE = 1
    ALERT = 2


@dataclass(frozen=True)
class Letter:
    """A message as it waits: `payload` is published as the kind `name`, and was made at `monotonic` seconds of the
    start `boot`."""

    rank: Rank
    name: Name
    boot: str
    monotonic: float
    payload: bytes


@dataclass(frozen=True)
class Kept:
    """A letter in the outbox, and the number that it is struck off by."""

    number: int
    letter: Letter


class Outbox:
    """The letters of one device, for several threads. `cap` is the most bytes that the file may take.

    `start` counts the starts of this outbox, from 1. `report` is called with a sentence when the disk fails and when it
    is back. Raises EdgedenseError when `path` cannot be opened, or another run has it; a damaged file is put aside.
    """

    def __init__(self, path: Path, cap: float, report: Callable[[str], None]) -> None:
        self._report, self._lock = report, threading.RLock()
        self._sent: set[int] = set()  # that a failing disk still has
        self._is_failing = self._is_closed = False
        self._disk, self._memory = _open(path, _FILLED * cap, report), _Table(":memory:", _IN_MEMORY)
        self.start = self._try(self._disk.add_start) or self._disk.starts + 1
        self._waiting = self._disk.waiting

    @property
    def waiting(self) -> int:
        """How many letters there are. Another thread's change that the disk has not taken yet does not count: nobody
        waits for the disk here."""
        return self._waiting

    @property
    def given_up(self) -> int:
        """How many were thinned out since the file was made."""
        return self._disk.given_up + self._memory.given_up

    def put(self, letters: Sequence[Letter]) -> None:
        """Keep them: on return they survive a power cut, unless the disk fails."""
        with self._lock:
            if not self._is_closed and self._try(lambda: self._disk.put(letters)) is None:
                self._memory.put(letters)
            self._count()

    def oldest(self, limit: int, but: Iterable[int] = ()) -> list[Kept]:
        """Up to `limit` letters, those that have waited longest first, without those of the numbers `but`."""
        with self._lock:
            if self._is_closed:
                return []
            out = {*but, *self._sent}
            on_disk = self._try(lambda: self._disk.oldest(limit, out), writes=False) or []
            negative = {-number for number in out if number < 0}
            in_memory = self._memory.oldest(limit - len(on_disk), negative)
            return on_disk + [Kept(-kept.number, kept.letter) for kept in in_memory]

    def remove(self, numbers: Iterable[int]) -> None:
        """Strike off the letters of these numbers: the broker has them."""
        with self._lock:
            if self._is_closed:  # the broker's word came too late: the next start sends those letters again
                return
            numbers = tuple(numbers)
            self._memory.remove([-number for number in numbers if number < 0])
            self._sent.update(number for number in numbers if number > 0)
            if self._sent and self._try(lambda: self._disk.remove(tuple(self._sent))) is not None:
                self._sent.clear()
            self._count()

    def _count(self) -> None:
        self._waiting = self._disk.waiting + self._memory.waiting - len(self._sent)

    def close(self) -> None:
        """What was not sent waits for the next start; what a failing disk did not take is lost."""
        with self._lock:
            self._is_closed = True
            for kept in self._memory.oldest(self._memory.waiting, ()):
                if self._try(functools.partial(self._disk.put, [kept.letter])) is None:
                    break
            self._disk.close()
            self._memory.close()

    def _try(self, work: Callable[[], T], *, writes: bool = True) -> T | None:
        """What `work` gives, or None when the disk fails. A full one can be read."""
        try:
            given = work()
        except sqlite3.Error as error:
            if not self._is_failing:
                self._report(f"the outbox fails ({error}): what cannot be sent is kept in memory until it works again")
            self._is_failing = True
            return None
        if self._is_failing and writes:
            self._report("the outbox works again")
            self._is_failing = False
        return given


def _open(path: Path, limit: float, report: Callable[[str], None]) -> _Table:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EdgedenseError(
            "a folder for the outbox", f"{path.parent}: {error.strerror}", "--mqtt-outbox FILE"
        ) from error
    try:
        return _Table(path, limit)
    except sqlite3.OperationalError as error:
        if str(error) in _NO_ROOM:
            report(f"the outbox {path} cannot be made ({error}): what cannot be sent is kept in memory")
            return _Table(":memory:", _IN_MEMORY)
        raise EdgedenseError(
            "an outbox that can be written, and that no other run uses",
            f"{path}: {error}",
            "--mqtt-outbox FILE, and for a second camera --mqtt-name NAME",
        ) from error
    except sqlite3.DatabaseError as error:
        report(f"the outbox {path} cannot be read ({error}): it is now {path.name}.damaged, and a new one was made")
        _put_aside(path)
        return _Table(path, limit)


def _put_aside(path: Path) -> None:
    try:
        os.replace(path, path.with_name(f"{path.name}.damaged"))
        for rest in ("-wal", "-journal"):  # they belong to what was put aside, and would damage the new one
            path.with_name(path.name + rest).unlink(missing_ok=True)
    except OSError as error:
        raise EdgedenseError("to put a damaged outbox aside", f"{path}: {error.strerror}", "delete it") from error


class _Table:
    """Letters in one SQLite database. Its methods raise sqlite3.Error when the disk fails, and have then done nothing.

    `waiting` letters are in it, `given_up` were thinned out of it, and it was started so many times: `starts`.
    """

    def __init__(self, path: Path | str, limit: float) -> None:
        self._limit = limit
        self._database = sqlite3.connect(path, timeout=1.0, isolation_level=None, check_same_thread=False)
        try:
            self._prepare()
        except BaseException:
            self._database.close()
            raise

    def _prepare(self) -> None:
        # Nobody else needs the file, and without shared memory it can lie on any file system.
        self._do("PRAGMA locking_mode = EXCLUSIVE")
        self._do("PRAGMA journal_mode = WAL")
        self._do("PRAGMA synchronous = FULL")  # what was put in survives a power cut
        self._do("PRAGMA wal_autocheckpoint = 64")  # pages
        layout = self._number("PRAGMA user_version")
        if layout not in (0, _LAYOUT):
            raise sqlite3.DatabaseError(f"its layout is {layout}, not {_LAYOUT}")
        if layout == 0:  # a full disk can still be read: what needs not be written is not
            with self._transaction():
                for statement in _TABLES:
                    self._do(statement)
        self._count()

    def _do(self, statement: str, *values: object) -> sqlite3.Cursor:
        return self._database.execute(statement, values)

    def _number(self, query: str, *values: object) -> int:
        return int(self._do(query, *values).fetchone()[0])

    def _count(self) -> None:
        self.waiting = self._number("SELECT COUNT(*) FROM kept")
        self._size = self._number(f"SELECT COALESCE(SUM({_SIZE}), 0) FROM kept")
        query = "SELECT value FROM counts WHERE name = ?"
        self.given_up, self.starts = (self._number(query, name) for name in ("given up", "starts"))

    def add_start(self) -> int:
        """Count a start: which one it is."""
        self._do("UPDATE counts SET value = value + 1 WHERE name = 'starts'")
        self.starts += 1
        return self.starts

    def put(self, letters: Iterable[Letter]) -> bool:
        """All of them, or none."""
        with self._transaction():
            for letter in letters:
                values = (int(letter.rank), letter.name, letter.boot, letter.monotonic, letter.payload)
                self._do("INSERT INTO kept (rank, name, boot, monotonic, payload) VALUES (?, ?, ?, ?, ?)", *values)
                self.waiting += 1
                self._size += len(letter.payload) + _ROW
            while self._size > self._limit and self._thin():
                self._count()
        return True

    def _thin(self) -> bool:
        """Give up some of what matters least. Returns whether there was any."""
        for rank in Rank:
            there = self._number("SELECT COUNT(*) FROM kept WHERE rank = ?", int(rank))
            if there > 1:
                gone = self._do(_THIN, int(rank), there // 2).rowcount
                self._do("UPDATE counts SET value = value + ? WHERE name = 'given up'", gone)
                return True
        return False

    def oldest(self, limit: int, but: Collection[int]) -> list[Kept]:
        rows = self._do(
            "SELECT id, rank, name, boot, monotonic, payload FROM kept ORDER BY id LIMIT ?", limit + len(but)
        )
        found = (Kept(number, Letter(Rank(rank), *rest)) for number, rank, *rest in rows if number not in but)
        return list(found)[:limit]

    def remove(self, numbers: Sequence[int]) -> bool:
        with self._transaction():
            for number in numbers:
                row = self._do(f"SELECT {_SIZE} FROM kept WHERE id = ?", number).fetchone()
                if row:  # it may have been thinned out while it was on its way
                    self._do("DELETE FROM kept WHERE id = ?", number)
                    self.waiting -= 1
                    self._size -= row[0]
        return True

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._do("BEGIN IMMEDIATE")
        try:
            yield
            self._do("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                self._do("ROLLBACK")
            with contextlib.suppress(sqlite3.Error):
                self._count()
            raise

    def close(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            self._database.close()
