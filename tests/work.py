"""Work for the processes of the tests: they import it by its name."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from edgedense.errors import EdgedenseError
from edgedense.jobs.worker import THREADS
from edgedense.notes import tell
from edgedense.workers import cores


def tenfold(item: int) -> int:
    time.sleep(0.01 * (item % 3))  # later ones are done first
    return 10 * item


def environment(_: int) -> tuple[int, set[str], bool]:
    """The cores that work may use, the threads that libraries may start, and whether one was loaded too early."""
    return cores(), {os.environ[name] for name in THREADS}, "numpy" in sys.modules


def refuse_two(item: int) -> int:
    tell([f"saw {item}"])
    if item == 2:
        raise EdgedenseError("no two", "a two", "three")
    return item


def divide(item: int) -> float:
    return 1 / item


def zeros(count: int) -> bytes:
    return bytes(count)


def in_tens(seconds: float) -> int:
    """Work without any result of its own: it sleeps, and says for how many tenths of a second."""
    time.sleep(seconds)
    return round(10 * seconds)


def wait(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()


@dataclass(frozen=True)
class Keeper:
    """Work that opens something once."""

    @cached_property
    def opened(self) -> tuple[int, int]:
        return os.getpid(), time.monotonic_ns()

    def __call__(self, item: int) -> tuple[int, int]:
        return self.opened


@dataclass(frozen=True)
class EndsItsProcess:
    """Work that kills its process at one item, so many times. Each time leaves a line in `file`."""

    file: Path
    item: int
    times: int

    def __call__(self, item: int) -> int:
        if item == self.item and len(self.lines) < self.times:
            with self.file.open("a") as opened:
                opened.write(f"{os.getpid()}\n")
            os.kill(os.getpid(), signal.SIGKILL)
        return item

    @property
    def lines(self) -> list[str]:
        return self.file.read_text().splitlines() if self.file.exists() else []


@dataclass(frozen=True)
class StartsAnother:
    """Work that starts a process, writes down both, and waits."""

    file: Path

    def __call__(self, item: int) -> None:
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        self.file.with_suffix(f".{item}").write_text(f"{os.getpid()} {child.pid}")
        time.sleep(60)
