"""How a board is named on the command line. Nothing heavy is imported here: the command line's help reads it."""

from __future__ import annotations

from typing import Annotated

from edgedense.boards.known import BOARDS, known
from edgedense.errors import EdgedenseError
from edgedense.flags import Flag

BOARD = Flag(
    f"The board whose time is meant, in the place of this machine's: {', '.join(BOARDS)}. It is estimated for one "
    "thread, from the operators of the file. docs/boards.md says how, and how far it was off.",
    metavar="BOARD",
)
ON_HOST = Flag(
    "The board whose time is meant, as ssh knows it, such as pi@barn-1. It is measured there, on one thread; edgedense "
    "is installed there first, as by edgedense deploy. What was measured is kept, so that each file is measured once.",
    name="--on",
    metavar="HOST",
)
Board = Annotated[str | None, BOARD]
OnHost = Annotated[str | None, ON_HOST]


def check(board: str | None, host: str | None) -> None:
    """Raise EdgedenseError for a board without an estimate, and for one that is named in two ways."""
    if board is not None and host is not None:
        raise EdgedenseError("--board or --on", "both", "--on measures, --board estimates")
    if board is not None:
        known(board)
