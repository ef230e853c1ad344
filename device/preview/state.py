"""What the preview page shows: written by the inference thread, read by the web server's."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable
from typing import Any

from PIL import Image

from edgedense.explanations.colormap import overlay
from edgedense.images.preprocessing import Floats, Pixels
from edgedense.images.steps import WHOLE, Size, Window

_WATCHED = 5.0  # seconds after a page's last request during which pictures are kept for it
_WIDEST = 960  # pixels; larger pictures are thinned out, which is cheap


class Board:
    """The newest picture and facts. Pictures are copied only while somebody looks.

    `explains`: there can be heatmaps, which pages may switch on and off; `is_explaining` is how it begins. They are
    laid over the window of each picture, which is what the network sees of it: `window` gives it for a picture's size.
    """

    def __init__(
        self, explains: bool = False, is_explaining: bool = False, window: Callable[[Size], Window] = lambda size: WHOLE
    ) -> None:
        self._lock = threading.Lock()
        self._window_of, self._window = window, WHOLE
        self._facts: dict[str, Any] = {}
        self._picture: Pixels | None = None
        self._heat: Floats | None = None
        self._picture_number = 0
        self._jpeg: tuple[int, bytes] = (0, b"")
        self._asked_at = float("-inf")
        self.version = 0
        self.is_paused = False
        self._explains, self._is_explaining = explains, explains and is_explaining

    @property
    def is_explaining(self) -> bool:
        """Whether pictures have a heatmap over them."""
        return self._is_explaining

    @is_explaining.setter
    def is_explaining(self, wanted: bool) -> None:
        self._is_explaining = self._explains and wanted

    @property
    def wants_heat(self) -> bool:
        """Whether a heatmap made now would be seen."""
        return self._is_explaining and self._is_watched

    @property
    def _is_watched(self) -> bool:
        return time.monotonic() - self._asked_at <= _WATCHED

    @property
    def picture_number(self) -> int:
        """Counts the pictures that were kept, from 1; 0 means that there is none to show."""
        return 0 if self._picture is None else self._picture_number

    def update(self, facts: dict[str, Any]) -> None:
        """Replace those facts that are named, and keep the others."""
        with self._lock:
            self._facts = {**self._facts, **facts}
            self.version += 1

    def show(self, picture: Pixels, heat: Floats | None = None) -> None:
        """uint8 [H, W, 3]: copied if somebody looks. `heat` [h, w] from 0 to 1 is laid over its window."""
        if not self._is_watched:
            return
        step = -(-picture.shape[1] // _WIDEST)
        copied, window = picture[::step, ::step].copy(), self._window_of(picture.shape[:2])
        with self._lock:
            self._picture, self._heat, self._window = copied, heat, window
            self._picture_number += 1

    def facts(self) -> dict[str, Any]:
        """All facts, for JSON."""
        with self._lock:
            heatmap = {"heatmap": self._is_explaining} if self._explains else {}
            return {**self._facts, **heatmap, "paused": self.is_paused}

    def look(self) -> None:
        """Somebody asks for pictures. What was kept for somebody before is old by now, and is not shown for new; but
        while the classification is paused there is nothing else."""
        with self._lock:
            if not self._is_watched and not self.is_paused:
                self._picture, self._jpeg = None, (0, b"")
            self._asked_at = time.monotonic()

    def jpeg(self) -> tuple[int, bytes]:
        """The newest picture's number and the picture as a JPEG, encoded once for all who look; (0, empty)
        when there is none."""
        with self._lock:
            picture, heat, window, number = self._picture, self._heat, self._window, self._picture_number
            if picture is None or self._jpeg[0] == number:
                return self._jpeg
        data = io.BytesIO()
        shown = picture if heat is None else overlay(picture, heat, window)
        Image.fromarray(shown).save(data, "JPEG", quality=80)
        with self._lock:
            if self._jpeg[0] < number:
                self._jpeg = number, data.getvalue()
        return number, data.getvalue()
