"""A rival that trains in a second, and what it learns from; shared by the tests of rivals."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgedense.converters.recovery import Pictures
from edgedense.converters.recovery.pictures import UNLABELLED
from edgedense.converters.rivals.lessons import Lesson

SHAPE, CLASSES = (32, 32, 3), 3


def features(keras: Any, image: Any) -> Any:
    """A convolution, a norm and a depthwise convolution, as rivals have them: 32x32 -> 4x4 with 8 channels."""
    layers = keras.layers
    x = layers.Conv2D(8, 3, 4, "same", use_bias=False, name="conv")(image)
    x = layers.ReLU(6.0, name="relu")(layers.BatchNormalization(name="norm")(x))
    x = layers.DepthwiseConv2D(3, 2, "same", use_bias=False, name="depthwise")(x)
    return layers.ReLU(6.0, name="relu2")(layers.BatchNormalization(name="norm2")(x))


def pixels(count: int = 40, seed: int = 0) -> np.ndarray:
    """Pictures of which number k has its brightest third at place k % 3, from left to right."""
    random = np.random.default_rng(seed)
    found = random.integers(20, 120, (count, *SHAPE)).astype(np.uint8)
    for number, picture in enumerate(found):
        left = 11 * (number % 3)
        picture[:, left : left + 10] += 100
    return found


def lesson(count: int = 40, labelled: bool = False) -> Lesson:
    """The teacher sees where it is bright. A mirrored picture has its bright third on the other side."""
    classes = np.arange(count) % 3
    labels = classes if labelled else np.full(count, UNLABELLED, np.int64)
    logits = np.stack([4 * np.eye(3)[classes], 4 * np.eye(3)[2 - classes]]).astype(np.float32)
    return Lesson(Pictures(pixels(count), labels, "a hash", ()), logits, "softmax", True, "a lesson")
