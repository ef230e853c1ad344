"""Scores -> what is said about them: the one place that decides when a class counts as seen.

Where classes exclude each other (softmax, or one sigmoid that tells two classes apart) the best one is the answer.
Where each class is scored alone (several sigmoids, or one with a label of its own) any number of them can be seen in a
picture, and also none: each has a threshold, and those that reach theirs are the findings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

HALF = 0.5  # a sigmoid's threshold where nobody names another: the class is more likely there than not


@dataclass(frozen=True)
class Rule:
    """When a class counts as seen: its score reaches its entry in `thresholds`.

    `independent` says that each class is scored alone. Otherwise the classes exclude each other, the best one is the
    answer, and it is left open where it does not reach its threshold. The thresholds may differ from class to class.
    Two classes told apart by one sigmoid with the threshold t on the second one's score have the thresholds (1 - t, t).
    """

    labels: tuple[str, ...]
    thresholds: tuple[float, ...]
    independent: bool = False


@dataclass(frozen=True)
class Prediction:
    """The classes that are seen, best first, as (label, score): `top`. Empty when none is.

    `below` are further classes that were asked for and do not reach their thresholds, best first, where classes are
    scored alone (`independent`): never empty there when `top` is.
    """

    top: tuple[tuple[str, float], ...]
    below: tuple[tuple[str, float], ...] = ()
    independent: bool = False

    @property
    def label(self) -> str | None:
        """The best class that is seen, or None."""
        return self.top[0][0] if self.top else None

    @property
    def score(self) -> float | None:
        """The best class's score, or None."""
        return self.top[0][1] if self.top else None

    @property
    def answer(self) -> tuple[str, ...]:
        """What is said, for telling whether it has changed: the best class, or the findings in alphabetical order."""
        return tuple(sorted(label for label, _ in (self.top if self.independent else self.top[:1])))


@dataclass(frozen=True)
class Doubt:
    """The class that a prediction is least sure of, its score, and how sure: from 0.5, or less, to 1."""

    label: str
    score: float
    sureness: float


def rule(labels: Sequence[str], activation: str, threshold: float | None = None) -> Rule:
    """The rule for scores that come from `activation`: "sigmoid" where each class is scored alone, else they exclude
    each other. `threshold` is that of every class; by default 0.5 for sigmoids, and none for the others.
    """
    independent = activation == "sigmoid"
    usual = HALF if independent else float("-inf")
    return Rule(tuple(labels), (usual if threshold is None else threshold,) * len(labels), independent)


def decide(scores: NDArray[np.float32], rule: Rule, top: int = 1) -> Prediction:
    """float32 [classes] -> what is seen.

    Of classes that exclude each other the `top` best are listed. Of independent ones each finding is listed, and the
    next best classes until there are `top`. Of equal scores the class with the lower number comes first.
    """
    values = scores.tolist()
    order = np.argsort(-scores, kind="stable").tolist()
    seen = [i for i in order if values[i] >= rule.thresholds[i]]
    others = [i for i in order if values[i] < rule.thresholds[i]] if rule.independent else []
    listed = seen if rule.independent else seen[:top]
    return Prediction(
        tuple((rule.labels[i], values[i]) for i in listed),
        tuple((rule.labels[i], values[i]) for i in others[: max(0, top - len(seen))]),
        rule.independent,
    )


def doubt(scores: NDArray[np.float32], rule: Rule) -> Doubt:
    """What a person should look at, of scores float32 [classes].

    Of classes that exclude each other it is the best one, and its score says how sure. Of independent classes it is the
    one nearest to its threshold: how sure is 0.5 at the threshold and rises evenly to 1 at the scores 0 and 1. With
    the threshold 0.5 this is the score itself, or 1 minus it where the class is not seen.
    """
    if not rule.independent:
        best = int(scores.argmax())
        return Doubt(rule.labels[best], float(scores[best]), float(scores[best]))
    limits = np.array(rule.thresholds, np.float32)
    room = np.where(scores >= limits, 1 - limits, limits)  # from the threshold to the end of the scale on this side
    sureness = np.minimum(0.5 + 0.5 * np.abs(scores - limits) / np.maximum(room, 1e-6), 1.0)
    least = int(sureness.argmin())
    return Doubt(rule.labels[least], float(scores[least]), float(sureness[least]))


def usual_doubt(rule: Rule) -> float:
    """Below which sureness a prediction is called unsure where nobody names another: halfway between the least and 1
    where the answer is yes or no, and with it at least 0.5; else half.
    """
    return 0.75 if rule.independent or len(rule.labels) == 2 else 0.5
