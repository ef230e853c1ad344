"""What a user may choose for a deployment. Nothing heavy is imported here: the command line's help reads it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from edgedense.errors import EdgedenseError
from edgedense.flags import Flag


@dataclass(frozen=True)
class DeployOptions:
    """`parallel` hosts are worked on at the same time, each for at most `timeout` seconds, until `max_failures` have
    failed. `wheel` is the package that they get, in a virtual environment in their folder `place`. `ssh_config` is read
    in the place of ~/.ssh/config."""

    parallel: Annotated[
        int, Flag("Work on this many hosts at the same time, once the first one has succeeded.", minimum=1)
    ] = 4
    max_failures: Annotated[int, Flag("Begin with no other host once this many have failed.", minimum=1)] = 1
    timeout: Annotated[
        float, Flag("Give up a host that is not done within so many seconds.", metavar="SECONDS", above=0)
    ] = 1800
    wheel: Annotated[
        Path | None,
        Flag(
            "The wheel of edgedense that the hosts get. By default they get the version that runs here: from their own "
            "package index where it is a released one, or else as a wheel that is built of the checkout it runs from.",
            metavar="FILE.whl",
            reads="file",
        ),
    ] = None
    place: Annotated[
        Path,
        Flag("The folder on the hosts that holds edgedense's virtual environment and the models.", metavar="FOLDER"),
    ] = Path("/opt/edgedense")
    ssh_config: Annotated[
        Path | None, Flag("Use this configuration of ssh.", metavar="FILE", usual="~/.ssh/config", reads="file")
    ] = None

    def __post_init__(self) -> None:
        if not self.place.is_absolute() or self.place == Path("/"):
            raise EdgedenseError("--place FOLDER, a whole path on the hosts", str(self.place), "--place /opt/edgedense")
