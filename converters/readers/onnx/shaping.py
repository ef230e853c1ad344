"""Operators that put values into another shape or order, as layers or as nothing but another layout."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgedense.converters.readers.onnx.graph import Node
from edgedense.converters.readers.onnx.walk import CHANNELS_FIRST, CHANNELS_LAST, Place, Walk, Word


def _flatten(walk: Walk, node: Node) -> bool:
    place = walk.place(node)
    if place is None or int(node.attributes.get("axis", 1)) not in (1, 1 - len(place.axes)):
        return False
    return _flattened(walk, node, place)


def _flattened(walk: Walk, node: Node, place: Place) -> bool:
    """[batch, numbers] of a map or a vector, in the order in which the graph has them."""
    rank = len(walk.layers[place.layer].shape)
    order = tuple(axis for axis in place.axes if axis is not None)
    if rank == 2 and order == (0, 1):
        return walk.same(node, (0, 1))
    if order == CHANNELS_FIRST:
        return walk.add(node, "Flatten", (0, 1), {"channels": "first"})
    return order == CHANNELS_LAST and walk.add(node, "Flatten", (0, 1))


def _reshape(walk: Walk, node: Node) -> bool:
    place = walk.place(node)
    if place is None or place.axes[0] != 0:
        return False
    before, after = walk.graph.shapes[node.inputs[0]], walk.physical(node)
    if before == after:
        return walk.same(node, place.axes)
    if not after or after[0] != before[0]:
        return False
    if len(after) == 2:
        return _flattened(walk, node, place)
    vector = [axis for axis in place.axes if axis is not None] == [0, 1]
    channels = [i for i, size in enumerate(after) if i and size == before[place.axes.index(1)]] if vector else []
    if not channels or np.prod(after[1:]) != after[channels[0]]:
        return False
    return walk.same(node, tuple(0 if i == 0 else 1 if i == channels[0] else None for i in range(len(after))))


def _squeeze(walk: Walk, node: Node) -> bool:
    place = walk.place(node)
    if place is None:
        return False
    shape = walk.graph.shapes[node.inputs[0]]
    given = walk.setting(node, "axes", 1, [i for i, size in enumerate(shape) if size == 1])
    gone = {range(len(shape))[axis] for axis in given or ()}
    if all(place.axes[i] is None for i in gone):
        return walk.same(node, tuple(axis for i, axis in enumerate(place.axes) if i not in gone))
    if {place.axes[i] for i in gone} != {1, 2} or len(place.axes) != 4 or place.axes[0] != 0:
        return False
    return _flattened(walk, node, place)


def _unsqueeze(walk: Walk, node: Node) -> bool:
    place, given = walk.place(node), walk.setting(node, "axes", 1)
    if place is None or given is None:
        return False
    rank = len(place.axes) + len(given)
    new, left = {range(rank)[axis] for axis in given}, iter(place.axes)
    return walk.same(node, tuple(None if i in new else next(left) for i in range(rank)))


def _transpose(walk: Walk, node: Node) -> bool:
    place = walk.place(node)
    if place is None:
        return False
    order = node.attributes.get("perm") or range(len(place.axes))[::-1]
    return walk.same(node, tuple(place.axes[i] for i in order))


def _concat(walk: Walk, node: Node) -> bool:
    places = [walk.places.get(name) for name in node.inputs]
    axes = {place.axes if place else None for place in places}
    if len(axes) != 1 or None in axes:
        return False
    (own,) = axes
    assert own is not None
    axis = own[node.attributes["axis"]]
    if axis is None:
        return False
    layers = [place.layer for place in places if place]
    rank = len(walk.layers[layers[0]].shape)
    return walk.add(node, "Concatenate", own, {"axis": -1 if axis == rank - 1 else axis}, inputs=layers)


def _pad(walk: Walk, node: Node) -> bool:
    place, pads = walk.place(node), walk.setting(node, "pads", 1)
    value = walk.setting(node, "value", 2, 0.0)
    if place is None or pads is None or value != 0 or node.attributes.get("mode", "constant") != "constant":
        return False
    rank, over = len(place.axes), walk.setting(node, "axes", 3, list(range(len(pads) // 2)))
    borders = {}
    for number, axis in enumerate(over or ()):
        borders[place.axes[range(rank)[axis]]] = (int(pads[number]), int(pads[number + len(over)]))
    if min(pads) < 0 or any(border != (0, 0) for axis, border in borders.items() if axis not in (1, 2)):
        return False
    padding = borders.get(1, (0, 0)), borders.get(2, (0, 0))
    return walk.add(node, "ZeroPadding2D", place.axes, {"padding": padding})


def _slice(walk: Walk, node: Node) -> bool:
    """A cut through channels, height or width."""
    place = walk.place(node)
    starts, ends = walk.setting(node, "starts", 1), walk.setting(node, "ends", 2)
    if place is None or starts is None or ends is None or None in place.axes:
        return False
    shape = walk.graph.shapes[node.inputs[0]]
    over = walk.setting(node, "axes", 3, list(range(len(starts))))
    steps = walk.setting(node, "steps", 4, [1] * len(starts))
    parts = [slice(None)] * len(shape)
    for start, end, axis, step in zip(starts, ends, over, steps, strict=True):
        first, last, step = slice(start, end, step).indices(shape[axis])
        whole = (first, last, step) == (0, shape[axis], 1)
        logical = place.axes[axis]
        assert logical is not None
        parts[logical] = slice(None) if whole else slice(first, None if last < 0 else last, step)
    return walk.add(node, "GetItem", place.axes, {"slice_spec": tuple(parts)})


def _gather(walk: Walk, node: Node) -> bool:
    """Channels in another order."""
    place, indices = walk.place(node), walk.constant(node, 1)
    if place is None or indices is None or indices.ndim != 1:
        return False
    if place.axes[node.attributes.get("axis", 0)] != len(walk.layers[place.layer].shape) - 1:
        return False
    count = walk.shape(place)[-1]
    return walk.add(node, "Take", place.axes, {"indices": indices % count, "axis": -1})


def _split(walk: Walk, node: Node) -> bool:
    """Runs of channels."""
    place = walk.place(node)
    axis = node.attributes.get("axis", 0)
    if place is None or place.axes[axis] != len(walk.layers[place.layer].shape) - 1:
        return False
    start = 0
    for name in node.outputs:
        count = walk.graph.shapes[name][axis]
        options = {"indices": np.arange(start, start + count), "axis": -1}
        walk.add(replace(node, outputs=(name,)), "Take", place.axes, options)
        start += count
    return True


def _repeated(walk: Walk, node: Node) -> bool:
    """One channel repeated."""
    place = walk.place(node)
    before, after = walk.graph.shapes[node.inputs[0]], walk.physical(node)
    if place is None or len(before) != len(after):
        return False
    if before == after:
        return walk.same(node, place.axes)
    channel = place.axes.index(len(walk.layers[place.layer].shape) - 1)
    if before[channel] != 1 or any(a != b for i, (a, b) in enumerate(zip(before, after, strict=True)) if i != channel):
        return False
    return walk.add(node, "Concatenate", place.axes, {"axis": -1}, inputs=[place.layer] * after[channel])


SHAPING: dict[str, Word] = {
    "Concat": _concat,
    "Expand": _repeated,
    "Flatten": _flatten,
    "Gather": _gather,
    "Pad": _pad,
    "Reshape": _reshape,
    "Slice": _slice,
    "Split": _split,
    "Squeeze": _squeeze,
    "Tile": _repeated,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
