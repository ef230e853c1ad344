"""`edgedense benchmark`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgedense.errors import EdgedenseError

if TYPE_CHECKING:
    from edgedense.device.board.benchmark import Measurement


def benchmark(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A deployed .tflite file.", show_default=False)],
    device: Annotated[
        str,
        typer.Option(
            help="What runs the model: cpu, or coral (coral:usb, coral:pci:1 ...), and beside it the processor."
        ),
    ] = "cpu",
    threads: Annotated[str, typer.Option(help="Numbers of threads to measure, such as 1,2,4.")] = "1,2,4",
    duration: Annotated[
        float,
        typer.Option(
            min=1, metavar="SECONDS", help="How long to measure each; minutes show whether the board gets hot."
        ),
    ] = 10.0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object in place of a table.")] = False,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE.svg", help="Draw latency and temperature over time.", show_default=False),
    ] = None,
) -> None:
    """Measure how long an inference takes here, with memory, temperature and throttling.

    The model runs on noise, without camera and decoding. First load is from nothing to the first result, imports
    included. Each line is a process of its own.
    """
    from edgedense.device.board import benchmark as module
    from edgedense.files import check_writable, write_atomically
    from edgedense.progress import progress

    counts = _thread_counts(threads)
    if plot is not None:
        check_writable(plot)
    with progress("measuring", len(counts) + (device != "cpu")) as tick:
        measured = module.benchmark(model, device, counts, duration, tick)
    if plot is not None:
        from edgedense.device.board.benchmark_plot import plot as draw

        write_atomically(plot, draw(measured, model.name).encode())
    if as_json:
        print(json.dumps({"model": model.name, "runs": [run.to_dict() for run in measured]}))
        return
    _print_measurements(measured)


def _thread_counts(text: str) -> list[int]:
    counts = [int(part) for part in text.split(",") if part.strip().isdigit()]
    if not counts or 0 in counts or len(counts) != len(text.split(",")):
        raise EdgedenseError("numbers of threads such as 1,2,4", repr(text))
    return counts


def _print_measurements(measured: Sequence[Measurement]) -> None:
    rows: list[tuple[str, ...]] = [
        ("device", "threads", "first load", "median", "p5", "p95", "p99", "frames/s", "memory", "hottest")
    ]
    for run in measured:
        rows.append(
            (
                run.device,
                str(run.threads),
                f"{run.load:.2f} s",
                *(f"{run.percentile(share) * 1e3:.2f} ms" for share in (50, 5, 95, 99)),
                f"{run.frames_per_second:.1f}",
                "-" if run.memory is None else f"{run.memory / 2**20:.0f} MiB",
                "-" if run.hottest is None else f"{run.hottest:.0f} °C",
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)))
    for run in measured:
        if run.verdict:
            print(f"{run.device}, threads {run.threads}: {run.verdict}")
