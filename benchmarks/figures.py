"""What was measured of each peer, as tables and as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from benchmarks.latency import Ratio, Timing
from edgedense.measures import metrics

BASELINE = "stock"  # the peer that ratios refer to
SUBJECT = "edgedense"  # the one whose lead over each other is shown
NOTHING = "-"


@dataclass(frozen=True)
class Quality:
    """On labelled pictures, beside the float Keras model. Shares from 0 to 1, divergences in nats."""

    images: int
    accuracy: float
    drop: float
    drop_interval: tuple[float, float]
    agreement: float
    kl_mean: float
    kl_worst: float


@dataclass(frozen=True)
class Made:
    """One peer's file and what it took: seconds of the wall and of all processors, bytes. `bare_bytes`: without the
    archive behind a .tflite; `running_bytes`: of a process that runs the file by one thread, with its runtime."""

    path: Path
    file_bytes: int
    bare_bytes: int
    seconds: float
    cpu_seconds: float
    import_seconds: float
    peak_bytes: int
    running_bytes: int
    runtime_bytes: int
    versions: Mapping[str, str]


@dataclass
class Entry:
    """One peer's row. `problem` says why figures are missing: skipped, or failed with its error."""

    name: str
    title: str
    settings: str
    problem: str = ""
    made: Made | None = None
    latency: dict[str, Timing] = field(default_factory=dict)  # "1" or "all" -> milliseconds
    quality: Quality | None = None


@dataclass
class Study:
    """All peers on one model at one picture size."""

    title: str
    height: int
    width: int
    entries: list[Entry]
    threads: dict[str, int]
    reference_accuracy: float | None = None


def quality(reference: npt.ArrayLike, scores: npt.ArrayLike, labels: npt.ArrayLike) -> Quality:
    """By its conventions (`edgedense.measures.metrics`), probabilities floored at 1e-4, paired bootstrap."""
    before, after = metrics.predicted(reference) == labels, metrics.predicted(scores) == labels
    divergence = metrics.kl_divergence(reference, scores)
    return Quality(
        len(after),
        float(after.mean()),
        float(before.mean() - after.mean()),
        metrics.bootstrap_drop(before, after),
        metrics.agreement(reference, scores),
        float(divergence.mean()),
        float(divergence.max()),
    )


def ratio(value: float | None, baseline: float | None) -> str:
    """`value` as a multiple of the baseline's, or nothing where there is none."""
    return NOTHING if value is None or not baseline else f"{value / baseline:.3f}"


def to_json(studies: Sequence[Study], context: Mapping[str, Any]) -> str:
    content = {**context, "studies": [asdict(study) for study in studies]}
    return json.dumps(content, indent=1, default=_plain) + "\n"


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else str(value)


def show(study: Study, console: Console) -> None:
    """The study's tables, then what was skipped or failed."""
    console.print(f"\n[bold]{study.title}[/bold]")
    console.print(making_table(study))
    for setting, count in study.threads.items():
        console.print(latency_table(study, setting, count))
    if study.reference_accuracy is not None:
        console.print(quality_table(study, study.reference_accuracy))
    for entry in study.entries:
        if entry.problem:
            console.print(f"{entry.title}: {entry.problem}", markup=False)


def show_against(study: Study, earlier: Mapping[str, Any], console: Console) -> None:
    """The study's times beside those of the same peers, pictures and threads in `earlier`, the JSON of a run."""
    console.print(against_table(study, earlier))


def against_table(study: Study, earlier: Mapping[str, Any]) -> Table:
    table = _table(f"since the earlier run, {study.height}x{study.width}", "threads", "then ms", "now ms", "x")
    then = {
        (entry["name"], setting): timing["median"]
        for other in earlier["studies"]
        if (other["height"], other["width"]) == (study.height, study.width)
        for entry in other["entries"]
        for setting, timing in entry["latency"].items()
    }
    for entry in study.entries:
        for setting, timing in entry.latency.items():
            before = then.get((entry.name, setting))
            shown = NOTHING if before is None else f"{before:.2f}"
            table.add_row(entry.title, setting, shown, f"{timing.median:.2f}", ratio(timing.median, before))
    return table


def making_table(study: Study) -> Table:
    table = _table(
        "file and conversion (a process each; seconds from paths to file, without imports)",
        "file MB",
        "without archive",
        "x stock",
        "wall s",
        "x stock",
        "CPU s",
        "peak MiB",
        "running MiB",
    )
    stock = next((entry.made for entry in study.entries if entry.name == BASELINE), None)
    for entry in study.entries:
        if (m := entry.made) is not None:
            table.add_row(
                entry.title,
                f"{m.file_bytes / 1e6:.2f}",
                f"{m.bare_bytes / 1e6:.2f}",
                ratio(m.bare_bytes, stock.bare_bytes if stock else None),
                f"{m.seconds:.1f}",
                ratio(m.seconds, stock.seconds if stock else None),
                f"{m.cpu_seconds:.1f}",
                f"{m.peak_bytes / 2**20:.0f}",
                f"{m.running_bytes / 2**20:.0f}",
            )
    return table


def latency_table(study: Study, setting: str, count: int) -> Table:
    threads = f"{count} thread{'s' if count > 1 else ''}"
    table = _table(
        f"latency, {threads}, {study.height}x{study.width}",
        "median ms",
        "p95 ms",
        "fastest ms",
        "x stock",
        "95 %",
        "edgedense / it",
        "95 %",
    )
    for entry in study.entries:
        if (t := entry.latency.get(setting)) is not None:
            table.add_row(
                entry.title,
                f"{t.median:.2f}",
                f"{t.p95:.2f}",
                f"{t.fastest:.2f}",
                *_cells(t.ratio),
                *_cells(t.subject_ratio),
            )
    return table


def _cells(found: Ratio | None) -> tuple[str, str]:
    return (f"{found.value:.3f}", f"{found.low:.3f} to {found.high:.3f}") if found else (NOTHING, NOTHING)


def quality_table(study: Study, reference_accuracy: float) -> Table:
    images = next((entry.quality.images for entry in study.entries if entry.quality), 0)
    table = _table(
        f"against float Keras ({100 * reference_accuracy:.2f} % right) on {images} images",
        "accuracy %",
        "drop, points",
        "95 %",
        "agreement %",
        "mean KL",
        "x stock",
        "worst KL",
    )
    stock = next((entry.quality.kl_mean for entry in study.entries if entry.name == BASELINE and entry.quality), None)
    for entry in study.entries:
        if (q := entry.quality) is not None:
            low, high = q.drop_interval
            table.add_row(
                entry.title,
                f"{100 * q.accuracy:.2f}",
                f"{100 * q.drop:+.2f}",
                f"{100 * low:+.2f} to {100 * high:+.2f}",
                f"{100 * q.agreement:.2f}",
                f"{q.kl_mean:.6f}",
                ratio(q.kl_mean, stock),
                f"{q.kl_worst:.4f}",
            )
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column("")
    for column in columns:
        table.add_column(column, justify="right")
    return table
