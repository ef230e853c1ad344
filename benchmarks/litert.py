"""The peers that run on LiteRT with XNNPACK: edgedense, and TensorFlow's own converter in int8 and in float."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peer import Job, Peer, Runner, normalizer
from edgedense.images.preprocessing import Pixels, Preprocessing


def convert_edgedense(job: Job) -> Path:
    from edgedense.converters.opening import Opening
    from edgedense.converters.options import Options
    from edgedense.converters.pipeline import convert

    opening = Opening(trust=job.trust)
    options = Options(opening=opening, preprocess=job.preprocessing.normalize, calibration_images=job.images)
    return _written(job, "edgedense.tflite", convert(job.model, job.calibration, options=options).data)


def convert_stock(job: Job) -> Path:
    """Full integer quantization as TensorFlow's guide has it. The output stays float32, the converter's default: int8
    scores would cost every divergence a rounding to 1/256."""
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_keras_model(job.keras_model())
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([sample] for sample in job.samples())
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.uint8
    return _written(job, "stock.tflite", converter.convert())


def convert_float(job: Job) -> Path:
    import tensorflow as tf

    return _written(job, "float.tflite", tf.lite.TFLiteConverter.from_keras_model(job.keras_model()).convert())


def _written(job: Job, name: str, data: bytes) -> Path:
    path = job.folder / name
    path.write_bytes(data)
    return path


def load_edgedense(path: Path, preprocessing: Preprocessing, threads: int) -> Runner:
    """The deployed file takes the pixels as they are."""
    return Runner(lambda pixels: pixels[None], _infer(_interpreter(path, threads)))


def load_plain(path: Path, preprocessing: Preprocessing, threads: int) -> Runner:
    """Any other file takes normalized values, quantized by the input's scale where it is uint8."""
    interpreter = _interpreter(path, threads)
    image, normalize = interpreter.get_input_details()[0], normalizer(preprocessing)
    if image["dtype"] == np.float32:
        return Runner(normalize, _infer(interpreter))
    scale, zero_point = image["quantization"]

    def quantized(pixels: Pixels) -> np.ndarray:
        return np.clip(np.rint(normalize(pixels) / scale) + zero_point, 0, 255).astype(np.uint8)

    return Runner(quantized, _infer(interpreter))


def _interpreter(path: Path, threads: int) -> Any:
    from edgedense.device.engines.interpreter import make_interpreter

    return make_interpreter(path, threads=threads)


def _infer(interpreter: Any) -> Any:
    image, scores = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]

    def infer(prepared: np.ndarray) -> np.ndarray:
        interpreter.set_tensor(image, prepared)
        interpreter.invoke()
        return interpreter.get_tensor(scores)[0]

    return infer


_CONVERTERS, _RUNTIMES = ("tensorflow", "keras", "ai_edge_litert"), ("ai_edge_litert",)

EDGEDENSE = Peer(
    "edgedense",
    "edgedense int8",
    "edgedense convert with its defaults; input raw uint8 pixels",
    _CONVERTERS,
    _RUNTIMES,
    convert_edgedense,
    load_edgedense,
)
STOCK = Peer(
    "stock",
    "TFLiteConverter int8",
    "from_keras_model, Optimize.DEFAULT, representative dataset, TFLITE_BUILTINS_INT8; input uint8, output float32",
    _CONVERTERS,
    _RUNTIMES,
    convert_stock,
    load_plain,
)
FLOAT = Peer(
    "float",
    "TFLiteConverter float32",
    "from_keras_model, no optimization",
    _CONVERTERS,
    _RUNTIMES,
    convert_float,
    load_plain,
)
