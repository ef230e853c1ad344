"""Counts the probes and fits edgedense/boards/coefficients.json to them; then says how far off it is on whole files.

    python tests/arm64/fit.py WORK [--counts FILE] [--only BOARD] NAME=MODEL.tflite ...

WORK holds the userland bookworm (userland.sh) with the wheel installed (check_userland.py). The probes (probes.py) take
about ten minutes on two cores, and `--counts FILE` keeps what was counted, so that a second run counts only what is
missing. Needs scipy. The models are whole files: none is fitted to, and the largest error of a board's is what
estimates are told with.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from counting import CORES, PI3, Core, board_root, build_counter, installed, run
from scipy.optimize import nnls

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # the probes are made by the checkout's own writer of flatbuffers

from edgedense.boards import coefficients as stored  # noqa: E402
from edgedense.boards import estimate, operators, work  # noqa: E402
from edgedense.boards.known import A53, A72, A76, Processor  # noqa: E402
from edgedense.boards.operators import Operator  # noqa: E402
from tests.arm64.probes import probes  # noqa: E402

OUT = ROOT / "edgedense/boards/coefficients.json"
BOARDS: dict[str, tuple[Core, Processor]] = {"pi5": (CORES[0], A76), "pi4": (CORES[1], A72), "pi3": (PI3, A53)}
FLOOR = 20_000  # instructions that are added to each count before its error is divided by it: calls weigh less
CALL, PART = ("", "call"), ("", "part")
Counts = dict[str, dict[str, int]]  # board -> file -> instructions of an inference


def main() -> None:
    """Count, fit, write, and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("models", nargs="+", metavar="NAME=MODEL.tflite")
    parser.add_argument("--counts", type=Path, help="keep what was counted here")
    parser.add_argument("--only", choices=BOARDS, help="fit this board alone, and keep the others as they are")
    arguments = parser.parse_args()
    whole = {name: Path(path).resolve() for name, _, path in (entry.partition("=") for entry in arguments.models)}
    boards = [arguments.only] if arguments.only else list(BOARDS)
    with tempfile.TemporaryDirectory() as name:
        small = {}
        for probe, content in probes().items():
            small[probe] = Path(name) / f"{probe}.tflite"
            small[probe].write_bytes(content)
        files = {**small, **whole}
        counts = counted(arguments.work.resolve(), boards, files, arguments.counts)
        read = {name: operators.read(path.read_bytes()) for name, path in files.items()}
    fitted = json.loads(OUT.read_text()) if arguments.only else {}
    for board in boards:
        fitted[board] = fit({probe: read[probe] for probe in small}, counts[board], BOARDS[board][1])
    OUT.write_text(json.dumps(fitted, indent=1, sort_keys=True) + "\n")
    errors = {board: errors_of({name: read[name] for name in whole}, counts[board], board) for board in boards}
    for board in boards:
        fitted[board]["error"] = round(max(map(abs, errors[board].values())), 4)
    OUT.write_text(json.dumps(fitted, indent=1, sort_keys=True) + "\n")
    print(table(list(whole), counts, errors))


def counted(place: Path, boards: Sequence[str], files: Mapping[str, Path], keep: Path | None) -> Counts:
    """The instructions of the second inference of each file on each board's processor."""
    counts: Counts = json.loads(keep.read_text()) if keep is not None and keep.exists() else {}
    counter, engine = build_counter(place), installed(place)
    for board in boards:
        core, here = BOARDS[board][0], counts.setdefault(board, {})
        missing = [name for name in files if name not in here]
        if missing:
            marks = run(
                str(counter), place, board_root(place, core), core, [files[name] for name in missing], 1, engine
            )
            here |= {name: after[0] - before[0] for name, (before, after) in zip(missing, marks, strict=True)}
        if keep is not None:
            keep.write_text(json.dumps(counts, indent=1) + "\n")
    return counts


def fit(files: Mapping[str, Sequence[Operator]], counts: Mapping[str, int], processor: Processor) -> dict[str, Any]:
    """The instructions of each piece of work, none negative, with the least squares of the relative errors."""
    rows = [pieces_of(found, processor) for found in files.values()]
    columns = sorted({piece for row in rows for piece in row})
    times = np.array([[row.get(piece, 0.0) for piece in columns] for row in rows])
    wanted = np.array([counts[name] for name in files], float)
    weights = 1 / (wanted + FLOOR)
    scaled = times * weights[:, None]
    largest = np.maximum(scaled.max(axis=0), 1e-12)  # columns of like size are solved better
    found, _ = nnls(scaled / largest, wanted * weights, maxiter=100 * len(columns))
    each = dict(zip(columns, map(float, found / largest), strict=True))
    kinds: dict[str, dict[str, float]] = defaultdict(dict)
    for (kind, piece), value in each.items():
        if kind:
            kinds[kind][piece] = round(value, 2)
    return {"call": round(each[CALL], 1), "part": round(each.get(PART, 0.0), 1), "operators": dict(kinds), "error": 1.0}


def pieces_of(found: Sequence[Operator], processor: Processor) -> dict[tuple[str, str], float]:
    """How often an inference has each piece of each kind of kernel."""
    row: dict[tuple[str, str], float] = defaultdict(float, {CALL: 1.0, PART: float(work.parts(found))})
    for operator in found:
        done = work.work(operator, processor)
        if done is None:
            sys.exit(f"fit.py: {operator.code} has no rule in edgedense/boards/work.py")
        for piece, times in done[1].items():
            row[done[0], piece] += times
    return row


def errors_of(files: Mapping[str, Sequence[Operator]], counts: Mapping[str, int], board: str) -> dict[str, float]:
    """The relative error of each file's estimate, by the coefficients that were just written."""
    stored.coefficients.cache_clear()
    processor = BOARDS[board][1]
    return {name: estimate.instructions(found, processor) / counts[name] - 1 for name, found in files.items()}


def table(names: Sequence[str], counts: Counts, errors: Mapping[str, Mapping[str, float]]) -> str:
    """Markdown: of each file and board the millions of instructions that were counted, and the estimate's error."""
    lines = ["| file |" + "".join(f" {board}: counted | error |" for board in errors)]
    lines.append("| --- |" + " --- | --- |" * len(errors))
    for name in names:
        cells = (
            f" {counts[board][name] / 1e6:.1f} M | {100 * found[name]:+.2f} % |" for board, found in errors.items()
        )
        lines.append(f"| {name} |" + "".join(cells))
    return "\n".join(lines)


if __name__ == "__main__":
    main()
