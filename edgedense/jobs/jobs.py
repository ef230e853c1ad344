"""Many items of work, done at the same time, here or on other machines."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol, TypeVar

from edgedense.images import memory
from edgedense.workers import cores

Item = TypeVar("Item")
Result = TypeVar("Result")


class Jobs(Protocol):
    """Workers that do items of work. `workers` is how many work at the same time."""

    @property
    def workers(self) -> int: ...

    def each(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """`work(item)` for each of `items`, in their order, as a generator. Only a few items a worker are taken before
        their turn, so that `items` may be endless and no more results than that wait in memory.

        `work`, items and results are pickled: `work` is a function of a module, or a frozen dataclass with `__call__`.
        A worker gets it once and keeps it as long as items for it come, so a cached property of it may hold what takes
        long to open, such as a model. Remarks (`edgedense.notes`) that it tells are told here, at their item's turn.

        What `work` raises is raised at its item's turn, and what lies behind is left undone. An item whose worker is
        lost is done again by another. Raises EdgedenseError, which names the item, when that has happened to it three
        times, and when workers cannot start.
        """
        ...

    def must_see(self, *paths: Path | str) -> None:
        """Raise EdgedenseError when a machine that works has no file or folder of this path. It names the machine."""
        ...


def that_fit(gigabytes: float) -> int:
    """How many workers that each need so much memory this machine has cores and free memory for; one at least."""
    free = memory.available()
    fitting = cores() if free is None else int(free / (gigabytes * 1e9))
    return max(1, min(cores(), fitting))


def open_jobs(ray: str | None = None, workers: int | None = None) -> AbstractContextManager[Jobs]:
    """Jobs for a `with` block: processes of this machine, or with the address of a Ray cluster its machines.

    `workers` is how many items are worked on at the same time: by default as many as this machine, or the cluster, has
    processor cores. Each worker takes one item at a time and has its share of the cores, on the cluster one. Processes
    start when there is work, and end with the block: at once where it is left by an error, such as Ctrl+C.

    A process begins with an import of the script that Python was started with. A script of your own must therefore
    have what it does below `if __name__ == "__main__":`, or in a function that is called there; the command line,
    pytest and notebooks need nothing of the kind.

    Raises EdgedenseError when Ray is not installed, when there is no such cluster, and when one of its machines has
    another Python or another edgedense.
    """
    if ray is None:
        from edgedense.jobs.local import LocalJobs

        return LocalJobs(workers)
    from edgedense.jobs.cluster import RayJobs

    return RayJobs(ray, workers)
