"""aarch64 instructions and modelled cache misses of one inference, on several processors. Run by `make bench-arm64`.

    python tests/arm64/bench.py WORK [--peers FOLDER] [--images DIR] [--json FILE] NAME=MODEL.tflite ...

WORK holds the userland bookworm (userland.sh) with the wheel installed (check_userland.py), FOLDER what peers.py made
of other engines. One thread, the second and third inference; the first fills caches and packs weights.

With --images every file scores labelled pictures too, with the same engine on this machine, for an emulated inference
takes seconds. A few of them are scored by the emulated processors as well: how far both are apart says whether the
accuracy here is that on the board.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # as a script, only its own folder is on the path

from tests.arm64 import counting
from tests.arm64.counting import CORES, Count, Engine, Entry
from tests.arm64.peers import NOT_RUN, PEERS
from tests.arm64.quality import Quality, judged


@dataclass(frozen=True)
class Row:
    """What was found of an entry: counts by the core's name, and None where no pictures were scored."""

    counts: Mapping[str, Count]
    quality: Quality | None


def main() -> None:
    """Count every file on every core, print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("models", nargs="+", metavar="NAME=MODEL.tflite")
    parser.add_argument("--peers", type=Path, help="what peers.py made")
    parser.add_argument("--images", type=Path, help="labelled pictures, a folder for each class")
    parser.add_argument("--pictures", type=int, default=200, help="so many of them are scored here")
    parser.add_argument("--emulated", type=int, default=2, help="so many of those by the emulated processors too")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    arguments = parser.parse_args()
    work = arguments.work.resolve()
    counter = counting.build_counter(work)
    roots = {core: counting.board_root(work, core) for core in CORES}
    rows: dict[str, Row] = {}
    for entry in entries(arguments.models, arguments.peers, counting.installed(work)):
        counts = {c.name: counting.count(counter, work, roots[c], c, entry.file, entry.engine) for c in CORES}
        quality = None
        if arguments.images:
            quality = judged(entry, work, roots, arguments.images, arguments.pictures, arguments.emulated)
        rows[entry.title] = Row(counts, quality)
        print(line(entry.title, rows[entry.title]), file=sys.stderr, flush=True)
    print("\n".join(f"{core.name}: {counting.emulated(core, roots[core])}" for core in CORES))
    print(table(rows))
    if arguments.peers:
        print("\n".join(f"Not run: {what}: {why}." for what, why in NOT_RUN.items()))
    if arguments.json:
        found = {
            "emulated": {core.name: counting.emulated(core, roots[core]) for core in CORES},
            "files": {name: {core: asdict(one) for core, one in row.counts.items()} for name, row in rows.items()},
            "quality": {name: asdict(row.quality) for name, row in rows.items() if row.quality},
        }
        arguments.json.write_text(json.dumps(found, indent=1))


def entries(models: Sequence[str], peers: Path | None, litert: Engine) -> list[Entry]:
    """The stock file first, which the others are compared with, then ours, then the other engines."""
    ours = [Entry(name, Path(path).resolve(), litert, True) for name, _, path in (one.partition("=") for one in models)]
    others: dict[str, Entry] = {}
    for name in PEERS:
        told = peers / name / "peer.json" if peers else None
        if told is not None and told.exists():
            peer = json.loads(told.read_text())
            engine = Engine(peer["engine"], Path(peer["packages"])) if peer["packages"] else litert
            others[name] = Entry(peer["title"], Path(peer["file"]), engine, False, peer["program"])
    stock = [others.pop("stock")] if "stock" in others else []
    return [*stock, *ours, *others.values()]


def table(rows: Mapping[str, Row]) -> str:
    """Markdown; the first row is what the others are compared with."""
    head, rule = "| file |", "| --- |"
    for core in CORES:
        head += f" {core.name}: instructions | L1 misses | L2 misses |"
        rule += " --- | --- | --- |"
    if any(row.quality for row in rows.values()):
        head, rule = head + " right, of pictures | scores on the boards apart from here |", rule + " --- | --- |"
    base = next(iter(rows.values())).counts
    return "\n".join([head, rule, *(line(name, row, base) for name, row in rows.items())])


def line(name: str, row: Row, base: Mapping[str, Count] | None = None) -> str:
    """One file: millions of instructions, as a share of the base's, and thousands of missed lines."""
    cells = [f"| {name} |"]
    for core, one in row.counts.items():
        share = f" ({one.instructions / base[core].instructions:.3f})" if base else ""
        cells.append(
            f" {one.instructions / 1e6:.1f} M{share} | {one.l1_misses / 1e3:.0f} k | {one.l2_misses / 1e3:.0f} k |"
        )
    if row.quality:
        cells.append(f" {100 * row.quality.accuracy:.1f} % of {row.quality.pictures} | {row.quality.apart:.1e} |")
    return "".join(cells)


if __name__ == "__main__":
    main()
