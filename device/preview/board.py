"""What the preview page shows: written by the inference thread, read by the web server's."""

from __future__ import annotations

import io
import threading
import time
from typing import Any

from PIL import Image

from edgedense.preprocessing import Pixels

_WATCHED = 5.0  # seconds after a page's last request during which pictures are kept for it
_WIDEST = 960  # pixels; larger pictures are thinned out, which is cheap


class Board:
    """The newest picture and facts. Pictures are copied only while somebody looks."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._facts: dict[str, Any] = {}
        self._picture: Pixels | None = None
        self._picture_number = 0
        self._jpeg: tuple[int, bytes] = (0, b"")
        self._asked_at = float("-inf")
        self.version = 0
        self.is_paused = False

    @property
    def picture_number(self) -> int:
        """Counts the pictures that were kept, from 1; 0 means none yet."""
        return self._picture_number

    def update(self, facts: dict[str, Any]) -> None:
        """Replace those facts that are named, and keep the others."""
        with self._lock:
            self._facts = {**self._facts, **facts}
            self.version += 1

    def show(self, picture: Pixels) -> None:
        """uint8 [H, W, 3]: copied if somebody looks."""
        if time.monotonic() - self._asked_at > _WATCHED:
            return
        step = -(-picture.shape[1] // _WIDEST)
        copied = picture[::step, ::step].copy()
        with self._lock:
            self._picture, self._picture_number = copied, self._picture_number + 1

    def facts(self) -> dict[str, Any]:
        """All facts, for JSON."""
        with self._lock:
            return {**self._facts, "paused": self.is_paused}

    def look(self) -> None:
        """Somebody asks for pictures."""
        self._asked_at = time.monotonic()

    def jpeg(self) -> tuple[int, bytes]:
        """The newest picture's number and the picture as a JPEG, encoded once for all who look; (0, empty)
        when there is none."""
        with self._lock:
            picture, number = self._picture, self._picture_number
            if picture is None or self._jpeg[0] == number:
                return self._jpeg
        data = io.BytesIO()
        Image.fromarray(picture).save(data, "JPEG", quality=80)
        with self._lock:
            if self._jpeg[0] < number:
                self._jpeg = number, data.getvalue()
        return number, data.getvalue()
