"""The order in which hosts are worked on, and when no other is begun. The work is a function that says how it went."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable

import pytest

from edgedense.rollout.options import DeployOptions
from edgedense.rollout.order import roll_out
from edgedense.rollout.plan import Device
from edgedense.rollout.result import HostResult, Outcome

DEVICES = [Device(f"barn-{number}") for number in range(1, 6)]


class Work:
    """Remembers who was begun, and how many were worked on at the same time when each of them was."""

    def __init__(self, **outcomes: Outcome) -> None:
        self.begun: list[str] = []
        self.together: list[int] = []
        self._outcomes, self._running, self._lock = outcomes, 0, threading.Lock()

    def __call__(self, device: Device, number: int, stop: threading.Event) -> HostResult:
        with self._lock:
            self._running += 1
            self.begun.append(device.host)
            self.together.append(self._running)
        time.sleep(0.05)
        with self._lock:
            self._running -= 1
        return HostResult(device.host, self._outcomes.get(device.host.replace("-", "_"), "updated"))


def outcomes(results: tuple[HostResult, ...]) -> list[str]:
    return [result.outcome for result in results]


def test_the_first_goes_ahead_alone_and_then_so_many_together() -> None:
    work = Work()
    results = roll_out(DEVICES, work, DeployOptions(parallel=2))
    assert [result.host for result in results] == [device.host for device in DEVICES]
    assert work.together[0] == 1
    assert max(work.together) == 2


def test_where_the_first_does_not_succeed_no_other_is_begun() -> None:
    work = Work(barn_1="refused")
    results = roll_out(DEVICES, work, DeployOptions(max_failures=5))
    assert outcomes(results) == ["refused", *["not begun"] * 4]
    assert work.begun == ["barn-1"]
    assert results[1].reason == "barn-1, the first host, has not succeeded"


@pytest.mark.parametrize(("most", "begun"), [(1, 2), (2, 4), (3, 5)])
def test_no_other_is_begun_once_so_many_have_failed(most: int, begun: int) -> None:
    work = Work(barn_2="failed", barn_4="rolled back")
    results = roll_out(DEVICES, work, DeployOptions(parallel=1, max_failures=most))
    assert len(work.begun) == begun
    assert outcomes(results).count("not begun") == 5 - begun


def test_ctrl_c_stops_what_is_begun_and_begins_with_no_other() -> None:
    def work(device: Device, number: int, stop: threading.Event) -> HostResult:
        if number == 0:
            return HostResult(device.host, "updated")
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.wait(10)
        return HostResult(device.host, "failed", "interrupted")

    results = roll_out(DEVICES, work, DeployOptions(parallel=1))
    assert outcomes(results) == ["updated", "failed", "not begun", "not begun", "not begun"]
    assert results[4].reason == "the deployment was interrupted"


def test_a_defect_is_raised_and_stops_the_others() -> None:
    stopped: list[bool] = []

    def work(device: Device, number: int, stop: threading.Event) -> HostResult:
        if number == 1:
            raise RuntimeError("a defect")
        if number == 2:
            stopped.append(stop.wait(10))
        return HostResult(device.host, "updated")

    with pytest.raises(RuntimeError, match="a defect"):
        roll_out(DEVICES, work, DeployOptions(parallel=2))
    assert stopped == [True]


def test_progress_is_told_of_each_host() -> None:
    from edgedense.progress import reporting

    told: list[int] = []
    listener: Callable[[str, int, int], None] = lambda step, done, total: told.append(done)  # noqa: E731
    with reporting(listener):
        roll_out(DEVICES, Work(), DeployOptions(parallel=1))
    assert told == [0, 1, 2, 3, 4, 5]
