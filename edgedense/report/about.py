"""What a model card needs to know and no file says: only people do. Nothing heavy is imported: the help reads it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from edgedense.flags import Flag

PANEL = "The model card"
_NEEDS = ("--card",)


@dataclass(frozen=True)
class About:
    """What people state of a model. What is None stands in the card as "not stated"."""

    intended_use: Annotated[
        str | None,
        Flag(
            "What the model is for, and who uses it, as it is to stand in the card.",
            panel=PANEL,
            metavar="TEXT",
            needs=_NEEDS,
        ),
    ] = None
    not_for: Annotated[str | None, Flag("What it must not be used for.", panel=PANEL, metavar="TEXT", needs=_NEEDS)] = (
        None
    )
    population: Annotated[
        str | None,
        Flag(
            "Whose pictures these are: where, when and with what devices they were taken, of whom, and how they were "
            "labelled.",
            panel=PANEL,
            metavar="TEXT",
            needs=_NEEDS,
        ),
    ] = None
    owner: Annotated[
        str | None, Flag("Who answers for the model, and how to reach them.", panel=PANEL, metavar="TEXT", needs=_NEEDS)
    ] = None
    licence: Annotated[
        str | None, Flag("The terms under which it may be used.", panel=PANEL, metavar="TEXT", needs=_NEEDS)
    ] = None
