"""What runs in a worker, a process here or on another machine: it keeps the work, and does it to one item at a time."""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from edgedense import workers
from edgedense.errors import EdgedenseError
from edgedense.images.places import place
from edgedense.notes import LOG

TRIES = 3  # of an item whose worker is lost: it may be the item that ends them, such as by taking all memory
# Libraries that compute start a thread for each core of the machine, in every worker. They read this when they are
# loaded: OpenMP, and the linear algebra below NumPy; TensorFlow within an operator, and between operators.
THREADS = (
    *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"),
    *("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"),
)


@dataclass(frozen=True)
class Done:
    """What became of an item: its result, or the error; and the remarks on the way, each with its level."""

    result: Any = None
    error: EdgedenseError | None = None
    remarks: tuple[tuple[int, str], ...] = ()

    def told(self) -> Any:
        """The result. Logs the remarks, and raises the error."""
        for level, remark in self.remarks:
            LOG.log(level, "%s", remark)
        if self.error is not None:
            raise self.error
        return self.result


def prepare(cores: int) -> None:
    """Make this process one that uses so many cores. Call it before a library is loaded that computes."""
    workers.use_at_most(cores)
    os.environ.update(dict.fromkeys(THREADS, str(cores)))
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


_kept: tuple[str, Callable[[Any], Any]] | None = None  # what the work is known by, and the work


def keeps(key: str) -> bool:
    """Whether the work that is kept is the one known by `key`."""
    return _kept is not None and _kept[0] == key


def keep(key: str, pickled: bytes) -> None:
    """Keep this work in the place of the last one."""
    global _kept
    _kept = None  # first let go of that: it may hold a model
    _kept = key, pickle.loads(pickled)


def do(item: Any) -> Done:
    """What the work that is kept makes of an item. What is no EdgedenseError is a defect, and raised here."""
    if _kept is None:
        raise RuntimeError("a worker without work")
    with _collected() as remarks:
        try:
            result, error = _kept[1](item), None
        except EdgedenseError as raised:
            result, error = None, raised
    return Done(result, error, tuple(remarks))


@contextlib.contextmanager
def _collected() -> Iterator[list[tuple[int, str]]]:
    """The remarks for the user that are logged meanwhile, in place of being printed here."""
    found: list[tuple[int, str]] = []
    handler = logging.Handler()
    handler.emit = lambda record: found.append((record.levelno, record.getMessage()))  # type: ignore[method-assign]
    propagates, LOG.propagate = LOG.propagate, False
    LOG.addHandler(handler)
    try:
        yield found
    finally:
        LOG.removeHandler(handler)
        LOG.propagate = propagates


def again(done: Done, item: Any, losses: int) -> Done:
    """What became of an item whose worker was lost so many times, with a remark that says so."""
    if not losses:
        return done
    times = "once" if losses == 1 else f"{losses} times"
    remark = f"a worker was lost {times} at {named(item)}, which another has done"
    return replace(done, remarks=((logging.WARNING, remark), *done.remarks))


def named(item: Any) -> str:
    """An item in an error's text."""
    text = " ".join(str(item).split())
    return text if len(text) <= 200 else f"{text[:200]}..."


def lost(item: Any, how: str) -> EdgedenseError:
    """The error for an item that has taken its workers with it."""
    return EdgedenseError(
        f"work that leaves its worker alive: {named(item)}",
        f"{TRIES} workers that ended at it, {how}",
        "most often the memory is too small for so many workers at once: look at the system's log (dmesg)",
    )


def do_in_cluster(key: str, held: Sequence[Any], item: Any) -> Done:
    """As `do`, for work that Ray keeps: `held` has its reference."""
    if not keeps(key):
        import ray

        prepare(1)
        keep(key, ray.get(held[0]))
    return do(item)


def missing(paths: Sequence[str]) -> list[str]:
    """Those of `paths` that are not there."""
    return [path for path in paths if not place(path).exists()]
