"""What a user may choose for the figures. Nothing heavy is imported here: the command line's help reads it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from edgedense.flags import Flag

METRICS = "Figures for Prometheus"


@dataclass(frozen=True)
class MetricsOptions:
    """Figures for Prometheus, served at `address`, HOST:PORT, to those who know the token in `token_file`; none are
    without an address."""

    address: Annotated[
        str | None,
        Flag(
            "Serve figures at this address, under /metrics. At any other than 127.0.0.1 a token is asked for, since "
            "others in the network can read them then.",
            name="--metrics",
            panel=METRICS,
            metavar="HOST:PORT",
        ),
    ] = None
    token_file: Annotated[
        Path | None,
        Flag(
            "A file that holds the token. By default a new token is made and printed.",
            name="--metrics-token-file",
            panel=METRICS,
            reads="file",
            secret=True,
            needs=("--metrics",),
        ),
    ] = None
