"""Other networks beside the files of a search: made by workers, and measured on the same pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edgedense.boards.result import BoardTime
from edgedense.converters.options import Slimming
from edgedense.converters.rivals.making import Making
from edgedense.jobs.jobs import Jobs
from edgedense.progress import progress
from edgedense.searching.bench import Task, bench
from edgedense.searching.choice import Choice
from edgedense.searching.final import Made, measured
from edgedense.searching.options import SearchOptions
from edgedense.searching.search import Measure


@dataclass(frozen=True)
class Judging:
    """Makes a rival and measures it: work for `Jobs.each`, whose items are names of rivals."""

    task: Task
    making: Making

    def __call__(self, name: str) -> Made:
        """The rival's file and figures. Raises EdgedenseError as `Making` does, and for an operator whose time on the
        board cannot be estimated."""
        rival = self.making(name)
        return measured(rival.name, Choice(), rival.file, rival.recipe, bench(self.task, None))


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
    times: Sequence[BoardTime] = [one.time for one in made] if measure is None else measure([one.data for one in made])
    return list(zip(made, times, strict=True))
