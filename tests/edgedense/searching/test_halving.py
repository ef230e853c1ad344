"""Which trials go on. Times and accuracies are small enough to see the fronts."""

from __future__ import annotations

from dataclasses import dataclass

from edgedense.searching.halving import beats, best, front, promoted


@dataclass(frozen=True)
class One:
    milliseconds: float
    accuracy: float


FAST, MIDDLE, GOOD = One(1, 70), One(2, 80), One(3, 90)  # no one beats another
SLOW, POOR = One(3, 80), One(2, 60)  # MIDDLE beats both


def test_what_beats() -> None:
    assert beats(MIDDLE, SLOW)
    assert beats(MIDDLE, POOR)
    assert not beats(MIDDLE, MIDDLE)
    assert not beats(FAST, GOOD)


def test_the_front() -> None:
    assert front([SLOW, GOOD, MIDDLE, POOR, FAST]) == [GOOD, MIDDLE, FAST]
    assert front([MIDDLE, MIDDLE]) == [MIDDLE, MIDDLE]


def test_the_best() -> None:
    """The most accurate of the front first; then the next front."""
    everything = [SLOW, FAST, MIDDLE, POOR, GOOD]
    assert best(everything, 2) == [GOOD, MIDDLE]
    assert best(everything, 4) == [GOOD, MIDDLE, FAST, SLOW]
    assert best(everything, 9) == [GOOD, MIDDLE, FAST, SLOW, POOR]
    assert best([], 3) == []


def test_one_always_goes_on() -> None:
    assert [promoted(count, 4) for count in (0, 1, 4, 5, 16)] == [0, 1, 1, 2, 4]
