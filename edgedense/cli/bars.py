"""How far long work is, on stderr: a bar for each step in a terminal, and else a line now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgedense.progress import reporting

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

PATIENCE = 2.0  # seconds; what is done by then needs no bar
EVERY = 60.0  # seconds between two lines, where stderr is no terminal


@contextmanager
def bars() -> Iterator[None]:
    """For this long the steps of the work are told of: by bars, or where stderr is no terminal by lines."""
    drawn = Bars(PATIENCE) if sys.stderr.isatty() else Lines(EVERY)
    try:
        with reporting(drawn):
            yield
    finally:
        drawn.close()


@dataclass
class _Step:
    """A step that goes on: when it began, how many pieces were done then, and what is known of it so far."""

    began: float
    first: int
    said: str = ""

    def left(self, done: int, total: int) -> str:
        """The time left at the pace so far, 00:21:10; nothing before the first piece."""
        if done <= self.first:
            return ""
        seconds = round((time.monotonic() - self.began) / (done - self.first) * (total - done))
        return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02} left"


class _Listener:
    """Knows the steps that go on."""

    def __init__(self) -> None:
        self._steps: dict[str, _Step] = {}

    def say(self, step: str, text: str) -> None:
        """What is known of a step so far. It is shown from its next piece on."""
        if step in self._steps:
            self._steps[step].said = text


class Bars(_Listener):
    """Told of steps, as `progress.reporting` describes it, it draws a bar for each that lasts. Close it at the end."""

    def __init__(self, patience: float = PATIENCE) -> None:
        super().__init__()
        self._patience = patience
        self._tasks: dict[str, TaskID] = {}
        self._screen: Progress | None = None

    def __call__(self, step: str, done: int, total: int) -> None:
        if done >= total:
            self._end(step)
            return
        begun = self._steps.setdefault(step, _Step(time.monotonic(), done))
        if step not in self._tasks and time.monotonic() - begun.began > self._patience:
            self._tasks[step] = self._opened().add_task(step, total=total, left="", said="")
        if step in self._tasks:
            left = begun.left(done, total)
            self._opened().update(self._tasks[step], completed=done, total=total, left=left, said=begun.said)

    def close(self) -> None:
        """Take all bars away."""
        if self._screen is not None:
            self._screen.stop()
            self._screen = None
        self._tasks.clear()

    def _end(self, step: str) -> None:
        self._steps.pop(step, None)
        task = self._tasks.pop(step, None)
        if task is not None and self._screen is not None:
            self._screen.remove_task(task)
            if not self._tasks:
                self.close()

    def _opened(self) -> Progress:
        if self._screen is None:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

            left, said = TextColumn("{task.fields[left]}"), TextColumn("{task.fields[said]}")
            columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), left, said
            self._screen = Progress(*columns, console=Console(stderr=True), transient=True)
            self._screen.start()
        return self._screen


class Lines(_Listener):
    """Told of steps as `Bars` is, it writes a line about a step that goes on, at most one in `every` seconds:

    edgedense: validating 12,400/100,000, 00:21:10 left, drop 0.31 (0.10 to 0.52)
    """

    def __init__(self, every: float = EVERY) -> None:
        super().__init__()
        self._every = every
        self._last = time.monotonic()

    def __call__(self, step: str, done: int, total: int) -> None:
        if done >= total:
            self._steps.pop(step, None)
            return
        begun = self._steps.setdefault(step, _Step(time.monotonic(), done))
        if done > begun.first and time.monotonic() - self._last > self._every:
            self._last = time.monotonic()
            parts = (f"{step} {done:,}/{total:,}", begun.left(done, total), begun.said)
            print(f"edgedense: {', '.join(filter(None, parts))}", file=sys.stderr, flush=True)

    def close(self) -> None:
        """There is nothing to take away."""
