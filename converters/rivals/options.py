"""Which other networks a search is shown beside, and how long they are trained. Nothing heavy is imported here: the
command line's help reads it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from edgedense.errors import EdgedenseError
from edgedense.flags import Flag

PANEL = "What else could I have had?"
RIVALS = ("mobilenetv2", "efficientnet-lite0", "resnet50")
OWN = (".keras", ".h5", ".hdf5")  # how the file of a rival that somebody has trained ends
EPOCHS = 30


def parse(text: str) -> tuple[str, ...]:
    """What --against names, in its order. Raises EdgedenseError for a name that is no rival, or is there twice."""
    names = tuple(name.strip() for name in text.split(","))
    for name in names:
        if name not in RIVALS and Path(name).suffix not in OWN:
            raise EdgedenseError(
                f"networks out of {', '.join(RIVALS)}, or the file of a trained one ({', '.join(OWN)}), with commas "
                "between them",
                name or "nothing",
                f"--against {RIVALS[0]}",
            )
    called = [title(name) for name in names]
    if len(set(called)) < len(called):
        raise EdgedenseError("each network once for --against", text, "another name for one of the files")
    return names


def title(rival: str) -> str:
    """What a rival is called on a page: its name, or its file's."""
    return rival if rival in RIVALS else Path(rival).stem


@dataclass(frozen=True)
class RivalOptions:
    """The rivals `against` which a search is shown, and what limits the training of each."""

    against: Annotated[
        tuple[str, ...],
        Flag(
            f"Other networks to show beside the files, with commas between them: {', '.join(RIVALS)}, or the file of "
            "one that you have trained (FILE.keras), which takes pixels from 0 to 255. The named ones are trained here "
            "from nothing, to give the scores of the DenseNet for the pictures of --recover; where these lie in "
            "folders named like the classes, from that too. All are converted by TensorFlow's own converter.",
            panel=PANEL,
            metavar="NAMES",
            takes=str,
            read=parse,
        ),
    ] = ()
    against_epochs: Annotated[
        int,
        Flag(
            "Train each network of --against for at most this many epochs. An epoch is one pass over the pictures.",
            panel=PANEL,
            minimum=1,
            needs=("--against",),
        ),
    ] = EPOCHS
    against_minutes: Annotated[
        float | None,
        Flag(
            "Train each network of --against for about this many minutes at most: a few steps are timed at the "
            "beginning, and there are as many epochs as fit, but at least one. The number depends on how fast this "
            "machine is, and with it the network; --against-epochs gives the same one everywhere.",
            panel=PANEL,
            metavar="MINUTES",
            above=0,
            needs=("--against",),
        ),
    ] = None

    @property
    def trained(self) -> tuple[str, ...]:
        """Those that are trained here, and need pictures for it."""
        return tuple(name for name in self.against if name in RIVALS)

    @property
    def files(self) -> tuple[Path, ...]:
        """Those that were trained elsewhere."""
        return tuple(Path(name) for name in self.against if name not in RIVALS)
