"""A progress bar on stderr for whatever takes longer than two seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

PATIENCE = 2.0  # seconds; what is done by then needs no bar


@contextmanager
def progress(description: str, total: int, *, patience: float = PATIENCE) -> Iterator[Callable[[int], None]]:
    """Yields `tick(n)`: call it after every n of `total` pieces. The bar goes away when the work is done,
    and is not drawn at all where stderr is no terminal."""
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    console = Console(stderr=True)
    bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    task = bar.add_task(description, total=total)
    started, shown = time.monotonic(), False

    def tick(pieces: int = 1) -> None:
        nonlocal shown
        bar.update(task, advance=pieces)
        if not shown and time.monotonic() - started > patience:
            bar.start()
            shown = True

    try:
        yield tick
    finally:
        if shown:
            bar.stop()
