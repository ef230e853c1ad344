"""Channel pruning: a DenseNet with fewer channels that keeps to a goal, and what the cut cost is mended for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from edgedense.converters.network.graph import DenseNet
from edgedense.converters.network.kept import Kept
from edgedense.converters.network.program import lower
from edgedense.converters.options import Criterion
from edgedense.converters.pruning.channels import Selection, correspondence, cut
from edgedense.converters.pruning.cost import X86, Cost, macs
from edgedense.converters.pruning.importance import Importance, measure_importance
from edgedense.converters.pruning.reconstruct import THOROUGH, Fit, reconstruct
from edgedense.converters.pruning.selection import cuts
from edgedense.errors import EdgedenseError
from edgedense.images.preprocessing import Pixels

Goal = Callable[[DenseNet], bool]
Progress = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]


@dataclass(frozen=True)
class Shrunk:
    """The smaller network, and which of the whole one's channels it has."""

    network: DenseNet
    kept: Kept
    selection: Selection

    def describe(self) -> str:
        """For people: how much of each dense block is left."""
        parts = []
        for number, rows in enumerate(self.selection.layers, start=1):
            staying = [row for row in rows if row.growth.size]
            width = sum(row.bottleneck.size for row in staying) / len(staying)
            growth = sum(row.growth.size for row in staying) / len(staying)
            parts.append(
                f"block {number}: {len(staying)} of {len(rows)} layers, bottlenecks of {width:.0f} and growth "
                f"{growth:.0f} on average"
            )
        return "; ".join(parts)


def fraction_removed(network: DenseNet, fraction: float) -> Goal:
    """The goal of `fraction` less multiply-accumulates than `network` has."""
    most = macs(network) * (1 - fraction)
    return lambda smaller: macs(smaller) <= most


def way_down(
    network: DenseNet,
    pixels: Pixels,
    criterion: Criterion,
    progress: Progress,
    importance: Importance | None = None,
    cost: Cost = X86,
) -> tuple[Selection, ...]:
    """All selections on the way from the whole network to the smallest, each a part of the one before: every goal is
    met by one of them. `importance` is what `measure_importance` gives, where it is known; `cost` is what a channel has
    to be worth."""
    if importance is None:
        with progress("measuring channels", len(pixels)) as tick:
            importance = measure_importance(network, pixels, criterion, tick=tick)
    return tuple(cuts(network, importance, cost))


def first_that_meets(network: DenseNet, way: Sequence[Selection], goal: Goal, wanted: str) -> Selection:
    """The first selection on the way down with which `goal` is met. It must stay met once it is.

    Raises EdgedenseError, naming the goal as `wanted`, when it is not met by the smallest network.
    """
    if not goal(cut(network, way[-1])):
        least = macs(cut(network, way[-1])) / macs(network)
        left = "one dense layer per block"
        if network.head.float_head is not None:
            left += ", all of those in the last block, whose channels the head that stays float reads"
        raise EdgedenseError(
            wanted,
            f"a smallest network, {left}, of {100 * least:.0f} % of the multiply-accumulates, which does not meet it",
            "a lower goal, or --input-size",
        )
    return _first(way, lambda at: goal(cut(network, at)))


def mended(network: DenseNet, selection: Selection, pixels: Pixels, progress: Progress, fit: Fit = THOROUGH) -> Shrunk:
    """`network` cut to `selection`, and what is left fitted to the whole network on `pixels` [N, H, W, 3].
    `fit` says how thoroughly."""
    fits = sum(op.kind in ("conv", "dense") for op in lower(cut(network, selection)).ops)
    with progress("fitting what is left", fits) as tick:
        smaller = reconstruct(network, selection, pixels, tick, fit)
    return Shrunk(smaller, correspondence(network, selection), selection)


def shrink(
    network: DenseNet,
    pixels: Pixels,
    goal: Goal,
    criterion: Criterion,
    progress: Progress,
    wanted: str,
    cost: Cost = X86,
) -> Shrunk:
    """Cut the channels of `network` that matter least for what they `cost`, until `goal` is met, then fit what is left
    to the whole network.

    `pixels` [N, H, W, 3] are calibration pictures; no labels are needed. Raises what `first_that_meets` raises.
    """
    way = way_down(network, pixels, criterion, progress, cost=cost)
    return mended(network, first_that_meets(network, way, goal, wanted), pixels, progress)


def _first(way: Sequence[Selection], met: Callable[[Selection], bool]) -> Selection:
    """The first that is met, of which all behind it are; the last one is."""
    low, high = 0, len(way) - 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if met(way[middle]) else (middle + 1, high)
    return way[high]
