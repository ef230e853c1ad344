"""Where a service may write, and what it must be able to read.

A service sees the whole system read-only, but for its state folder /var/lib/NAME and the folders that its unit names.
It has no current folder of its own, and a /tmp of its own.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edgedense.errors import EdgedenseError

STATE = Path("/var/lib")  # where systemd makes state folders, StateDirectory= in systemd.exec(5)
HIDDEN = (Path("/tmp"), Path("/var/tmp"))  # PrivateTmp=yes gives the service empty ones

Kind = Literal["file", "folder"]


@dataclass(frozen=True)
class Place:
    """A file or folder that a service writes. `folder` is what must be writable for that: a file is first written
    beside its place and then renamed. `in_state` says that systemd makes `folder`, in the service's state folder.
    """

    path: Path
    folder: Path
    kind: Kind
    in_state: bool


def written(path: Path, kind: Kind, service: str, option: str) -> Place:
    """The place of what `option` of the service writes. A relative path begins at the service's state folder.

    Raises EdgedenseError for a place outside of it that a service can have no use for, or that cannot be there.
    """
    state = STATE / service
    whole = Path(os.path.normpath(state / path))
    if path.parts[:1] and path.parts[0].startswith("~"):
        raise EdgedenseError(f"a path for {option} with the home folder written out", str(path))
    if not path.is_absolute() and state not in (whole, *whole.parents):
        raise EdgedenseError(f"a path for {option} within {state}", str(path), "a path that begins with /")
    if kind == "file" and whole == state:
        raise EdgedenseError(f"the name of a file for {option}", str(path), "a name such as state.json")
    _require_visible(whole, option)
    folder = whole if kind == "folder" else whole.parent
    if folder == Path("/"):
        raise EdgedenseError(f"a folder for {option} that the service may own", "/", f"a relative path, for {state}")
    in_state = state in (folder, *folder.parents)
    if in_state and ":" in str(folder):  # StateDirectory= takes what follows for another name of the folder
        raise EdgedenseError(f"a path for {option} without a colon", str(path))
    return Place(whole, folder, kind, in_state)


def read(path: Path, option: str) -> Path:
    """The whole path of what `option` reads; a relative one begins at the current folder, as everywhere.

    Raises EdgedenseError when it is not there, or where the service does not see it.
    """
    if not path.exists():
        raise EdgedenseError(f"a file or folder for {option}", f"{path}, which does not exist", "check the path")
    whole = Path(os.path.abspath(path))
    _require_visible(whole, option)
    return whole


def _require_visible(path: Path, option: str) -> None:
    if hidden := next((root for root in HIDDEN if root in (path.resolve(), *path.resolve().parents)), None):
        raise EdgedenseError(
            f"a place for {option} that a service sees",
            f"{path}: a service has an empty {hidden} of its own",
            "move it",
        )
