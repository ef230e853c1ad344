"""The boards whose times can be estimated, and what is known of their processors."""

from __future__ import annotations

from dataclasses import dataclass

from edgedense.errors import EdgedenseError, listed


@dataclass(frozen=True)
class Tiles:
    """How XNNPACK's matrix kernels cut their work on a processor: `rows` (pixels) and `columns` (output channels) of a
    tile, computed at once, with `depth` input values in one round of the inner loop and `rest` in one step of what is
    left behind the last round. A map of at most `few` pixels has a kernel of its own (0: it has none)."""

    rows: int
    columns: int
    depth: int
    rest: int
    few: int = 0


@dataclass(frozen=True)
class Processor:
    """A core of an ARM processor.

    `counted` is the name of its coefficients. `l1` and `l2` are the bytes of its data caches. `int8` and `float32` are
    the tiles of the kernels that XNNPACK takes on it (src/configs/gemm-config.c there). `per_cycle` are instructions in
    a cycle while all data are in the caches: from published times of int8 networks on four cores, taken as four times
    as fast as one. `miss` are nanoseconds that a line of 64 bytes takes at half of the memory's highest rate, which is
    assumed. docs/boards.md has the sources.
    """

    name: str
    counted: str
    l1: int
    l2: int
    int8: Tiles
    float32: Tiles
    per_cycle: float
    miss: float


@dataclass(frozen=True)
class Known:
    """A board: the processor, and its highest clock in GHz, which a board keeps as long as it does not get hot."""

    processor: Processor
    clock: float


A76 = Processor("Cortex-A76", "pi5", 64 << 10, 512 << 10, Tiles(4, 16, 16, 4), Tiles(6, 8, 4, 1, few=4), 1.7, 7.5)
A72 = Processor("Cortex-A72", "pi4", 32 << 10, 1 << 20, Tiles(2, 8, 16, 8), Tiles(6, 8, 4, 1, few=4), 1.19, 10.0)
A53 = Processor("Cortex-A53", "pi3", 32 << 10, 512 << 10, Tiles(4, 16, 8, 1), Tiles(6, 8, 4, 1, few=4), 0.86, 35.6)
_KNOWN = {"pi5": Known(A76, 2.4), "pi4": Known(A72, 1.8), "pi3": Known(A53, 1.2), "zero2": Known(A53, 1.0)}
BOARDS = tuple(_KNOWN)
# Boards that somebody will ask for, and why there is no estimate.
_UNKNOWN = {
    "n100": "its processor multiplies int8 with AVX-VNNI, which the emulator that counts instructions does not have"
}


def known(board: str) -> Known:
    """Raises EdgedenseError for a board without an estimate."""
    if board in _KNOWN:
        return _KNOWN[board]
    why = f": {_UNKNOWN[board]}" if board in _UNKNOWN else ""
    raise EdgedenseError(
        f"a board whose time can be estimated: {listed(BOARDS)}",
        f"{board}{why}",
        "--on user@host, which measures there",
    )
