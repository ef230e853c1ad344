"""The TensorFlow Lite interpreter: which runtime is installed, and can it run this model?"""

from __future__ import annotations

import importlib
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from edgedense.device.engines import edgetpu
from edgedense.errors import DeviceError, EdgedenseError
from edgedense.workers import cores

# LiteRT is the maintained one. tflite-runtime ended with 2.14; it serves 32-bit and older installations.
_RUNTIMES = (("ai_edge_litert", "ai-edge-litert"), ("tflite_runtime", "tflite-runtime"))
_SLOW = (
    "tflite-runtime runs int8 without XNNPACK, about 10 times slower than ai-edge-litert does; "
    "pip uninstall tflite-runtime && pip install ai-edge-litert"
)
Engine = Literal["litert", "edgetpu", "openvino"]
_MOST_THREADS = 4  # a Raspberry Pi's cores; small convolutions gain nothing from more


@dataclass(frozen=True)
class Runtime:
    """An installed TensorFlow Lite runtime: the distribution's name, its interpreter class."""

    name: str
    interpreter: Any

    @cached_property
    def version(self) -> str:
        """The distribution's version, which takes longer to find than the runtime does to load: asked for when it is
        to be said."""
        from importlib.metadata import version

        return version(self.name)

    @property
    def module(self) -> str:
        """The Python module that the interpreter comes from."""
        return f"{self.name.replace('-', '_')}.interpreter"


def find_runtime() -> Runtime:
    """The first runtime that can be imported. Raises DeviceError, with the command that installs one."""
    broken = []
    for module, distribution in _RUNTIMES:
        try:
            interpreter = importlib.import_module(f"{module}.interpreter").Interpreter
        except ModuleNotFoundError as error:
            if error.name != module:
                broken.append(f"{distribution}, whose import failed: {error}")
            continue
        except Exception as error:  # a wheel for another NumPy or another processor fails in many ways
            broken.append(f"{distribution}, whose import failed: {error}")
            continue
        return Runtime(distribution, interpreter)
    raise DeviceError(
        "a TensorFlow Lite runtime", "; ".join(broken) or "none that is installed", "pip install 'edgedense[device]'"
    )


def default_threads() -> int:
    """As many threads as this process has processor cores, at most four."""
    return min(cores(), _MOST_THREADS)


def make_interpreter(
    model: bytes | Path | str, device: str = "cpu", threads: int | None = None, notes: list[str] | None = None
) -> Any:
    """An interpreter for `model` (the bytes or the path of a .tflite file), its tensors allocated.

    `device` is cpu, or coral, coral:usb, coral:pci:1 and so on for an Edge TPU, or openvino, openvino:gpu or
    openvino:npu for OpenVINO (see `edgedense.device.engines.openvino.Network`). `threads` is the number of threads, by
    default `default_threads()`. Remarks for the user are appended to `notes`.

    Raises EdgedenseError when the model cannot be read, is damaged, needs an operator or an operator version that the
    runtime does not know, or is not for the device; DeviceError when there is no runtime or no such device.
    """
    if threads is not None and threads < 1:
        raise EdgedenseError("1 thread or more", str(threads))
    content = model if isinstance(model, bytes) else _read(Path(model))
    notes = notes if notes is not None else []
    engine = engine_of(device)
    if engine == "openvino":
        from edgedense.device.engines import openvino

        _check_plain(content, device)
        return openvino.Network(content, str(openvino.parse_device(device)), threads or default_threads())
    runtime = find_runtime()
    options: dict[str, Any] = {"model_content": content, "num_threads": threads or default_threads()}
    if engine == "edgetpu":
        edgetpu.compiled_for(content, device)
        options["experimental_delegates"] = [edgetpu.load(str(edgetpu.parse_device(device)), runtime.module)]
    elif runtime.name == "tflite-runtime":
        notes.append(_SLOW)
    try:
        interpreter = runtime.interpreter(**options)
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise _explain(str(error), f"{runtime.name} {runtime.version}") from error
    return interpreter


def placed(path: Path, device: str, threads: int | None) -> tuple[Path, str, str | None]:
    """The file to run, the device to run it on, and a remark: of the device auto what `place` of
    `edgedense.device.engines.choice` says, which is loaded only then; of any other what was asked for."""
    if device != "auto":
        return path, device, None
    from edgedense.device.engines.choice import place

    return place(path, threads)


def engine_of(device: str) -> Engine:
    """What runs a model on a device such as "cpu", "coral:usb" or "openvino:gpu". Raises EdgedenseError for what is no
    device, and for "auto", which is none before somebody has chosen (see `edgedense.device.engines.choice`)."""
    if device == "cpu":
        return "litert"
    if edgetpu.parse_device(device) is not None:
        return "edgetpu"
    from edgedense.device.engines import openvino

    if openvino.parse_device(device) is not None:
        return "openvino"
    raise EdgedenseError(
        "a device: cpu, auto, coral, coral:usb, coral:pci or coral:usb:1, openvino, openvino:gpu or openvino:npu",
        repr(device),
    )


def runtime_name(device: str) -> str:
    """What runs a model on `device`, with its version: "ai-edge-litert 2.3.0", "openvino 2026.4.1",
    "openvino 2026.4.1 GPU". Raises DeviceError where it is not installed."""
    if engine_of(device) == "openvino":
        from edgedense.device.engines import openvino

        return openvino.title(str(openvino.parse_device(device)))
    runtime = find_runtime()
    return f"{runtime.name} {runtime.version}"


def _check_plain(model: bytes, device: str) -> None:
    if edgetpu.is_compiled(model):
        raise EdgedenseError(
            f"a file for the processor, for the device {device}", "one compiled for the Edge TPU", "--device coral"
        )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise EdgedenseError("a .tflite file that can be read", f"{path}: {error.strerror}") from error


def _explain(message: str, runtime: str) -> EdgedenseError:
    """The runtime's complaint about a model, in the words of the person who has the file."""
    known = f"operators that {runtime} knows"
    if version := re.search(r"builtin opcode '(\w+)' version '(\d+)'", message):
        return EdgedenseError(
            known,
            f"{version[1]} in version {version[2]}",
            "update the runtime, or convert the model again with edgedense convert",
        )
    if custom := re.search(r"unresolved custom op: ([\w-]+)", message):
        hint = (
            "run the file that was given to the Edge TPU compiler, without _edgetpu in its name"
            if custom[1] == "edgetpu-custom-op"
            else "convert the model without custom operators"
        )
        return EdgedenseError(known, f"the custom operator {custom[1]}", hint)
    if "out of range" in message:
        return EdgedenseError(known, "an operator from a later version", "update the runtime")
    if "Flatbuffer" in message or "model_content" in message:
        return EdgedenseError(
            "a TensorFlow Lite model",
            "a damaged file or one of another kind",
            "copy the file again, or make it with edgedense convert",
        )
    return EdgedenseError(f"a model that {runtime} can load", " ".join(message.split()))
