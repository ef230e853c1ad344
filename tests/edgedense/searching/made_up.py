"""Workers whose trials cost nothing: times and accuracies follow from the settings by simple formulas."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from edgedense.boards.result import BoardTime
from edgedense.converters.options import Options
from edgedense.converters.pruning.importance import Importance
from edgedense.measures.bootstrap import Estimate
from edgedense.searching.bench import Task
from edgedense.searching.choice import Choice
from edgedense.searching.final import Made, Make
from edgedense.searching.trial import Outcome, Try
from edgedense.searching.worker import Channels, Least, Look, Seen, Timed

WHOLE = 10.0  # milliseconds of the unpruned file, which is right on 90 of 100 pictures
SECONDS = {"cheap": 1.0, "full": 5.0, "trained": 20.0, "Make": 10.0}


def task(work: Path, recover: str | None = "recover") -> Task:
    """A search of files that nobody reads."""
    return Task(
        *("m.keras", Path("calibration"), Path("validation"), None, Options(), "pi5", work),
        None if recover is None else Path(recover),
    )


def accuracy(fraction: float, trained: bool, importance: str) -> float:
    """Cutting costs, more so without "taylor", and half of it is won back by training."""
    lost = 20 * fraction * (1 if importance == "taylor" else 1.5)
    return 90 - lost * (0.5 if trained else 1)


def outcome(item: Try) -> Outcome:
    """A trial's: the fraction follows from the limit as if every multiplication took the same time."""
    wanted = item.settings
    if item.limit < 1.0:  # a tenth of the network is the smallest
        return Outcome(item.name, item.rung, None)
    fraction = round(max(0.0, 1 - item.limit / WHOLE), 3)
    is_trained = item.rung == "trained"
    choice = Choice(
        prune_channels=fraction or None,
        importance=wanted.importance if fraction else "taylor",
        size=wanted.size,
        form=wanted.form,
        float_layers=("head/norm",) if wanted.floats else (),
        epochs=wanted.epochs if is_trained else 0,
    )
    time = WHOLE * (1 - fraction) * (1.2 if wanted.floats else 1.0)
    reached = accuracy(fraction, is_trained, wanted.importance)
    return Outcome(item.name, item.rung, choice, time, 1e6 * time, reached, 0.1, b"file" * bool(wanted.floats))


def made(item: Make) -> tuple[Made, BoardTime]:
    """A file's figures and time; its bytes are its name."""
    choice = item.choice
    fraction = choice.prune_channels or 0.0
    time = WHOLE * (1 - fraction) * (1.2 if choice.float_layers else 1.0)
    reached = accuracy(fraction, choice.epochs > 0, choice.importance)
    file = Made(
        *(item.name, choice, item.name.encode(), {"made": item.name}),
        *(Estimate(reached, reached - 1, reached + 1), 1000, "accuracy"),
    )
    return file, BoardTime("pi5", time, 1e6 * time, True, 0.03)


class MadeUp:
    """Jobs whose work is made up; `ends_after` so many items they are interrupted, as by Ctrl+C."""

    def __init__(self, workers: int = 2, ends_after: int | None = None) -> None:
        self.workers, self.left, self.done = workers, ends_after, []

    def each(self, work: Any, items: Iterable[Any]) -> Iterator[Timed]:
        for item in items:
            if self.left is not None and self.left == 0:
                raise KeyboardInterrupt
            self.left = None if self.left is None else self.left - 1
            self.done.append(item)
            kind = item.rung if isinstance(item, Try) else type(item).__name__
            yield Timed(self._result(item), SECONDS.get(kind, 0.0))

    def must_see(self, *paths: Path | str) -> None:
        """Everything is seen."""

    def _result(self, item: Any) -> Any:
        match item:
            case Look():
                return Seen((None, (56, 56)), ("a remark",))
            case Channels():
                return Importance({"block1/layer1": np.ones(2)}, {"block1/layer1": np.ones(2)})
            case Least(_, limit):
                return round(max(0.0, 1 - limit / WHOLE), 3)
            case Try():
                return outcome(item)
        return made(item)
