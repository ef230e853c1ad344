"""Moments: what the clock said, and when it was."""

from __future__ import annotations

from edgedense.device.versions.moments import Moment, times

NOW = Moment("b", 500.0, 1_000_500.0, True)  # this boot began at 1,000,000


def test_a_moment_before_the_clock_was_right_gets_its_time_from_one_after() -> None:
    early = Moment("b", 20.0, 86_400.0, False)
    assert times([early], NOW) == [1_000_020.0]


def test_of_another_boot_only_another_moment_of_it_tells() -> None:
    first, lost = Moment("a", 10.0, 0.0, False), Moment("c", 10.0, 0.0, False)
    later = Moment("a", 100.0, 900_100.0, True)  # that boot began at 900,000
    assert times([first, lost, later], NOW) == [900_010.0, None, 900_100.0]


def test_a_clock_of_which_nobody_knows_is_believed() -> None:
    assert times([Moment("x", 5.0, 777.0, None)], Moment("b", 1.0, 2.0, False)) == [777.0]


def test_seconds_are_counted_within_a_boot_alone() -> None:
    assert NOW.since(Moment("b", 480.0, 0.0, False)) == 20.0
    assert NOW.since(Moment("a", 480.0, 0.0, True)) is None


def test_now_goes_on() -> None:
    first, second = Moment.now(), Moment.now()
    assert first.boot == second.boot
    since = second.since(first)
    assert since is not None
    assert since >= 0
