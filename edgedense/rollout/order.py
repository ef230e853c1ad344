"""In which order hosts get a model: one first, then several at the same time, until too many have failed."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from edgedense.progress import progress
from edgedense.rollout.options import DeployOptions
from edgedense.rollout.plan import Device
from edgedense.rollout.result import HostResult

Work = Callable[[Device, int, threading.Event], HostResult]


def roll_out(devices: Sequence[Device], work: Work, options: DeployOptions) -> tuple[HostResult, ...]:
    """`work(device, its number, stop)` for each device: for the first one alone, and where it succeeds for the others,
    as many at the same time as `options` say, until too many have failed. Results are in the order of the devices.

    Ctrl-C sets `stop`, waits for the hosts that are begun, and begins with no other.
    """
    stop = threading.Event()
    waiting = deque(enumerate(devices))
    begun: dict[Future[HostResult], int] = {}
    results: dict[int, HostResult] = {}
    with progress("deploying", len(devices)) as tick, ThreadPoolExecutor(options.parallel) as pool:
        try:
            while True:
                why = _why_to_end(devices, results, options)
                width = 0 if why else options.parallel if results else 1
                while waiting and len(begun) < width:
                    number, device = waiting.popleft()
                    begun[pool.submit(work, device, number, stop)] = number
                if not begun:
                    break
                # With an end, so that Ctrl-C is heard: a signal may reach another thread than the one that waits.
                for future in wait(begun, timeout=0.5, return_when=FIRST_COMPLETED).done:
                    results[begun[future]] = future.result()
                    del begun[future]
                    tick(1)
        except KeyboardInterrupt:
            why = "the deployment was interrupted"
            stop.set()
            results |= {number: future.result() for future, number in begun.items()}
        finally:
            stop.set()  # what another error leaves behind ends as well
    return tuple(results.get(i) or HostResult(device.host, "not begun", why) for i, device in enumerate(devices))


def _why_to_end(devices: Sequence[Device], results: Mapping[int, HostResult], options: DeployOptions) -> str:
    """Why no other host is begun; empty where it goes on."""
    failed = [devices[number].host for number, result in results.items() if not result.is_good]
    if 0 in results and not results[0].is_good:
        return f"{devices[0].host}, the first host, has not succeeded"
    return (
        f"too many hosts have failed (--max-failures {options.max_failures})"
        if len(failed) >= options.max_failures
        else ""
    )
