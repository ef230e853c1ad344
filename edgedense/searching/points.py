"""The points of a result: files with their times, figures and commands, the front among them, and the chosen one."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from edgedense.boards.result import BoardTime
from edgedense.errors import EdgedenseError, GateError
from edgedense.flags import words
from edgedense.images.tables import Table
from edgedense.searching.bench import Data, Task
from edgedense.searching.choice import Choice
from edgedense.searching.final import Made
from edgedense.searching.halving import front
from edgedense.searching.result import Point, PointKind
from edgedense.searching.search import FRACTION, UNPRUNED

_KINDS: dict[str, PointKind] = {UNPRUNED: "unpruned", FRACTION: "fraction"}


def points(
    made: Sequence[tuple[Made, BoardTime]], task: Task, labels: Path | str | None, out: Path
) -> tuple[Point, ...]:
    """A point for each file, the fastest first, as it is written below `out`: NAME.tflite, with its recipe in
    NAME.json. `labels` is the file that --labels names."""
    return with_front(
        [
            _point(
                *(one, time, _KINDS.get(one.name, "trial"), one.choice.settings),
                command(one.choice, task, labels, out / f"{one.name}.tflite"),
            )
            for one, time in made
        ]
    )


def rival_points(made: Sequence[tuple[Made, BoardTime]]) -> list[Point]:
    """A point for each of the other networks, whose settings are those of their training."""
    return [_point(one, time, "rival", one.recipe["rival"].get("training", {}), "") for one, time in made]


def _point(one: Made, time: BoardTime, kind: PointKind, settings: Mapping[str, Any], typed: str) -> Point:
    return Point(
        name=one.name,
        kind=kind,
        settings=settings,
        command=typed,
        file=f"{one.name}.tflite",
        recipe=f"{one.name}.json",
        milliseconds=time.milliseconds,
        instructions=time.instructions,
        is_estimate=time.is_estimate,
        accuracy=one.reached.value or 0.0,
        low=_end(one.reached.low, one.reached.value),
        high=_end(one.reached.high, one.reached.value),
        images=one.images,
        size=len(one.data),
        on_front=False,
    )


def with_front(found: Sequence[Point]) -> tuple[Point, ...]:
    """The points, the fastest first, each told whether no other beats it."""
    leading = {point.name for point in front(found)}
    marked = [replace(point, on_front=point.name in leading) for point in found]
    return tuple(sorted(marked, key=lambda point: (point.milliseconds, -point.accuracy)))


def chosen(found: Sequence[Point], limit: float) -> Point:
    """The most accurate point within the budget that edgedense makes, the faster of two that are equally accurate.

    Raises GateError where none keeps the budget.
    """
    able = [point for point in found if point.milliseconds <= limit and point.kind != "rival"]
    if not able:
        fastest = min(found, key=lambda point: point.milliseconds)
        raise GateError(
            f"a file that takes at most {limit:.3g} ms",
            f"{fastest.milliseconds:.3g} ms at least, which {fastest.name} takes",
            "a larger --budget, or a smaller --input-size",
        )
    return max(able, key=lambda point: (point.accuracy, -point.milliseconds))


def command(choice: Choice, task: Task, labels: Path | str | None, out: Path) -> str:
    """The `convert` command that makes the same file again."""
    own = task.options.opening.size
    base = replace(task.options, opening=task.options.opening.at(None))
    typed = ["edgedense", "convert", task.model, "--calibration", _path(task.calibration)]
    typed += [] if labels is None else ["--labels", str(labels)]
    typed += words(base)
    typed += ["--input-size", str(own[0])] if own is not None and choice.size is None else []
    typed += choice.words
    used = [task.calibration]
    if choice.epochs and task.recover is not None:
        typed += ["--recover", _path(task.recover)]
        used.append(task.recover)
    tables = [data for data in used if isinstance(data, Table)]
    typed += ["--images", str(tables[0].images)] if tables and tables[0].images is not None else []
    typed += ["--calibration-split", tables[0].split] if tables and tables[0].split is not None else []
    return shlex.join([*typed, "--out", str(out)])


def check_tables(task: Task) -> None:
    """Raise EdgedenseError where the tables of --calibration and --recover are read in two ways, which no `convert`
    command can say."""
    first, second = task.calibration, task.recover
    if not (isinstance(first, Table) and isinstance(second, Table)):
        return
    if (first.images, first.split) != (second.images, second.split):
        raise EdgedenseError(
            "tables to calibrate and to recover with whose `images` and `split` are the same",
            f"{first.images}, {first.split} and {second.images}, {second.split}",
        )


def _path(data: Data) -> str:
    return str(data.file if isinstance(data, Table) else data)


def _end(end: float | None, value: float | None) -> float:
    """An end of an interval; the value itself where there is no interval."""
    found = end if end is not None else value
    return 0.0 if found is None else found
