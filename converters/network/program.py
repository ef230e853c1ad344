"""A network as the flat list of TFLite operators that the deployed file will hold, with float weights.

The list is what the evaluator runs, what calibration measures and what the flatbuffer writer writes, so that all three
mean the same network. Tensors are named by what they are ("block2/layer7/bottleneck"), so names are stable.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from edgedense.converters.network.graph import (
    NO_PADDING,
    Activation,
    Affine,
    Array,
    Block,
    Conv,
    Dense,
    DenseNet,
    Flatten,
    FloatHead,
    Form,
    Front,
    Head,
    Padding,
    Pool,
    Stem,
    Transition,
    WindowPool,
)

Kind = Literal[
    "conv",
    "grey",
    "depthwise",
    "maximum",
    "concat",
    "pad",
    "max_pool",
    "average_pool",
    "mean",
    "reduce_max",
    "space_to_depth",
    "reshape",
    "dense",
    "activation",
    "float_head",
]
IMAGE, GREY, SCORES = "image", "grey", "scores"
SAME_SCALE = ("concat", "pad", "max_pool", "maximum", "space_to_depth", "reshape", "reduce_max", "average_pool")


@dataclass(frozen=True)
class Op:
    """One operator. `output` is also its name. Which fields it uses depends on `kind`:

    conv         kernel [h, w, in, out], bias, stride, same, relu
    grey         kernel [1, 1, 3, 1], bias: a convolution whose weights nothing trains, cuts or corrects
    depthwise    kernel [h, w, channels], bias, stride, same, relu
    maximum      constant [channels] beside the one input
    concat       `inputs` along `axis`; a `constant` of full rank goes before or after them as `inputs` names it
    pad          `padding`, with zeros
    max_pool, average_pool   `size`, `strides`, valid
    dense        kernel [in, out], bias, relu
    activation   `function`
    float_head   `head`: several operators in the deployed file, all in float32
    """

    kind: Kind
    output: str
    inputs: tuple[str, ...]
    kernel: Array | None = None
    bias: Array | None = None
    constant: Array | None = None
    stride: int = 1
    same: bool = False
    relu: bool = False
    axis: int = 3
    padding: Padding = NO_PADDING
    size: tuple[int, int] = (1, 1)
    strides: tuple[int, int] = (1, 1)
    function: Activation | None = None
    head: FloatHead | None = None

    @property
    def weights(self) -> tuple[Array, Array]:
        """Kernel and bias of an operator that has them."""
        assert self.kernel is not None, self.output
        assert self.bias is not None, self.output
        return self.kernel, self.bias


@dataclass(frozen=True)
class Program:
    """Operators in order; `shapes` maps each tensor to its shape without the batch."""

    ops: tuple[Op, ...]
    shapes: dict[str, tuple[int, ...]]


CONSTANT = "="  # the name under which a concat's inputs refer to its constant


def lower(network: DenseNet) -> Program:
    """The operators of `network`, from the tensor "image" [height, width, channels] to the tensor "scores"
    [classes]."""
    ops = list(_network(network))
    ops[-1] = replace(ops[-1], output=SCORES)
    shapes: dict[str, tuple[int, ...]] = {IMAGE: (network.height, network.width, network.channels)}
    for op in ops:
        shapes[op.output] = _shape(op, shapes)
    return Program(tuple(ops), shapes)


def _network(network: DenseNet) -> Iterator[Op]:
    x, size = IMAGE, (network.height, network.width)
    if network.grey is not None:
        yield Op("grey", GREY, (x,), network.grey[None, None, :, None], np.zeros(1))
        x = GREY
    if network.repeats > 1:
        yield Op("concat", "repeat", (x,) * network.repeats)
        x = "repeat"
    if network.normalization is not None:
        a = network.normalization
        yield Op("depthwise", "normalize", (x,), a.scale[None, None], a.shift)
        x = "normalize"
    if network.front is not None:
        yield from _front(network.front, x, size)
        x, size = "front/conv", _behind(network.front.conv, size)
    yield from _stem(network.stem, x, size)
    x = "stem/pool" if network.stem.pool else "stem/conv"
    for number, block in enumerate(network.blocks, start=1):
        yield from _block(block, x, number)
        x = f"transition{number}" if block.transition else _concat_name(block, x, number)
    yield from _head(network.head, x)


def _concat_name(block: Block, x: str, number: int) -> str:
    return f"block{number}/layer{len(block.layers)}/concat" if block.layers else x


def _front(front: Front, x: str, size: tuple[int, int]) -> Iterator[Op]:
    conv = front.conv
    padded, same = _padded("front", conv, front.border, x, size)
    yield from padded
    x = padded[-1].output if padded else x
    yield Op("conv", "front/conv", (x,), conv.kernel, conv.bias, stride=conv.stride, same=same, relu=front.relu)


def _behind(conv: Conv, size: tuple[int, int]) -> tuple[int, int]:
    height, width = (
        _extent(length + sum(sides), kernel, conv.stride, same=False)
        for length, sides, kernel in zip(size, conv.padding, conv.kernel.shape[:2], strict=True)
    )
    return height, width


def _padded(
    part: str, conv: Conv, border: Array | None, x: str, size: tuple[int, int], regrouped: bool = False
) -> tuple[list[Op], bool]:
    """What pads `x` for the convolution, and whether the convolution pads by itself. `regrouped`: pixels become
    channels behind the padding, so that it cannot."""
    if conv.padding == NO_PADDING:
        return [], False
    if border is not None and border.any():
        return list(_border(part, border, conv.padding, x, size)), False
    if not regrouped and _is_same(conv, size):
        return [], True
    return [Op("pad", f"{part}/pad", (x,), padding=conv.padding)], False


def _stem(stem: Stem, x: str, size: tuple[int, int]) -> Iterator[Op]:
    conv = stem.conv
    padded, same = _padded("stem", conv, stem.border, x, size, regrouped=stem.space_to_depth > 1)
    yield from padded
    x = padded[-1].output if padded else x
    if stem.space_to_depth > 1:
        yield Op("space_to_depth", "stem/space_to_depth", (x,), stride=stem.space_to_depth)
        x = "stem/space_to_depth"
    if stem.norm is None:
        yield Op("conv", "stem/conv", (x,), conv.kernel, conv.bias, stride=conv.stride, same=same, relu=True)
    else:
        yield Op("conv", "stem/linear", (x,), conv.kernel, conv.bias, stride=conv.stride, same=same)
        yield Op("depthwise", "stem/conv", ("stem/linear",), stem.norm.scale[None, None], stem.norm.shift, relu=True)
    if stem.pool:
        x = "stem/conv"
        if stem.pool.padding != NO_PADDING:
            yield Op("pad", "stem/pool_pad", (x,), padding=stem.pool.padding)
            x = "stem/pool_pad"
        window = (stem.pool.size, stem.pool.size)
        yield Op("max_pool", "stem/pool", (x,), size=window, strides=(stem.pool.stride, stem.pool.stride))


def _border(part: str, pixel: Array, padding: Padding, x: str, size: tuple[int, int]) -> Iterator[Op]:
    """A border of constant pixels by concatenation; PAD knows only zeros."""
    (top, bottom), (left, right) = padding
    height, width = size

    def strip(rows: int, columns: int) -> Array:
        return np.broadcast_to(pixel, (1, rows, columns, pixel.size)).astype(np.float64)

    for output, before, after, axis in (
        (f"{part}/rows", strip(top, width), strip(bottom, width), 1),
        (f"{part}/border", strip(top + height + bottom, left), strip(top + height + bottom, right), 2),
    ):
        for half, constant in (("before", before), ("after", after)):
            if constant.size:
                order = (CONSTANT, x) if half == "before" else (x, CONSTANT)
                last = half == "after" or not after.size
                name = output if last else f"{output}_{half}"
                yield Op("concat", name, order, constant=constant, axis=axis)
                x = name


def _is_same(conv: Conv, size: tuple[int, int]) -> bool:
    """Whether the explicit padding is what SAME means for this size (total shared, the odd one behind)."""
    for length, kernel, (before, after) in zip(size, conv.kernel.shape[:2], conv.padding, strict=True):
        total = max((-(-length // conv.stride) - 1) * conv.stride + kernel - length, 0)
        if (before, after) != (total // 2, total - total // 2):
            return False
    return True


def _norm_relu(norm: Affine, form: Form, x: str, output: str) -> Op:
    if form == "depthwise":
        return Op("depthwise", output, (x,), norm.scale[None, None], norm.shift, relu=True)
    return Op("maximum", output, (x,), constant=-norm.shift)


def _block(block: Block, x: str, number: int) -> Iterator[Op]:
    for position, layer in enumerate(block.layers, start=1):
        name = f"block{number}/layer{position}"
        yield _norm_relu(layer.norm1, layer.form, x, f"{name}/norm")
        relu = layer.norm2 is None
        bottleneck = f"{name}/bottleneck" if relu else f"{name}/linear"
        yield Op("conv", bottleneck, (f"{name}/norm",), layer.conv1.kernel, layer.conv1.bias, same=True, relu=relu)
        if layer.norm2 is not None:
            kernel, bias = layer.norm2.scale[None, None], layer.norm2.shift
            yield Op("depthwise", f"{name}/bottleneck", (bottleneck,), kernel, bias, relu=True)
        yield Op("conv", f"{name}/growth", (f"{name}/bottleneck",), layer.conv2.kernel, layer.conv2.bias, same=True)
        yield Op("concat", f"{name}/concat", (x, f"{name}/growth"))
        x = f"{name}/concat"
    if block.transition:
        t, name = block.transition, f"transition{number}"
        if t.pool_first:
            yield from _pool_first(t, x, name)
        else:
            yield _norm_relu(t.norm, t.form, x, f"{name}/norm")
            yield Op("conv", f"{name}/conv", (f"{name}/norm",), t.conv.kernel, t.conv.bias, same=True)
            yield Op("average_pool", name, (f"{name}/conv",), size=(2, 2), strides=(2, 2))


def _pool_first(t: Transition, x: str, name: str) -> Iterator[Op]:
    """The pooling is a depthwise convolution, so it can carry the norm's scale and shift behind a maximum."""
    scale, shift = np.ones_like(t.norm.scale), np.zeros_like(t.norm.shift)
    if t.form == "maximum":
        scale, shift = t.norm.scale, t.norm.shift
        threshold = np.where(scale > 0, -shift / np.where(scale > 0, scale, 1.0), 0.0)
        yield Op("maximum", f"{name}/norm", (x,), constant=threshold)
    else:
        yield _norm_relu(t.norm, t.form, x, f"{name}/norm")
    kernel = np.broadcast_to(0.25 * scale, (2, 2, scale.size))
    yield Op("depthwise", f"{name}/pool", (f"{name}/norm",), kernel, shift, stride=2)
    yield Op("conv", name, (f"{name}/pool",), t.conv.kernel, t.conv.bias, same=True)


