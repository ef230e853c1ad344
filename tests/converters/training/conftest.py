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


def fill_findings(folder: Path, count: int = 24, seed: int = 0) -> Path:
    """A table labels.csv of `count` pictures, two of each patient, that show "red", "green", both or none of them. Of
    every eighth picture nobody knows whether it is green. The last quarter is to test on."""
    random = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    lines = ["file,red,green,patient,split"]
    for number in range(count):
        red, green = number % 2, number // 2 % 2
        coarse = random.integers(0, 120, (9, 10, 3)).astype(np.uint8)
        coarse[..., :2] += np.array([100 * red, 100 * green], np.uint8)
        Image.fromarray(coarse).resize((40, 36)).save(folder / f"{number}.png")
        known = "" if number % 8 == 7 else green
        lines.append(f"{number}.png,{red},{known},p{number // 2},{'test' if number >= 0.75 * count else 'train'}")
    (folder / "labels.csv").write_text("\n".join(lines))
    return folder / "labels.csv"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two classes of twelve pictures, two of each patient."""
    return fill_classes(tmp_path / "data")


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    """train and test with other pictures."""
    fill_classes(tmp_path / "parts" / "train", seed=1)
    fill_classes(tmp_path / "parts" / "test", count=4, seed=2)
    return tmp_path / "parts"
