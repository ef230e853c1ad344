"""The pictures of one epoch as a tf.data pipeline: the same seed and epoch give the same batches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from edgedense.converters.training.augmentation import Augmentation, augment
from edgedense.converters.training.dataset import Side
from edgedense.converters.training.goal import Goal


def steps(side: Side, batch: int) -> int:
    """Batches in an epoch. What is left is not trained on: it is another part of the pictures each time."""
    return max(len(side) // batch, 1)


def batches(side: Side, goal: Goal, batch: int, augmentation: Augmentation, seed: int, epoch: int) -> Any:
    """float32 [batch, size, size, 3], and the goal's targets and weights of these pictures; shuffled and augmented."""
    import tensorflow as tf

    size, count = side.pixels.shape[1], min(batch, len(side))

    def picked() -> Iterator[tuple[Any, ...]]:
        order = np.random.default_rng((seed, epoch)).permutation(len(side))
        for step in range(steps(side, batch)):
            chosen = order[step * batch : step * batch + count]
            draw = np.array([seed, epoch * 1_000_003 + step], np.int64)
            yield side.pixels[side.rows[chosen]], *goal.targets(side.labels[chosen]), draw

    signature = (
        tf.TensorSpec([count, size, size, 3], tf.uint8),
        *(tf.TensorSpec(part.shape, part.dtype) for part in goal.targets(side.labels[:count])),
        tf.TensorSpec([2], tf.int64),
    )

    def changed(pixels: Any, labels: Any, sample_weights: Any, draw: Any) -> Any:
        return augment(pixels, draw, augmentation), labels, sample_weights

    made = tf.data.Dataset.from_generator(picked, output_signature=signature)
    made = made.apply(tf.data.experimental.assert_cardinality(steps(side, batch)))
    return made.map(changed, num_parallel_calls=2, deterministic=True).prefetch(2)
