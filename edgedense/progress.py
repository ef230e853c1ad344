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

    It is called with 0 pieces when a step begins, or with those that an earlier run has left, after each piece, and
    with all of them when the step has ended, also where there were fewer pieces than foreseen. Steps may begin within
    steps. If it has a method `say(step, text)`, that is told what is known of a step so far. What it raises ends the
    work.
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
def progress(step: str, total: int, done: int = 0) -> Iterator[Callable[[int], None]]:
    """A step of the work. Yields `tick(n)`: call it after every n of `total` pieces. `done` were done before."""
    listener = _listener.get() or _nobody

    def tick(pieces: int = 1) -> None:
        nonlocal done
        done = min(done + pieces, total)
        listener(step, done, total)

    listener(step, done, total)
    yield tick
    if done < total:
        listener(step, total, total)


def say(step: str, text: str) -> None:
    """Tell the listener what is known so far of a step that goes on; nothing where it has no ear for that."""
    ear = getattr(_listener.get(), "say", None)
    if text and ear is not None:
        ear(step, text)


def _nobody(step: str, done: int, total: int) -> None:
    pass
