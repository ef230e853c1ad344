"""What a search ends with: every file that was measured in full, those that no other file beats, and the chosen one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

PointKind = Literal["unpruned", "trial", "fraction", "rival"]


@dataclass(frozen=True)
class Point:
    """One file: what made it, how long it takes on the board, and how good it is.

    `kind` says where it comes from. "unpruned": the plain conversion of the whole network. "trial": the search.
    "fraction": `--prune-channels` alone, with the least fraction that keeps the budget. "rival": another architecture.
    `settings` are the options that made it, by name, and `command` is the command that makes the same file again, empty
    for a rival. `file` and `recipe` are paths below the folder of the results, with forward slashes; they are empty
    where the file was not kept. `size` is the file's, in bytes.

    `milliseconds` are those of one inference on the board. `is_estimate` says that they were computed from the file and
    not measured, and `instructions` how many the computation counts; None where it was measured.

    `accuracy`, with its 95 % interval from `low` to `high`, is in points of 100, on so many labelled `images`: the
    share of pictures with the right class, or where classes are scored alone the mean AUROC. `on_front` says that no
    other point is both as fast and more accurate, or as accurate and faster.
    """

    name: str
    kind: PointKind
    settings: Mapping[str, Any]
    command: str
    file: str
    recipe: str
    milliseconds: float
    instructions: float | None
    is_estimate: bool
    accuracy: float
    low: float
    high: float
    images: int
    size: int
    on_front: bool


@dataclass(frozen=True)
class SearchResult:
    """The outcome of a search.

    `model` is the trained model's name, `board` the board that the times are of, `budget_ms` what a file may take there
    and `trials` how many were run, those that were given up included. `points` are ordered by time. `chosen` is the
    name of the most accurate point of the search within the budget, the faster of two that are equal. `notes` are
    remarks for the user. `measure` is what the accuracies are: "accuracy" or "mean AUROC".

    `test` holds the points' figures on pictures that the search did not use, by name, where it was given any:
    (accuracy, low, high), as in `Point`. The accuracies that a choice was made by are too good: what looked best was
    also lucky.
    """

    model: str
    board: str
    budget_ms: float
    seed: int
    trials: int
    points: tuple[Point, ...]
    chosen: str
    notes: tuple[str, ...]
    measure: str = "accuracy"
    test: Mapping[str, tuple[float, float, float]] | None = None
    test_images: int = 0

    def point(self, name: str) -> Point:
        """The point of that name. Raises KeyError where there is none."""
        for point in self.points:
            if point.name == name:
                return point
        raise KeyError(name)

    @property
    def best(self) -> Point:
        """The chosen point."""
        return self.point(self.chosen)

    @property
    def front(self) -> tuple[Point, ...]:
        """The points that no other point beats, the fastest first."""
        return tuple(point for point in self.points if point.on_front)

    def to_dict(self) -> dict[str, Any]:
        """Everything as dictionaries, lists, numbers and text."""
        found = asdict(self)
        found["points"] = [{**asdict(point), "settings": dict(point.settings)} for point in self.points]
        found["notes"] = list(self.notes)
        found["test"] = None if self.test is None else {name: list(figures) for name, figures in self.test.items()}
        return found

    def to_json(self) -> str:
        """`to_dict` as one JSON object on one line."""
        return json.dumps(self.to_dict(), ensure_ascii=False, allow_nan=False)

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> SearchResult:
        """What `to_dict` gave. Raises TypeError or KeyError for anything else."""
        test = found["test"]
        return cls(
            **{
                **found,
                "points": tuple(Point(**point) for point in found["points"]),
                "notes": tuple(found["notes"]),
                "test": None if test is None else {name: tuple(figures) for name, figures in test.items()},
            }
        )
