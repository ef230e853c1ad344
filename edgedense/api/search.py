"""`edgedense.search`."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgedense.api.values import check_choices, labels_of, with_values
from edgedense.errors import EdgedenseError
from edgedense.notes import tell
from edgedense.progress import Progress, reporting

if TYPE_CHECKING:
    from edgedense.boards.result import BoardTime
    from edgedense.images.tables import Table
    from edgedense.searching.bench import Task
    from edgedense.searching.final import Made
    from edgedense.searching.options import SearchOptions
    from edgedense.searching.result import SearchResult
    from edgedense.searching.search import Found

GUIDE = "pi5"  # whose estimate says which fractions to try, where files are measured on a host


def search(
    model: Path | str,
    calibration: Path | str | Table,
    *,
    validation: Path | str | Table,
    budget: str,
    out: Path | str,
    board: str | None = None,
    on: str | None = None,
    recover: Path | str | Table | None = None,
    test: Path | str | Table | None = None,
    labels: Path | str | Sequence[str] | None = None,
    ray: str | None = None,
    work: Path | str | None = None,
    options: SearchOptions | None = None,
    progress: Progress | None = None,
    **values: Any,
) -> SearchResult:
    """Search for the most accurate file that keeps a budget of time on a board, and write what was found into `out`.

    `model`, `calibration` and `labels` are as for `convert`, but for models and pictures in memory: workers in other
    processes read them. `validation` are the labelled pictures by whose accuracy files are compared, and `test` others,
    which are measured at the end alone: what looked best on `validation` was also lucky there. `recover` are the
    pictures to train cut networks on; without them nothing is trained.

    `budget` is the time of one inference, "60ms", or a share of what the unpruned file takes, "50%". `board` is one of
    those whose time is estimated ("pi5"), `on` a host on which files are measured over SSH; one of the two is needed.

    `out` is a folder. It gets the files that no other beats in both time and accuracy, NAME.tflite, each with its
    recipe, NAME.json; the plain conversion, what `--prune-channels` alone gives, and the networks of `against`,
    to compare with; search.json, which is the result; and search.html, a page that shows it. `work` keeps everything
    that was tried, by default in `out`: the same call goes on there after an interruption. `ray` is the address of a
    Ray cluster, whose machines must all see the paths.

    What else can be chosen is listed by `SearchOptions`, which is given as `options`, by keyword, or both. `progress`
    is as for `convert`.

    Raises EdgedenseError when model or pictures cannot be used, options do not go together, or `work` holds another
    search; its subclass GateError when no file keeps the budget; TypeError for an unknown option.
    """
    from edgedense import flags
    from edgedense.boards.known import known
    from edgedense.images.tables import Table
    from edgedense.jobs.jobs import open_jobs
    from edgedense.searching.begin import begin
    from edgedense.searching.bench import Task
    from edgedense.searching.limits import parse_budget
    from edgedense.searching.options import SearchOptions
    from edgedense.searching.points import check_tables
    from edgedense.searching.rivals import check, rivals, work_on

    chosen = with_values(options or SearchOptions(), values)
    flags.check(chosen)
    check_choices(chosen)
    limit = parse_budget(budget)
    if (board is None) == (on is None):
        found = "neither" if board is None else "both"
        raise EdgedenseError("a board (--board) or a host (--on) whose time is meant", found)
    if board is not None:
        known(board)

    def data(given: Path | str | Table) -> Path | Table:
        return given if isinstance(given, Table) else Path(given)

    out = _folder(Path(out))
    work = _folder(out / "work" if work is None else Path(work))
    task = Task(
        str(model),
        data(calibration),
        data(validation),
        labels_of(labels),
        chosen.conversion,
        board or GUIDE,
        work / "training",
        None if recover is None else data(recover),
        None if test is None else data(test),
    )
    check_tables(task)
    beside = work_on(task, chosen, work / "rivals")
    beside.making.check()
    with open_jobs(ray, _workers(ray, chosen.processes)) as jobs, reporting(progress):
        jobs.must_see(*_paths(task), *beside.making.rivals.files, work)
        measure = None if on is None else _measuring(on)
        begun = begin(task, chosen, limit, jobs, work, board or str(on), measure)
        check(beside, jobs, is_estimated=measure is None)
        outcome = begun.run()
        others = rivals(beside, jobs, measure)
    result = _written(outcome, others, task, chosen, _labels_file(labels, out), out, board or str(on))
    tell(result.notes)
    return result


def _workers(ray: str | None, asked: int) -> int | None:
    """How many trials are worked on at the same time; None for one on each core of a cluster."""
    from edgedense.jobs.jobs import that_fit
    from edgedense.searching.options import GIGABYTES

    if asked:
        return asked
    return that_fit(GIGABYTES) if ray is None else None


def _folder(folder: Path) -> Path:
    """Make it where it is missing. EdgedenseError where that cannot be."""
    from edgedense.files import check_writable

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EdgedenseError("a folder for the results", f"{folder}: {error.strerror}", "another folder") from error
    check_writable(folder / "search.json")
    return folder


def _paths(task: Task) -> list[Path]:
    """The files and folders that a worker reads. A model may also be the name of weights that Keras offers."""
    from edgedense.images.tables import Table

    given = (task.calibration, task.validation, task.recover, task.test)
    data = [one.root if isinstance(one, Table) else one for one in given if one is not None]
    return [*([Path(task.model)] if Path(task.model).exists() else []), *data]


def _measuring(host: str) -> Callable[[Sequence[bytes]], Sequence[BoardTime]]:
    """Measures files on a host, by a connection of its own each time: a search lasts longer than many connections."""
    from edgedense.boards.measure import open_board

    def times(files: Sequence[bytes]) -> Sequence[BoardTime]:
        with open_board(host) as board:
            return [board.time(file) for file in files]

    return times


def _labels_file(labels: Path | str | Sequence[str] | None, out: Path) -> Path | str | None:
    """The file that --labels can name."""
    from edgedense.files import write_atomically

    if labels is None or isinstance(labels, str | Path):
        return labels
    write_atomically(out / "labels.txt", "".join(f"{label}\n" for label in labels).encode())
    return out / "labels.txt"


def _written(
    found: Found,
    others: Sequence[tuple[Made, BoardTime]],
    task: Task,
    options: SearchOptions,
    labels: Path | str | None,
    out: Path,
    board: str,
) -> SearchResult:
    """The result, with its files in `out`."""
    from edgedense.files import write_atomically
    from edgedense.report import search_page
    from edgedense.searching.points import chosen, points, rival_points, with_front
    from edgedense.searching.result import SearchResult

    every = [*found.made, *others]
    made = with_front([*points(found.made, task, labels, out), *rival_points(others)])
    for one, _ in every:
        write_atomically(out / f"{one.name}.tflite", one.data)
        write_atomically(out / f"{one.name}.json", json.dumps(one.recipe, indent=2, ensure_ascii=False).encode())
    tested = {one.name: one.test for one, _ in every if one.test is not None}
    first = found.made[0][0]
    result = SearchResult(
        model=Path(task.model).name,
        board=board,
        budget_ms=found.limit,
        seed=options.seed,
        trials=found.trials,
        points=made,
        chosen=chosen(made, found.limit).name,
        notes=found.notes,
        measure=first.measure,
        test={name: _figures(one) for name, one in tested.items()} if tested else None,
        test_images=first.test_images,
    )
    write_atomically(out / "search.json", json.dumps(result.to_dict(), indent=2, ensure_ascii=False).encode())
    write_atomically(out / "search.html", search_page.render(result).encode())
    return result


def _figures(found: Any) -> tuple[float, float, float]:
    """An estimate as (value, low, high); the value in place of an interval that there is not."""
    value = float(found.value or 0.0)
    return value, value if found.low is None else found.low, value if found.high is None else found.high
