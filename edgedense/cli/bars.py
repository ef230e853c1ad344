"""Progress bars on stderr for whatever takes longer than two seconds."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from edgedense.progress import reporting

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

PATIENCE = 2.0  # seconds; what is done by then needs no bar


@contextmanager
def bars() -> Iterator[None]:
    """For this long the steps of the work have bars; none is drawn where stderr is no terminal."""
    if not sys.stderr.isatty():
        yield
        return
    drawn = Bars(PATIENCE)
    try:
        with reporting(drawn):
            yield
    finally:
        drawn.close()


class Bars:
    """Told of steps, as `progress.reporting` describes it, it draws a bar for each that lasts. Close it at the end."""

    def __init__(self, patience: float = PATIENCE) -> None:
        self._patience = patience
        self._begun: dict[str, float] = {}
        self._tasks: dict[str, TaskID] = {}
        self._screen: Progress | None = None

    def __call__(self, step: str, done: int, total: int) -> None:
        if done >= total:
            self._end(step)
            return
        began = self._begun.setdefault(step, time.monotonic())
        if step not in self._tasks and time.monotonic() - began > self._patience:
            self._tasks[step] = self._opened().add_task(step, total=total)
        if step in self._tasks:
            self._opened().update(self._tasks[step], completed=done, total=total)

    def close(self) -> None:
        """Take all bars away."""
        if self._screen is not None:
            self._screen.stop()
            self._screen = None
        self._tasks.clear()

    def _end(self, step: str) -> None:
        self._begun.pop(step, None)
        task = self._tasks.pop(step, None)
        if task is not None and self._screen is not None:
            self._screen.remove_task(task)
            if not self._tasks:
                self.close()

    def _opened(self) -> Progress:
        if self._screen is None:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
            self._screen = Progress(*columns, console=Console(stderr=True), transient=True)
            self._screen.start()
        return self._screen
