"""Many items at the same time, one thread a worker, with the results in the order of the items."""

from __future__ import annotations

import os
import queue
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

AHEAD = 8  # items a worker that are done, or begun, before their turn: one that is held up holds up no other


_most: int | None = None


def cores() -> int:
    """The processor cores that this process may use."""
    found = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return found if _most is None else min(found, _most)


def use_at_most(count: int) -> None:
    """From now on `cores` gives no more than so many: this process is one of several that share the machine."""
    global _most
    _most = count


def in_order(
    items: Iterable[Item], workers: Sequence[Callable[[Item], Result]], abandon: Callable[[], None] = lambda: None
) -> Generator[Result, None, None]:
    """`worker(item)` for each of `items`, in their order, done by as many threads as there are `workers`.

    A worker does one item at a time, so it may hold what two threads must not use at once, such as an interpreter.
    Threads, and no processes: what takes the time (decoding, inference) is done outside of Python's lock, and threads
    share the memory. At most AHEAD items a worker are taken before their turn, so that no more results than that wait
    in memory. What a worker raises is raised at its item's turn; the items behind it are then left undone, as they are
    when the caller stops early. `abandon` is called then: what has been begun is waited for, and it may shorten that.
    """
    free: queue.SimpleQueue[Callable[[Item], Result]] = queue.SimpleQueue()
    for worker in workers:
        free.put(worker)

    def work(item: Item) -> Result:
        worker = free.get()  # there is one for each thread of the pool
        try:
            return worker(item)
        finally:
            free.put(worker)

    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(len(workers), thread_name_prefix="edgedense-worker") as pool:
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) == AHEAD * len(workers):
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
            if waiting:
                abandon()
