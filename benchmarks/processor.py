"""The processor that a figure was measured on. A time says nothing without it, and a ratio little: which code a runtime
takes for int8 depends on the instructions that a processor has."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgedense.device.board.hardware import read_board
from edgedense.device.machine import Machine
from edgedense.errors import EdgedenseError

# The flags of /proc/cpuinfo by which runtimes choose their code for int8, from the oldest on.
_X86 = ("avx2", "fma", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8")
_ARM = ("asimd", "asimddp", "i8mm")
ENTRY = "processor"  # in the JSON of a benchmark


@dataclass(frozen=True)
class Processor:
    """`name` as the system has it, and which of the flags it `has` and `lacks`."""

    name: str
    has: tuple[str, ...]
    lacks: tuple[str, ...]

    def __str__(self) -> str:
        lacking = f"; no {', '.join(self.lacks)}" if self.lacks else ""
        return f"{self.name} ({' '.join(self.has) or 'no flags'}{lacking})"

    def to_dict(self) -> dict[str, Any]:
        """As a benchmark's JSON has it."""
        return asdict(self)


def here(machine: Machine | None = None) -> Processor:
    """That of this machine, or of a recorded one."""
    board = read_board(machine or Machine())
    known = _ARM if board.features & set(_ARM) else _X86
    has = tuple(flag for flag in known if flag in board.features)
    return Processor(board.core, has, tuple(flag for flag in known if flag not in has))


def read(file: Path, processor: Processor) -> Mapping[str, Any]:
    """The figures of an earlier run. Raises EdgedenseError when `file` cannot be read, is none of a benchmark, or was
    measured on another processor: what differs then would say nothing about the code."""
    try:
        content = json.loads(file.read_bytes())
    except OSError as error:
        raise EdgedenseError("the figures of an earlier run", f"{file}: {error.strerror}", "another file") from error
    except ValueError as error:
        raise EdgedenseError(
            "figures that a benchmark wrote with --json", f"{file}: {error}", "another file"
        ) from error
    told = content.get(ENTRY) if isinstance(content, dict) else None
    if not isinstance(told, dict):
        raise EdgedenseError(
            "figures with the processor that they were measured on",
            f"{file}, which does not say its flags",
            "measure again: python benchmarks/peers.py --json FILE",
        )
    then = Processor(str(told.get("name")), tuple(told.get("has", ())), tuple(told.get("lacks", ())))
    if then != processor:
        raise EdgedenseError(
            f"figures of the same processor, {processor}",
            f"{file}, measured on {then}",
            "a file for each processor, such as --json out/bench-NAME.json",
        )
    return content


def check_writable(file: Path, processor: Processor) -> None:
    """Raise EdgedenseError where `file` holds figures of another processor, which a new run would put an end to."""
    if file.exists():
        read(file, processor)
