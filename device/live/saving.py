"""Keeps the frames that the network was unsure of, for somebody to label."""

from __future__ import annotations

import io
import queue
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from PIL import Image

from edgedense.device.prediction import Doubt
from edgedense.errors import EdgedenseError
from edgedense.files import write_atomically
from edgedense.images.preprocessing import Pixels

_MB = 10**6
_INTERVAL = 1.0  # seconds; frames that follow each other closely look alike


@dataclass(frozen=True)
class SavingRules:
    """Save to `folder` what the model is less sure of than `below` (see `edgedense.device.prediction.doubt`; None
    for what is usual with its kind of answer), until the folder holds `cap` bytes or the disk has only `floor` bytes
    left."""

    folder: Path
    below: float | None = None
    cap: int = 500 * _MB
    floor: int = 1000 * _MB


def saving_rules(folder: Path | None, below: float | None, cap: int | None, floor: int | None) -> SavingRules | None:
    """Rules from the command line, where `cap` and `floor` are in MB and None stands for the usual value.

    None when no folder is named. Raises EdgedenseError when the other values are given without one.
    """
    if folder is None:
        if (below, cap, floor) != (None, None, None):
            raise EdgedenseError("--save DIR with --save-below, --save-cap and --save-floor", "no --save")
        return None
    return SavingRules(
        folder,
        below,
        SavingRules.cap if cap is None else cap * _MB,
        SavingRules.floor if floor is None else floor * _MB,
    )


class Saver:
    """Writes JPEGs in a thread of its own, at most one a second; it never makes the inference wait.

    `usual` is how sure a prediction must be where the rules do not say. A file's name tells when its frame was
    captured, the frame's number, and the class that was in doubt with its score. `report` is called once with a
    sentence when saving has stopped, and why.
    """

    def __init__(self, rules: SavingRules, report: Callable[[str], None], usual: float = 0.5) -> None:
        self._rules, self._report = rules, report
        self._below = usual if rules.below is None else rules.below
        try:
            rules.folder.mkdir(parents=True, exist_ok=True)
            self._used = sum(path.stat().st_size for path in rules.folder.iterdir() if path.is_file())
        except OSError as error:
            raise EdgedenseError("a folder to save frames in", f"{rules.folder}: {error.strerror}") from error
        self._offered_at = float("-inf")
        self._queue: queue.Queue[tuple[Pixels, str] | None] = queue.Queue(1)
        self._has_stopped = False
        self.saved = 0
        self._thread = threading.Thread(target=self._work, name="saver", daemon=True)
        self._thread.start()

    def offer(self, picture: Pixels, number: int, wall: float, doubt: Doubt) -> None:
        """uint8 [H, W, 3] of frame `number`: a copy is queued if it is due, else nothing happens."""
        now = time.monotonic()
        is_late = now - self._offered_at >= _INTERVAL
        if self._has_stopped or doubt.sureness >= self._below or not is_late or self._queue.full():
            return
        self._offered_at = now
        moment = datetime.fromtimestamp(wall, timezone.utc).strftime("%Y%m%dT%H%M%S.%f")[:-3] + "Z"
        guess = "".join(c if c.isalnum() else "-" for c in doubt.label)[:40]
        self._queue.put_nowait((picture.copy(), f"{moment}_{number:06d}_{guess}_{doubt.score:.3f}.jpg"))

    def close(self, timeout: float = 1.0) -> None:
        """Finish the frame that is being written."""
        try:
            self._queue.put(None, timeout=timeout)
        except queue.Full:
            return
        self._thread.join(timeout)

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            if not self._has_stopped:
                self._save(*item)

    def _save(self, picture: Pixels, name: str) -> None:
        data = io.BytesIO()
        Image.fromarray(picture).save(data, "JPEG", quality=95, subsampling=0)
        size = data.getbuffer().nbytes
        try:
            if self._used + size > self._rules.cap:
                self._stop(f"{self._rules.folder} holds {self._used // _MB} of {self._rules.cap // _MB} MB")
            elif shutil.disk_usage(self._rules.folder).free - size < self._rules.floor:
                self._stop(f"less than {self._rules.floor // _MB} MB are free on the disk")
            else:
                write_atomically(self._rules.folder / name, data.getvalue())
                self._used += size
                self.saved += 1
        except (OSError, EdgedenseError) as error:
            self._stop(str(error))

    def _stop(self, why: str) -> None:
        self._has_stopped = True
        self._report(f"no more frames are saved: {why}")
