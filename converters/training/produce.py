"""From pictures to the files of a training: the model, its labels, the report, and beside it another network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edgedense.converters.training import compare, training_page
from edgedense.converters.training.options import Options
from edgedense.converters.training.train import Training, clear, train
from edgedense.errors import EdgedenseError
from edgedense.files import check_writable, write_atomically
from edgedense.images.tables import Table
from edgedense.report.wording import Section


@dataclass(frozen=True)
class Produced:
    """A training whose files are written, and the table that compares it with another network, where one was asked
    for."""

    training: Training
    compared: Section | None


def produce(
    data: Path | Table,
    out: Path,
    options: Options,
    *,
    work: Path | None = None,
    report: Path | None = None,
    with_peer: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> Produced:
    """Train on the pictures of `data` and write `out` (.keras), NAME.labels.txt beside it, and the page `report`.

    `work` keeps what an interrupted training goes on from, by default NAME.work beside `out`; at the end it is
    cleared. `with_peer` trains a ResNet50 too. Raises EdgedenseError before the training when something cannot be
    written, and KeyboardInterrupt when somebody ends it, after `say` has told how to go on.
    """
    if out.suffix != ".keras":
        raise EdgedenseError("--out FILE.keras", str(out), f"--out {out.with_suffix('.keras')}")
    for path in (out, report):
        if path is not None:
            check_writable(path)
    if with_peer:
        compare.check(options)
    work = work or out.with_suffix(".work")
    try:
        result = train(data, work, options, name=out.name, say=say)
        write_atomically(out, result.data)
        write_atomically(out.with_suffix(".labels.txt"), "".join(f"{label}\n" for label in result.labels).encode())
        compared = compare.table(compare.compare(result, data, work, say)) if with_peer else None
    except KeyboardInterrupt:
        say(f"stopped; the same command goes on after the last whole epoch, which is kept in {work}")
        raise
    if report is not None:
        write_atomically(report, training_page.to_html(result, [compared] if compared else ()).encode())
    clear(work)
    return Produced(result, compared)
