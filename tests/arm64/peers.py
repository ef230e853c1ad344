"""The other engines of `make bench-arm64`: of each a file of the digits model, and its packages for aarch64.

    python tests/arm64/peers.py NAME FOLDER --images DIR [--calibration-images N]

FOLDER/NAME/peer.json says what bench.py needs. Every engine converts from the same model and the same calibration
pictures (DIR/calibration), with the settings that its documentation names; what each is stands in `PEERS`, and what
cannot be run in `NOT_RUN`, with the reason.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT))  # as a script, only its own folder is on the path

from benchmarks import litert, onnx_runtime, openvino_runtime  # noqa: E402
from benchmarks.peer import Job  # noqa: E402
from edgedense.files import write_atomically  # noqa: E402
from edgedense.images.preprocessing import Preprocessing  # noqa: E402
from tests.arm64 import wheels  # noqa: E402
from tests.arm64.counting import PROGRAM  # noqa: E402

MODEL = ROOT / "examples/digits/digits.keras"
PREPROCESSING = Preprocessing(224, 224, "densenet")  # as the digits model was trained
PYTHON = "3.11"  # of the userland


@dataclass(frozen=True)
class Peer:
    """`engine` as in counting.Engine, "" for the LiteRT that is there already; `packages` are installed in the
    userland in the version that converts here."""

    title: str
    engine: str
    settings: str
    packages: tuple[str, ...]
    convert: Callable[[Job], Path]


def onnx(activations: str) -> Callable[[Job], Path]:
    """QDQ with int8 weights per channel, which ONNX Runtime's guide names first, and int8 or uint8 activations."""

    def convert(job: Job) -> Path:
        return onnx_runtime.convert(job, activations)

    return convert


def mnn(*options: str) -> Callable[[Job], Path]:
    """mnnconvert with `options`. Not by the program of that name: it installs a package that reports its use."""

    def convert(job: Job) -> Path:
        exported, path = job.folder / "float.onnx", job.folder / "digits.mnn"
        onnx_runtime.export(job, exported)
        command = ["-f", "ONNX", "--modelFile", str(exported), "--MNNModel", str(path), "--bizCode", "digits", *options]
        program = "import sys, MNN, _tools; _tools.mnnconvert(sys.argv)"
        subprocess.run([sys.executable, "-c", program, *command], check=True)
        return path

    return convert


def ncnn(job: Job) -> Path:
    """pnnx, which stores weights in float16."""
    import torch

    path = job.folder / "digits.pt"
    torch.jit.trace(_network(job), torch.zeros(1, 3, job.preprocessing.height, job.preprocessing.width)).save(str(path))
    program = Path(sys.executable).with_name("pnnx")
    subprocess.run([program, path.name, "inputshape=[1,3,224,224]"], cwd=job.folder, check=True)
    return job.folder / "digits.ncnn.param"


def executorch(job: Job) -> Path:
    """XNNPACK, quantized by PT2E: int8 weights per channel, ranges of activations from the calibration pictures."""
    import torch
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.backends.xnnpack.quantizer import xnnpack_quantizer
    from executorch.exir import to_edge_transform_and_lower
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    quantizer = xnnpack_quantizer.XNNPACKQuantizer()
    quantizer.set_global(xnnpack_quantizer.get_symmetric_quantization_config(is_per_channel=True))
    example = (torch.zeros(1, 3, job.preprocessing.height, job.preprocessing.width),)
    prepared = prepare_pt2e(torch.export.export(_network(job), example).module(), quantizer)
    with torch.no_grad():
        for sample in job.samples():
            prepared(torch.from_numpy(np.ascontiguousarray(sample.transpose(0, 3, 1, 2))))
    exported = torch.export.export(convert_pt2e(prepared), example)
    path = job.folder / "digits.pte"
    lowered = to_edge_transform_and_lower(exported, partitioner=[XnnpackPartitioner()])
    path.write_bytes(lowered.to_executorch().buffer)
    return path


def _network(job: Job) -> Any:
    from tests.arm64.torch_network import network

    return network(job.keras_model())


