"""Scores -> what is said about them: the one place that decides when a class counts as seen.

Where classes exclude each other (softmax, or one sigmoid that tells two classes apart) the best one is the answer. Of
two classes it may also be the second one from a threshold on, and else the first.
Where each class is scored alone (several sigmoids, or one with a label of its own) any number of them can be seen in a
picture, and also none: each has a threshold, and those that reach theirs are the findings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edgedense.measures.scores import HALF, NONE, text

NEVER = float("inf")  # that of a class that the model was not trained for


@dataclass(frozen=True)
class Rule:
    """When a class counts as seen, with a threshold for each label.

    "best": classes exclude each other, and the best one is the answer, unless its score is below its threshold.
    "pair": a single score tells two classes apart, that of one sigmoid, or the second one of a softmax of two. The
    second class is the answer where its score reaches its threshold, and else the first is.
    "each": every class is scored alone, and all that reach their thresholds are seen. The thresholds may differ. A
    class with the threshold NEVER is not named at all.
    "values": the numbers are no probabilities, as those of a regression. All are listed, in the model's own order, with
    their `unit` where the file names one.
    """

    labels: tuple[str, ...]
    thresholds: tuple[float, ...]
    kind: Literal["best", "pair", "each", "values"] = "best"
    unit: str = ""

    @property
    def independent(self) -> bool:
        """Whether each class is scored alone, so that there may be several findings, or none."""
        return self.kind == "each"

    @property
    def truth(self) -> Literal["classes", "several", "values"]:
        """What is to be known of a picture to say whether such a file is right about it."""
        return "values" if self.kind == "values" else "several" if self.kind == "each" else "classes"


@dataclass(frozen=True)
class Prediction:
    """The classes that are seen, best first, as (label, score): `top`. Empty when none is.

    `below` are further classes that were asked for and do not reach their thresholds, best first, where classes are
    scored alone (`independent`): never empty there when `top` is. `are_values`: the scores are no probabilities, and
    `top` has all of them in the model's own order, in `unit` where it is known. `thresholds` are those that decided, by
    label.
    """

    top: tuple[tuple[str, float], ...]
    below: tuple[tuple[str, float], ...] = ()
    independent: bool = False
    are_values: bool = False
    thresholds: Mapping[str, float] = field(default_factory=dict, compare=False)
    unit: str = ""

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
        """What is said, for telling whether it has changed: the best class, or the findings in alphabetical order, or
        all values."""
        if self.are_values:
            return tuple(f"{label} {self.said(value)}" for label, value in self.top)
        return tuple(sorted(label for label, _ in (self.top if self.independent else self.top[:1])))

    def said(self, score: float) -> str:
        """One of the scores for people."""
        if not self.are_values:
            return f"{score:.1%}"
        return f"{text(score)} {self.unit}" if self.unit else text(score)

    def to_dict(self) -> dict[str, Any]:
        """For JSON: label, score, top, and findings where each class is scored alone. Where a threshold decides, each
        class has its own. Of values: values, and unit where it is known."""
        if self.are_values:  # float32 holds seven digits
            given = {label: float(f"{value:.7g}") for label, value in self.top}
            return {"values": given, **({"unit": self.unit} if self.unit else {})}
        seen, below = self._scored(self.top), self._scored(self.below)
        best = {"label": self.label, "score": None if self.score is None else round(self.score, 6)}
        return {**best, **({"findings": seen} if self.independent else {}), "top": seen + below}

    def _scored(self, classes: tuple[tuple[str, float], ...]) -> list[dict[str, Any]]:
        return [
            {
                "label": label,
                "score": round(score, 6),
                **({"threshold": round(self.thresholds[label], 6)} if label in self.thresholds else {}),
            }
            for label, score in classes
        ]


@dataclass(frozen=True)
class Doubt:
    """The class that a prediction is least sure of, its score, and how sure: from 0.5, or less, to 1."""

    label: str
    score: float
    sureness: float


def rule(
    labels: Sequence[str],
    activation: str,
    outputs: int,
    threshold: float | None = None,
    own: Sequence[float | None] = (),
    unit: str = "",
) -> Rule:
    """The rule for a network with so many `outputs` that come from `activation` ("softmax", "sigmoid", or "none" for
    values).

    `threshold` is that of every class, or of the second one of a pair. By default it is that of the model's `own`, one
    for each output, where it has them, else 0.5 for sigmoids, and there is none where classes exclude each other. A
    class of several sigmoids whose own is None is never seen. Two labels for one sigmoid are a pair, and so are those
    of a softmax of two for whose second output the model has a threshold. `unit` is that of values.
    """
    names, open_ended = tuple(labels), float("-inf")
    if activation == NONE:
        return Rule(names, (open_ended,) * len(names), "values", unit)
    single = activation == "sigmoid" and outputs == 1
    if len(names) == 2 and (single or (activation == "softmax" and own and own[-1] is not None)):
        threshold = own[-1] if threshold is None and own else threshold
        return Rule(names, (open_ended,) * 2) if threshold is None else Rule(names, (1 - threshold, threshold), "pair")
    if activation == "sigmoid":
        usual = own or (HALF,) * len(names)
        limits = (NEVER if one is None else one if threshold is None else threshold for one in usual)
        return Rule(names, tuple(limits), "each")
    return Rule(names, (open_ended if threshold is None else threshold,) * len(names))


def seen(scores: NDArray[np.float32], rule: Rule) -> list[int]:
    """The numbers of the classes that are seen, best first, by scores float32 [classes]. Of equal scores the class with
    the lower number comes first."""
    values = scores.tolist()
    if rule.kind == "pair":
        return [1] if values[1] >= rule.thresholds[1] else [0]
    return [i for i in _ranked(scores) if values[i] >= rule.thresholds[i]]


def decide(scores: NDArray[np.float32], rule: Rule, top: int = 1) -> Prediction:
    """float32 [classes] -> what is said.

    Of classes that exclude each other the `top` best are listed; of a pair the answer comes first. Of classes that are
    scored alone each finding is listed, and the next best ones until there are `top`.
    """
    if rule.kind == "values":
        return Prediction(_listed(scores, rule, range(len(rule.labels))), are_values=True, unit=rule.unit)
    found = seen(scores, rule)
    others = [i for i in _ranked(scores) if i not in found and rule.thresholds[i] != NEVER]
    limits = dict(zip(rule.labels, rule.thresholds, strict=True)) if rule.kind in ("each", "pair") else {}
    if rule.kind == "each":
        below = _listed(scores, rule, others[: max(0, top - len(found))])
        return Prediction(_listed(scores, rule, found), below, True, thresholds=limits)
    listed = (found + others if rule.kind == "pair" else found)[:top]
    return Prediction(_listed(scores, rule, listed), thresholds=limits)


def _ranked(scores: NDArray[np.float32]) -> list[int]:
    return [int(i) for i in np.argsort(-scores, kind="stable")]


def _listed(scores: NDArray[np.float32], rule: Rule, numbers: Sequence[int]) -> tuple[tuple[str, float], ...]:
    return tuple((rule.labels[i], float(scores[i])) for i in numbers)


def doubt(scores: NDArray[np.float32], rule: Rule) -> Doubt:
    """What a person should look at, of scores float32 [classes].

    Of classes that exclude each other it is the best one, and its score says how sure. Where thresholds decide it is
    the class nearest to its own. How sure is then 0.5 at the threshold and rises evenly to 1 at the scores 0 and 1:
    with the threshold 0.5 this is the score itself, or 1 minus it where the class is not seen. A class that is never
    seen is sure.
    """
    if rule.kind == "best":
        best = int(scores.argmax())
        return Doubt(rule.labels[best], float(scores[best]), float(scores[best]))
    limits = np.array([1 if limit == NEVER else limit for limit in rule.thresholds], np.float32)
    room = np.where(scores >= limits, 1 - limits, limits)  # from the threshold to the end of the scale on this side
    sureness = np.minimum(0.5 + 0.5 * np.abs(scores - limits) / np.maximum(room, 1e-6), 1.0)
    sureness[np.array(rule.thresholds) == NEVER] = 1
    least = seen(scores, rule)[0] if rule.kind == "pair" else int(sureness.argmin())
    return Doubt(rule.labels[least], float(scores[least]), float(sureness[least]))


def usual_doubt(rule: Rule) -> float:
    """Below which sureness a prediction is called unsure where nobody says. The better of two scores that sum to 1 is
    never below one half, so that where each answer is yes or no it is halfway from there to 1."""
    return 0.75 if rule.kind != "best" or len(rule.labels) == 2 else 0.5
