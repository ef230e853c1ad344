"""Latencies measured in turns, so that a shared machine's drift meets every peer alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

SEED = 0
DRAWS = 2000  # of the bootstrap


@dataclass(frozen=True)
class Timing:
    """Milliseconds of one peer; the fastest comes close to what a machine with nothing else to do gives.

    `ratio`: the median over rounds of its time divided by the baseline's in the same round, with its 95 % bootstrap
    interval; None without a baseline.
    """

    median: float
    p95: float
    fastest: float
    rounds: int
    ratio: float | None
    interval: tuple[float, float] | None


def interleave(runs: Mapping[str, Callable[[int], object]], rounds: int, warmups: int,
               clock: Callable[[], float] = time.perf_counter,
               tick: Callable[[int], None] = lambda n: None) -> dict[str, list[float]]:
    """Seconds of every round for each of `runs`, which are called with the round's number.

    In each round every peer has its turn, and the order moves on by one from round to round, so that none always
    follows the same other. A turn is one inference that is not timed, which refills the caches and lets the threads
    of the peer before fall asleep, and one that is.
    """
    for number in range(warmups):
        for run in runs.values():
            run(number)
    names = list(runs)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            runs[name](number)
            start = clock()
            runs[name](number)
            seconds[name].append(clock() - start)
        tick(1)
    return seconds


def summarize(seconds: Mapping[str, Sequence[float]], baseline: str) -> dict[str, Timing]:
    """The figures of each peer; ratios where `baseline` is among them."""
    return {name: _timing(np.array(times), np.array(seconds[baseline]) if baseline in seconds else None)
            for name, times in seconds.items()}


def _timing(times: np.ndarray, baseline: np.ndarray | None) -> Timing:
    ratio = interval = None
    if baseline is not None:
        ratios = times / baseline
        drawn = np.random.default_rng(SEED).integers(0, len(ratios), (DRAWS, len(ratios)))
        low, high = np.quantile(np.median(ratios[drawn], axis=1), (0.025, 0.975))
        ratio, interval = float(np.median(ratios)), (float(low), float(high))
    return Timing(1e3 * float(np.median(times)), 1e3 * float(np.quantile(times, 0.95)), 1e3 * float(times.min()),
                  len(times), ratio, interval)
