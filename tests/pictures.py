"""Pictures for tests: smooth and of many colours, as photographs are."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image


def picture(random: np.random.Generator, height: int = 50, width: int = 60) -> Image.Image:
    """One of them."""
    coarse = random.integers(0, 256, (5, 6, 3)).astype(np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def fill(folder: Path, count: int, seed: int = 0) -> Path:
    """So many different pictures in `folder`, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    for i in range(count):
        picture(random).save(folder / f"{i:03}.png")
    return folder


def opened(path: Path) -> Image.Image:
    """An image that keeps no file open, whatever a test does with it."""
    return Image.open(io.BytesIO(path.read_bytes()))
