"""Times that were measured, kept in the user's cache folder: a file is measured once on a board."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgedense.errors import EdgedenseError
from edgedense.files import sha256, write_atomically


@dataclass(frozen=True)
class Kept:
    """The folder that holds them. A board is what it says of itself: its model, kernel and runtime; another kernel or
    runtime has other times."""

    folder: Path

    def milliseconds(self, digest: str, board: Mapping[str, str]) -> float | None:
        """The time of the file with this SHA-256; None where it was not measured, or what is kept cannot be read."""
        try:
            return float(json.loads(self._path(digest, board).read_text("utf-8"))["median_ms"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def keep(self, digest: str, board: Mapping[str, str], milliseconds: float) -> None:
        """Raises EdgedenseError where the folder cannot be written."""
        path = self._path(digest, board)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise EdgedenseError(
                "a cache folder for measured times that can be written", f"{path.parent}: {error.strerror}"
            ) from error
        entry = {"sha256": digest, "board": dict(board), "median_ms": milliseconds}
        write_atomically(path, (json.dumps(entry, indent=1, sort_keys=True) + "\n").encode())

    def _path(self, digest: str, board: Mapping[str, str]) -> Path:
        whose = sha256(json.dumps(dict(board), sort_keys=True).encode())
        return self.folder / whose[:16] / f"{digest}.json"


def usual() -> Kept:
    """That of the user. Raises EdgedenseError without the library that knows where cache folders are."""
    try:
        from platformdirs import user_cache_path
    except ImportError as error:
        raise EdgedenseError(
            "the library that knows where times are kept", str(error), "pip install platformdirs"
        ) from error
    return Kept(user_cache_path("edgedense", appauthor=False) / "measured")
