"""`edgedense benchmark`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from edgedense.boards.options import Board, OnHost
from edgedense.cli.options import AsJson, DeployedFile
from edgedense.errors import EdgedenseError
from edgedense.flags import Flag

if TYPE_CHECKING:
    from edgedense.device.board.benchmark import Measurement

THREADS, SECONDS = "1,2,4", 10.0
MeasuredDevice = Annotated[
    str,
    Flag(
        "What runs the model. cpu: the processor. coral: a Coral Edge TPU, or one of several as in coral:usb or "
        "coral:pci:1. openvino: Intel's OpenVINO on the processor, or as in openvino:gpu or openvino:npu. Beside the "
        "last two, cpu is measured too.",
        metavar="DEVICE",
    ),
]
ThreadCounts = Annotated[str, Flag("The numbers of threads to measure with, separated by commas.", metavar="N,N...")]
Duration = Annotated[
    float,
    Flag(
        "How many seconds each measurement lasts. After some minutes it shows whether the board gets too hot.",
        metavar="SECONDS",
        minimum=1,
    ),
]
PlotFile = Annotated[
    Path | None,
    Flag(
        "Also draw latency and temperature over time. FILE.svg is a picture. FILE.html is a page with the figures, "
        "which can be read on a phone too.",
        metavar="FILE",
        writes="file",
    ),
]


def benchmark(
    model: DeployedFile,
    *,
    device: MeasuredDevice = "cpu",
    threads: ThreadCounts = THREADS,
    duration: Duration = SECONDS,
    as_json: AsJson = False,
    plot: PlotFile = None,
    board: Board = None,
    on: OnHost = None,
) -> None:
    """Measure how long an inference takes here, with memory, temperature and throttling.

    The model runs on noise, without camera and decoding. First load is from nothing to the first result, imports
    included. Each line is a process of its own. With --board or --on it is said how long it takes on another machine.
    """
    if board is not None or on is not None:
        has_others = (device, threads, duration, plot) != ("cpu", THREADS, SECONDS, None)
        _print_elsewhere(model, board, on, as_json, has_others)
        return
    from edgedense.device.board import benchmark as module
    from edgedense.files import check_writable, write_atomically

    counts = _thread_counts(threads)
    if plot is not None:
        if plot.suffix not in (".svg", ".html"):
            raise EdgedenseError("--plot FILE.svg or FILE.html", str(plot), f"--plot {plot.with_suffix('.svg')}")
        check_writable(plot)
    measured = module.benchmark(model, device, counts, duration)
    if plot is not None:
        from edgedense.device.board import benchmark_plot

        draw = benchmark_plot.page if plot.suffix == ".html" else benchmark_plot.plot
        write_atomically(plot, draw(measured, model.name).encode())
    if as_json:
        print(json.dumps({"model": model.name, "runs": [run.to_dict() for run in measured]}))
        return
    _print_measurements(measured)


def _print_elsewhere(model: Path, board: str | None, host: str | None, as_json: bool, has_others: bool) -> None:
    """One thread of another machine: an estimate, or what was measured there. `has_others`: whether there are options
    that this takes no notice of."""
    from edgedense.boards.options import check
    from edgedense.deployed import bundle

    check(board, host)
    if has_others:
        name = "--board" if host is None else "--on"
        raise EdgedenseError(
            f"{name} alone, or with --json: it is for one thread of the processor", "other options beside it"
        )
    if host is not None:
        from edgedense.boards.measure import measure

        (time,) = measure([model], host)
    else:
        from edgedense.boards.estimate import estimate

        time = estimate(bundle.read(model).model, str(board))
    print(json.dumps({"model": model.name, **time.to_dict()}) if as_json else f"{model.name}: {time.sentence}")


def _thread_counts(text: str) -> list[int]:
    counts = [int(part) for part in text.split(",") if part.strip().isdigit()]
    if not counts or 0 in counts or len(counts) != len(text.split(",")):
        raise EdgedenseError("numbers of threads such as 1,2,4", repr(text))
    return counts


def _print_measurements(measured: Sequence[Measurement]) -> None:
    from edgedense.device.board.benchmark import table

    rows = table(measured)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)))
    for run in measured:
        if run.verdict:
            print(f"{run.device}, threads {run.threads}: {run.verdict}")
