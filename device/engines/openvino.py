"""OpenVINO, Intel's runtime: it runs a .tflite file as it is, on an x86 processor or on Intel's graphics and NPUs.

Its kernels are others than LiteRT's, so that scores differ by a little, and golden samples are judged by their labels
(see `edgedense.deployed.golden.Replay`).
"""

from __future__ import annotations

import importlib.metadata
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgedense.errors import DeviceError, EdgedenseError, first_line

if TYPE_CHECKING:
    from edgedense.device.engines.contents import TensorInfo

NAME = "openvino"  # the device, and the distribution
INSTALL = "pip install 'edgedense[openvino]'"
_DEVICE = re.compile(r"openvino(?::(?P<kind>cpu|gpu|npu)(?::(?P<number>\d+))?)?")


def parse_device(device: str) -> str | None:
    """`openvino`, `openvino:gpu`, `openvino:gpu:1`, `openvino:npu` -> OpenVINO's name of it: "CPU", "GPU", "GPU.1",
    "NPU"; None: another engine's device."""
    match = _DEVICE.fullmatch(device)
    if match is None:
        return None
    return (match["kind"] or "cpu").upper() + (f".{match['number']}" if match["number"] else "")


def version() -> str | None:
    """The version that is installed, such as "2026.4.1"; None where there is none. It is not imported for that."""
    try:
        return importlib.metadata.version(NAME)
    except importlib.metadata.PackageNotFoundError:
        return None


def title(name: str) -> str:
    """The runtime with its version, and OpenVINO's `name` of a device that is not the processor. Raises DeviceError
    where OpenVINO is not installed."""
    found = version()
    if found is None:
        raise DeviceError("the package openvino", "none that is installed", INSTALL)
    return f"{NAME} {found}" + ("" if name == "CPU" else f" {name}")


class Network:
    """A network that OpenVINO has compiled, with those methods of TensorFlow Lite's interpreter that edgedense uses.

    An index counts the inputs, and behind them the outputs. Use it in one thread at a time.

    Raises EdgedenseError for a file that OpenVINO cannot read or compile, DeviceError without OpenVINO or where it has
    no such device.
    """

    def __init__(self, model: bytes, device: str, threads: int) -> None:
        from edgedense.device.engines.contents import contents

        tensors = contents(model)
        self._inputs, self._outputs = tensors.inputs, tensors.outputs
        compiled = _compiled(model, device, threads)
        for made, own in zip((*compiled.inputs, *compiled.outputs), (*self._inputs, *self._outputs), strict=True):
            found = f"{made.element_type.to_dtype().name} {list(made.get_shape())}"
            if found != f"{own.dtype} {list(own.shape)}":
                raise EdgedenseError(f"{own.dtype} {list(own.shape)} as {own.name}", found, "--device cpu")
        self._request = compiled.create_infer_request()
        self._given: list[NDArray[Any]] = [np.zeros(one.shape, one.dtype) for one in self._inputs]

    def get_input_details(self) -> list[dict[str, Any]]:
        """Of each input: index, shape, dtype and quantization."""
        return [_details(i, one) for i, one in enumerate(self._inputs)]

    def get_output_details(self) -> list[dict[str, Any]]:
        """Of each output: index, shape, dtype and quantization."""
        return [_details(i, one) for i, one in enumerate(self._outputs, len(self._inputs))]

    def set_tensor(self, index: int, value: NDArray[Any]) -> None:
        """Give an input."""
        self._given[index] = np.ascontiguousarray(value)

    def invoke(self) -> None:
        """Compute."""
        self._request.infer(self._given)

    def get_tensor(self, index: int) -> NDArray[Any]:
        """An output, as a copy."""
        return np.array(self.tensor(index)())

    def tensor(self, index: int) -> Any:
        """A function that gives an output without a copy: it holds until the next `invoke`."""
        number = index - len(self._inputs)

        def read() -> NDArray[Any]:
            return np.asarray(self._request.get_output_tensor(number).data)

        return read


def _details(index: int, info: TensorInfo) -> dict[str, Any]:
    quantization = (info.scale or 0.0, info.zero_point or 0)
    return {
        "index": index,
        "name": info.name,
        "shape": np.array(info.shape),
        "dtype": np.dtype(info.dtype).type,
        "quantization": quantization,
    }


def _compiled(model: bytes, device: str, threads: int) -> Any:
    import tempfile

    try:
        import openvino
    except ImportError as error:
        raise DeviceError("the package openvino", first_line(error), INSTALL) from error
    core = openvino.Core()
    kind = device.partition(".")[0]
    if not any(name == device or name.partition(".")[0] == device for name in core.available_devices):
        raise DeviceError(
            f"a device {device} that OpenVINO can use",
            ", ".join(core.available_devices) or "none",
            "install its driver: see docs/devices.md" if kind != "CPU" else "--device cpu",
        )
    options: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}
    if kind == "CPU":
        # Not pinned to cores: the system would not move it away from one that something else keeps busy. What the
        # file has in float32 stays so where the processor has bfloat16.
        options |= {"INFERENCE_NUM_THREADS": threads, "ENABLE_CPU_PINNING": False, "INFERENCE_PRECISION_HINT": "f32"}
    with tempfile.TemporaryDirectory(prefix="edgedense-") as folder:
        path = Path(folder, "model.tflite")  # OpenVINO reads no .tflite from memory
        path.write_bytes(model)
        try:
            return core.compile_model(core.read_model(path), device, options)
        except RuntimeError as error:
            raise EdgedenseError(
                f"a model that OpenVINO {openvino.__version__.partition('-')[0]} can run on the device {device}",
                " ".join(str(error).split()),
                "--device cpu",
            ) from error
