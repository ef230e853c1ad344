"""A small network and coloured pictures: class c is the one whose channel c is bright."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgedense.converters.training.networks import Architecture
from tests import models


def attach(keras: Any, pixels: Any) -> Any:
    """The last feature map of a DenseNet with two blocks of one layer."""
    return models.body(keras, models.stem(keras, pixels, 4), (1, 1), 4)


SMALL = Architecture("Small", "small.h5", attach, stock=lambda keras: 1 / 0, said="1,1")


def fill_classes(folder: Path, classes: int = 2, count: int = 12, seed: int = 0) -> Path:
    """`count` pictures 40 x 36 of each class in folder/c0, folder/c1 and so on."""
    random = np.random.default_rng(seed)
    for label in range(classes):
        (folder / f"c{label}").mkdir(parents=True)
        for number in range(count):
            coarse = random.integers(0, 120, (9, 10, 3)).astype(np.uint8)
            coarse[..., label] += 100
            Image.fromarray(coarse).resize((40, 36)).save(folder / f"c{label}" / f"p{number // 2}_{number}.png")
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two classes of twelve pictures, two of each patient."""
    return fill_classes(tmp_path / "data")
