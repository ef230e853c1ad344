"""What a DenseNet costs as a function of how many channels each dense layer has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edgedense.converters.network.graph import DenseNet
from edgedense.converters.network.program import lower
from edgedense.converters.network.stock import converted
from edgedense.converters.passes.pool_first import pool_first

# In multiply-accumulates of a convolution, what else takes time in XNNPACK's int8 kernels: to requantize and store one
# output, and to read, compare and copy one channel of a concatenation. Fitted to the times of ten networks on x86-64
# with VNNI they are 226 and 133. A higher price of channels takes whole dense layers where it would else leave many
# thin ones: with 400 half of a DenseNet121's multiplications cost less accuracy, and save more time, than with 133.
OUTPUT_COST = 226.0
CHANNEL_COST = 400.0
TILE = 16  # outputs that the kernels compute at once: 24 channels take as long as 32
Widths = list[tuple[int, int]]  # (bottleneck, growth) of each dense layer of a block; no growth: the layer is gone


@dataclass(frozen=True)
class BlockShape:
    """A dense block as cost sees it: positions of its map, channels that enter, and positions and channels of the
    transition's output (0: none)."""

    positions: int
    entering: int
    pooled: int
    transition: int


@dataclass(frozen=True)
class Cost:
    """What cuts are judged by: `of_block` is what a dense block and its transition cost, in any unit, and `tile` how
    many outputs of a convolution are computed at once."""

    of_block: Callable[[BlockShape, Widths], float]
    tile: int


def macs(network: DenseNet) -> int:
    """Multiply-accumulates of one inference as it is deployed, transitions pooling first: output positions times
    kernel size, of convolutions and Dense layers, and what a head that stays float has of them."""
    program, total = lower(pool_first(network)), 0
    for op in program.ops:
        if op.kind == "conv" and op.kernel is not None:
            height, width = program.shapes[op.output][:2]
            total += height * width * op.kernel.size
        elif op.kind == "dense" and op.kernel is not None:
            total += op.kernel.size
        elif op.head is not None:
            total += converted(op.head).macs
    return total


def weights(network: DenseNet) -> int:
    """Bytes of the weights of convolutions, depthwise convolutions and Dense layers in int8, and of what a head that
    stays float holds in float32."""
    ops = lower(network).ops
    floats = sum(converted(op.head).weight_bytes for op in ops if op.head is not None)
    return floats + sum(op.kernel.size for op in ops if op.kernel is not None)


def block_shapes(network: DenseNet) -> tuple[BlockShape, ...]:
    shapes, found, entering = lower(network).shapes, [], network.stem.conv.bias.size
    for number, block in enumerate(network.blocks, start=1):
        height, width = shapes[f"block{number}/layer1/norm"][:2]
        given = block.transition.conv.bias.size if block.transition else 0
        found.append(BlockShape(height * width, entering, (height // 2) * (width // 2), given))
        entering = given
    return tuple(found)


def block_macs(shape: BlockShape, widths: Widths) -> int:
    """Multiply-accumulates of a dense block and its transition."""
    total, channels = 0, shape.entering
    for bottleneck, growth in widths:
        if growth:
            total += shape.positions * bottleneck * (channels + 9 * growth)
            channels += growth
    return total + shape.pooled * channels * shape.transition


def block_cost(shape: BlockShape, widths: Widths) -> float:
    """The same with what else takes time on x86-64, in multiply-accumulates."""
    total, channels = 0.0, shape.entering
    for bottleneck, growth in widths:
        if growth:
            outputs = bottleneck * (channels + OUTPUT_COST) + growth * (9 * bottleneck + OUTPUT_COST)
            total += shape.positions * (outputs + CHANNEL_COST * channels)
            channels += growth
    transition = shape.pooled * shape.transition * (channels + OUTPUT_COST)
    return total + shape.positions * CHANNEL_COST * channels + transition


X86 = Cost(block_cost, TILE)
