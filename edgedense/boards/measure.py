"""How long files take on a real board, measured there over SSH."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgedense.boards.kept import Kept, usual
from edgedense.boards.result import BoardTime
from edgedense.deployed import bundle
from edgedense.files import sha256
from edgedense.notes import tell
from edgedense.progress import progress

if TYPE_CHECKING:
    from edgedense.rollout.connection import Connection
    from edgedense.rollout.options import DeployOptions

SECONDS = 5.0  # that a file runs, after its first inferences


def measure(
    files: Sequence[Path], host: str, options: DeployOptions | None = None, kept: Kept | None = None
) -> list[BoardTime]:
    """How long one inference of each `.tflite` file takes on one thread of `host`, a board as ssh knows it.

    It is the median of `edgedense benchmark` there. edgedense is installed on the board first where this version is
    missing, as `edgedense deploy` does it. What was measured is kept (`kept`, by default in the user's cache folder) by
    the file's SHA-256 and by the board's model, kernel and runtime, and is not measured again.

    Raises EdgedenseError for files that cannot be read, and HostError where the board cannot be reached, lets nobody
    in, lacks what edgedense needs or cannot run a file.
    """
    contents = [bundle.read(file).model for file in files]
    with open_board(host, options, kept) as board, progress(f"measuring on {host}", len(files)) as tick:
        times = []
        for content in contents:
            times.append(board.time(content))
            tick(1)
        return times


@dataclass(frozen=True)
class Board:
    """A board that is connected and has edgedense: `key` is the version there, `facts` what the board says it is."""

    connection: Connection
    place: str
    key: str
    facts: dict[str, str]
    kept: Kept

    def time(self, file: bytes) -> BoardTime:
        """How long one inference of a file takes, from what is kept or measured now. What stands behind its flatbuffer
        (labels, a recipe) takes no time, and so does not count as another file."""
        digest = sha256(bundle.without_archive(file))
        found = self.kept.milliseconds(digest, self.facts)
        if found is None:
            found = self._measured(file)
            self.kept.keep(digest, self.facts, found)
        return BoardTime(self.facts["model"], found, None, False, None)

    def _measured(self, file: bytes) -> float:
        from edgedense.rollout.host import send

        digest = sha256(file)
        model = {"sha256": digest, "file": f"{digest[:16]}.tflite"}
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / model["file"]
            path.write_bytes(file)
            send(self.connection, self.place, "measured", path, digest)
        given: dict[str, Any] = {"place": self.place, "key": self.key, "model": model, "seconds": SECONDS}
        run = self.connection.do("measure", given)
        if run["verdict"]:
            tell([f"{self.facts['model']}: {run['verdict']}"])
        return float(run["median_ms"])


@contextmanager
def open_board(host: str, options: DeployOptions | None = None, kept: Kept | None = None) -> Iterator[Board]:
    """A connection to `host`, on which edgedense is installed where it is missing. Raises as `measure` does."""
    from edgedense.rollout import package
    from edgedense.rollout.connection import Connection
    from edgedense.rollout.host import bring
    from edgedense.rollout.options import DeployOptions
    from edgedense.rollout.plan import EXTRAS, devices

    options, kept = options or DeployOptions(), kept or usual()
    devices([host])  # refuses what is no name of a host
    # Directly in /tmp where there is one: the path of a socket has room for about 100 letters.
    short = "/tmp" if Path("/tmp").is_dir() else None
    with tempfile.TemporaryDirectory(prefix="edgedense-", dir=short) as name:
        folder = Path(name)
        wanted = package.of_wheel(options.wheel) if options.wheel else package.of_this_installation(folder)
        deadline = time.monotonic() + options.timeout
        with Connection(host, folder / "ssh", deadline, threading.Event(), options.ssh_config) as connection:
            given = {**wanted.to_dict(), "extras": None, "usual": EXTRAS}
            place = str(options.place)
            found = connection.do("find", {"place": place, "package": given})
            if not found["has_package"]:
                bring(connection, place, wanted, given, found)
                found = connection.do("find", {"place": place, "package": given})
            yield Board(connection, place, found["key"], found["board"], kept)
