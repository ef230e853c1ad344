"""Other networks beside the files of a search: looked at before it, made by workers, and measured on the same
pictures."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from edgedense.boards.result import BoardTime
from edgedense.converters.options import Slimming
from edgedense.converters.rivals.making import Making
from edgedense.errors import EdgedenseError
from edgedense.jobs.jobs import Jobs
from edgedense.progress import progress
from edgedense.searching.bench import Task, bench
from edgedense.searching.choice import Choice
from edgedense.searching.final import Made, estimated, measured
from edgedense.searching.options import SearchOptions
from edgedense.searching.search import Measure


@dataclass(frozen=True)
class Judging:
    """Makes a rival and measures it: work for `Jobs.each`, whose items are names of rivals."""

    task: Task
    making: Making

    def __call__(self, name: str) -> Made:
        """The rival's file and figures. Raises EdgedenseError as `Making` does."""
        rival = self.making(name)
        return measured(rival.name, Choice(), rival.file, rival.recipe, bench(self.task, None))


@dataclass(frozen=True)
class Foreseeing:
    """Whether a rival can be made, and with a `board` its time be estimated there: work for `Jobs.each`, whose items
    are names of rivals."""

    making: Making
    board: str | None

    def __call__(self, name: str) -> None:
        """Raises EdgedenseError where it cannot."""
        file = self.making.untrained(name)
        if self.board is None:
            return
        try:
            estimated(file, self.board)
        except EdgedenseError as error:
            raise EdgedenseError(f"{error.expected}, in {name} of --against", error.found, error.hint) from error


def check(judging: Judging, jobs: Jobs, is_estimated: bool) -> None:
    """Raise EdgedenseError for a rival that cannot be made, or whose time on the board cannot be estimated where it is
    to be. A search takes hours before it comes to its rivals; this takes seconds for each."""
    names = judging.making.rivals.against
    if not names:
        return
    with progress("looking at other networks", len(names)) as tick:
        for _ in jobs.each(Foreseeing(judging.making, judging.task.board if is_estimated else None), names):
            tick(1)


def work_on(task: Task, options: SearchOptions, work: Path) -> Judging:
    """The rivals of a search, with their checkpoints in `work`."""
    opened = replace(task.options, slimming=Slimming(recover=task.recover))
    making = Making(task.model, task.calibration, task.labels, opened, options.rivals, work, options.seed)
    return Judging(task, making)


def rivals(judging: Judging, jobs: Jobs, measure: Measure | None = None) -> list[tuple[Made, BoardTime]]:
    """Each rival with its time on the board: estimated, or as `measure` measures it on a host."""
    names, made = judging.making.rivals.against, []
    if not names:
        return []
    with progress("other networks", len(names)) as tick:
        for one in jobs.each(judging, names):
            made.append(one)
            tick(1)
    if measure is None:
        return [(one, estimated(one.data, judging.task.board)) for one in made]
    return list(zip(made, measure([one.data for one in made]), strict=True))
