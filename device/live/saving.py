"""Keeps the frames that the network was unsure of, for somebody to label."""

from __future__ import annotations

import io
import queue
import shutil
import threading
import time
from collections.abc import Callable
from datetime import datetime, timezone

from PIL import Image

from edgedense.device.live.options import Saving
from edgedense.device.prediction import Doubt
from edgedense.errors import EdgedenseError
from edgedense.files import remove_leftovers, write_atomically
from edgedense.images.preprocessing import Pixels

_MB = 10**6
_INTERVAL = 1.0  # seconds; frames that follow each other closely look alike
_NAMES = r"\d{8}T\d{6}\.\d{3}Z_\d+_.*\.jpg"  # what `offer` calls them


class Saver:
    """Writes JPEGs in a thread of its own, at most one a second; it never makes the inference wait.

    `usual` is how sure a prediction must be where the rules do not say. A file's name tells when its frame was
    captured, the frame's number, and the class that was in doubt with its score. `report` is called once with a
    sentence when saving has stopped, and why. Raises EdgedenseError without a folder.
    """

    def __init__(self, rules: Saving, report: Callable[[str], None], usual: float = 0.5) -> None:
        if rules.folder is None:
            raise EdgedenseError("a folder to save frames in", "none", "--save FOLDER")
        self._rules, self._folder, self._report = rules, rules.folder, report
        self._below = usual if rules.below is None else rules.below
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            remove_leftovers(self._folder, _NAMES)
            self._used = sum(path.stat().st_size for path in self._folder.iterdir() if path.is_file())
        except OSError as error:
            raise EdgedenseError("a folder to save frames in", f"{self._folder}: {error.strerror}") from error
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
        try:
            data = _jpeg(picture)
            size = len(data)
            if self._used + size > self._rules.cap * _MB:
                self._stop(f"{self._folder} holds {self._used // _MB} of {self._rules.cap:g} MB")
            elif shutil.disk_usage(self._folder).free - size < self._rules.floor * _MB:
                self._stop(f"less than {self._rules.floor:g} MB are free on the disk")
            else:
                write_atomically(self._folder / name, data)
                self._used += size
                self.saved += 1
        except (OSError, ValueError, TypeError, EdgedenseError) as error:  # Pillow raises the second and third
            self._stop(str(error))

    def _stop(self, why: str) -> None:
        self._has_stopped = True
        self._report(f"no more frames are saved: {why}")


def _jpeg(picture: Pixels) -> bytes:
    """The picture as a file, with little loss: it may be looked at, and learned from."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=95, subsampling=0)
    return file.getvalue()
