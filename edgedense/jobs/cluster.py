"""Jobs on the machines of a Ray cluster. Ray is loaded only here."""

from __future__ import annotations

import logging
import pickle
import socket
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from edgedense.errors import EdgedenseError, first_line, listed
from edgedense.jobs import worker
from edgedense.notes import tell
from edgedense.workers import AHEAD

Item = TypeVar("Item")
Result = TypeVar("Result")

_PATIENCE = 10.0  # seconds for a connection
_START = "ray start --head on one machine, ray start --address=HOST:6379 on the others; ray status says what there is"
_MUST_EQUAL = ("Python", "edgedense")
# What decodes and computes: other releases of these may give other figures in the last digits.
_COMPUTING = ("numpy", "pillow", "ai-edge-litert", "tensorflow", "processor")


class RayJobs:
    """`Jobs` on the cluster at `address`, one worker for each of its processors, or so many `workers` at a time.

    It is a context manager, which connects. A program that is connected to a cluster already stays so.
    """

    def __init__(self, address: str, workers: int | None = None) -> None:
        if workers is not None and workers < 1:
            raise EdgedenseError("1 worker or more", str(workers))
        _host(address)
        self._address, self._most, self.workers = address, workers, workers or 1
        self._has_connected = False

    def each(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """As `Jobs.each`."""
        import ray

        # In the cluster's store, from which each machine fetches it once. The list keeps Ray from fetching it, and
        # unpickling it, for every item.
        key, held = uuid.uuid4().hex, [ray.put(pickle.dumps(work))]
        task = ray.remote(num_cpus=1, max_retries=0)(worker.do_in_cluster)
        ahead = self._most or AHEAD * self.workers
        waiting: deque[_Asked] = deque()
        try:
            for item in items:
                waiting.append(_Asked(lambda item=item: task.remote(key, held, item), item))  # type: ignore[misc]
                if len(waiting) == ahead:
                    yield waiting[0].done().told()
                    waiting.popleft()
            while waiting:
                yield waiting[0].done().told()
                waiting.popleft()
        finally:
            for asked in waiting:
                asked.cancel()

    def must_see(self, *paths: Path | str) -> None:
        """As `Jobs.must_see`."""
        names = [str(path) for path in paths]
        for machine, missing in _on_each_machine(worker.missing, names):
            if missing:
                raise EdgedenseError(
                    f"files that all machines of the cluster see by the same path: {listed(names)}",
                    f"no {listed(missing)} on {machine}",
                    "put them on a file system that all have, or on s3:// or gs://",
                )

    def __enter__(self) -> RayJobs:
        self._has_connected = _connect(self._address)
        try:
            _check(_on_each_machine(_looker()))
            self.workers = self._most or _processors(self._address)
        except BaseException:
            self._leave()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()

    def _leave(self) -> None:
        import ray

        if self._has_connected:
            ray.shutdown()  # the cluster ends what still runs for this program


class _Asked:
    """An item that the cluster was asked to do, and is asked again as soon as its worker is lost."""

    def __init__(self, ask: Callable[[], Any], item: Any) -> None:
        self._ask, self._item, self._tries = ask, item, 0
        self._result: Future[worker.Done] = Future()
        self._is_over = False
        self._try()

    def done(self) -> worker.Done:
        """Wait for what became of it. Raises EdgedenseError when its worker was lost three times."""
        return self._result.result()

    def cancel(self) -> None:
        """End it, whatever it does."""
        import ray

        self._is_over = True
        if not self._result.done():
            ray.cancel(self._running, force=True)

    def _try(self) -> None:
        self._tries += 1
        self._running = self._ask()
        self._running.future().add_done_callback(self._came)

    def _came(self, future: Future[worker.Done]) -> None:
        """Called from a thread of Ray's."""
        from ray import exceptions

        # A process, a machine, or the memory that a result was in.
        losses = (
            exceptions.WorkerCrashedError,
            exceptions.NodeDiedError,
            exceptions.OutOfMemoryError,
            exceptions.ObjectLostError,
        )
        error = future.exception()
        if error is None:
            self._result.set_result(worker.again(future.result(), self._item, self._tries - 1))
        elif not isinstance(error, losses):
            self._result.set_exception(error)
        elif self._tries < worker.TRIES and not self._is_over:
            self._try()
        else:
            self._result.set_exception(worker.lost(self._item, f"the last with {first_line(error)}"))


def _connect(address: str) -> bool:
    """Connect to the cluster; False where this program is connected already. Raises EdgedenseError."""
    try:
        import ray
    except ImportError as error:
        raise EdgedenseError("Ray, for --ray", first_line(error), "pip install 'edgedense[scale]'") from error
    if ray.is_initialized():
        return False
    if host := _host(address):
        _reach(address, *host)
    # What the machines log of lost workers goes to stdout, whatever `log_to_driver` says, and there --json has results.
    ray._private.worker._worker_logs_enabled = False
    try:
        ray.init(address, log_to_driver=False, configure_logging=False, logging_level=logging.ERROR)
    except Exception as error:  # of many kinds: no such host, another release of Ray or Python, no cluster there
        raise EdgedenseError(f"a Ray cluster at {address}", " ".join(str(error).split()), _START) from error
    return True


def _host(address: str) -> tuple[str, int] | None:
    """The host and port of an address; None for auto. Raises EdgedenseError for anything else: Ray takes "local" too,
    and starts a cluster of its own then."""
    if address == "auto":
        return None
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or "/" in host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise EdgedenseError("--ray auto, --ray HOST:PORT or --ray ray://HOST:PORT", repr(address), "--ray auto")
    return host.strip("[]"), int(port)


def _reach(address: str, host: str, port: int) -> None:
    """Raise EdgedenseError where nobody listens: Ray itself tries for two minutes."""
    try:
        socket.create_connection((host, port), timeout=_PATIENCE).close()
    except OSError as error:
        raise EdgedenseError(f"a Ray cluster at {address}", first_line(error), _START) from error


@dataclass(frozen=True)
class _Machine:
    """One machine of the cluster."""

    name: str
    address: str

    def __str__(self) -> str:
        return f"{self.name} ({self.address})"


def _on_each_machine(work: Callable[..., Result], *values: Any) -> list[tuple[_Machine, Result]]:
    """What `work(*values)` gives on every machine that has processors. One that is lost meanwhile is left out."""
    import ray
    from ray import exceptions
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    asked = []
    for node in ray.nodes():
        if node["Alive"] and node["Resources"].get("CPU", 0) >= 1:
            there: Any = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)  # Ray's annotations leave it out
            task = ray.remote(num_cpus=0, scheduling_strategy=there)(work)
            asked.append((_Machine(node["NodeManagerHostname"], node["NodeManagerAddress"]), task.remote(*values)))
    found = []
    for machine, running in asked:
        try:
            found.append((machine, ray.get(running)))
        except (exceptions.NodeDiedError, exceptions.WorkerCrashedError, exceptions.TaskUnschedulableError):
            continue
    return found


