"""What a user may choose of a fleet. Nothing heavy is imported here: the command line's help reads it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from edgedense.flags import Flag

BROKER = "The broker"
PAGE = "Web page with a row a device"
HISTORY = "History: what happened on Tuesday"


@dataclass(frozen=True)
class Entry:
    """How the broker lets this reader in: the user's password, and whose certificates count."""

    password_file: Annotated[
        Path | None, Flag("A file that holds the password of USER, and nothing else.", panel=BROKER, reads="file")
    ] = None
    ca: Annotated[
        Path | None,
        Flag(
            "A file with the certificates that the broker's is signed by, in PEM format. By default those count that "
            "the system trusts.",
            panel=BROKER,
            reads="file",
        ),
    ] = None


@dataclass(frozen=True)
class Watching:
    """The page is served at `serve`, HOST:PORT or None for none, to those who know the token in `token_file`. Reports
    are kept in the file `history` for `keep` days."""

    serve: Annotated[
        str | None,
        Flag(
            "Serve a live web page at this address until Ctrl-C. At any other than 127.0.0.1 it asks for a token, "
            "since others in the network can open it then.",
            panel=PAGE,
            metavar="HOST:PORT",
        ),
    ] = None
    token_file: Annotated[
        Path | None,
        Flag(
            "A file that holds the page's token. By default a new token is made and printed.",
            panel=PAGE,
            reads="file",
            secret=True,
            needs=("--serve",),
        ),
    ] = None
    history: Annotated[
        Path | None,
        Flag(
            "Keep what the devices report in this file, until Ctrl-C. With it, who drifts against the others is told "
            "once there is a day to compare with the days before. Without a BROKER, read this file.",
            panel=HISTORY,
            writes="file",
        ),
    ] = None
    keep: Annotated[
        float,
        Flag(
            "Keep reports for so many days. Alerts, comings and goings are kept ten times as long.",
            panel=HISTORY,
            metavar="DAYS",
            minimum=9,
            needs=("--history",),
        ),
    ] = 30


@dataclass(frozen=True)
class Asked:
    """What is asked of a history: how the fleet was `at` a moment, or what happened from `since` to `until`."""

    at: Annotated[
        str | None,
        Flag(
            "Tell how the fleet was at this moment, in this machine's time: '2026-11-24 15:30'.",
            panel=HISTORY,
            metavar="MOMENT",
            usual="now",
            needs=("--history",),
        ),
    ] = None
    since: Annotated[
        str | None,
        Flag(
            "Tell what happened from this day or moment on: 2026-11-24.",
            panel=HISTORY,
            metavar="MOMENT",
            needs=("--history",),
        ),
    ] = None
    until: Annotated[
        str | None,
        Flag(
            "And up to this day, which is included, or moment.",
            panel=HISTORY,
            metavar="MOMENT",
            usual="now",
            needs=("--since",),
        ),
    ] = None
