"""What a person may choose for an update. Nothing heavy is imported here: the command line's help reads it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from edgedense.flags import Flag


@dataclass(frozen=True)
class UpdateOptions:
    """What a person may choose for an update. `shadow` is in minutes."""

    force_labels: Annotated[
        bool, Flag("Take the file although its labels, or what its scores mean, are others than the current model's.")
    ] = False
    max_slower: Annotated[
        float,
        Flag(
            "How many times as long as the current model's an inference of the new one may take. Both are measured on "
            "the device, in turns.",
            metavar="TIMES",
            above=0,
        ),
    ] = 1.5
    shadow: Annotated[
        float,
        Flag(
            "Let the new model look at the same frames as the current one for so long before the switch, and tell how "
            "often both gave the same answer. The service must run. 0 is not at all.",
            metavar="MINUTES",
            minimum=0,
            maximum=1440,
        ),
    ] = 0.0
