"""What the machine says about itself: temperature and clock."""

from __future__ import annotations

import ctypes
import time
from datetime import datetime, timezone
from pathlib import Path

_ZONES = Path("/sys/class/thermal")
_TIME_ERROR = 5  # adjtimex(2): the clock is not synchronized to a reliable server


def temperature(zones: Path = _ZONES) -> float | None:
    """The processor's temperature in degrees Celsius: of the zone that is called so, else of the hottest."""
    readings: dict[str, float] = {}
    for zone in sorted(zones.glob("thermal_zone*")):
        try:
            readings[(zone / "type").read_text().strip()] = int((zone / "temp").read_text()) / 1000
        except (OSError, ValueError):
            continue
    named = [value for kind, value in readings.items() if "cpu" in kind or kind == "x86_pkg_temp"]
    return max(named or readings.values(), default=None)


def iso(wall: float) -> str:
    """Seconds of Unix time as "2026-11-28T16:00:00.000Z"."""
    return datetime.fromtimestamp(wall, timezone.utc).isoformat(timespec="milliseconds")[:-6] + "Z"


class Clock:
    """Whether the wall clock is synchronized. A Raspberry Pi without network starts with a wrong one."""

    def __init__(self, interval: float = 5.0) -> None:
        self._interval, self._asked_at = interval, float("-inf")
        self._synchronized: bool | None = None

    @property
    def is_synchronized(self) -> bool | None:
        """What the kernel says, asked for at most every few seconds; None where it cannot be asked."""
        if time.monotonic() - self._asked_at > self._interval:
            self._asked_at, self._synchronized = time.monotonic(), _kernel_says()
        return self._synchronized


def _kernel_says() -> bool | None:
    request = ctypes.create_string_buffer(512)  # struct timex, all zero: change nothing, only tell the state
    try:
        state = ctypes.CDLL(None, use_errno=True).adjtimex(request)
    except (AttributeError, OSError):
        return None
    return None if state < 0 else state != _TIME_ERROR
