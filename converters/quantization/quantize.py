"""Program + ranges -> int8 .tflite bytes.

Scheme (TensorFlow Lite 8-bit quantization specification): activations int8, one scale and zero point per tensor;
weights int8, symmetric, one scale per output channel; biases int32 with scale input x weight. Inputs and outputs of
concatenation, padding, pooling and maximum share one scale. What is named in `float_ops` stays float32.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from edgedense.converters.network.graph import Activation, Array
from edgedense.converters.network.program import CONSTANT, IMAGE, SAME_SCALE, SCORES, Op, Program
from edgedense.converters.network.stock import FEATURES, LOGITS, converted
from edgedense.converters.tflite.flatbuffer import Operator, Quantization, Tensor, write

Range = tuple[float, float]  # lowest and highest real value that must be represented
FIXED_RANGES = {  # outputs whose quantization the kernels prescribe
    "softmax": (0.0, 255.0 / 256.0),
    "sigmoid": (0.0, 255.0 / 256.0),
    "tanh": (-1.0, 127.0 / 128.0),
}
THIN = 16  # channels; a border of fewer is concatenated: XNNPACK's PAD calls a function for every pixel that it copies
SMALLEST_SCALE = 1e-8  # XNNPACK refuses scales that are not normal numbers; a dead tensor has no range of its own
MANTISSA_BITS = 10  # ranges are rounded to so many bits, so that the order of float sums does not change the bytes


@dataclass(frozen=True)
class Quantized:
    """Tensors and operators of the deployed file, ready for the writer: its output, and a second one if named."""

    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    output: str = SCORES
    features: str | None = None

    def to_bytes(self, metadata: bytes = b"") -> bytes:
        """The .tflite file, with a TFLite Model Metadata buffer if given."""
        outputs = (self.output,) if self.features is None else (self.output, self.features)
        return write(self.tensors, self.operators, (IMAGE,), outputs, metadata)


@dataclass(frozen=True)
class Weights:
    """int8 weights of one operator with their scales; `kernel` in the program's layout, integers as float64."""

    kernel: Array
    scale: Array
    bias: Array


def snap(value: float) -> float:
    """`value` rounded to MANTISSA_BITS bits of mantissa."""
    mantissa, exponent = np.frexp(value)
    return float(np.ldexp(np.round(mantissa * 2**MANTISSA_BITS) / 2**MANTISSA_BITS, exponent))


def activation_quantization(span: Range) -> Quantization:
    """int8 for reals in `span`; zero is always representable, exactly (zero padding and ReLU rely on it)."""
    low, high = min(snap(span[0]), 0.0), max(snap(span[1]), 0.0)
    scale = max((high - low) / 255.0, SMALLEST_SCALE)
    zero_point = int(np.clip(np.round(-128.0 - low / scale), -128, 127))
    return Quantization(np.array([scale], np.float32), zero_point)


def weight_scale(kernel: Array) -> Array:
    """One scale per output channel (the last axis), so that the largest weight is 127."""
    largest = np.abs(kernel).reshape(-1, kernel.shape[-1]).max(axis=0)
    scale = np.where(largest > 0, np.maximum(largest, 127 * SMALLEST_SCALE) / 127.0, 1.0)
    return scale.astype(np.float32).astype(np.float64)  # as the file stores it


def scale_groups(program: Program) -> dict[str, str]:
    """Tensor -> the representative of the set of tensors that must share its quantization.

    Operators that stay float count as well: where an int8 operator reads their output, it is quantized by the group.
    """
    parent: dict[str, str] = {}

    def find(name: str) -> str:
        while parent.setdefault(name, name) != name:
            name = parent[name]
        return name

    for op in program.ops:
        if op.kind in SAME_SCALE:
            for name in op.inputs:
                if name != CONSTANT:
                    parent[find(op.output)] = find(name)
    return {name: find(name) for name in program.shapes}


def quantize(
    program: Program,
    ranges: Mapping[str, Range],
    float_ops: Iterable[str] = (),
    weights: Mapping[str, Weights] | None = None,
    output_type: str = "float32",
) -> Quantized:
    """The deployed network. `ranges` holds every int8 activation's range; `weights` replaces round-to-nearest."""
    return _Quantizer(program, ranges, frozenset(float_ops), dict(weights or {}), output_type).build()


