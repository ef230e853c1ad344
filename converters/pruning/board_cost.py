"""What a dense block costs on a board that is not here: the estimated time of its operators."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import count

from edgedense.boards.estimate import instructions
from edgedense.boards.known import Known, Processor, known
from edgedense.boards.misses import LINE
from edgedense.boards.operators import Operator, Tensor
from edgedense.converters.pruning.cost import BlockShape, Cost, Widths

PIXELS, CHANNELS = 64, 64  # of the convolution on which the outputs that are computed at once are found


@cache
def board_cost(board: str) -> Cost:
    """Nanoseconds on `board`, in the form in which norms are fastest there: a MAXIMUM.

    The outputs that its kernels compute at once are those up to which a convolution takes no more instructions: 16 on a
    Cortex-A76 and a Cortex-A53, 8 on a Cortex-A72. Raises EdgedenseError for a board without an estimate.
    """
    about = known(board)

    @cache  # a cut changes one layer, and how many channels those behind it read
    def dense_layer(positions: int, channels: int, bottleneck: int, growth: int) -> float:
        return _nanoseconds(_dense_layer(positions, channels, bottleneck, growth), about)

    @cache
    def behind(shape: BlockShape, channels: int) -> float:
        return _nanoseconds(_transition(shape, channels) if shape.transition else _head(shape, channels), about)

    def of_block(shape: BlockShape, widths: Widths) -> float:
        total, channels = 0.0, shape.entering
        for bottleneck, growth in widths:
            if growth:
                total += dense_layer(shape.positions, channels, bottleneck, growth)
                channels += growth
        return total + behind(shape, channels)

    return Cost(of_block, _tile(about.processor))


def _nanoseconds(operators: Sequence[Operator], board: Known) -> float:
    """As `estimate` has them for a whole file, but for one thing: which data are still in the second-level cache
    depends on all of the file. Here weights never are, because those of a DenseNet do not fit in, and a map is where it
    fits in alone."""
    processor = board.processor
    total = instructions(operators, processor) - instructions((), processor)
    tensors = [tensor for operator in operators for tensor in (*operator.inputs, *operator.outputs) if tensor]
    fetched = sum(tensor.bytes for tensor in tensors if tensor.is_constant or tensor.bytes > processor.l2)
    return total / processor.per_cycle / board.clock + fetched / LINE * processor.miss


def _tile(processor: Processor) -> int:
    """The number of outputs that one more makes dearer for the first time."""

    def taken(outputs: int) -> float:
        return instructions([_convolution(PIXELS, CHANNELS, outputs)], processor)

    return next(outputs for outputs in count(1) if taken(outputs + 1) > taken(outputs))


def _dense_layer(positions: int, channels: int, bottleneck: int, growth: int) -> tuple[Operator, ...]:
    joined = _map(positions, channels), _map(positions, growth)
    return (
        _maximum(positions, channels),
        _convolution(positions, channels, bottleneck),
        _convolution(positions, bottleneck, growth, 3),
        Operator("CONCATENATION", joined, (_map(positions, channels + growth),), axis=3),
    )


def _transition(shape: BlockShape, channels: int) -> tuple[Operator, ...]:
    """It pools before it convolves."""
    return (
        _maximum(shape.positions, channels),
        _depthwise(shape.positions, shape.pooled, channels, 2),
        _convolution(shape.pooled, channels, shape.transition),
    )


def _head(shape: BlockShape, channels: int) -> tuple[Operator, ...]:
    """What the usual head has of each channel: its norm, and the mean over all positions."""
    mean = Operator("MEAN", (_map(shape.positions, channels),), (_tensor(1, channels),))
    return _depthwise(shape.positions, shape.positions, channels, 1), mean


def _convolution(positions: int, channels: int, outputs: int, window: int = 1) -> Operator:
    weights = _tensor(outputs, window, window, channels, is_constant=True)
    return Operator(
        "CONV_2D", (_map(positions, channels), weights), (_map(positions, outputs),), kernel=(window, window)
    )


def _depthwise(positions: int, given: int, channels: int, window: int) -> Operator:
    weights = _tensor(1, window, window, channels, is_constant=True)
    return Operator(
        "DEPTHWISE_CONV_2D",
        (_map(positions, channels), weights),
        (_map(given, channels),),
        kernel=(window, window),
        stride=window,
    )


def _maximum(positions: int, channels: int) -> Operator:
    limits = _tensor(channels, is_constant=True)
    return Operator("MAXIMUM", (_map(positions, channels), limits), (_map(positions, channels),))


def _map(positions: int, channels: int) -> Tensor:
    """How positions lie to each other makes no difference to the instructions."""
    return _tensor(1, positions, 1, channels)


def _tensor(*shape: int, is_constant: bool = False) -> Tensor:
    return Tensor(0, shape, "int8", is_constant)
