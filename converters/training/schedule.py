"""Learning rates and the end of the training, as functions of the validation losses so far.

A training that goes on after a kill needs no more than these losses.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Schedule = Literal["plateau", "cosine"]
BETTER = 1e-4  # a loss that is smaller by less is no better, as Keras' callbacks have it
FLOOR = 1e-2  # of the first rate; a training at less learns nothing more


@dataclass(frozen=True)
class Phase:
    """A part of the training: at most `epochs` from learning rate `rate` on; `whole`: the backbone learns too."""

    name: str
    epochs: int
    rate: float
    whole: bool


def phases(pretrained: bool, head_epochs: int, epochs: int, rate: float, fine_tuning_rate: float) -> tuple[Phase, ...]:
    """Head, then all of a pretrained network at a lower rate; a fresh network at once."""
    if not pretrained:
        return (Phase("all", epochs, rate, True),)
    head = (Phase("head", head_epochs, rate, False),) if head_epochs else ()
    return (*head, Phase("fine-tuning", epochs, fine_tuning_rate, True))


def rate(phase: Phase, schedule: Schedule, losses: Sequence[float], patience: int) -> float:
    """The rate of the phase's next epoch, after epochs with these validation losses.

    On a plateau it falls after a third of the `patience` that ends the training.
    """
    if schedule == "cosine":
        lowest = FLOOR * phase.rate
        turn = math.cos(math.pi * len(losses) / max(phase.epochs - 1, 1))
        return lowest + (phase.rate - lowest) * (1 + turn) / 2
    return plateau_rate(phase.rate, losses, max(patience // 3, 1))


def plateau_rate(first: float, losses: Sequence[float], patience: int, factor: float = 0.3) -> float:
    """Keras' ReduceLROnPlateau: times `factor` after every `patience` epochs without a better loss."""
    best, wait, now = math.inf, 0, first
    for loss in losses:
        if loss < best - BETTER:
            best, wait = loss, 0
            continue
        wait += 1
        if wait >= patience:
            now, wait = max(now * factor, FLOOR * first), 0
    return now


def is_over(phase: Phase, schedule: Schedule, losses: Sequence[float], patience: int) -> bool:
    """Whether the phase has run its epochs or, on a plateau, `patience` of them without a better loss.

    A cosine is planned to its last epoch, which is its best, and is not cut short.
    """
    if len(losses) >= phase.epochs:
        return True
    if schedule == "cosine":
        return False
    best, wait = math.inf, 0
    for loss in losses:
        best, wait = (loss, 0) if loss < best - BETTER else (best, wait + 1)
    return wait >= patience


def best_epoch(losses: Sequence[float]) -> int:
    """The position of the smallest loss, the first on a tie."""
    return min(range(len(losses)), key=losses.__getitem__)
