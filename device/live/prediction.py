"""Scores -> what is said about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Prediction:
    """The best classes, best first, as (label, score). Empty when no score reaches the threshold."""

    top: tuple[tuple[str, float], ...]

    @property
    def label(self) -> str | None:
        """The best class, or None."""
        return self.top[0][0] if self.top else None

    @property
    def score(self) -> float | None:
        """The best class's score, or None."""
        return self.top[0][1] if self.top else None


def rank(scores: NDArray[np.float32], labels: Sequence[str], top: int, threshold: float = 0.0) -> Prediction:
    """float32 [classes] -> the `top` best classes among those that score at least `threshold`.

    Of equal scores the class with the lower number comes first.
    """
    order = np.argsort(-scores, kind="stable")[:top].tolist()
    values = scores.tolist()
    return Prediction(tuple((labels[i], values[i]) for i in order if values[i] >= threshold))