def float_file(program: Program, outputs: Sequence[str]) -> bytes:
    """The .tflite file of `program` in float32, behind the same uint8 pixels, with the tensors named in `outputs`."""
    floats = quantize(program, {}, [op.output for op in program.ops])
    return write(floats.tensors, floats.operators, (IMAGE,), outputs)


def with_features(quantized: Quantized, tensor: str) -> Quantized:
    """The same network with `tensor` as its second output, in the type of the scores: MediaPipe opens no mixture."""
    known = {known.name: known for known in quantized.tensors}
    source, wanted = known[tensor], known[quantized.output].dtype
    name = f"{tensor}/float" if wanted == "float32" else f"{tensor}_uint8"
    if source.dtype != "int8" or name in known:  # it is a float tensor, or was dequantized for another operator
        return replace(quantized, features=name if name in known else tensor)
    assert source.quantization is not None
    if wanted == "float32":
        output = Tensor(name, source.shape, "float32")
        operator = Operator("DEQUANTIZE", 2, (tensor,), (name,), "DequantizeOptions")
    else:
        shifted = replace(source.quantization, zero_point=source.quantization.zero_point + 128)
        output = Tensor(name, source.shape, "uint8", shifted)
        operator = Operator("QUANTIZE", 1, (tensor,), (name,), "QuantizeOptions")
    return replace(
        quantized, tensors=(*quantized.tensors, output), operators=(*quantized.operators, operator), features=name
    )


def activations(program: Program, ranges: Mapping[str, Range]) -> dict[str, Quantization]:
    """The quantization of every tensor, should it be int8: the union of the ranges in its group."""
    groups = scale_groups(program)
    kinds = {op.output: op for op in program.ops}
    spans: dict[str, list[Range]] = {}
    for name, root in groups.items():
        op = kinds.get(name)
        if op is not None and op.kind == "activation" and op.function and op.function.kind in FIXED_RANGES:
            spans[root] = [FIXED_RANGES[op.function.kind]]
        elif name in ranges:
            spans.setdefault(root, []).append(ranges[name])
    result = {}
    for name, root in groups.items():
        if groups.get(IMAGE) == root:  # whole pixels, exactly
            result[name] = Quantization(np.ones(1, np.float32), -128)
        elif root in spans:
            result[name] = activation_quantization((min(s[0] for s in spans[root]), max(s[1] for s in spans[root])))
    return result


def round_weights(op: Op, input_scale: float, integer_only: bool = False) -> Weights:
    """Round-to-nearest int8 weights and the int32 bias of `op`.

    `integer_only`: a Dense gets one scale for all its outputs, because the Edge TPU knows no other.
    """
    kernel, bias = op.weights
    scale = weight_scale(kernel)
    if op.kind == "dense" and integer_only:
        scale = np.full_like(scale, scale[np.abs(kernel).max(axis=0) > 0].max(initial=0) or 1.0)
    return Weights(np.clip(np.round(kernel / scale), -127, 127), scale, int_bias(bias, input_scale, scale))


def int_bias(bias: Array, input_scale: float, scale: Array) -> Array:
    """The bias as int32 with scale input x weight."""
    return np.clip(np.round(bias / (input_scale * scale)), -(2**31) + 1, 2**31 - 1)


