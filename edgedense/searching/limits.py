"""How much a file may take on the board, and how long the search may last: read from text, and kept."""

from __future__ import annotations

import math
import re
import time
from dataclasses import dataclass, field

from edgedense.errors import EdgedenseError

_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True)
class Budget:
    """Milliseconds of one inference, or a share of what the unpruned file takes: one of the two is None."""

    milliseconds: float | None = None
    share: float | None = None

    def limit(self, unpruned: float) -> float:
        """The milliseconds that a file may take, where the unpruned one takes so many."""
        if self.milliseconds is not None:
            return self.milliseconds
        assert self.share is not None
        return self.share * unpruned


def parse_budget(text: str) -> Budget:
    """ "60ms", "60" or "50%". Raises EdgedenseError for anything else."""
    found = re.fullmatch(r"\s*([0-9]+\.?[0-9]*|\.[0-9]+)\s*(ms|%)?\s*", text)
    if found is None or not float(found[1]) > 0 or (found[2] == "%" and float(found[1]) > 100):
        raise EdgedenseError(
            "a budget such as 60ms, or a share of the unpruned file's time such as 50%, at most 100%", repr(text)
        )
    number = float(found[1])
    return Budget(share=number / 100) if found[2] == "%" else Budget(milliseconds=number)


def parse_duration(text: str) -> float:
    """Seconds, of "90s", "60m" or "2h". Raises EdgedenseError for anything else."""
    found = re.fullmatch(r"\s*([0-9]+\.?[0-9]*|\.[0-9]+)\s*([smh])\s*", text)
    if found is None or not float(found[1]) > 0:
        raise EdgedenseError("a time such as 90s, 60m or 2h", repr(text))
    return float(found[1]) * _SECONDS[found[2]]


@dataclass
class Clock:
    """How long a search has lasted, with the `earlier` seconds of one that was interrupted, and how much is left.

    `seconds` None: it may last as long as it takes.
    """

    seconds: float | None
    earlier: float = 0.0
    _started: float = field(default_factory=lambda: time.monotonic())  # looked up when it is called: tests set it

    @property
    def elapsed(self) -> float:
        """Seconds so far."""
        return self.earlier + time.monotonic() - self._started

    @property
    def left(self) -> float:
        """Seconds that are left; infinitely many without a limit."""
        return math.inf if self.seconds is None else self.seconds - self.elapsed
