"""What a DenseNet costs, part by part: output shapes, parameters as Keras counts them, multiplications."""

from __future__ import annotations

from dataclasses import dataclass

from edgedense.converters.network.graph import (
    Activation,
    Block,
    Conv,
    Dense,
    DenseNet,
    Flatten,
    FloatHead,
    HeadStep,
    Pool,
    WindowPool,
)
from edgedense.converters.network.stock import converted
from edgedense.converters.readers.source import Source
from edgedense.converters.readers.structure.weights import Size, reduced
from edgedense.images.steps import described

Shape = tuple[int, ...]
SHOWN_KINDS = 6  # of layers that stay float


@dataclass(frozen=True)
class Row:
    """One part of the network.

    `shape` is the output's, without the batch. `macs` are the multiply-accumulates of convolutions and Dense
    layers for one image, output positions times kernel size; norms, activations and pooling are not counted.
    """

    name: str
    content: str
    shape: Shape
    parameters: int
    macs: int


@dataclass(frozen=True)
class Summary:
    """What a trained model is made of: a row for each part of the network, in order."""

    name: str
    rows: tuple[Row, ...]

    @property
    def parameters(self) -> int:
        """The weights of all parts, as Keras' `count_params` counts them."""
        return sum(row.parameters for row in self.rows)

    @property
    def macs(self) -> int:
        """The multiply-accumulates of all parts, for one image."""
        return sum(row.macs for row in self.rows)


def summarize(source: Source) -> Summary:
    """The table of a model that was read; its total is Keras' `model.count_params()`."""
    network = source.network
    size, rows = _stem(network, _images(source))
    for number, block in enumerate(network.blocks, 1):
        size, new = _block(block, number, size)
        rows += new
    rows += _head(network, size)
    counted = [Row(r.name, r.content, r.shape, source.parameters.get(r.name, 0), r.macs) for r in rows]
    return Summary(source.name, tuple(counted))


def _images(source: Source) -> str:
    """What the model takes, and what it does itself before the first convolution."""
    words = ["images"]
    if source.steps:
        words = [f"images of {source.size[0]}x{source.size[1]}", described(source.steps)]
    return ", ".join([*words, "normalized inside"] if source.normalized else words)


def _stem(network: DenseNet, images: str) -> tuple[Size, list[Row]]:
    size, macs = (network.height, network.width), 0
    picture = (*size, network.channels)
    if network.grey is not None:
        images += ", made grey"
    if network.front is not None:
        size, macs = _convolved(network.front.conv, size)
        images += f", {_window(network.front.conv)} convolution to {network.front.conv.bias.size} channels"
    image = _row("input", images, picture, macs)
    conv, pool = network.stem.conv, network.stem.pool
    size, macs = _convolved(conv, size)
    content = f"{_window(conv)} convolution, stride {conv.stride}"
    if pool:
        size = reduced(size, (pool.size, pool.size), (pool.stride, pool.stride), pool.padding)
        content += f"; {pool.size}x{pool.size} max pooling, stride {pool.stride}"
    return size, [image, _row("stem", content, (*size, conv.bias.size), macs)]


def _block(block: Block, number: int, size: Size) -> tuple[Size, list[Row]]:
    macs = sum(_convolved(conv, size)[1] for layer in block.layers for conv in (layer.conv1, layer.conv2))
    entering = block.layers[0].conv1.kernel.shape[2]
    growth = [layer.conv2.bias.size for layer in block.layers]
    grown = f"{growth[0]}" if len(set(growth)) == 1 else f"{min(growth)} to {max(growth)}"
    content = f"{len(growth)} dense layers, {entering} channels + {grown} each"
    rows = [_row(f"block{number}", content, (*size, entering + sum(growth)), macs)]
    if block.transition:
        _, macs = _convolved(block.transition.conv, size)
        size = reduced(size, (2, 2), (2, 2), ((0, 0), (0, 0)))
        shape = (*size, block.transition.conv.bias.size)
        rows.append(_row(f"transition{number}", "1x1 convolution; 2x2 average pooling", shape, macs))
    return size, rows


def _head(network: DenseNet, size: Size) -> list[Row]:
    """A row for norm and pooling, and one for each Dense with what follows it, or one for layers that stay float."""
    channels = network.blocks[-1].layers[-1]
    shape: Shape = (*size, channels.conv1.kernel.shape[2] + channels.conv2.bias.size)
    names, contents, macs, rows = "head", ["norm, ReLU"] if network.head.norm else [], 0, []
    dense = 0
    for step in network.head.steps:
        if isinstance(step, FloatHead):
            rows += [_row(names, ", ".join(contents), shape, macs)] if contents else []
            names, contents, macs = "float head", [], converted(step).macs
        if isinstance(step, Dense):
            rows.append(_row(names, ", ".join(contents), shape, macs))
            dense, macs = dense + 1, step.kernel.size
            names, contents = f"dense{dense}", []
        shape = _shape(step, shape)
        contents.append(_called(step))
    return [*rows, _row(names, ", ".join(contents), shape, macs)]


def _shape(step: HeadStep, shape: Shape) -> Shape:
    if isinstance(step, Dense):
        return (step.bias.size,)
    if isinstance(step, FloatHead):
        return (step.outputs,)
    if isinstance(step, Pool):
        return shape[2:]
    if isinstance(step, Flatten):
        return (shape[0] * shape[1] * shape[2],)
    if isinstance(step, WindowPool):
        return (*reduced((shape[0], shape[1]), step.size, step.stride, ((0, 0), (0, 0))), shape[2])
    return shape


def _called(step: HeadStep) -> str:
    if isinstance(step, Dense):
        return f"Dense {step.bias.size}"
    if isinstance(step, Pool):
        return {"avg": "global average pooling", "max": "global max pooling"}[step.kind]
    if isinstance(step, WindowPool):
        return f"{step.size[0]}x{step.size[1]} {'average' if step.kind == 'avg' else 'max'} pooling"
    if isinstance(step, Activation):
        return step.kind
    if isinstance(step, FloatHead):
        return f"in float32, {converted(step).weight_bytes / 1e3:,.0f} kB: {', '.join(_kinds(step))}"
    return "flatten" if isinstance(step, Flatten) else "norm"


def _kinds(head: FloatHead) -> list[str]:
    """The kinds of Keras layers in a head that stays float, each once, and no more than a line holds."""
    kinds = list(dict.fromkeys(layer.split(" (")[-1].rstrip(")") for layer in head.layers))
    return kinds if len(kinds) <= SHOWN_KINDS else [*kinds[:SHOWN_KINDS], f"{len(kinds) - SHOWN_KINDS} more kinds"]


def _window(conv: Conv) -> str:
    return f"{conv.kernel.shape[0]}x{conv.kernel.shape[1]}"


def _convolved(conv: Conv, size: Size) -> tuple[Size, int]:
    """The output's size, and the multiply-accumulates of one image."""
    size = reduced(size, conv.kernel.shape[:2], (conv.stride, conv.stride), conv.padding)
    return size, size[0] * size[1] * conv.kernel.size


def _row(name: str, content: str, shape: Shape, macs: int = 0) -> Row:
    return Row(name, content, shape, 0, int(macs))
