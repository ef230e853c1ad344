"""What Chromium's camera that is none is fed with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

# RGB -> Y'CbCr by ITU-R BT.601, in levels from 16 on.
_WEIGHTS = np.array([[65.481, 128.553, 24.966], [-37.797, -74.203, 112.0], [112.0, -93.786, -18.214]]) / 255
_OFFSETS = np.array([16.0, 128.0, 128.0])


def film(path: Path, frames: Sequence[NDArray[np.uint8]], rate: int = 10) -> Path:
    """Write uint8 [H, W, 3] frames of even sides as Y4M, which is shown again and again at `rate` frames a second."""
    height, width, _ = frames[0].shape
    parts = [f"YUV4MPEG2 W{width} H{height} F{rate}:1 Ip A1:1 C420jpeg\n".encode()]
    for frame in frames:
        planes = np.moveaxis(frame @ _WEIGHTS.T + _OFFSETS, -1, 0)
        halved = planes[1:].reshape(2, height // 2, 2, width // 2, 2).mean((2, 4))
        levels = [np.rint(plane).astype(np.uint8).tobytes() for plane in (planes[0], *halved)]
        parts.append(b"FRAME\n" + b"".join(levels))
    path.write_bytes(b"".join(parts))
    return path


def camera(path: Path | None = None, count: int = 1) -> tuple[str, ...]:
    """Options of Chromium: `count` cameras, which a page gets without a question; one shows the film at `path`."""
    options = ("--use-fake-ui-for-media-stream", f"--use-fake-device-for-media-stream=device-count={count}")
    return options if path is None else (*options, f"--use-file-for-fake-video-capture={path}")
