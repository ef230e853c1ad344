"""A search that can begin, or go on with what an earlier call left in the work folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from edgedense.files import sha256
from edgedense.jobs.jobs import Jobs
from edgedense.notes import tell
from edgedense.searching.bench import Task
from edgedense.searching.limits import Budget, Clock
from edgedense.searching.options import SearchOptions
from edgedense.searching.search import Measure, Search
from edgedense.searching.store import Store
from edgedense.searching.study import Space, Study
from edgedense.searching.worker import Look, Work


def begin(
    task: Task,
    options: SearchOptions,
    budget: Budget,
    jobs: Jobs,
    work: Path,
    board: str,
    measure: Measure | None = None,
) -> Search:
    """The search of `task`, with `work` as its memory. `board` names what times are of, `measure` measures them there.

    Raises EdgedenseError when the model or the pictures cannot be used, and when `work` holds another search.
    """
    clock = Clock(options.time)
    (seen,) = (done.result for done in jobs.each(Work(task), [Look()]))
    tell(seen.notes)
    space = Space(seen.sizes, options.epochs if task.recover is not None else 0)
    study = Study(work, _about(task, options, budget, board), space, options.seed, options.round)
    clock = replace(clock, earlier=study.seconds)
    store = Store(work / "outcomes")
    return Search(task, budget, space, study, store, clock, jobs, options.round, options.most_trials, measure)


def _about(task: Task, options: SearchOptions, budget: Budget, board: str) -> dict[str, str]:
    """What must be the same for a search to be gone on with."""
    model = Path(task.model)
    return {
        "the model": sha256(model.read_bytes()) if model.is_file() else task.model,
        "the pictures": repr((task.calibration, task.validation, task.recover)),
        "the labels": repr(task.labels),
        "the options": repr((task.options, options.seed, options.round, options.epochs)),
        "the budget": repr(budget),
        "the board": board,
    }
