"""How many pictures are scored, as a user chooses it. Nothing heavy is imported here: the command line reads it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from edgedense.flags import Flag
from edgedense.jobs.options import RayAddress

PANEL = "Many pictures"
_NEEDS = ("--data",)


@dataclass(frozen=True)
class Scale:
    """How the pictures of `validate` and `compare` are scored; what they score is the same to the bit.

    `work` is a folder for the scores, from which a run that was killed goes on. `until` stops when the 95 % interval on
    the drop is at most so many points to each side. `processes` share the work: None and 1 are threads of this process,
    0 lets edgedense decide by the number of pictures. `ray` is the address of a Ray cluster, whose machines then do it.

    With processes, what a script of your own does must stand below `if __name__ == "__main__":`, since each process
    imports it.
    """

    work: Annotated[
        Path | str | None,
        Flag(
            "Keep the scores in this folder. A run that was killed goes on from there and ends with the same figures. "
            "Another file, reference or set of pictures is kept apart.",
            panel=PANEL,
            metavar="FOLDER",
            takes=Path,
            writes="folder",
            needs=_NEEDS,
        ),
    ] = None
    until: Annotated[
        float | None,
        Flag(
            "Stop as soon as the 95 % interval on the drop in accuracy is at most so many points to each side. The "
            "pictures are looked at in random order, by a fixed seed, and the interval is wider than that of a run "
            "over as many pictures: it holds although it was looked at several times. The result says how many of how "
            "many pictures were looked at.",
            panel=PANEL,
            metavar="POINTS",
            above=0,
            needs=_NEEDS,
        ),
    ] = None
    processes: Annotated[
        int | None,
        Flag(
            "How many processes share the work. 1: threads of one process. 0: for many pictures without a reference "
            "one process a core, and else threads. With a reference each process loads TensorFlow, about 1 GB.",
            panel=PANEL,
            minimum=0,
            usual="0",
            needs=_NEEDS,
        ),
    ] = None
    ray: RayAddress = None

    def for_command(self) -> Scale:
        """The same, where nobody names the processes with as many as edgedense decides for: a command is no script,
        which would have to be written for them."""
        return replace(self, processes=0) if self.processes is None else self
