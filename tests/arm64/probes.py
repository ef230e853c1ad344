"""Small .tflite files of one operator kind each, over a grid of shapes: what `fit.py` fits a board's coefficients to.

    from tests.arm64.probes import probes   # {name: bytes of a .tflite}

Weights are noise from a seed, and the values do not matter: kernels take the same path for every value. The shapes are
random too, so that no two pieces of work grow together, and as small as an emulator counts in minutes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edgedense.converters.tflite.flatbuffer import Operator, Quantization, Tensor, write

SEED = 5
ONE, OTHER = Quantization(np.array([0.05], np.float32), -3), Quantization(np.array([0.07], np.float32), 4)
UNSIGNED = Quantization(np.array([0.05], np.float32), 125)
LARGEST = 12e6  # multiply-accumulates of a probe


@dataclass
class Probe:
    """A file under construction: `tensors` and `operators` of one chain from "in" to the last output."""

    seed: int
    tensors: list[Tensor] = field(default_factory=list)
    operators: list[Operator] = field(default_factory=list)

    def tensor(self, shape: tuple[int, ...], dtype: str = "int8", q: Quantization | None = ONE) -> str:
        """A new activation, without quantization where it is float32."""
        name = f"t{len(self.tensors)}"
        self.tensors.append(Tensor(name, (1, *shape), dtype, None if dtype == "float32" else q))
        return name

    def constant(self, shape: tuple[int, ...], dtype: str, q: Quantization | None = None) -> str:
        random = np.random.default_rng([SEED, self.seed, len(self.tensors)])
        is_float = dtype == "float32"
        data = random.normal(0, 0.1, shape) if is_float else random.integers(-127, 128, shape)
        return self.given(data.astype(dtype), None if is_float else q)

    def given(self, data: np.ndarray, q: Quantization | None = None) -> str:
        name = f"t{len(self.tensors)}"
        self.tensors.append(Tensor(name, data.shape, str(data.dtype), q, data))
        return name

    def emit(self, code: str, inputs: tuple[str, ...], output: str, kind: str = "", **options: Any) -> str:
        self.operators.append(Operator(code, VERSIONS.get(code, 2), inputs, (output,), kind, options))
        return output

    def shape(self, name: str) -> tuple[int, ...]:
        return next(t.shape for t in self.tensors if t.name == name)[1:]

    def dtype(self, name: str) -> str:
        return next(t.dtype for t in self.tensors if t.name == name)

    def conv(self, source: str, outputs: int, kernel: int, stride: int = 1, same: bool = True) -> str:
        return self._conv(source, (outputs, kernel, kernel, self.shape(source)[2]), outputs, stride, same, "CONV_2D")

    def depthwise(self, source: str, kernel: int, stride: int = 1, same: bool = True) -> str:
        channels = self.shape(source)[2]
        return self._conv(source, (1, kernel, kernel, channels), channels, stride, same, "DEPTHWISE_CONV_2D")

    def _conv(self, source: str, weights: tuple[int, ...], outputs: int, stride: int, same: bool, code: str) -> str:
        height, width, _ = self.shape(source)
        dtype, kernel = self.dtype(source), weights[1]
        size = [-(-(n if same else n - kernel + 1) // stride) for n in (height, width)]
        axis = 0 if code == "CONV_2D" else 3
        scales = np.linspace(0.01, 0.02, outputs).astype(np.float32)
        kernels = self.constant(weights, dtype, Quantization(scales, 0, axis))
        bias = self.constant(
            (outputs,), "float32" if dtype == "float32" else "int32", Quantization(scales * 0.05, 0, 0)
        )
        options: dict[str, Any] = {"depthMultiplier": 1} if axis else {}
        return self.emit(
            code,
            (source, kernels, bias),
            self.tensor((*size, outputs), dtype, OTHER),
            "DepthwiseConv2DOptions" if axis else "Conv2DOptions",
            padding=0 if same else 1,
            strideW=stride,
            strideH=stride,
            dilationWFactor=1,
            dilationHFactor=1,
            fusedActivationFunction=1,
            **options,
        )

    def pool(self, source: str, kernel: int, stride: int, code: str) -> str:
        height, width, channels = self.shape(source)
        size = [(n - kernel) // stride + 1 for n in (height, width)]
        output = self.tensor((*size, channels), self.dtype(source))
        options = {"padding": 1, "strideW": stride, "strideH": stride, "filterWidth": kernel, "filterHeight": kernel}
        return self.emit(code, (source,), output, "Pool2DOptions", fusedActivationFunction=0, **options)

    def dense(self, source: str, outputs: int) -> str:
        dtype, inputs = self.dtype(source), self.shape(source)[0]
        scales = np.linspace(0.01, 0.02, outputs).astype(np.float32)
        weights = self.constant((outputs, inputs), dtype, Quantization(scales, 0, 0))
        bias = self.constant(
            (outputs,), "float32" if dtype == "float32" else "int32", Quantization(scales * 0.05, 0, 0)
        )
        output = self.tensor((outputs,), dtype, OTHER)
        return self.emit(
            "FULLY_CONNECTED", (source, weights, bias), output, "FullyConnectedOptions", fusedActivationFunction=0
        )

    def by_channel(self, source: str, code: str) -> str:
        """MAXIMUM, ADD or MUL with one constant a channel."""
        *_, channels = self.shape(source)
        constant = self.constant((1, 1, 1, channels), self.dtype(source), ONE)
        return self.two(source, constant, code)

    def two(self, one: str, other: str, code: str) -> str:
        output = self.tensor(self.shape(one), self.dtype(one), ONE if code in ("MAXIMUM", "MINIMUM") else OTHER)
        kind = {"ADD": "AddOptions", "MUL": "MulOptions"}.get(code, "MaximumMinimumOptions")
        options = {"fusedActivationFunction": 0} if code in ("ADD", "MUL") else {}
        return self.emit(code, (one, other), output, kind, **options)

    def concat(self, sources: tuple[str, ...], axis: int) -> str:
        shape = list(self.shape(sources[0]))
        shape[axis - 1] = sum(self.shape(source)[axis - 1] for source in sources)
        output = self.tensor(tuple(shape), self.dtype(sources[0]))
        return self.emit("CONCATENATION", sources, output, "ConcatenationOptions", axis=axis, fusedActivationFunction=0)

    def pad(self, source: str, by: int) -> str:
        height, width, channels = self.shape(source)
        sides = self.given(np.array([[0, 0], [by, by], [by, by], [0, 0]], np.int32))
        output = self.tensor((height + 2 * by, width + 2 * by, channels), self.dtype(source))
        return self.emit("PAD", (source, sides), output, "PadOptions")

    def mean(self, source: str) -> str:
        axes = self.given(np.array([1, 2], np.int32))
        output = self.tensor(self.shape(source)[2:], self.dtype(source), OTHER)
        return self.emit("MEAN", (source, axes), output, "ReducerOptions", keepDims=False)

    def convert(self, source: str, dtype: str) -> str:
        q = UNSIGNED if dtype == "uint8" else ONE
        if dtype == "float32":
            return self.emit("DEQUANTIZE", (source,), self.tensor(self.shape(source), dtype), "DequantizeOptions")
        return self.emit("QUANTIZE", (source,), self.tensor(self.shape(source), dtype, q), "QuantizeOptions")

    def space_to_depth(self, source: str) -> str:
        height, width, channels = self.shape(source)
        output = self.tensor((height // 2, width // 2, 4 * channels), self.dtype(source))
        return self.emit("SPACE_TO_DEPTH", (source,), output, "SpaceToDepthOptions", blockSize=2)

    def scores(self, source: str, code: str) -> str:
        dtype = self.dtype(source)
        q = Quantization(np.array([1 / 256], np.float32), -128)
        options = {"beta": 1.0} if code == "SOFTMAX" else {}
        output = self.tensor(self.shape(source), dtype, q)
        return self.emit(code, (source,), output, "SoftmaxOptions" if options else "", **options)

    def reshape(self, source: str, shape: tuple[int, ...]) -> str:
        wanted = self.given(np.array([1, *shape], np.int32))
        output = self.tensor(shape, self.dtype(source))
        return self.emit("RESHAPE", (source, wanted), output, "ReshapeOptions", newShape=[1, *shape])

    def file(self, inputs: tuple[str, ...]) -> bytes:
        return write(self.tensors, self.operators, inputs, self.operators[-1].outputs)


VERSIONS = {"CONV_2D": 3, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 4, "RESHAPE": 1, "QUANTIZE": 1}
CHANNELS = (3, 8, 12, 16, 24, 32, 40, 48, 56, 64, 72, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256, 320, 384, 512)
SIDES = (4, 5, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 56)


def probes() -> dict[str, bytes]:
    """Every probe, by a name that begins with its kind."""
    found: dict[str, bytes] = {}
    for number, (kind, make) in enumerate(_all()):
        probe = Probe(number)
        inputs = make(probe)
        found[f"{number:04}-{kind}"] = probe.file(inputs)
    return found


def _all() -> Iterator[tuple[str, Any]]:
    random = np.random.default_rng(SEED)

    def one(options: tuple[int, ...]) -> int:
        return int(random.choice(options))

    for dtype, times in (("int8", 4), ("float32", 1)):
        short = "f" if dtype == "float32" else "i"
        for kernel, stride, count in ((1, 1, 24), (3, 1, 18), (1, 2, 6), (3, 2, 7), (4, 1, 5), (5, 1, 3), (7, 2, 5)):
            made = 0
            while made < count * (2 if times == 4 else 1):
                side, channels, outputs = one(SIDES), one(CHANNELS), one(CHANNELS[1:])
                if kernel == 1 and one((0, 0, 1)):
                    channels, outputs = one((448, 576, 704, 832, 960, 1024)), one((64, 128, 256, 448, 512))
                if kernel in (4, 7):
                    channels, side = one((3, 8, 12, 16)), one((16, 24, 32, 48))
                same = bool(one((0, 1))) or kernel >= side
                if (side / stride) ** 2 * channels * outputs * kernel**2 > LARGEST / (1 if dtype == "int8" else 2):
                    continue
                made += 1
                yield f"conv{kernel}s{stride}{short}", _conv(side, channels, outputs, kernel, stride, same, dtype)
        for kernel, stride, count in ((1, 1, 10), (2, 2, 6), (3, 1, 9), (3, 2, 7), (5, 1, 6), (5, 2, 5), (7, 1, 3)):
            for _ in range(count if times == 4 else (count + 1) // 2):
                side, channels = one(SIDES[2:]), one(CHANNELS[1:])
                yield f"depthwise{kernel}s{stride}{short}", _depthwise(side, channels, kernel, stride, dtype)
        for code in ("MAX_POOL_2D", "AVERAGE_POOL_2D"):
            for kernel, stride in ((3, 2), (2, 2), (3, 2), (2, 2), (3, 1), (7, 7), (3, 2), (2, 2)):
                side, channels = one((14, 16, 28, 30, 32)), one(CHANNELS[3:])
                yield f"{code}{kernel}{short}", _pool(side, channels, kernel, stride, code, dtype)
        for code in ("MAXIMUM", "ADD", "MUL"):
            for _ in range(8):
                yield f"{code}-channel{short}", _by_channel(one(SIDES), one(CHANNELS[1:]), code, dtype)
        for code in ("ADD", "MUL"):
            for _ in range(5):
                yield f"{code}-two{short}", _two(one(SIDES), one(CHANNELS[1:]), code, dtype)
        for _ in range(12):
            yield f"concat3{short}", _concat(one(SIDES), (one(CHANNELS[1:]), one((16, 24, 32, 48))), 3, dtype)
        for _ in range(3):
            yield (
                f"concat3x3{short}",
                _concat(one(SIDES), (one(CHANNELS[1:]), one((16, 24, 32)), one((16, 32))), 3, dtype),
            )
        for axis in (1, 2):
            for _ in range(4):
                yield f"concat{axis}{short}", _concat(one(SIDES), (one((3, 8, 16)),), axis, dtype)
        for _ in range(6):
            yield f"pad{short}", _simple(one(SIDES), one(CHANNELS), "pad", dtype, one((1, 3)))
        for _ in range(6):
            yield f"mean{short}", _simple(one((4, 7, 7, 8, 10)), one(CHANNELS[8:]), "mean", dtype)
        for _ in range(5):
            yield f"space{short}", _simple(2 * one(SIDES), one((3, 3, 4, 8)), "space_to_depth", dtype)
        for _ in range(10):
            yield (
                f"dense{short}",
                _vector(one((64, 256, 512, 1024, 1280)), "dense", dtype, one((1, 2, 4, 10, 64, 100, 1000))),
            )
        for code in ("SOFTMAX", "LOGISTIC"):
            for size in (1, 4, 10, 100, 1000):
                yield f"{code}{short}", _vector(size, "scores", dtype, code)
        for size in (64, 1024, 12544):
            yield f"reshape{short}", _vector(size, "reshape", dtype, (1, 1, size))
        for depth in (2, 4, 8):  # what an operator costs, apart from what a call costs
            for side, channels in ((5, 32), (14, 64)):
                yield f"chain{short}", _chain(side, channels, depth, dtype)
    for source, target in (("uint8", "int8"), ("int8", "uint8"), ("int8", "float32"), ("float32", "int8")):
        for _ in range(5):
            yield f"{source}-{target}", _simple(one(SIDES), one(CHANNELS), "convert", source, target)
    for depth in (1, 2, 4):  # operators that XNNPACK does not take cut a file into parts
        for side, channels in ((5, 32), (14, 64)):
            yield "parts", _parts(side, channels, depth)
    for dtype in ("int8", "float32"):  # maps of one pixel and of four, for which there are kernels of their own
        for kernel, side in ((1, 1), (1, 2), (3, 1), (3, 2)):
            for _ in range(4):
                channels, outputs = one((32, 56, 96, 160, 256, 448)), one((8, 20, 32, 48, 128, 224))
                name = f"few{kernel}{'f' if dtype == 'float32' else 'i'}"
                yield name, _conv(side, channels, outputs, kernel, 1, True, dtype)


def _conv(side: int, channels: int, outputs: int, kernel: int, stride: int, same: bool, dtype: str) -> Any:
    def make(probe: Probe) -> tuple[str, ...]:
        source = probe.tensor((side, side, channels), dtype)
        probe.conv(source, outputs, kernel, stride, same)
        return (source,)

    return make


def _depthwise(side: int, channels: int, kernel: int, stride: int, dtype: str) -> Any:
    def make(probe: Probe) -> tuple[str, ...]:
        source = probe.tensor((side, side, channels), dtype)
        probe.depthwise(source, kernel, stride)
        return (source,)

    return make


def _pool(side: int, channels: int, kernel: int, stride: int, code: str, dtype: str) -> Any:
    def make(probe: Probe) -> tuple[str, ...]:
        source = probe.tensor((side, side, channels), dtype)
        probe.pool(source, kernel, stride, code)
        return (source,)

    return make


def _by_channel(side: int, channels: int, code: str, dtype: str) -> Any:
    def make(probe: Probe) -> tuple[str, ...]:
        source = probe.tensor((side, side, channels), dtype)
        probe.by_channel(source, code)
        return (source,)

    return make


def _two(side: int, channels: int, code: str, dtype: str) -> Any:
    def make(probe: Probe) -> tuple[str, ...]:
        sources = tuple(probe.tensor((side, side, channels), dtype) for _ in range(2))
        probe.two(*sources, code)
        return sources

    return make


def _concat(side: int, channels: tuple[int, ...], axis: int, dtype: str) -> Any:
    def make(probe: Probe) -> tuple[str, ...]:
        if axis == 3:
            sources = tuple(probe.tensor((side, side, n), dtype) for n in channels)
        else:
            border = (3, side) if axis == 1 else (side, 3)
            sources = (probe.tensor((side, side, channels[0]), dtype), probe.tensor((*border, channels[0]), dtype))
        probe.concat(sources, axis)
        return sources

    return make


def _simple(side: int, channels: int, method: str, dtype: str, *more: Any) -> Any:
    def make(probe: Probe) -> tuple[str, ...]:
        source = probe.tensor((side, side, channels), dtype, UNSIGNED if dtype == "uint8" else ONE)
        getattr(probe, method)(source, *more)
        return (source,)

    return make


def _vector(size: int, method: str, dtype: str, *more: Any) -> Any:
    def make(probe: Probe) -> tuple[str, ...]:
        source = probe.tensor((size,), dtype)
        getattr(probe, method)(source, *more)
        return (source,)

    return make


def _chain(side: int, channels: int, depth: int, dtype: str) -> Any:
    def make(probe: Probe) -> tuple[str, ...]:
        source = last = probe.tensor((side, side, channels), dtype, OTHER)
        for _ in range(depth):
            last = probe.depthwise(probe.conv(last, channels, 1), 1)
        return (source,)

    return make


def _parts(side: int, channels: int, depth: int) -> Any:
    def make(probe: Probe) -> tuple[str, ...]:
        source = last = probe.tensor((side, side, channels), "int8", OTHER)
        for _ in range(depth):
            last = probe.conv(last, channels, 1)
            output = probe.tensor((side, side, channels), "int8", OTHER)
            constant = probe.constant((1, 1, 1, channels), "int8", OTHER)
            last = probe.emit("MAXIMUM", (last, constant), output, "MaximumMinimumOptions")
        probe.conv(last, channels, 1)
        return (source,)

    return make
