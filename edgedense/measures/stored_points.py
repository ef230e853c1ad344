"""The thresholds that a deployed file carries, how they were chosen, and what they do on other images.

In the recipe, `thresholds` are what decides: one for each output of the network. `operating_points` say how they were
chosen, and `positive` which of two classes is meant by "found" where a single score tells two apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgedense.errors import EdgedenseError
from edgedense.measures.operating_points import OperatingPoint, Share, Spec, choose, columns, measured

ENTRY, THRESHOLDS, POSITIVE = "operating_points", "thresholds", "positive"
INTERVAL = "95 %, Wilson score"


@dataclass(frozen=True)
class Stored:
    """Operating points by the rule `spec`, chosen on so many `images`, whose names and contents have the hash `sha256`.

    `points` has one for each output, None for a class that is never seen; where a single score tells two classes apart,
    the one of the class `positive`.
    """

    spec: str
    images: int
    sha256: str
    points: tuple[OperatingPoint | None, ...]
    positive: str | None = None

    @property
    def notes(self) -> list[str]:
        """Remarks for the user on thresholds that treat all images alike, which nobody wants."""
        found = [point for point in self.points if point is not None]
        every = [one.label for one in found if one.specificity is not None and one.specificity.value == 0]
        none = [one.label for one in found if one.sensitivity is not None and one.sensitivity.value == 0]
        return [
            *([f"seen in every picture at the threshold for {self.spec}: {', '.join(every)}"] if every else []),
            *([f"found in no picture at the threshold for {self.spec}: {', '.join(none)}"] if none else []),
        ]

    def entries(self, outputs: int) -> dict[str, Any]:
        """What it adds to the recipe of a network with so many outputs. Shares are rounded to six decimals, thresholds
        are exact."""
        thresholds = [None if point is None else point.threshold for point in self.points]
        return {
            THRESHOLDS: [*[None] * (outputs - len(thresholds)), *thresholds],  # of a softmax of two the second decides
            **({} if self.positive is None else {POSITIVE: self.positive}),
            ENTRY: {
                "chosen_by": self.spec,
                "interval": INTERVAL,
                "images": self.images,
                "sha256": self.sha256,
                "points": [None if point is None else _entry(point) for point in self.points],
            },
        }


@dataclass(frozen=True)
class Kept:
    """A threshold that a file carries, on other images: what it did where it was chosen, None where the file does not
    say that, and what it does `here`."""

    promised: OperatingPoint | None
    here: OperatingPoint


def is_pair(names: Sequence[str], activation: str, outputs: int) -> bool:
    """Whether a single score tells two classes apart: that of one sigmoid, or the second one of a softmax of two."""
    return len(names) == 2 and (outputs == 1 or (activation == "softmax" and outputs == 2))


def require_thresholds(names: Sequence[str], activation: str, outputs: int, positive: str | None = None) -> None:
    """Raise EdgedenseError for a model whose answers no threshold decides, and for a `positive` class that is none of
    two."""
    if activation == "softmax" and not is_pair(names, activation, outputs):
        raise EdgedenseError(
            "classes that are scored one by one (sigmoid), or two of them, for --operating-point",
            f"{outputs} classes that exclude each other (softmax): the best one is the answer, and no threshold "
            "decides it",
            "leave it out; run --threshold reports nothing where the best score is low",
        )
    if activation not in ("softmax", "sigmoid"):
        raise EdgedenseError(
            "a model that tells classes apart for --operating-point", "one that gives values (--activation none)"
        )
    if positive is None:
        return
    if not is_pair(names, activation, outputs):
        raise EdgedenseError(
            "two classes that a single score tells apart for --positive",
            f"{len(names)} that are scored one by one" if len(names) > 1 else "a single class",
            "leave it out: each class is judged by itself",
        )
    if positive not in names:
        raise EdgedenseError(f"--positive {names[0]} or {names[1]}", positive)


def chosen(
    scores: npt.ArrayLike,
    truth: npt.ArrayLike,
    names: Sequence[str],
    spec: Spec,
    *,
    activation: str,
    outputs: int,
    sha256: str,
    trained: Sequence[bool] = (),
    positive: str | None = None,
) -> Stored:
    """Operating points for a network with so many `outputs` that come from `activation`, and labels `names` [K].

    `scores` are float32 [N, K], or [N, 1] for the second of two classes, as the deployed file gives them; `truth`
    [N, K] is as in `operating_points`. `trained` [K] says which classes the model was trained for, by default all.
    `positive` is the class whose sensitivity is meant where a single score tells two apart, by default the second.

    Raises EdgedenseError as `require_thresholds` and `operating_points.choose` do.
    """
    require_thresholds(names, activation, outputs, positive)
    table, known = np.asarray(scores, np.float64), np.asarray(truth, np.float64)
    if not is_pair(names, activation, outputs):
        points = choose(table, known, names, spec, trained=trained)
        return Stored(str(spec), len(table), sha256, points)
    positive = names[1] if positive is None else positive
    which = names.index(positive)
    below = names[1] if which == 0 else None
    points = choose(table[:, -1:], known[:, which : which + 1], (positive,), spec, below=below)
    return Stored(str(spec), len(table), sha256, points, positive)


def read(recipe: Mapping[str, Any]) -> Stored | None:
    """The operating points in a recipe, None where there are none. Raises EdgedenseError for a damaged entry."""
    entry = recipe.get(ENTRY)
    if entry is None:
        return None
    try:
        points = tuple(None if point is None else _point(point) for point in entry["points"])
        spec, images, sha256 = str(entry["chosen_by"]), int(entry["images"]), str(entry["sha256"])
        if len(points) not in (1, len(recipe[THRESHOLDS])):
            raise ValueError(f"{len(points)} of {len(recipe[THRESHOLDS])} outputs")
    except (KeyError, TypeError, ValueError) as error:
        raise EdgedenseError(
            "operating points as edgedense writes them", f"damaged ones ({error})", "choose them again"
        ) from error
    return Stored(spec, images, sha256, points, recipe.get(POSITIVE))


def kept(
    recipe: Mapping[str, Any], scores: npt.ArrayLike, truth: npt.ArrayLike, names: Sequence[str]
) -> tuple[Kept, ...]:
    """What the thresholds that a file carries do on other images; nothing for a file without any.

    `recipe` is the file's, `scores` and `truth` are as for `chosen`; of two classes that a single score tells apart
    both may be scored, [N, 2]. Classes that are never seen are left out.
    """
    thresholds = recipe.get(THRESHOLDS) or []
    if not thresholds:
        return ()
    stored = read(recipe)
    promised = stored.points if stored is not None else (None,) * len(thresholds)
    table, known = np.asarray(scores, np.float64), np.asarray(truth, np.float64)
    if is_pair(names, recipe.get("activation", "softmax"), len(thresholds)):
        which = 0 if promised[0] is not None and promised[0].below is not None else 1
        below = names[1] if which == 0 else None
        return (Kept(promised[0], measured(table[:, -1], known[:, which], names[which], thresholds[-1], below=below)),)
    table, known = columns(table, known, names)
    return tuple(
        Kept(promise, measured(table[:, k], known[:, k], names[k], limit))
        for k, (promise, limit) in enumerate(zip(promised, thresholds, strict=True))
        if limit is not None
    )


def _entry(point: OperatingPoint) -> dict[str, Any]:
    def share(one: Share | None) -> dict[str, float] | None:
        return None if one is None else {name: round(value, 6) for name, value in asdict(one).items()}

    figures = {"sensitivity": share(point.sensitivity), "specificity": share(point.specificity)}
    return {name: value for name, value in {**asdict(point), **figures}.items() if name != "below" or value is not None}


def _point(entry: Mapping[str, Any]) -> OperatingPoint:
    def share(one: Mapping[str, Any] | None) -> Share | None:
        return None if one is None else Share(float(one["value"]), float(one["low"]), float(one["high"]))

    return OperatingPoint(
        str(entry["label"]),
        float(entry["threshold"]),
        int(entry["positives"]),
        int(entry["negatives"]),
        share(entry["sensitivity"]),
        share(entry["specificity"]),
        entry.get("below"),
    )
