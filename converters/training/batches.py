"""The pictures of one epoch as a tf.data pipeline: the same seed and epoch give the same batches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from edgedense.converters.training.augmentation import Augmentation, augment
from edgedense.converters.training.dataset import Side

Floats = npt.NDArray[np.float64]


def class_weights(labels: npt.ArrayLike, classes: int, balanced: bool) -> Floats:
    """The weight of each class [classes]: N / (classes * N_c), scikit-learn's "balanced"; or ones."""
    counts = np.bincount(np.asarray(labels), minlength=classes)
    return counts.sum() / (classes * np.maximum(counts, 1)) if balanced else np.ones(classes)


def steps(side: Side, batch: int) -> int:
    """Batches in an epoch. What is left is not trained on: it is another part of the pictures each time."""
    return max(len(side) // batch, 1)


def batches(side: Side, weights: Floats, batch: int, augmentation: Augmentation, seed: int, epoch: int) -> Any:
    """float32 [batch, size, size, 3], labels [batch], sample weights [batch]; shuffled and augmented."""
    import tensorflow as tf

    size, count = side.pixels.shape[1], min(batch, len(side))

    def picked() -> Iterator[tuple[Any, ...]]:
        order = np.random.default_rng((seed, epoch)).permutation(len(side))
        for step in range(steps(side, batch)):
            chosen = order[step * batch : step * batch + count]
            labels = side.labels[chosen]
            draw = np.array([seed, epoch * 1_000_003 + step], np.int64)
            yield side.pixels[side.rows[chosen]], labels.astype(np.int32), weights[labels].astype(np.float32), draw

    signature = (
        tf.TensorSpec([count, size, size, 3], tf.uint8),
        tf.TensorSpec([count], tf.int32),
        tf.TensorSpec([count], tf.float32),
        tf.TensorSpec([2], tf.int64),
    )

    def changed(pixels: Any, labels: Any, sample_weights: Any, draw: Any) -> Any:
        return augment(pixels, draw, augmentation), labels, sample_weights

    made = tf.data.Dataset.from_generator(picked, output_signature=signature)
    made = made.apply(tf.data.experimental.assert_cardinality(steps(side, batch)))
    return made.map(changed, num_parallel_calls=2, deterministic=True).prefetch(2)
