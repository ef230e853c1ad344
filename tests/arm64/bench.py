"""aarch64 instructions and modelled cache misses of one inference, on several processors. Run by `make bench-arm64`.

    python tests/arm64/bench.py WORK [--json FILE] NAME=MODEL.tflite ...

WORK holds the userland bookworm (userland.sh) with the wheel installed (check_userland.py). One thread, the second and
third inference; the first fills caches and packs weights. An inference takes the same path every time, so the count
repeats to a few hundred instructions. Instructions are not time: a processor runs up to four of them in a cycle, and
waits for memory.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

HERE = Path(__file__).resolve().parent
BOARDS = HERE.parent / "device/boards"
REPEATS = 0.005  # two inferences must agree to this share


@dataclass(frozen=True)
class Core:
    """A processor as QEMU calls it, with its caches as the counter's arguments (bytes/ways).

    `stands_in` is a board of whose recording we take all but the processor's part number `part`."""

    board: str
    cpu: str
    name: str
    l1: str
    l2: str
    stands_in: str = ""
    part: str = ""


# Data caches: Cortex-A72 TRM and BCM2711, Cortex-A76 TRM and BCM2712, Cortex-A53 TRM and BCM2837. The 2 MiB that all
# cores of a BCM2712 share behind their L2 are not modelled.
PI3 = Core("pi3", "cortex-a53", "Cortex-A53 (Pi 3)", f"{32 << 10}/4", f"{512 << 10}/16", "pi4", "0xd03")
CORES = (
    Core("pi5", "cortex-a76", "Cortex-A76 (Pi 5)", f"{64 << 10}/4", f"{512 << 10}/8"),
    Core("pi4", "cortex-a72", "Cortex-A72 (Pi 4)", f"{32 << 10}/2", f"{1 << 20}/16"),
)


@dataclass(frozen=True)
class Count:
    """Of one inference: instructions, accesses to data, and lines of 64 bytes that were in neither cache before."""

    instructions: int
    accesses: int
    l1_misses: int
    l2_misses: int


def main() -> None:
    """Count every model on every core, print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("models", nargs="+", metavar="NAME=MODEL.tflite")
    parser.add_argument("--json", type=Path, help="write the counts here too")
    arguments = parser.parse_args()
    work = arguments.work.resolve()
    counter = build_counter(work)
    roots = {core: board_root(work, core) for core in CORES}
    counts = {}
    for entry in arguments.models:
        name, _, path = entry.partition("=")
        counts[name] = {core.name: count(counter, work, roots[core], core, Path(path).resolve()) for core in CORES}
        print(row(name, counts[name]), file=sys.stderr, flush=True)
    print("\n".join(f"{core.name}: {emulated(core, roots[core])}" for core in CORES))
    print(table(counts))
    if arguments.json:
        found = {
            "emulated": {core.name: emulated(core, roots[core]) for core in CORES},
            "files": {name: {core: asdict(one) for core, one in cores.items()} for name, cores in counts.items()},
        }
        arguments.json.write_text(json.dumps(found, indent=1))


def emulated(core: Core, root: Path) -> str:
    """What stands in for the processor, with the flags by which the runtime chooses its code."""
    told = (root / "proc/cpuinfo").read_text()
    flags = re.search(r"(?m)^Features\s*: (.*)$", told)
    has = [flag for flag in ("asimd", "asimddp", "i8mm") if flags and flag in flags[1].split()]
    return f"emulated by qemu-aarch64 -cpu {core.cpu}, flags {' '.join(has)}; data caches {core.l1} and {core.l2}"


def build_counter(work: Path) -> Path:
    """The plugin; QEMU must be one that takes plugins (Debian 12's package does, later static ones do not)."""
    counter = work / "counter.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-O2", "-o", counter, HERE / "counter.c"], check=True)
    usage = subprocess.run(["qemu-aarch64", "-h"], capture_output=True, text=True, check=False).stdout
    if "-plugin" not in usage:
        sys.exit("bench.py: this qemu-aarch64 takes no plugins. Try: the package qemu-user of Debian 12")
    return counter


