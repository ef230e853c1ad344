"""ONNX Runtime int8: tf2onnx, then static QDQ quantization, weights per channel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peer import Job, Peer, Runner, normalizer
from edgedense.images.preprocessing import Preprocessing

INPUT = "image"
OPSET = 17


def convert(job: Job, activations: str = "QUInt8") -> Path:
    """uint8 activations with int8 weights, as ONNX Runtime's guide advises on x86 processors with VNNI, or
    `activations` of another type by its name there."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Samples(CalibrationDataReader):
        def __init__(self) -> None:
            self.samples = job.samples()

        def get_next(self) -> dict[str, np.ndarray] | None:
            sample = next(self.samples, None)
            return None if sample is None else {INPUT: sample}

    exported, prepared, path = (job.folder / name for name in ("float.onnx", "prepared.onnx", "int8.onnx"))
    export(job, exported)
    quant_pre_process(str(exported), str(prepared), skip_symbolic_shape=True)  # every shape is known already
    quantize_static(
        str(prepared),
        str(path),
        Samples(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType[activations],
        weight_type=QuantType.QInt8,
    )
    return path


def export(job: Job, path: Path) -> None:
    """The float model with a batch of one."""
    import tensorflow as tf
    import tf2onnx

    model: Any = job.keras_model()
    signature = [tf.TensorSpec([1, job.preprocessing.height, job.preprocessing.width, 3], tf.float32, name=INPUT)]
    function = tf.function(lambda image: model(image, training=False), input_signature=signature)
    tf2onnx.convert.from_function(function, input_signature=signature, opset=OPSET, output_path=str(path))


def load(path: Path, preprocessing: Preprocessing, threads: int) -> Runner:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return Runner(normalizer(preprocessing), lambda prepared: session.run(None, {INPUT: prepared})[0][0])


ONNX_RUNTIME = Peer(
    "onnxruntime",
    "ONNX Runtime int8",
    f"tf2onnx (opset {OPSET}), quant_pre_process, quantize_static: QDQ, uint8 activations, int8 "
    "weights per channel, min-max; input float32",
    ("tensorflow", "keras", "tf2onnx", "onnx", "onnxruntime"),
    ("onnxruntime",),
    convert,
    load,
)