PEERS = {
    "stock": Peer("int8 of TFLiteConverter", "", litert.STOCK.settings, (), litert.convert_stock),
    "onnxruntime": Peer(
        "ONNX Runtime int8, int8 activations",
        "onnxruntime",
        "QDQ, quant_pre_process, min-max, weights per channel",
        ("onnxruntime",),
        onnx("QInt8"),
    ),
    "onnxruntime-uint8": Peer(
        "ONNX Runtime int8, uint8 activations",
        "onnxruntime",
        "QDQ, quant_pre_process, min-max, weights per channel",
        ("onnxruntime",),
        onnx("QUInt8"),
    ),
    "mnn": Peer(
        "MNN float16, float32 on a processor without it",
        "mnn",
        "mnnconvert --fp16; precision and memory low",
        ("mnn",),
        mnn("--fp16"),
    ),
    "mnn-weights": Peer(
        "MNN int8 weights, activations quantized as it runs",
        "mnn",
        "mnnconvert --weightQuantBits 8; precision and memory low",
        ("mnn",),
        mnn("--weightQuantBits", "8"),
    ),
    "ncnn": Peer(
        "ncnn float16, float32 on a processor without it",
        "ncnn",
        "pnnx from PyTorch; all options as they come",
        ("ncnn",),
        ncnn,
    ),
    "openvino": Peer(
        "OpenVINO int8", "openvino", openvino_runtime.OPENVINO.settings, ("openvino",), openvino_runtime.convert
    ),
    "executorch": Peer(
        "ExecuTorch int8 (XNNPACK)", "executorch", "PT2E, XNNPACKQuantizer per channel", ("executorch",), executorch
    ),
    "float": Peer("float32 of TFLiteConverter", "", litert.FLOAT.settings, (), litert.convert_float),
}
# What an engine has and no row shows.
NOT_RUN = {
    "MNN int8 with ranges from pictures": "mnnquant, which its package brings, ends with std::length_error on this "
    "network",
    "ncnn int8": "ncnn2table and ncnn2int8, which quantize, are in no package",
}


def main() -> None:
    """Make one peer."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=PEERS)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--calibration-images", type=int, default=200)
    arguments = parser.parse_args()
    peer, folder = PEERS[arguments.name], arguments.folder.resolve() / arguments.name
    folder.mkdir(parents=True, exist_ok=True)
    calibration = (arguments.images / "calibration").resolve()
    job = Job(MODEL, calibration, arguments.calibration_images, PREPROCESSING, folder)
    file = peer.convert(job)
    made = {"title": peer.title, "engine": peer.engine, "settings": peer.settings, "file": str(file), "program": ""}
    made["packages"] = install(peer, folder)
    if peer.engine == PROGRAM:
        userland = arguments.folder.resolve().parent / "bookworm/root"
        cross = ("aarch64-linux-gnu-g++", f"--sysroot={userland}", "-static-libstdc++")
        compile_program(Path(made["packages"]) / PROGRAM, folder / PROGRAM, *cross)
        here = find_spec(PROGRAM)
        assert here is not None
        assert here.origin is not None
        made["program"] = str(folder / "program")
        compile_program(Path(here.origin).parent, folder / "program", "g++")
    write_atomically(folder / "peer.json", json.dumps(made, indent=1).encode())


def install(peer: Peer, folder: Path) -> str:
    """The engine's packages for aarch64, in a folder of their own: its path."""
    if not peer.packages:
        return ""
    site = folder / "site"
    shutil.rmtree(site, ignore_errors=True)
    wanted = [f"{name}=={version(name)}" for name in peer.packages]
    # Of all that ExecuTorch wants, PyTorch above all, its C++ libraries need nothing.
    options = ["--no-deps"] if peer.engine == PROGRAM else []
    wheels.download(folder / "wheels", PYTHON, *options, *wanted)
    wheels.install(site, PYTHON, folder / "wheels", *options, *wanted)
    return str(site)


def compile_program(package: Path, program: Path, *compiler: str) -> None:
    """executorch.cpp, with the headers and libraries of the installed `package`."""
    headers = (package / "include", package / "include/executorch/runtime/core/portable_type/c10")
    libraries = ("", "_backend_xnnpack", "_kernels_optimized", "_kernels_quantized", "_threadpool")
    options = ["-std=c++17", "-O2", "-DC10_USING_CUSTOM_GENERATED_MACROS", *(f"-isystem{path}" for path in headers)]
    # Nothing calls the backend and the kernels: they register themselves when they are loaded.
    linked = ["-Wl,--no-as-needed", *(f"-lexecutorch{name}" for name in libraries), "-Wl,--allow-shlib-undefined"]
    linked += [f"-L{package / 'lib'}", f"-Wl,-rpath,{package / 'lib'}"]
    subprocess.run([*compiler, *options, HERE / "executorch.cpp", "-o", program, *linked], check=True)


if __name__ == "__main__":
    main()
