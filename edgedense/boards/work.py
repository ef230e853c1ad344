"""What an operator makes a processor do, in pieces that each take the same number of instructions.

A kernel's instructions are a sum: so many for each tile, for each round of its inner loop, for each row that it
copies, and so on. `work` counts these pieces for an operator; how many instructions each takes is fitted
(`coefficients`). The tiles are those of XNNPACK: 24 output channels cost as much as 32 where 16 are computed at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import prod

from edgedense.boards.known import Processor, Tiles
from edgedense.boards.operators import Operator

LANES = 16  # int8 values, or channels of a depthwise tile, that a vector kernel takes at once
# Positions of a window that XNNPACK's depthwise kernels are written for (src/configs/dwconv-config.c there).
TAPS = {"int8": (3, 9, 25), "float32": (3, 4, 9, 25)}
Pieces = dict[str, float]


def work(operator: Operator, processor: Processor) -> tuple[str, Pieces] | None:
    """The kind of kernel that runs an operator, and how often each of its pieces; None for an operator without one."""
    rule = _RULES.get(operator.code)
    if rule is None:
        return None
    variant, pieces = rule(operator, processor)
    name = f"{operator.code} {operator.arithmetic}"
    return f"{name} {variant}".rstrip(), {"operator": 1.0, **pieces}


def parts(operators: Sequence[Operator]) -> int:
    """How many parts of the file XNNPACK gets: operators that it does not take cut a file into parts."""
    taken = [_is_taken(operator) for operator in operators]
    return sum(here and not before for before, here in zip([False, *taken], taken, strict=False))


def _is_taken(operator: Operator) -> bool:
    """Whether XNNPACK takes an operator from the runtime."""
    if operator.code in ("MAXIMUM", "MINIMUM", "AVERAGE_POOL_2D", "SOFTMAX"):
        return operator.arithmetic == "float32"
    return "uint8" not in operator.arithmetic


def _up(value: float, step: int) -> int:
    return -int(-value // step)


def _tiles(operator: Operator, processor: Processor) -> Tiles:
    return processor.float32 if operator.output.dtype == "float32" else processor.int8


def _convolution(operator: Operator, processor: Processor) -> tuple[str, Pieces]:
    """A matrix product of pixels and output channels. A window larger than one pixel, or a stride, is read through a
    table of pointers to pixels (an indirect convolution); a 1x1 window is not."""
    (_, height, width, outputs), channels = operator.output.shape, operator.source.shape[3]
    tiles, window = _tiles(operator, processor), prod(operator.kernel)
    variant = "1x1" if window == 1 and operator.stride == 1 else "window"
    if height * width == 1:
        variant += " of one pixel"
    elif height * width <= tiles.few:
        variant += " of few pixels"
        tiles = replace(tiles, rows=tiles.few)
    return variant, _product(height * width, channels, window, outputs, tiles, processor, operator.output.dtype)


def _dense(operator: Operator, processor: Processor) -> tuple[str, Pieces]:
    weights = operator.inputs[1]
    assert weights is not None
    (outputs, inputs), tiles, variant = weights.shape, _tiles(operator, processor), ""
    if operator.output.dtype == "float32" and outputs % tiles.columns:
        variant, tiles = "uneven", replace(tiles, columns=2)  # a kernel of two columns computes all of them then
    rows = operator.source.size // inputs
    return variant, _product(rows, inputs, 1, outputs, tiles, processor, operator.output.dtype)


def _product(
    rows: int, channels: int, window: int, outputs: int, tiles: Tiles, processor: Processor, dtype: str
) -> Pieces:
    vertical, horizontal = _up(rows, tiles.rows), _up(outputs, tiles.columns)
    each = vertical * horizontal
    rounds, left = divmod(channels, tiles.depth)
    size = 4 if dtype == "float32" else 1
    calls = vertical * _up(outputs, _columns_at_once(rows, channels * window * size, outputs, tiles, processor, size))
    return {
        "tile": each,
        "round": each * window * rounds,
        "rest": each * window * _up(left, tiles.rest),
        "position": each * window,
        "has round": each * window * (rounds > 0),
        "call": calls,
        "narrow tile": vertical * (outputs % tiles.columns > 0),
    }


def _columns_at_once(rows: int, depth: int, outputs: int, tiles: Tiles, processor: Processor, size: int) -> int:
    """Output channels that one call of a kernel computes: as many whole tiles as fit into the cache with their pixels
    (xnn_gemm_best_tile_size in src/microkernel-utils.c there). `depth` are the bytes of a pixel's inputs."""
    high = min(tiles.rows, rows)
    if high >= rows:
        return outputs

    def fits(columns: int, cache: int) -> bool:
        lines = _up(high * depth, 64) + _up(columns * depth, 64) + high * _up(columns * size, 64)
        return lines * 64 <= cache

    cache = processor.l1 if fits(tiles.columns, processor.l1) else processor.l2
    if not fits(tiles.columns, cache):
        return outputs
    most = _up(outputs, tiles.columns)
    return tiles.columns * max((n for n in range(1, most + 1) if fits(n * tiles.columns, cache)), default=1)


