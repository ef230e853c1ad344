"""How a board is named on the command line. Nothing heavy is imported here: the command line's help reads it."""

from __future__ import annotations

from typing import Annotated

from edgedense.boards.known import BOARDS
from edgedense.flags import Flag

Board = Annotated[
    str | None,
    Flag(
        f"The board whose time is meant, in the place of this machine's: {', '.join(BOARDS)}. It is estimated for one "
        "thread, from the operators of the file. docs/boards.md says how, and how far it was off.",
        metavar="BOARD",
    ),
]
OnHost = Annotated[
    str | None,
    Flag(
        "The board whose time is meant, as ssh knows it, such as pi@barn-1. It is measured there, on one thread; "
        "edgedense is installed there first, as by edgedense deploy. What was measured is kept, so that each file is "
        "measured once.",
        name="--on",
        metavar="HOST",
    ),
]
