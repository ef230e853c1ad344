"""The files that edgedense is compared with: `python tests/arm64/stock.py MODEL.keras FOLDER` writes float.tflite and
stock.tflite (int8), as TFLiteConverter makes them. Calibrated on noise: instructions do not depend on the values."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

IMAGES = 4


def main(model: Path, folder: Path) -> None:
    """Write both files."""
    network = keras.models.load_model(model, compile=False)
    shape = (1, *network.input_shape[1:])

    def noise() -> Iterator[list[np.ndarray]]:
        random = np.random.default_rng(0)
        for _ in range(IMAGES):
            yield [random.normal(0, 1, shape).astype(np.float32)]

    for name in ("float.tflite", "stock.tflite"):
        converter = tf.lite.TFLiteConverter.from_keras_model(network)
        if name == "stock.tflite":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = noise
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.inference_input_type = converter.inference_output_type = tf.int8
        (folder / name).write_bytes(converter.convert())


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