def board_root(work: Path, core: Core) -> Path:
    """The userland's folders beside the board's own /proc and /sys: without its /proc/cpuinfo the runtime takes other
    kernels than on the board."""
    root = work / f"root-{core.board}"
    root.mkdir(exist_ok=True)
    for folder in ("usr", "lib", "bin", "sbin", "etc"):
        link(root / folder, work / "bookworm/root" / folder)
    recording = BOARDS / (core.stands_in or core.board)
    link(root / "sys", recording / "sys")
    if not core.part:
        link(root / "proc", recording / "proc")
        return root
    (root / "proc").mkdir(exist_ok=True)
    told = (recording / "proc/cpuinfo").read_text()
    (root / "proc/cpuinfo").write_text(re.sub(r"(?m)^(CPU part\t: ).*$", rf"\g<1>{core.part}", told))
    return root


def link(path: Path, target: Path) -> None:
    """A link that is there already may point elsewhere."""
    path.unlink(missing_ok=True)
    path.symlink_to(target)


def count(counter: Path, work: Path, root: Path, core: Core, model: Path) -> Count:
    """Instructions of one run without the cache model, misses of another with it."""
    (marks,) = run(f"{counter}", work, root, core, [model], inferences=2)
    first, second = (after[0] - before[0] for before, after in pairwise(marks))
    if abs(first - second) > REPEATS * second:
        sys.exit(f"bench.py: {model.name}: {first} and {second} instructions in two equal inferences")
    ((before, after),) = run(f"{counter},l1={core.l1},l2={core.l2}", work, root, core, [model], inferences=1)
    return Count(second, *(late - early for early, late in zip(before[1:], after[1:], strict=True)))


def run(
    plugin: str, work: Path, root: Path, core: Core, models: Sequence[Path], inferences: int
) -> list[list[tuple[int, ...]]]:
    """Of each model the counter's marks around `inferences` after one to warm up."""
    userland = work / "bookworm/root"
    site = next((userland / "work/venv/lib").glob("python3*/site-packages"))
    python = next((userland / "usr/bin").glob("python3.1?"))
    qemu = ["qemu-aarch64", "-cpu", core.cpu, "-plugin", plugin, "-L", root]
    done = subprocess.run(
        [*qemu, python, HERE / "infer.py", "1", str(inferences), *models],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(site)},
        check=False,
    )
    marks = [tuple(map(int, line.split()[1:])) for line in done.stderr.splitlines() if line.startswith("MARK")]
    each = inferences + 1
    if done.returncode or len(marks) != each * len(models):
        names = f"{models[0].name} and {len(models) - 1} others" if len(models) > 1 else models[0].name
        sys.exit(f"bench.py: {names} on {core.cpu}: exit code {done.returncode}\n{done.stderr[-2000:]}")
    return [marks[start : start + each] for start in range(0, len(marks), each)]


def table(counts: dict[str, dict[str, Count]]) -> str:
    """Markdown; the first model is what the others are compared with."""
    head = ["| file |", "| --- |"]
    for core in CORES:
        head[0] += f" {core.name}: instructions | L1 misses | L2 misses |"
        head[1] += " --- | --- | --- |"
    base = next(iter(counts.values()))
    return "\n".join([*head, *(row(name, cores, base) for name, cores in counts.items())])


def row(name: str, cores: dict[str, Count], base: dict[str, Count] | None = None) -> str:
    """One model: millions of instructions, as a share of the base's, and thousands of missed lines."""
    cells = [f"| {name} |"]
    for core, one in cores.items():
        share = f" ({one.instructions / base[core].instructions:.3f})" if base else ""
        cells.append(
            f" {one.instructions / 1e6:.1f} M{share} | {one.l1_misses / 1e3:.0f} k | {one.l2_misses / 1e3:.0f} k |"
        )
    return "".join(cells)


if __name__ == "__main__":
    main()