@dataclass
class _Quantizer:
    """Walks the program once and collects tensors and operators."""

    program: Program
    ranges: Mapping[str, Range]
    float_ops: frozenset[str]
    weights: dict[str, Weights]
    output_type: str
    tensors: dict[str, Tensor] = field(default_factory=dict)
    operators: list[Operator] = field(default_factory=list)
    floats: dict[str, str] = field(default_factory=dict)  # int8 tensor -> its dequantized twin

    def build(self) -> Quantized:
        self.quantization = activations(self.program, self.ranges)
        height, width, channels = self.program.shapes[IMAGE]
        self.tensors[IMAGE] = Tensor(IMAGE, (1, height, width, channels), "uint8", Quantization(np.ones(1, np.float32)))
        self.names = {IMAGE: "pixels"}
        self.activation("pixels", (height, width, channels), Quantization(np.ones(1, np.float32), -128))
        self.emit("QUANTIZE", 1, (IMAGE,), "pixels", "QuantizeOptions")
        for op in self.program.ops:
            if op.head is not None:
                self.float_head(op)
            elif op.output in self.float_ops:
                self.float_op(op)
            else:
                self.int_op(op)
        output = self.finish_output()
        return Quantized(tuple(self.tensors.values()), tuple(self.operators), output)

    def finish_output(self) -> str:
        """The last tensor in the type asked for, under the name "scores"."""
        last = self.program.ops[-1].output
        if self.output_type == "float32":
            if last in self.float_ops:
                return last
            return self.as_float(last)
        q = self.quantization[last]
        # A float head leaves float scores: they are rounded once, to what the int8 ones would be called in uint8.
        tensor = Tensor(
            "scores_uint8", (1, *self.program.shapes[last]), "uint8", replace(q, zero_point=q.zero_point + 128)
        )
        self.tensors[tensor.name] = tensor
        self.emit("QUANTIZE", 1, (last,), tensor.name, "QuantizeOptions")
        return tensor.name

    # -- pieces ---------------------------------------------------------------------------------------------------

    def emit(
        self, code: str, version: int, inputs: tuple[str, ...], output: str, options_type: str = "", **options: Any
    ) -> None:
        self.operators.append(Operator(code, version, inputs, (output,), options_type, options))

    def activation(self, name: str, shape: tuple[int, ...], quantization: Quantization | None) -> None:
        self.tensors[name] = Tensor(name, (1, *shape), "int8" if quantization else "float32", quantization)

    def constant(self, name: str, data: np.ndarray, dtype: str, quantization: Quantization | None = None) -> str:
        self.tensors[name] = Tensor(name, tuple(data.shape), dtype, quantization, data)
        return name

    def as_int(self, name: str) -> str:
        """The int8 tensor for `name`, quantizing a float one where the program crosses over."""
        name = self.names.get(name, name)
        if self.tensors[name].dtype == "int8":
            return name
        twin = f"{name}/int8"
        if twin not in self.tensors:
            self.activation(twin, self.program.shapes[name], self.quantization[name])
            self.emit("QUANTIZE", 1, (name,), twin, "QuantizeOptions")
        return twin

    def as_float(self, name: str) -> str:
        name = self.names.get(name, name)
        if self.tensors[name].dtype == "float32":
            return name
        twin = f"{name}/float"
        if twin not in self.tensors:
            self.activation(twin, self.tensors[name].shape[1:], None)
            self.emit("DEQUANTIZE", 2, (name,), twin, "DequantizeOptions")
        return twin

    def int_op(self, op: Op) -> None:
        inputs = tuple(n if n == CONSTANT else self.as_int(n) for n in op.inputs)
        q = self.quantization[op.output]
        self.activation(op.output, self.program.shapes[op.output], q)
        if op.kind in ("conv", "grey", "depthwise", "dense"):
            tensor = next(n for n in inputs if n != CONSTANT)
            scale = float(self.tensors[tensor].quantization.scale[0])  # type: ignore[union-attr]
            w = self.weights.get(op.output) or round_weights(op, scale, self.output_type != "float32")
            kernel, axis = _layout(op.kind, w.kernel)
            stored = w.scale[:1] if op.kind == "dense" and self.output_type != "float32" else w.scale
            weight = self.constant(f"{op.output}/kernel", kernel, "int8", Quantization(stored, 0, axis))
            bias = self.constant(f"{op.output}/bias", w.bias, "int32", Quantization(stored * scale, 0, 0))
            self.emit_op(op, (tensor, weight, bias), int8=True)
        elif op.constant is not None:
            name = f"{op.output}/constant"
            integers = np.clip(np.round(op.constant / float(q.scale[0])) + q.zero_point, -128, 127)
            shape = integers if op.kind == "concat" else integers.reshape(1, 1, 1, -1)
            self.constant(name, shape, "int8", q)
            inputs = tuple(name if n == CONSTANT else n for n in inputs)
            self.emit_op(op, inputs if op.kind == "concat" else (*inputs, name), int8=True)
        else:
            self.emit_op(op, inputs, int8=True)

    def float_op(self, op: Op) -> None:
        inputs = tuple(n if n == CONSTANT else self.as_float(n) for n in op.inputs)
        self.activation(op.output, self.program.shapes[op.output], None)
        if op.kind in ("conv", "grey", "depthwise", "dense"):
            kernel, bias = op.weights
            weight = self.constant(f"{op.output}/kernel", _layout(op.kind, kernel)[0], "float32")
            self.emit_op(op, (*inputs, weight, self.constant(f"{op.output}/bias", bias, "float32")), int8=False)
        elif op.constant is not None:
            data = op.constant if op.kind == "concat" else op.constant.reshape(1, 1, 1, -1)
            name = self.constant(f"{op.output}/constant", data, "float32")
            inputs = tuple(name if n == CONSTANT else n for n in inputs)
            self.emit_op(op, inputs if op.kind == "concat" else (*inputs, name), int8=False)
        else:
            self.emit_op(op, inputs, int8=False)

    def float_head(self, op: Op) -> None:
        """The operators of a head that stays float, behind the float twin of the feature map that it reads."""
        assert op.head is not None
        part = converted(op.head)
        names = {"": "", FEATURES: self.as_float(op.inputs[0]), LOGITS: op.output}
        names.update({t.name: f"{op.output}/{t.name}" for t in part.tensors if t.name not in names})
        for tensor in part.tensors:
            if tensor.name != FEATURES:
                self.tensors[names[tensor.name]] = replace(tensor, name=names[tensor.name])
        for operator in part.operators:
            inputs, outputs = (tuple(names[n] for n in side) for side in (operator.inputs, operator.outputs))
            self.operators.append(replace(operator, inputs=inputs, outputs=outputs))

    def emit_padding(self, op: Op, x: str, version: int) -> None:
        """A border of zeros. An Edge TPU gets PAD: what its compiler does with constants that are concatenated is not
        known."""
        out, (height, width, channels) = op.output, self.tensors[x].shape[1:]
        if channels >= THIN or self.output_type != "float32":
            table = self.constant(f"{out}/padding", np.array([(0, 0), *op.padding, (0, 0)]), "int32")
            self.emit("PAD", version, (x, table), out, "PadOptions")
            return
        (top, bottom), _ = op.padding
        rows = f"{out}/rows"
        self.activation(rows, (top + height + bottom, width, channels), self.tensors[x].quantization)
        self.emit_border(x, rows, 1, op.padding[0], version)
        self.emit_border(rows, out, 2, op.padding[1], version)

    def emit_border(self, x: str, out: str, axis: int, sides: tuple[int, int], version: int) -> None:
        """Zeros in front of `x` along an axis, and behind it."""
        tensor = self.tensors[x]
        zero = tensor.quantization.zero_point if tensor.quantization else 0
        parts = [x]
        for name, side, place in (("before", sides[0], 0), ("after", sides[1], 2)):
            if side:
                shape = [side if number == axis else length for number, length in enumerate(tensor.shape)]
                strip = self.constant(f"{out}/{name}", np.full(shape, zero), tensor.dtype, tensor.quantization)
                parts.insert(place, strip)
        self.emit("CONCATENATION", version, tuple(parts), out, "ConcatenationOptions", axis=axis)

    def emit_op(self, op: Op, inputs: tuple[str, ...], int8: bool) -> None:
        """The operator itself, once its tensors exist. Versions are the lowest that run it."""
        two, relu = (2 if int8 else 1), (1 if op.relu else 0)  # ActivationFunctionType: 0 NONE, 1 RELU
        out, same = op.output, (0 if op.same else 1)  # Padding: 0 SAME, 1 VALID
        if op.kind in ("conv", "grey"):
            self.emit(
                "CONV_2D",
                3 if int8 else 1,
                inputs,
                out,
                "Conv2DOptions",
                padding=same,
                strideW=op.stride,
                strideH=op.stride,
                dilationWFactor=1,
                dilationHFactor=1,
                fusedActivationFunction=relu,
            )
        elif op.kind == "depthwise" and len(self.program.shapes[out]) == 1:
            self.emit_vector_depthwise(op, inputs, int8)
        elif op.kind == "depthwise":
            self.emit(
                "DEPTHWISE_CONV_2D",
                3 if int8 else 1,
                inputs,
                out,
                "DepthwiseConv2DOptions",
                padding=same,
                strideW=op.stride,
                strideH=op.stride,
                depthMultiplier=1,
                dilationWFactor=1,
                dilationHFactor=1,
                fusedActivationFunction=relu,
            )
        elif op.kind == "dense":
            self.emit(
                "FULLY_CONNECTED", 4 if int8 else 1, inputs, out, "FullyConnectedOptions", fusedActivationFunction=relu
            )
        elif op.kind == "maximum":
            self.emit("MAXIMUM", two, inputs, out, "MaximumMinimumOptions")
        elif op.kind == "concat":
            self.emit("CONCATENATION", two, inputs, out, "ConcatenationOptions", axis=op.axis)
        elif op.kind == "pad":
            self.emit_padding(op, inputs[0], two)
        elif op.kind in ("max_pool", "average_pool"):
            code = "MAX_POOL_2D" if op.kind == "max_pool" else "AVERAGE_POOL_2D"
            self.emit(
                code,
                two,
                inputs,
                out,
                "Pool2DOptions",
                padding=1,
                filterHeight=op.size[0],
                filterWidth=op.size[1],
                strideH=op.strides[0],
                strideW=op.strides[1],
            )
        elif op.kind in ("mean", "reduce_max"):
            axes = self.constant(f"{out}/axes", np.array([1, 2]), "int32")
            self.emit(
                "MEAN" if op.kind == "mean" else "REDUCE_MAX",
                two,
                (*inputs, axes),
                out,
                "ReducerOptions",
                keepDims=False,
            )
        elif op.kind == "space_to_depth":
            self.emit("SPACE_TO_DEPTH", two, inputs, out, "SpaceToDepthOptions", blockSize=op.stride)
        elif op.kind == "reshape":
            self.emit_reshape(inputs[0], out)
        else:
            assert op.function is not None
            self.emit_activation(op.function, inputs[0], out, int8)

    def emit_reshape(self, source: str, out: str) -> None:
        shape = self.tensors[out].shape
        table = self.constant(f"{out}/shape", np.array(shape), "int32")
        self.emit("RESHAPE", 1, (source, table), out, "ReshapeOptions", newShape=list(shape))

    def emit_vector_depthwise(self, op: Op, inputs: tuple[str, ...], int8: bool) -> None:
        """A per-channel affine on [1, C]: the depthwise kernel wants four dimensions."""
        channels = self.program.shapes[op.output][0]
        before, after = f"{op.output}/in4d", f"{op.output}/out4d"
        self.activation(before, (1, 1, channels), self.tensors[inputs[0]].quantization)
        self.activation(after, (1, 1, channels), self.tensors[op.output].quantization)
        self.emit_reshape(inputs[0], before)
        self.emit(
            "DEPTHWISE_CONV_2D",
            3 if int8 else 1,
            (before, *inputs[1:]),
            after,
            "DepthwiseConv2DOptions",
            padding=1,
            strideW=1,
            strideH=1,
            depthMultiplier=1,
            dilationWFactor=1,
            dilationHFactor=1,
            fusedActivationFunction=1 if op.relu else 0,
        )
        self.emit_reshape(after, op.output)

    def emit_activation(self, function: Activation, source: str, out: str, int8: bool) -> None:
        two = 2 if int8 else 1
        if function.kind == "softmax":
            self.emit("SOFTMAX", two, (source,), out, "SoftmaxOptions", beta=1.0)
        elif function.kind == "leaky_relu":
            self.emit("LEAKY_RELU", two, (source,), out, "LeakyReluOptions", alpha=function.alpha)
        elif function.kind == "swish":
            gate = f"{out}/gate"
            sigmoid = activation_quantization(FIXED_RANGES["sigmoid"]) if int8 else None
            self.activation(gate, self.tensors[out].shape[1:], sigmoid)
            self.emit("LOGISTIC", two, (source,), gate)
            self.emit("MUL", two, (source, gate), out, "MulOptions", fusedActivationFunction=0)
        else:
            code, version = {
                "relu": ("RELU", two),
                "relu6": ("RELU6", two),
                "elu": ("ELU", 1),
                "tanh": ("TANH", two),
                "sigmoid": ("LOGISTIC", two),
            }[function.kind]
            self.emit(code, version, (source,), out)


def _layout(kind: str, kernel: Array) -> tuple[np.ndarray, int]:
    """The kernel in TFLite's layout, and the axis of its output channels."""
    if kind in ("conv", "grey"):
        return np.transpose(kernel, (3, 0, 1, 2)), 0
    if kind == "depthwise":
        return kernel[None], 3
    return kernel.T, 0
