from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from edgedense.workers import AHEAD, cores, in_order, use_at_most


def sleeper(seconds: Callable[[int], float]) -> Callable[[int], int]:
    def work(item: int) -> int:
        time.sleep(seconds(item))
        return 10 * item

    return work


def test_results_come_in_the_order_of_the_items_whatever_is_done_first() -> None:
    slow_first = [sleeper(lambda item: 0.02 if item % 3 == 0 else 0.0)] * 3
    assert list(in_order(range(12), slow_first)) == [10 * item for item in range(12)]


def test_no_items_give_no_results() -> None:
    assert list(in_order([], [sleeper(lambda item: 0.0)])) == []


def test_workers_work_at_the_same_time() -> None:
    both = threading.Barrier(2)  # each waits for the other: one thread alone would never get past it

    def meet(item: int) -> int:
        both.wait(timeout=10)
        return item

    assert list(in_order(range(6), [meet, meet])) == list(range(6))


def test_a_worker_is_never_used_by_two_threads_at_once() -> None:
    class Worker:
        def __init__(self) -> None:
            self.lock = threading.Lock()

        def __call__(self, item: int) -> int:
            assert self.lock.acquire(blocking=False)
            time.sleep(0.001)
            self.lock.release()
            return id(self)

    used = list(in_order(range(40), [Worker(), Worker(), Worker()]))
    assert len(set(used)) == 3


def test_no_more_is_taken_before_its_turn_than_said() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for item in range(100):
            taken.append(item)
            yield item

    results = in_order(items(), [sleeper(lambda item: 0.0)] * 2)
    assert next(results) == 0
    assert len(taken) == 2 * AHEAD
    assert next(results) == 10
    assert len(taken) == 2 * AHEAD + 1
    results.close()


def test_what_a_worker_raises_is_raised_at_its_items_turn() -> None:
    def fails_at_two(item: int) -> int:
        if item == 2:
            raise ValueError("two")
        return item

    results = in_order(range(100), [fails_at_two] * 2)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ValueError, match="two"):
        next(results)


def test_no_thread_is_left_when_the_caller_stops_early() -> None:
    before = threading.active_count()
    done: list[int] = []

    def work(item: int) -> int:
        done.append(item)
        return item

    results = in_order(range(1000), [work, work])
    next(results)
    results.close()
    assert threading.active_count() == before
    assert len(done) <= 2 * AHEAD


def test_what_was_begun_is_abandoned_where_the_caller_stops_early_and_only_there() -> None:
    told = threading.Event()

    def work(item: int) -> int:
        assert item == 0 or told.wait(10)  # nothing else would end it
        return item

    results = in_order(range(4), [work, work], told.set)
    assert next(results) == 0
    results.close()
    assert told.is_set()
    told.clear()
    assert list(in_order(range(4), [sleeper(lambda item: 0.0)], told.set)) == [0, 10, 20, 30]
    assert not told.is_set()


def test_a_process_can_be_told_to_use_fewer_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgedense.workers._most", None)
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0, 1, 2}, raising=False)
    use_at_most(2)
    assert cores() == 2
    use_at_most(4)  # there are no more than three
    assert cores() == 3


def test_cores_are_those_that_this_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0, 3}, raising=False)
    assert cores() == 2
