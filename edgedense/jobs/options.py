"""Where work on many items is done, as a user chooses it. Nothing heavy is imported here: the command line reads it."""

from __future__ import annotations

from typing import Annotated

from edgedense.flags import Flag

RayAddress = Annotated[
    str | None,
    Flag(
        "Work on the machines of a Ray cluster, by default on the cores of this one: auto for the cluster that this "
        "machine belongs to, HOST:6379, or ray://HOST:10001 from outside. All of its machines must see the same files, "
        "have the same edgedense and the same Python.",
        name="--ray",
        metavar="ADDRESS",
    ),
]
