"""Which model a service ran when, who changed it and why: a file that only grows, with one JSON object a line."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from edgedense.device.versions.moments import Moment, times
from edgedense.errors import EdgedenseError

ITSELF = "edgedense"  # who went back to the model from before, where nobody asked for it


@dataclass(frozen=True)
class Change:
    """A change of the model, or the attempt at one: `who` asked, at the moment `at`, for the step from the file with
    the SHA-256 `before`, None for none, to `after`, whose file was called `file`; `outcome` in a word or two, and
    `why` in a sentence."""

    number: int
    at: Moment
    who: str
    before: str | None
    after: str
    file: str
    outcome: str
    why: str

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, entry: Mapping[str, Any]) -> Change:
        """Read what `to_dict` made. Raises KeyError, TypeError or ValueError for anything else."""
        return cls(**{**entry, "number": int(entry["number"]), "at": Moment(**entry["at"])})


def read(path: Path) -> tuple[Change, ...]:
    """All changes, in their order; none where there is no file. A line that a power cut left unfinished is left out."""
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise EdgedenseError("a history that can be read", f"{path}: {error.strerror}") from error
    return tuple(change for line in lines if (change := _parsed(line)) is not None)


def append(path: Path, *, who: str, before: str | None, after: str, file: str, outcome: str, why: str) -> Change:
    """Add a change that happens now. It is on the disk when this returns, and no line that was there is touched.

    Raises EdgedenseError when it cannot be written.
    """
    earlier = read(path)
    number = max((change.number for change in earlier), default=0) + 1
    change = Change(number, Moment.now(), who, before, after, file, outcome, why)
    line = json.dumps(change.to_dict(), ensure_ascii=False).encode() + b"\n"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            os.fchmod(descriptor, 0o644)
            size = os.fstat(descriptor).st_size
            is_whole = size == 0 or os.pread(descriptor, 1, size - 1) == b"\n"
            os.write(descriptor, line if is_whole else b"\n" + line)  # in one piece
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise EdgedenseError(f"room and permission to write {path}", str(error.strerror)) from error
    return change


def asking() -> str:
    """The user who asks: who called sudo, else whose process this is."""
    import pwd  # not everywhere: a run, which imports this module, asks nobody

    if name := os.environ.get("SUDO_USER"):
        return name
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def rows(changes: Sequence[Change], now: Moment) -> list[tuple[str, ...]]:
    """The changes for people, under headings: number, when, who, from, to, outcome, why."""
    shown: list[tuple[str, ...]] = [("", "when", "who", "from", "to", "outcome", "why")]
    for change, moment in zip(changes, times([change.at for change in changes], now), strict=True):
        when = "no clock yet" if moment is None else datetime.fromtimestamp(moment).strftime("%Y-%m-%d %H:%M:%S")
        shown.append(
            (
                str(change.number),
                when,
                change.who,
                short(change.before),
                short(change.after),
                change.outcome,
                change.why,
            )
        )
    return shown


def short(sha256: str | None) -> str:
    """The first digits of a hash, as people compare them; a dash for none."""
    return "-" if sha256 is None else sha256[:12]


def _parsed(line: bytes) -> Change | None:
    try:
        return Change.from_dict(json.loads(line))
    except (KeyError, TypeError, ValueError):
        return None
