"""The Edge TPU compiler: what it takes, the call, and its log as data.

Limits: "Supported operations" and "Model requirements" at coral.ai/docs/edgetpu/models-intro, compiler version 16.0.
The compiler is a closed program for x86-64 Linux; where it is missing, a checked file can be compiled anywhere else.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgedense.errors import EdgedenseError

COMPILER = "edgetpu_compiler"
GET_IT = (
    "install edgetpu_compiler on an x86-64 Debian (coral.ai/docs/edgetpu/compiler) or use its Colab page, and "
    "give it this file"
)
# It aborts now and then on a model that it compiles the next time: google-coral/edgetpu issue 211.
ATTEMPTS = 3
SECONDS = 300.0  # its own limit is 180 for one attempt at a delegate
# The newest version of each operator that int8 conversion wrote when 16.0 came out (TensorFlow 2.5). CONV_2D 6 is
# refused.
_VERSIONS = {
    "ADD": 2,
    "AVERAGE_POOL_2D": 2,
    "CONCATENATION": 2,
    "CONV_2D": 5,
    "DEPTHWISE_CONV_2D": 5,
    "FULLY_CONNECTED": 9,
    "LOGISTIC": 2,
    "MAXIMUM": 2,
    "MAX_POOL_2D": 2,
    "MEAN": 2,
    "MINIMUM": 2,
    "MUL": 2,
    "PAD": 2,
    "QUANTIZE": 2,
    "RELU": 2,
    "RESHAPE": 1,
    "SOFTMAX": 2,
    "SPACE_TO_DEPTH": 2,
    "SUB": 2,
    "TANH": 2,
}
_NO_ACTIVATION = ("AVERAGE_POOL_2D", "CONCATENATION", "MAX_POOL_2D")
_INTEGERS = ("UINT8", "INT8", "INT32")  # INT32: biases, shapes, axes
_MAPPED = "Mapped to Edge TPU"


@dataclass(frozen=True)
class Row:
    """Of the operators of one kind, `count` have the same `status`."""

    operator: str
    count: int
    status: str

    @property
    def is_mapped(self) -> bool:
        """Whether they run on the Edge TPU."""
        return self.status == _MAPPED


@dataclass(frozen=True)
class Log:
    """What the compiler printed. Sizes in bytes: weights kept on the chip, room left there, and weights that are
    fetched anew at every inference."""

    version: str
    milliseconds: int
    on_chip: int
    on_chip_left: int
    streamed: int
    subgraphs: int
    rows: tuple[Row, ...]

    @property
    def on_processor(self) -> int:
        """Operators that run on the processor."""
        return sum(row.count for row in self.rows if not row.is_mapped)

    def to_dict(self) -> dict[str, Any]:
        """For JSON, with the operators as a list."""
        return {**vars(self), "rows": [vars(row) for row in self.rows], "on_processor": self.on_processor}


@dataclass(frozen=True)
class Compiled:
    """What edgetpu_compiler made: the file's bytes, and its log, which says what runs where."""

    model: bytes
    log: Log


def check(model: bytes) -> list[str]:
    """What keeps the flatbuffer `model` from running whole on an Edge TPU; nothing when it is ready to be compiled."""
    from ai_edge_litert import schema_py_generated as schema

    kinds = {value: name for name, value in vars(schema.TensorType).items() if isinstance(value, int)}
    graph = _Graph(schema.ModelT.InitFromPackedBuf(model, 0), schema)
    problems = [
        f"the {side} {graph.name(index)} is {kinds[graph.tensor(index).type].lower()}, not uint8 or int8"
        for side, indices in (("input", graph.inputs), ("output", graph.outputs))
        for index in indices
        if kinds[graph.tensor(index).type] not in ("UINT8", "INT8")
    ]
    for operator in graph.operators:
        name, version = graph.code(operator)
        named = f"{name} ({graph.name(operator.outputs[0])})"
        if name not in _VERSIONS:
            problems.append(f"{named}: an operator that the Edge TPU does not have")
            continue
        if version > _VERSIONS[name]:
            problems.append(f"{named}: version {version}, the compiler knows {_VERSIONS[name]}")
        problems += [f"{named}: {problem}" for problem in _operator_problems(graph, operator, name, kinds)]
    return problems


class _Graph:
    """A flatbuffer's only graph, by names."""

    def __init__(self, model: Any, schema: Any) -> None:
        self._model, self._graph = model, model.subgraphs[0]
        self._codes = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
        self.inputs, self.outputs = self._graph.inputs, self._graph.outputs
        self.operators = self._graph.operators

    def tensor(self, index: int) -> Any:
        return self._graph.tensors[index]

    def name(self, index: int) -> str:
        name = self.tensor(index).name
        return name.decode() if isinstance(name, bytes) else str(name)

    def code(self, operator: Any) -> tuple[str, int]:
        code = self._model.operatorCodes[operator.opcodeIndex]
        return self._codes[max(code.builtinCode, code.deprecatedBuiltinCode)], code.version

    def constant(self, index: int) -> Any | None:
        """The raw bytes of a constant, else None."""
        data = self._model.buffers[self.tensor(index).buffer].data
        return None if data is None or not len(data) else np.asarray(data, np.uint8)

    def shape(self, index: int) -> list[int]:
        shape = self.tensor(index).shape
        return [] if shape is None else [int(size) for size in shape]


