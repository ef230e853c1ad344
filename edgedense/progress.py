"""How far the work is: whoever wants to know is called with the step, the pieces that are done, and all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Progress = Callable[[str, int, int], None]  # the step's name, pieces that are done, pieces in all

_listener: ContextVar[Progress | None] = ContextVar("edgedense_progress", default=None)


@contextmanager
def reporting(listener: Progress | None) -> Iterator[None]:
    """For this long `listener` is told of every step of the work in this thread. None changes nothing.

    It is called with 0 pieces when a step begins, after each piece, and with all of them when the step has ended, also
    where there were fewer pieces than foreseen. Steps may begin within steps. What it raises ends the work.
    """
    if listener is None:
        yield
        return
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


@contextmanager
def progress(step: str, total: int) -> Iterator[Callable[[int], None]]:
    """A step of the work. Yields `tick(n)`: call it after every n of `total` pieces."""
    listener = _listener.get() or _nobody
    done = 0

    def tick(pieces: int = 1) -> None:
        nonlocal done
        done = min(done + pieces, total)
        listener(step, done, total)

    listener(step, 0, total)
    yield tick
    if done < total:
        listener(step, total, total)


def _nobody(step: str, done: int, total: int) -> None:
    pass
