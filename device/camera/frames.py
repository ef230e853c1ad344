"""Frames in memory that two processes share: their layout, and the messages about them.

The capture process owns the slots that it was sent (one byte on its standard input per slot), fills one, and
hands it over with a line of JSON that says how large its picture is. So a slot has one owner at any time and no lock
is needed, also where a slot has to grow for a larger picture.
"""

from __future__ import annotations

import mmap
import os
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from edgedense.device.camera.readers import CameraSettings
from edgedense.device.camera.sources import Source
from edgedense.device.camera.view import View
from edgedense.images.preprocessing import Pixels, Preprocessing

SLOTS = 4  # being filled, on its way, the newest, under inference


@dataclass(frozen=True)
class CaptureJob:
    """What the capture process is to do. `preprocessing` says how a frame becomes the input.

    `fps` is the most frames a second to hand over. `drop` says whether a frame that nobody takes is lost
    (as with cameras) or waited for (as with files); `paced` plays a video file at its own speed.
    """

    source: Source
    camera: CameraSettings
    view: View
    preprocessing: Preprocessing
    fps: float | None = None
    drop: bool = True
    paced: bool = False
    watch_motion: bool = False

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "preprocessing": self.preprocessing.to_dict()}

    @classmethod
    def from_dict(cls, entry: dict[str, Any]) -> CaptureJob:
        """Read what `to_dict` wrote, after its way through JSON, which knows no tuples."""
        camera, view = entry["camera"], entry["view"]
        controls = tuple((name, value) for name, value in camera["controls"])
        crop: Any = view["crop"] if isinstance(view["crop"], str) else tuple(view["crop"])
        return cls(
            **{
                **entry,
                "source": Source(**entry["source"]),
                "camera": CameraSettings(tuple(camera["size"]), camera["fps"], controls),
                "preprocessing": Preprocessing.from_dict(entry["preprocessing"]),
                "view": View(view["rotate"], view["flip"], crop),
            }
        )


@dataclass(frozen=True)
class Layout:
    """One slot: the picture, uint8 [height, width, 3], then the input, uint8 [input_height, input_width, channels].

    Each frame has a layout of its own, since a camera may change the size of its pictures at any time.
    """

    height: int
    width: int
    input_height: int
    input_width: int
    channels: int

    @property
    def slot_bytes(self) -> int:
        """The size of a slot that holds such a frame."""
        return 3 * self.height * self.width + self.channels * self.input_height * self.input_width

    def views(self, memory: mmap.mmap) -> tuple[Pixels, Pixels]:
        """(picture, input) in a slot's memory, without copying."""
        picture_bytes, shape = 3 * self.height * self.width, (self.input_height, self.input_width, self.channels)
        picture = np.frombuffer(memory, np.uint8, picture_bytes)
        pixels = np.frombuffer(memory, np.uint8, self.slot_bytes - picture_bytes, picture_bytes)
        return picture.reshape(self.height, self.width, 3), pixels.reshape(shape)


class Slot:
    """The memory of one frame, a file that both processes have open. It grows with the frames and never shrinks: the
    other process may have it mapped as large as it was.
    """

    def __init__(self, file: int) -> None:
        self.file = file
        self._memory: mmap.mmap | None = None

    def grow(self, layout: Layout) -> None:
        """Make room for such a frame: for the process that fills the slot."""
        if os.fstat(self.file).st_size < layout.slot_bytes:
            os.ftruncate(self.file, layout.slot_bytes)

    def views(self, layout: Layout) -> tuple[Pixels, Pixels]:
        """(picture, input) in the slot. Views that were given before stay valid: they keep the memory that they had."""
        if self._memory is None or len(self._memory) < layout.slot_bytes:
            self._memory = mmap.mmap(self.file, os.fstat(self.file).st_size)
        return layout.views(self._memory)
