"""OpenVINO int8: the SavedModel that Keras exports, then NNCF's post-training quantization."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.peer import Job, Peer, Runner, normalizer
from edgedense.images.preprocessing import Preprocessing


def convert(job: Job) -> Path:
    import nncf
    import openvino

    saved, path = job.folder / "saved_model", job.folder / "openvino.xml"
    model: Any = job.keras_model()
    model.export(str(saved))
    height, width = job.preprocessing.height, job.preprocessing.width
    network = openvino.convert_model(str(saved), input=[1, height, width, 3])
    samples = list(job.samples())
    openvino.save_model(nncf.quantize(network, nncf.Dataset(samples), subset_size=len(samples)), path)
    return path


def load(path: Path, preprocessing: Preprocessing, threads: int) -> Runner:
    import openvino

    compiled = openvino.Core().compile_model(
        path, "CPU", {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads}
    )
    request = compiled.create_infer_request()
    return Runner(normalizer(preprocessing), lambda prepared: request.infer([prepared])[0][0])


OPENVINO = Peer(
    "openvino",
    "OpenVINO int8",
    "Keras export, convert_model (batch 1), nncf.quantize with its defaults; LATENCY hint; what stays "
    "float runs in the precision that OpenVINO picks (bfloat16 where the processor has it); input float32",
    ("tensorflow", "keras", "openvino", "nncf"),
    ("openvino",),
    convert,
    load,
)
