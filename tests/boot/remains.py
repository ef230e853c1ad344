"""What a power cut has left in the service's folder."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import subprocess
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from edgedense.device.monitor.drift import Monitor
from edgedense.device.mqtt.messages import Alert, Report, decode
from edgedense.device.prediction import rule
from tests.device.conftest import COLOURS

STATE, OUTBOX = "state.json", "board.outbox"
KEPT = {STATE, "steady.json", OUTBOX, f"{OUTBOX}-wal"}  # there besides the saved frames


@dataclass(frozen=True)
class Remains:
    """What lay there when the power came back, before anything was written to it.

    Of `frames` some are `broken`; `temporary` are files that nobody will read. The monitor's state counts so many
    `samples`, and was written at `state_written` seconds of Unix time. `waiting` are the messages in the outbox by
    `Stamp.key`.
    """

    frames: set[str]
    broken: tuple[str, ...]
    temporary: tuple[str, ...]
    samples: int
    state_written: float
    waiting: set[tuple[str, int]]


def read(archive: bytes, folder: Path) -> Remains:
    """Unpack a tar archive of it into `folder`, which is made anew, and read each file with what reads it on the board.

    Raises EdgedenseError for a state that the monitor would not take, sqlite3.Error for an outbox that is none.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    subprocess.run(["tar", "-C", folder, "-x"], input=archive, check=True)
    entries = [path for path in folder.rglob("*") if path.is_file()]
    frames = {path for path in entries if path.suffix == ".jpg"}
    return Remains(
        {path.name for path in frames},
        tuple(path.name for path in frames if not is_whole(path)),
        tuple(path.name for path in entries if path not in frames and path.name not in KEPT),
        state(folder / STATE).samples,
        (folder / STATE).stat().st_mtime,
        _waiting(folder / OUTBOX),
    )


def state(path: Path) -> Monitor:
    """The monitor's. Raises EdgedenseError for one that it would not take."""
    return Monitor.load(path, COLOURS, rule=rule(COLOURS, "softmax", len(COLOURS)))


def _waiting(outbox: Path) -> set[tuple[str, int]]:
    with contextlib.closing(sqlite3.connect(outbox)) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        messages = [decode(name, payload) for name, payload in database.execute("SELECT name, payload FROM kept")]
    return {message.stamp.key for message in messages if isinstance(message, (Alert, Report))}


def is_whole(path: Path) -> bool:
    """Whether a JPEG has all its pixels and its end."""
    try:
        with Image.open(path) as image:
            image.load()
    except OSError:
        return False
    return path.read_bytes().endswith(b"\xff\xd9")  # JPEG's end-of-image marker
