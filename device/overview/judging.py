"""Judging who drifts, beside the collector: a thousand devices keep a processor busy for seconds.

In a thread of the collector that work would hold up the page and the messages, and the longer, the more the machine has
to do besides: whoever holds Python's global lock while another process has the core keeps all other threads waiting.
So a process of its own reads the history, which SQLite allows while the collector writes it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from edgedense.device.overview import archive
from edgedense.device.overview.drift import Deviation
from edgedense.errors import EdgedenseError
from edgedense.files import write_atomically
from edgedense.notes import LOG

Judged = Mapping[str, tuple[Deviation, ...]]  # of each device that could be judged, in what it drifts
_CHILD = "from edgedense.device.overview.judging import main; main()"


class Judge(Protocol):
    """Says who drifts. The answer takes its time."""

    def begin(self, now: float) -> None:
        """Judge by what was kept until `now`, in seconds of Unix time."""

    def answer(self) -> Judged | None:
        """What was found, once; None while there is nothing new."""


class Apart:
    """A `Judge` of the history at `path`, in a process of its own. Use it as a context manager."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._folder = tempfile.TemporaryDirectory(prefix="edgedense-")
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Apart:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()
        self._folder.cleanup()

    @property
    def _answer(self) -> Path:
        return Path(self._folder.name, "judged.json")

    def begin(self, now: float) -> None:
        """See `Judge`. One that is still at it is ended: the new answer is the one that is wanted."""
        self._end()
        command = [sys.executable, "-c", _CHILD, str(self._path), repr(now), str(self._answer)]
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
        except OSError as error:  # no memory for another process, for instance
            _failed(str(error))

    def answer(self) -> Judged | None:
        """See `Judge`. Where it failed that is said, and what was known before stays."""
        if self._process is None or (code := self._process.poll()) is None:
            return None
        self._process = None
        try:
            answer = json.loads(self._answer.read_bytes())
            self._answer.unlink()
        except (OSError, ValueError):
            answer = {"error": f"exit code {code}"}
        if "error" in answer:
            _failed(answer["error"])
            return None
        return {name: tuple(Deviation(*one) for one in found) for name, found in answer["judged"].items()}

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def _failed(why: str) -> None:
    LOG.warning(f"who drifts against the others could not be judged: {why}")


def main() -> None:
    """The child: takes the path of the history, a moment, and where to write what was found, or the error, as JSON."""
    path, now, out = sys.argv[1:]
    try:
        found = archive.judged(Path(path), float(now))
        answer: dict[str, object] = {
            "judged": {name: [list(vars(one).values()) for one in drifts] for name, drifts in found.items()}
        }
    except EdgedenseError as error:
        answer = {"error": str(error)}
    write_atomically(out, json.dumps(answer).encode())
