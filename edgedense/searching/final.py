"""The files that a search ends with: made by `convert` itself, and measured on all labelled pictures."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from edgedense.boards.estimate import estimate
from edgedense.boards.result import BoardTime
from edgedense.converters import pipeline
from edgedense.converters.pruning.importance import Importance
from edgedense.converters.tflite import execute
from edgedense.deployed import bundle
from edgedense.measures import validation
from edgedense.measures.bootstrap import Estimate
from edgedense.searching.bench import Bench, Task, bench
from edgedense.searching.choice import Choice


@dataclass(frozen=True)
class Make:
    """A file to make: its name and its options, with the importance of channels where some are cut."""

    name: str
    choice: Choice
    importance: Importance | None = None


@dataclass(frozen=True)
class Made:
    """The file, its recipe, and how good it is: in points of 100, on so many pictures.

    `measure` says what that is. `test` are the same figures on the pictures that the search does not use; None without
    such.
    """

    name: str
    choice: Choice
    data: bytes
    recipe: dict[str, Any]
    reached: Estimate
    images: int
    measure: str
    test: Estimate | None = None
    test_images: int = 0


def make(task: Task, item: Make) -> tuple[Made, BoardTime]:
    """Make and measure one file, and estimate its time. A training that has a checkpoint in `task.work` is not
    repeated.

    Raises EdgedenseError as `convert` does, and for an operator whose time on the board cannot be estimated.
    """
    choice = item.choice
    found = bench(task, choice.size)
    options = choice.options(task.options, task.recover, task.work / item.name)
    pipeline.check(options, False)
    is_plain = not options.slimming.changes and not found.given.trained.resized
    given = replace(
        found.given,
        scores=None if is_plain else found.given.scores,
        training=found.recovery if options.slimming.trains else None,
    )
    shrunk = None
    if choice.prune_channels is not None:
        assert item.importance is not None
        shrunk = found.shrunk(choice.importance, item.importance, choice.prune_channels)
    made = pipeline.converted(given, found.notes, options, shrunk)
    return measured(item.name, choice, made.data, made.recipe, found), estimated(made.data, task.board)


def measured(name: str, choice: Choice, data: bytes, recipe: dict[str, Any], found: Bench) -> Made:
    """A file with its figures on all labelled pictures."""
    images, pixels = found.validation
    reached = validation.estimated(execute.run(data, pixels), images, found.limits)
    result = Made(name, choice, data, recipe, reached, len(pixels), validation.measured(images))
    return result if found.task.test is None else _tested(result, found)


def estimated(data: bytes, board: str) -> BoardTime:
    """The time that a file is estimated to take on `board`. Raises EdgedenseError as `estimate` does."""
    return estimate(bundle.without_archive(data), board)


def _tested(made: Made, found: Bench) -> Made:
    images, pixels = found.test
    reached = validation.estimated(execute.run(made.data, pixels), images, found.limits)
    return replace(made, test=reached, test_images=len(pixels))
