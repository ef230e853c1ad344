"""Successive halving: of the trials of a round only the best get to the next rung, which is dearer.

Source: Jamieson and Talwalkar, "Non-stochastic best arm identification and hyperparameter optimization", 2016. A trial
has two goals here, so that "best" is by fronts: first come those that no other beats (Deb et al., "A fast and elitist
multiobjective genetic algorithm: NSGA-II", 2002).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

QUARTER, HALF = 4, 2  # one of so many goes on from the cheap rung, and from the full one


class Measured(Protocol):
    """What has a time, which is to be low, and an accuracy, which is to be high."""

    @property
    def milliseconds(self) -> float: ...

    @property
    def accuracy(self) -> float: ...


Some = TypeVar("Some", bound=Measured)


def beats(one: Measured, other: Measured) -> bool:
    """Whether `one` is as good in both, and better in one."""
    no_worse = one.milliseconds <= other.milliseconds and one.accuracy >= other.accuracy
    return no_worse and (one.milliseconds < other.milliseconds or one.accuracy > other.accuracy)


def front(found: Sequence[Some]) -> list[Some]:
    """Those that no other beats, in their order."""
    return [one for one in found if not any(beats(other, one) for other in found)]


def best(found: Sequence[Some], count: int) -> list[Some]:
    """At most `count` of them: the front, then the front of the others, and so on; within a front the most accurate
    first, and of equally accurate ones those that came first."""
    rest = list(found)
    chosen: list[Some] = []
    while rest and len(chosen) < count:
        leading = front(rest)
        chosen += sorted(leading, key=lambda one: -one.accuracy)
        rest = [one for one in rest if one not in leading]
    return chosen[:count]


def promoted(count: int, keep: int) -> int:
    """How many of `count` go on where one of `keep` does: rounded up, so that one always does."""
    return -(-count // keep)
