"""An emulated board: its processor, and what is counted while an engine infers there.

An inference takes the same path every time, so the count repeats to a few hundred instructions. Instructions are not
time: a processor runs up to four of them in a cycle, and waits for memory.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

HERE = Path(__file__).resolve().parent
BOARDS = HERE.parent / "device/boards"
REPEATS = 0.005  # two inferences must agree to this share
PROGRAM = "executorch"  # the engine that is a program of its own, executorch.cpp, and none of engines.py


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


@dataclass(frozen=True)
class Engine:
    """What runs a file there: a name of engines.ENGINES or PROGRAM, and the folder that holds its packages for aarch64.
    The program lies beside that folder."""

    name: str
    packages: Path

    def command(self, python: Path, script: str, *words: object) -> list[str]:
        """What starts infer.py ("count") or score.py ("score") with this engine, or the program that does the same."""
        if self.name == PROGRAM:
            return [str(self.packages.parent / PROGRAM), script, *map(str, words)]
        file = {"count": "infer.py", "score": "score.py"}[script]
        return [str(python), str(HERE / file), self.name, *map(str, words)]


@dataclass(frozen=True)
class Entry:
    """A file and what runs it there. It takes pixels or normalized values; `program` is what runs it on this machine
    where engines.py does not."""

    title: str
    file: Path
    engine: Engine
    takes_pixels: bool
    program: str = ""


def installed(work: Path) -> Engine:
    """The LiteRT that the wheel brought with it."""
    return Engine("litert", next((work / "bookworm/root/work/venv/lib").glob("python3*/site-packages")))


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
        sys.exit("counting.py: this qemu-aarch64 takes no plugins. Try: the package qemu-user of Debian 12")
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


def count(counter: Path, work: Path, root: Path, core: Core, model: Path, engine: Engine) -> Count:
    """Instructions of one run without the cache model, misses of another with it."""
    (marks,) = run(f"{counter}", work, root, core, [model], 2, engine)
    first, second = (after[0] - before[0] for before, after in pairwise(marks))
    if abs(first - second) > REPEATS * second:
        sys.exit(f"counting.py: {model.name}: {first} and {second} instructions in two equal inferences")
    ((before, after),) = run(f"{counter},l1={core.l1},l2={core.l2}", work, root, core, [model], 1, engine)
    return Count(second, *(late - early for early, late in zip(before[1:], after[1:], strict=True)))


def run(
    plugin: str, work: Path, root: Path, core: Core, models: Sequence[Path], inferences: int, engine: Engine
) -> list[list[tuple[int, ...]]]:
    """Of each model the counter's marks around `inferences` after one to warm up."""
    messages = start(work, root, core, engine, ["-plugin", plugin], "count", 1, inferences, *models)
    marks = [tuple(map(int, line.split()[1:])) for line in messages.splitlines() if line.startswith("MARK")]
    each = inferences + 1
    if len(marks) != each * len(models):
        sys.exit(f"counting.py: {engine.name} on {core.cpu}: {len(marks)} marks\n{messages[-2000:]}")
    return [marks[first : first + each] for first in range(0, len(marks), each)]


def start(work: Path, root: Path, core: Core, engine: Engine, options: Sequence[str], *words: object) -> str:
    """Run an engine there. What it wrote to standard error; ends this program where it failed."""
    python = next((work / "bookworm/root/usr/bin").glob("python3.1?"))
    script, *rest = words
    done = subprocess.run(
        ["qemu-aarch64", "-cpu", core.cpu, *options, "-L", root, *engine.command(python, str(script), *rest)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(engine.packages)},
        check=False,
    )
    if done.returncode:
        sys.exit(f"counting.py: {engine.name} on {core.cpu}: exit code {done.returncode}\n{done.stderr[-2000:]}")
    return done.stderr