def _operator_problems(graph: _Graph, operator: Any, name: str, kinds: dict[int, str]) -> Iterator[str]:
    indices = [index for index in (*operator.inputs, *operator.outputs) if index >= 0]
    for kind in sorted({kinds[graph.tensor(index).type] for index in indices} - {*_INTEGERS}):
        yield f"works on {kind.lower()}"
    for index in indices:
        if graph.constant(index) is None and any(size > 1 for size in graph.shape(index)[:-3]):
            yield f"the tensor {graph.name(index)} {graph.shape(index)} has more than three dimensions"
    options = operator.builtinOptions
    if name in _NO_ACTIVATION and getattr(options, "fusedActivationFunction", None):
        yield "has a fused activation"
    if name == "DEPTHWISE_CONV_2D" and (options.dilationHFactor, options.dilationWFactor) != (1, 1):
        yield "is dilated"
    if name == "CONCATENATION":
        constants = [index for index in operator.inputs if graph.constant(index) is not None]
        if constants and (len(operator.inputs) != 2 or not all(_is_zero(graph, index) for index in constants)):
            yield "joins a constant that is not zero, or more than one other tensor with a constant"
    if name == "FULLY_CONNECTED":
        quantization = graph.tensor(operator.inputs[1]).quantization
        if quantization is not None and quantization.scale is not None and len(quantization.scale) > 1:
            yield "has weights quantized per channel"


def _is_zero(graph: _Graph, index: int) -> bool:
    """Whether a constant of 8 bits stands for zeros."""
    tensor, data = graph.tensor(index), graph.constant(index)
    points = None if tensor.quantization is None else tensor.quantization.zeroPoint
    zero = 0 if points is None or not len(points) else int(points[0])
    return data is not None and bool(np.all(data == zero % 256))


def compile_model(model: bytes, *, attempts: int = ATTEMPTS, seconds: float = SECONDS) -> Compiled | None:
    """Run the compiler that is on PATH; None where there is none (`GET_IT` says how to get it).

    An attempt that fails is repeated, one that takes longer than `seconds` is ended and repeated too. Raises
    EdgedenseError with the compiler's last words when none succeeds, and when `check` finds problems.
    """
    if problems := check(model):
        raise EdgedenseError(
            "a model that fits the Edge TPU",
            "; ".join(problems[:3]) + _more(problems[3:]),
            "edgedense convert --target coral",
        )
    program = shutil.which(COMPILER)
    if program is None:
        return None
    said = ""
    for _ in range(attempts):
        with tempfile.TemporaryDirectory() as folder:
            compiled, said = _attempt(program, model, Path(folder), seconds)
            if compiled is not None:
                return Compiled(compiled, parse(said))
    raise EdgedenseError(f"{COMPILER} to compile the model within {attempts} attempts", said, "a smaller --input-size")


def _attempt(program: str, model: bytes, folder: Path, seconds: float) -> tuple[bytes | None, str]:
    """The compiled file or None, and what the compiler said."""
    (folder / "model.tflite").write_bytes(model)
    command = [
        program,
        "--show_operations",
        "--min_runtime_version",
        "13",
        "--out_dir",
        str(folder),
        str(folder / "model.tflite"),
    ]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=seconds, check=False, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        return None, f"no end within {seconds:g} seconds"
    except OSError as error:
        return None, f"{program}: {error.strerror}"
    output = folder / "model_edgetpu.tflite"
    if done.returncode or not output.exists():
        lines = (done.stdout + done.stderr).strip().splitlines()
        return None, lines[-1] if lines else f"exit code {done.returncode}"
    return output.read_bytes(), done.stdout


def parse(text: str) -> Log:
    """The compiler's output, as `edgetpu_compiler --show_operations` prints it. Raises EdgedenseError on other text."""
    version = re.search(r"Edge TPU Compiler version (\S+)", text)
    time = re.search(r"Model compiled successfully in (\d+) ms", text)
    table = re.search(r"^Operator\s+Count\s+Status\s*$(.*)", text, re.MULTILINE | re.DOTALL)
    if not (version and time and table):
        raise EdgedenseError(f"the output of {COMPILER} --show_operations", text.strip()[-200:] or "nothing")
    rows = re.findall(r"^([A-Z][A-Z0-9_]*|[\w-]+)[ \t]+(\d+)[ \t]+(\S.*?)[ \t]*$", table[1], re.MULTILINE)
    subgraphs = re.search(r"Number of Edge TPU subgraphs: (\d+)", text)
    return Log(
        version[1],
        int(time[1]),
        _size(text, "On-chip memory used for caching model parameters"),
        _size(text, "On-chip memory remaining for caching model parameters"),
        _size(text, "Off-chip memory used for streaming uncached model parameters"),
        int(subgraphs[1]) if subgraphs else 0,
        tuple(Row(operator, int(count), status) for operator, count, status in rows),
    )


def _size(text: str, label: str) -> int:
    """Bytes of a line such as "label: 1.92MiB"."""
    found = re.search(rf"{label}: ([\d.]+)(B|KiB|MiB|GiB)", text)
    if not found:
        raise EdgedenseError(f"a line {label!r} in the output of {COMPILER}", "none")
    return round(float(found[1]) * 1024 ** ("B", "KiB", "MiB", "GiB").index(found[2]))


def _more(others: list[str]) -> str:
    return f"; and {len(others)} more" if others else ""
