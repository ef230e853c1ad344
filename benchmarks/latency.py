"""Latencies measured in turns, so that a shared machine's drift meets every peer alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

SEED = 0
DRAWS = 2000  # of the bootstrap


@dataclass(frozen=True)
class Ratio:
    """One peer's time as a multiple of another's: the median over rounds, with its 95 % bootstrap interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Timing:
    """Milliseconds of one peer; the fastest comes close to what a machine with nothing else to do gives.

    `ratio`: its time by the baseline's in the same round. `subject_ratio`: the subject's by its own. None where that
    other is not there.
    """

    median: float
    p95: float
    fastest: float
    rounds: int
    ratio: Ratio | None
    subject_ratio: Ratio | None


def interleave(
    runs: Mapping[str, Callable[[int], object]],
    rounds: int,
    warmups: int,
    clock: Callable[[], float] = time.perf_counter,
    tick: Callable[[int], None] = lambda n: None,
) -> dict[str, list[float]]:
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


def summarize(seconds: Mapping[str, Sequence[float]], baseline: str, subject: str) -> dict[str, Timing]:
    """The figures of each peer, beside those of `baseline` and `subject` where these are among them."""
    rounds = {name: np.array(times) for name, times in seconds.items()}
    return {
        name: Timing(
            1e3 * float(np.median(times)),
            1e3 * float(np.quantile(times, 0.95)),
            1e3 * float(times.min()),
            len(times),
            _ratio(times, rounds.get(baseline)),
            _ratio(rounds.get(subject), times),
        )
        for name, times in rounds.items()
    }


def _ratio(times: np.ndarray | None, others: np.ndarray | None) -> Ratio | None:
    if times is None or others is None:
        return None
    ratios = times / others
    drawn = np.random.default_rng(SEED).integers(0, len(ratios), (DRAWS, len(ratios)))
    low, high = np.quantile(np.median(ratios[drawn], axis=1), (0.025, 0.975))
    return Ratio(float(np.median(ratios)), float(low), float(high))
