"""`edgedense search`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from edgedense.boards.options import Board, OnHost
from edgedense.cli.convert import Calibration, Labels, TrainedModel
from edgedense.cli.options import AsJson
from edgedense.cli.tables import ConversionTables
from edgedense.flags import Flag
from edgedense.jobs.options import RayAddress
from edgedense.searching.options import SEARCH, SearchOptions

if TYPE_CHECKING:
    from rich.console import Console

    from edgedense.searching.result import SearchResult

ValidationPictures = Annotated[
    Path,
    Flag(
        "Labelled pictures by whose accuracy files are compared: a folder with one sub-folder per class, or a table of "
        "file names and labels (.csv or .tsv). The model must not have been trained on them.",
        metavar="FOLDER|TABLE",
        reads="folder",
    ),
]
Recover = Annotated[
    Path | None,
    Flag(
        "Pictures to train cut networks on, so that they give the same scores as the whole one: a folder or a table. "
        "They need no labels. Without them nothing is trained.",
        metavar="FOLDER|TABLE",
        reads="folder",
    ),
]
TestPictures = Annotated[
    Path | None,
    Flag(
        "Other labelled pictures, on which the files are measured at the end. The search does not use them: what "
        "looked best on --validation was also lucky there, and is a little worse on others.",
        metavar="FOLDER|TABLE",
        reads="folder",
    ),
]
BudgetText = Annotated[
    str,
    Flag(
        "The time that one inference may take on the board, such as 60ms; or a share of what the unpruned int8 file "
        "takes there, such as 50%.",
        metavar="TIME|SHARE",
    ),
]
OutFolder = Annotated[
    Path,
    Flag(
        "The folder for the files, their recipes and search.json, which is made where it is missing.", writes="folder"
    ),
]
WorkFolder = Annotated[
    Path | None,
    Flag(
        "The folder that keeps all that was tried, so that the same command goes on after an interruption. With --ray "
        "all machines must see it.",
        panel=SEARCH,
        metavar="FOLDER",
        writes="folder",
        usual="work in the folder of --out",
    ),
]


def search(
    model: TrainedModel,
    *,
    calibration: Calibration,
    validation: ValidationPictures,
    budget: BudgetText,
    board: Board = None,
    on: OnHost = None,
    out: OutFolder,
    recover: Recover = None,
    test: TestPictures = None,
    labels: Labels = None,
    options: SearchOptions,
    work: WorkFolder = None,
    ray: RayAddress = None,
    as_json: AsJson = False,
    tables: ConversionTables,
) -> None:
    """Find the most accurate file that keeps a budget of time on a board.

    Tries which channels to cut and how many, picture sizes, forms of int8 and a training that wins accuracy back.
    """
    from rich.console import Console

    from edgedense.api.search import search as found

    shown, held, trained = tables.of_each(calibration, validation, recover)
    unseen = None if test is None else tables.table(test, None)
    asked: dict[str, Any] = {"budget": budget, "board": board, "on": on, "out": out, "work": work, "ray": ray}
    result = found(model, shown, validation=held, recover=trained, test=unseen, labels=labels, options=options, **asked)
    if as_json:
        print(result.to_json())
    else:
        _print(result, Console())
    print(f"files: {out}", file=sys.stderr)


def _print(result: SearchResult, console: Console) -> None:
    """The points, and the command that gives the chosen file."""
    from edgedense.report.terminal import table

    what = f"{result.measure}, 95 % interval"
    headings = ("file", "ms", "MB", what, *(("on --test",) if result.test else ()), "")
    rows = []
    for point in result.points:
        cells = [point.name, f"{point.milliseconds:.3g}", f"{point.size / 1e6:.2f}"]
        cells.append(f"{point.accuracy:.2f} ({point.low:.2f} to {point.high:.2f})")
        if result.test:
            cells.append(
                "{:.2f} ({:.2f} to {:.2f})".format(*result.test[point.name]) if point.name in result.test else ""
            )
        marks = ["chosen"] * (point.name == result.chosen) + ["on the front"] * point.on_front
        rows.append((*cells, ", ".join(marks)))
    best = result.best
    estimated = "estimated" if best.is_estimate else "measured"
    console.print(table(f"{result.trials} trials. Times on {result.board}, {estimated}", headings, rows))
    console.print(
        f"{best.name} is the most accurate file within {result.budget_ms:.3g} ms. The same file again:", soft_wrap=True
    )
    console.print(f"  {best.command}", soft_wrap=True, highlight=False)
    if not result.test:
        console.print(
            "It was chosen by the accuracy that is shown, which is therefore a little too good: --test FOLDER measures "
            "on pictures that the search did not use.",
            soft_wrap=True,
        )