def _head(head: Head, x: str) -> Iterator[Op]:
    if head.norm is not None:
        yield _norm_relu(head.norm, head.form, x, "head/norm")
        x = "head/norm"
    for number, step in enumerate(head.steps, start=1):
        name = f"head/{number}_{type(step).__name__.lower()}"
        if isinstance(step, Pool):
            yield Op("mean" if step.kind == "avg" else "reduce_max", name, (x,))
        elif isinstance(step, WindowPool):
            kind: Kind = "average_pool" if step.kind == "avg" else "max_pool"
            yield Op(kind, name, (x,), size=step.size, strides=step.stride)
        elif isinstance(step, Flatten):
            yield Op("reshape", name, (x,))
        elif isinstance(step, Dense):
            yield Op("dense", name, (x,), step.kernel, step.bias)
        elif isinstance(step, Activation):
            yield Op("activation", name, (x,), function=step)
        elif isinstance(step, FloatHead):
            yield Op("float_head", name, (x,), head=step)
        else:
            yield Op("depthwise", name, (x,), step.scale[None, None], step.shift)
        x = name


def _shape(op: Op, shapes: dict[str, tuple[int, ...]]) -> tuple[int, ...]:
    first = shapes[next(name for name in op.inputs if name != CONSTANT)]
    if op.kind in ("conv", "grey", "depthwise") and op.kernel is not None and len(first) == 3:
        window = (op.kernel.shape[0], op.kernel.shape[1])
        h, w = (_extent(n, k, op.stride, op.same) for n, k in zip(first, window, strict=False))
        return (h, w, op.kernel.shape[-1])
    if op.kind in ("max_pool", "average_pool"):
        h, w = ((n - k) // s + 1 for n, k, s in zip(first, op.size, op.strides, strict=False))
        return (h, w, first[2])
    if op.kind == "pad":
        (top, bottom), (left, right) = op.padding
        return (first[0] + top + bottom, first[1] + left + right, first[2])
    if op.kind == "concat":
        parts = [op.constant.shape[1:] if n == CONSTANT else shapes[n] for n in op.inputs]  # type: ignore[union-attr]
        return tuple(sum(p[i] for p in parts) if i == op.axis - 1 else parts[0][i] for i in range(3))
    if op.kind == "space_to_depth":
        return (first[0] // op.stride, first[1] // op.stride, first[2] * op.stride**2)
    if op.kind in ("mean", "reduce_max"):
        return (first[-1],)
    if op.kind == "reshape":
        return (int(np.prod(first)),)
    if op.kind == "dense" and op.kernel is not None:
        return (op.kernel.shape[1],)
    if op.kind == "float_head" and op.head is not None:
        return (op.head.outputs,)
    return first


def _extent(length: int, kernel: int, stride: int, same: bool) -> int:
    return -(-length // stride) if same else (length - kernel) // stride + 1
