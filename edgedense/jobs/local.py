"""Jobs on processes of this machine, each of which has a pool of its own: one that is lost takes one item with it."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from edgedense.errors import EdgedenseError
from edgedense.jobs import worker
from edgedense.workers import cores, in_order

Item = TypeVar("Item")
Result = TypeVar("Result")


class LocalJobs:
    """`Jobs` on `workers` processes, by default one for each core. It is a context manager."""

    def __init__(self, workers: int | None = None) -> None:
        if workers is not None and workers < 1:
            raise EdgedenseError("1 worker or more", str(workers))
        self.workers = workers or cores()
        share = max(1, cores() // self.workers)
        self._processes = [_Process(share) for _ in range(self.workers)]

    def each(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """As `Jobs.each`."""
        pickled = _Pickled(uuid.uuid4().hex, pickle.dumps(work))
        for process in self._processes:
            process.resume()
        workers = [partial(process.do, pickled) for process in self._processes]
        with contextlib.closing(in_order(items, workers, self._end)) as found:
            for done in found:
                yield done.told()

    def must_see(self, *paths: Path | str) -> None:
        """As `Jobs.must_see`: what this machine sees, its processes see."""

    def __enter__(self) -> LocalJobs:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _end(self) -> None:
        for process in self._processes:
            process.end()


@dataclass(frozen=True)
class _Pickled:
    """Work as it is sent, and what it is known by."""

    key: str
    data: bytes


class _Process:
    """One worker: a process that is started when an item comes, and again when it was lost. It uses `share` cores."""

    def __init__(self, share: int) -> None:
        self._share = share
        self._lock = threading.Lock()  # `end` comes from another thread than `do`
        self._pool: ProcessPoolExecutor | None = None
        self._lifeline: Connection | None = None  # the process ends when it is closed
        self._holds = ""
        self._may_start = True

    def resume(self) -> None:
        """Allow the process to start, which it may not after an `end`."""
        self._may_start = True

    def do(self, work: _Pickled, item: Any) -> worker.Done:
        """The item's result. Raises EdgedenseError when three processes ended at it, or none can start."""
        for losses in range(worker.TRIES):
            pool = self._holding(work)
            try:
                return worker.again(pool.submit(worker.do, item).result(), item, losses)
            except BrokenProcessPool:
                self._let_go()
        raise worker.lost(item, "such as by running out of memory")

    def end(self) -> None:
        """End the process at once, whatever it does, and the processes that it has started."""
        with self._lock:
            self._may_start = False
        self._let_go()

    def _holding(self, work: _Pickled) -> ProcessPoolExecutor:
        """The process, running, and with this work. One that was lost meanwhile is started again."""
        while True:
            is_new = self._pool is None
            pool = self._pool or self._start()
            try:
                if self._holds != work.key:
                    pool.submit(worker.keep, work.key, work.data).result()
                    self._holds = work.key
                return pool
            except BrokenProcessPool as error:
                self._let_go()
                if is_new:
                    raise EdgedenseError(
                        "worker processes that start",
                        "one that ended before it had work",
                        'in a script of your own, do everything below if __name__ == "__main__":',
                    ) from error

    def _start(self) -> ProcessPoolExecutor:
        context = get_context("spawn")  # what fork copies may be locked by a thread that it does not copy
        with self._lock:
            if not self._may_start:
                raise CancelledError
            theirs, self._lifeline = context.Pipe(duplex=False)
            self._pool = ProcessPoolExecutor(1, context, _begin, (theirs, self._share))
            with _without_interrupts():
                self._pool.submit(os.getpid)  # a pool starts its process with the first task
            return self._pool

    def _let_go(self) -> None:
        with self._lock:
            pool, lifeline = self._pool, self._lifeline
            self._pool = self._lifeline = None
            self._holds = ""
        if lifeline is not None:
            with contextlib.suppress(OSError):  # nobody listens: it has ended
                lifeline.send_bytes(b"end")  # a process that was forked meanwhile may hold this end open too
            lifeline.close()
        if pool is not None:
            pool.shutdown(cancel_futures=True)


@contextlib.contextmanager
def _without_interrupts() -> Iterator[None]:
    """Start a process in here. Ctrl+C in a terminal goes to all processes of a group, and this one answers it for all:
    until the new one has left the group, it would print a traceback."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin(lifeline: Connection, share: int) -> None:
    """The first thing that a new process does."""
    if hasattr(os, "setpgid"):
        os.setpgid(0, 0)  # a group with what it starts, such as the trainings of convert --sparsity: they end together
    worker.prepare(share)
    threading.Thread(target=_end_with, args=(lifeline,), daemon=True).start()


def _end_with(lifeline: Connection) -> None:
    """Wait until the other end is closed: it was said so, or the process that holds it has ended in any way."""
    lifeline.poll(None)
    if hasattr(os, "killpg"):
        os.killpg(0, signal.SIGKILL)
    os._exit(1)
