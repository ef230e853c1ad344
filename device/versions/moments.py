"""Moments that keep their order, and find their time later, on boards where no clock runs while the power is off.

Such a board starts with the time at which it was last switched off, or with a date of years ago, until a network tells
it the time. So a moment holds what is always right, the boot and the seconds since, beside what the clock said.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgedense.device.board.telemetry import Clock

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")  # random(4): another one after every start of the kernel


@dataclass(frozen=True)
class Moment:
    """`seconds` since the `boot` of that name, standby included; `wall` is what the clock said, in seconds of Unix
    time, and `synchronized` whether the kernel called it right, None where it does not say."""

    boot: str
    seconds: float
    wall: float
    synchronized: bool | None

    @classmethod
    def now(cls) -> Moment:
        """This moment."""
        seconds = time.clock_gettime(time.CLOCK_BOOTTIME)
        return cls(_BOOT_ID.read_text().strip(), round(seconds, 3), round(time.time(), 3), Clock().is_synchronized)

    def since(self, earlier: Moment) -> float | None:
        """The seconds from `earlier` to this one; None where the computer was started in between."""
        return self.seconds - earlier.seconds if self.boot == earlier.boot else None


def times(moments: Sequence[Moment], now: Moment) -> list[float | None]:
    """When each of the moments was, in seconds of Unix time.

    One at which the clock was not right yet gets its time from another one of the same boot, or from `now`, at which it
    was. None where there is none.
    """
    started = {one.boot: one.wall - one.seconds for one in (*moments, now) if one.synchronized is not False}
    return [
        one.wall if one.synchronized is not False else _later(started.get(one.boot), one.seconds) for one in moments
    ]


def _later(start: float | None, seconds: float) -> float | None:
    return None if start is None else start + seconds
