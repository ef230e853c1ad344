"""Pictures to calibrate with, shared by the tests of the converter."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image


def picture(random: np.random.Generator, height: int = 50, width: int = 60) -> Image.Image:
    """A smooth one of many colours, as photographs are."""
    coarse = random.integers(0, 256, (5, 6, 3)).astype(np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 24 different pictures."""
    folder = tmp_path_factory.mktemp("pictures")
    random = np.random.default_rng(0)
    for i in range(24):
        picture(random).save(folder / f"{i:02}.png")
    return folder