def _processors(address: str) -> int:
    import ray

    count = int(ray.cluster_resources().get("CPU", 0))
    if not count:
        raise EdgedenseError(f"a Ray cluster with processors at {address}", "none", "ray start with --num-cpus N")
    return count


def _looker() -> Callable[[], dict[str, str]]:
    """What says which versions a machine has, by the names above; "" for what it has not.

    A function within a function: Ray sends its code, where else a machine would import it from its own edgedense.
    """
    names = ("edgedense", *_COMPUTING[:-1])

    def look() -> dict[str, str]:
        import platform
        from importlib.metadata import PackageNotFoundError, version

        def of(name: str) -> str:
            try:
                return version(name)
            except PackageNotFoundError:
                return ""

        processor = ""
        try:
            with open("/proc/cpuinfo") as info:
                processor = next((line.partition(":")[2].strip() for line in info if line.startswith("model name")), "")
        except OSError:
            pass
        found = {name: of(name) for name in names}
        return {**found, "Python": platform.python_version(), "processor": processor or platform.machine()}

    return look


def _check(found: list[tuple[_Machine, Mapping[str, str]]]) -> None:
    """Compare each machine with this one. Raises EdgedenseError where its results could not even be read; tells of
    what may change a figure's last digits."""
    own = _looker()()
    for machine, its in found:
        for name in _MUST_EQUAL:
            if its[name] != own[name]:
                raise EdgedenseError(
                    f"{name} {own[name]} on every machine of the cluster, as here",
                    f"{its[name] or 'none'} on {machine}",
                    f"install {name} {own[name]} there, or work from a machine that has {its[name] or 'the same'}",
                )
    others = [
        f"{its[name] or 'no ' + name} on {machine}"
        for name in _COMPUTING
        for machine, its in found
        if its[name] != own[name]
    ]
    if others:
        tell([f"figures may differ in the last digits from those of this machine alone: {listed(others)}"])