def _depthwise(operator: Operator, processor: Processor) -> tuple[str, Pieces]:
    _, height, width, channels = operator.output.shape
    pixels, window = height * width, prod(operator.kernel)
    known = TAPS.get(operator.output.dtype, ())
    taps = next((taps for taps in known if window <= taps), None)
    lanes, part = (4, 4) if operator.output.dtype == "float32" else (LANES, LANES // 2)
    whole, left = divmod(channels, lanes)
    return f"{taps or 'many'} taps", {
        "pixel": pixels,
        "tile": pixels * whole,
        "narrow tile": pixels * _up(left, part),  # the rest of the channels by halves
        "tap": pixels * window,
        **({} if taps else {"tile and tap": pixels * whole * window}),
    }


def _pool(operator: Operator, processor: Processor) -> tuple[str, Pieces]:
    _, height, width, channels = operator.output.shape
    pixels, window = height * width, prod(operator.kernel)
    whole, left = divmod(channels, LANES)
    return "", {
        "pixel": pixels,
        "pixel and tap": pixels * window,
        "tile": pixels * whole,
        "tile and tap": pixels * whole * window,
        "narrow tile": pixels * (left > 0),
        "narrow tile and tap": pixels * (left > 0) * window,
    }


def _two(operator: Operator, processor: Processor) -> tuple[str, Pieces]:
    """Of two computed tensors of one shape, or of a tensor and one stored value a channel. On a map of one pixel these
    have as many values as the tensor, and only that they are stored tells them apart."""
    size, channels = operator.output.size, operator.output.shape[-1]
    given = [tensor for tensor in operator.inputs if tensor is not None]
    if all(tensor.size == size and not tensor.is_constant for tensor in given):
        return "", {"vector": size / LANES}
    pixels = size // channels
    return "by channel", {
        "pixel": pixels,
        "vector": pixels * (channels // LANES),
        "rest": pixels * (channels % LANES),
        "has rest": pixels * (channels % LANES > 0),
    }


def _copies(operator: Operator, processor: Processor) -> tuple[str, Pieces]:
    """A concatenation: of each input, all that lies together is copied at once."""
    outer = prod(operator.output.shape[: operator.axis])
    given = [tensor for tensor in operator.inputs if tensor is not None]
    return "", {"input": len(given), "copy": outer * len(given), "vector": operator.output.bytes / LANES}


def _padding(operator: Operator, processor: Processor) -> tuple[str, Pieces]:
    output = operator.output
    return "", {
        "row": prod(output.shape[:-2]),
        "pixel": output.size // output.shape[-1],
        "vector": output.bytes / LANES,
    }


def _mean(operator: Operator, processor: Processor) -> tuple[str, Pieces]:
    channels = operator.output.shape[-1]
    rows = operator.source.size // channels
    return "", {"row": rows, "vector": _up(channels, LANES), "vector of a row": rows * _up(channels, LANES)}


def _blocks(operator: Operator, processor: Processor) -> tuple[str, Pieces]:
    _, height, width, _ = operator.output.shape
    return "", {"row": 2 * height, "block": height * width, "value": operator.output.size}


def _values(operator: Operator, processor: Processor) -> tuple[str, Pieces]:
    return "", {"value": operator.output.size}


def _nothing(operator: Operator, processor: Processor) -> tuple[str, Pieces]:
    return "", {"vector": operator.output.bytes / LANES}


_RULES: Mapping[str, Callable[[Operator, Processor], tuple[str, Pieces]]] = {
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _depthwise,
    "FULLY_CONNECTED": _dense,
    "MAX_POOL_2D": _pool,
    "AVERAGE_POOL_2D": _pool,
    "ADD": _two,
    "MUL": _two,
    "MAXIMUM": _two,
    "MINIMUM": _two,
    "CONCATENATION": _copies,
    "PAD": _padding,
    "MEAN": _mean,
    "SPACE_TO_DEPTH": _blocks,
    "QUANTIZE": _values,
    "DEQUANTIZE": _values,
    "SOFTMAX": _values,
    "LOGISTIC": _values,
    "RESHAPE": _nothing,
}
