"""Full integer quantization as TensorFlow's own converter does it, of networks that edgedense does not convert."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from edgedense.converters.network.quiet import silent, unwarned
from edgedense.images.preprocessing import Pixels


def full_integer(
    model: Any, pixels: Pixels, prepared: Callable[[np.ndarray], np.ndarray] = lambda picture: picture
) -> bytes:
    """The .tflite of a Keras model: int8 inside, uint8 in, float32 out, calibrated on `pixels` uint8 [N, H, W, C].

    `prepared` makes what the model takes of a batch of float32 pixels, where it takes no pixels.
    """
    import tensorflow as tf

    with silent(), unwarned(), contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about statistics that a representative dataset does not need
        converter = tf.lite.TFLiteConverter.from_keras_model(model)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([prepared(picture[None].astype(np.float32))] for picture in pixels)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = tf.uint8
        return bytes(converter.convert())
