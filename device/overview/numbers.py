"""Which numbered messages have come: MQTT may bring one twice, and late ones come in any order."""

from __future__ import annotations

from bisect import bisect_right

BOOTS = 8  # of a device that are remembered; a message of an older one is taken for a repeated one
RUNS = 1000  # of consecutive numbers that are remembered for each


class Numbers:
    """The sequence numbers that came from one device, for its newest boots. Use `is_new` for each message."""

    def __init__(self) -> None:
        self._boots: dict[str, list[list[int]]] = {}

    def is_new(self, boot: str, sequence: int) -> bool:
        """Whether this message has not come before. From now on it has."""
        if boot not in self._boots and len(self._boots) == BOOTS:
            del self._boots[next(iter(self._boots))]
        return _add(self._boots.setdefault(boot, []), sequence)


def _add(runs: list[list[int]], number: int) -> bool:
    """Add to runs of consecutive numbers, [first, last] each and sorted. False where it was in one of them."""
    after = bisect_right(runs, [number, float("inf")])
    before = runs[after - 1] if after else None
    if before is not None and number <= before[1]:
        return False
    joins_before = before is not None and before[1] == number - 1
    joins_after = after < len(runs) and runs[after][0] == number + 1
    if before is not None and joins_before and joins_after:
        before[1] = runs.pop(after)[1]
    elif before is not None and joins_before:
        before[1] = number
    elif joins_after:
        runs[after][0] = number
    else:
        runs.insert(after, [number, number])
        if len(runs) > RUNS:  # a device that thins out what it could not send leaves gaps: the oldest is closed
            runs[0][1] = runs.pop(1)[1]
    return True
