"""The state in which the operators of an ONNX graph become layers: which value is which layer, in which layout."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgedense.converters.readers.onnx.files import HINT
from edgedense.converters.readers.onnx.graph import Constant, Graph, Node, Shape
from edgedense.converters.readers.structure.layers import Layer, Ref
from edgedense.errors import EdgedenseError

# What settings that a damaged file holds lead to: ONNX' own checks let strides of three numbers pass, and others.
MALFORMED = (IndexError, KeyError, OverflowError, TypeError, ValueError, ZeroDivisionError)

# Which axis of [batch, height, width, channels] stands where; None is an axis of length 1 that stands for none.
Axes = tuple[int | None, ...]
CHANNELS_FIRST: Axes = (0, 3, 1, 2)
CHANNELS_LAST: Axes = (0, 1, 2, 3)
POOLED: Axes = (0, 1, None, None)  # a vector per picture that still has height and width


@dataclass(frozen=True)
class Place:
    """A value of the graph: the layer that makes it, and the axes that it has of the layer's output."""

    layer: int
    axes: Axes


@dataclass(frozen=True)
class Listed:
    """The layers, the input first; `values` says of each what the graph calls its output, `places` where each is."""

    layers: tuple[Layer, ...]
    values: tuple[str, ...]
    places: Mapping[str, Place]


class Walk:
    """Lists one layer after the other. What functions for single operators (`Word`) build on."""

    def __init__(self, graph: Graph, axes: Axes) -> None:
        self.graph = graph
        self.layers: list[Layer] = []
        self.values: list[str] = []
        self.places: dict[str, Place] = {}
        self.counted: set[str] = set()
        self.reads: dict[str, int] = {}
        for node in graph.nodes:
            for name in node.inputs:
                self.reads[name] = self.reads.get(name, 0) + 1
        shape = self._logical(graph.shapes[graph.image], axes)
        self._append("InputLayer", graph.image, graph.image, (), shape, axes)

    def all(self, words: Mapping[str, Word]) -> Listed:
        """The layers of all nodes: a node that has no word among `words`, or that is not understood, is one by its
        operator's name.
        """
        for node in self.graph.nodes:
            add = words.get(node.op)
            try:
                understood = add is not None and add(self, node)
            except MALFORMED as error:
                found = f"{node}: {type(error).__name__}: {error}"
                raise EdgedenseError("operators with settings that fit what they read", found, HINT) from error
            if not understood:
                self._unknown(node)
        return Listed(tuple(self.layers), tuple(self.values), self.places)

    def constant(self, node: Node, number: int) -> Constant | None:
        """Input `number` of a node, where it is a constant."""
        return self.graph.constants.get(node.inputs[number]) if len(node.inputs) > number else None

    def setting(self, node: Node, name: str, number: int, otherwise: Any = None) -> Any:
        """What older operators have as attribute `name`, and newer ones as input `number`; None if not constant."""
        if name in node.attributes:
            return node.attributes[name]
        if len(node.inputs) > number and node.inputs[number]:
            value = self.constant(node, number)
            return None if value is None else value.tolist()
        return otherwise

    def place(self, node: Node, number: int = 0) -> Place | None:
        return self.places.get(node.inputs[number]) if len(node.inputs) > number else None

    def shape(self, place: Place) -> tuple[int, ...]:
        """The shape of what a layer makes, without the batch."""
        return tuple(size or 0 for size in self.layers[place.layer].shape[1:])

    def physical(self, node: Node) -> Shape:
        """The shape of a node's output as ONNX has it."""
        return self.graph.shapes[node.outputs[0]]

    def add(
        self,
        node: Node,
        kind: str,
        axes: Axes,
        options: Mapping[str, Any] | None = None,
        weights: Sequence[Constant] = (),
        inputs: Sequence[int] | None = None,
    ) -> bool:
        """Appends a layer whose output is the node's. Says that the node is understood."""
        reads = tuple(inputs) if inputs is not None else (self.places[node.inputs[0]].layer,)
        shape = self._logical(self.physical(node), axes)
        parameters = self.count(node) if weights else 0
        self._append(kind, node.outputs[0], node.name, reads, shape, axes, options, tuple(weights), parameters)
        return True

    def count(self, node: Node) -> int:
        """How many numbers a node's constants are that no node before it had; single numbers are settings."""
        constants = {name: self.graph.constants[name] for name in node.inputs if name in self.graph.constants}
        fresh = [value.size for name, value in constants.items() if name not in self.counted and value.size > 1]
        self.counted.update(constants)
        return sum(fresh)

    def same(self, node: Node, axes: Axes) -> bool:
        """The node's output is what it reads, with other axes."""
        place = self.place(node)
        if place is None:
            return False
        self.places[node.outputs[0]] = Place(place.layer, axes)
        return True

    def absorb(self, node: Node, place: Place, layer: Layer) -> bool:
        """The node's output is that of the layer at `place`, which is changed to `layer`."""
        self.layers[layer.index] = layer
        self.places[node.outputs[0]] = Place(layer.index, place.axes)
        self.values[layer.index] = node.outputs[0]
        return True

    def single(self, name: str) -> bool:
        """Whether one node reads a value, and the model does not end in it."""
        return self.reads.get(name, 0) == 1 and name != self.graph.output

    def _logical(self, shape: Shape, axes: Axes) -> tuple[int | None, ...]:
        sizes = {axis: size for axis, size in zip(axes, shape, strict=True) if axis is not None}
        return (None, *(sizes[axis] for axis in sorted(sizes) if axis))

    def _unknown(self, node: Node) -> None:
        """A layer by the operator's name, in the graph's own layout; its constants are its weights."""
        constants = [self.graph.constants[name] for name in node.inputs if name in self.graph.constants]
        inputs = tuple(self.places[name].layer for name in node.inputs if name in self.places)
        weights = tuple(value for value in constants if value.dtype.kind == "f")
        parameters = self.count(node)
        for name in (name for name in node.outputs if name in self.graph.shapes):
            shape = self.graph.shapes[name]
            axes: Axes = tuple(range(len(shape)))
            self._append(node.op, name, node.name, inputs, (None, *shape[1:]), axes, {}, weights, parameters)
            parameters = 0

    def _append(
        self,
        kind: str,
        value: str,
        name: str,
        inputs: tuple[int, ...],
        shape: tuple[int | None, ...],
        axes: Axes,
        options: Mapping[str, Any] | None = None,
        weights: tuple[Constant, ...] = (),
        parameters: int = 0,
    ) -> None:
        index, operands = len(self.layers), tuple(map(Ref, inputs))
        self.layers.append(Layer(index, name, kind, operands, inputs, dict(options or {}), weights, shape, parameters))
        self.values.append(value)
        self.places[value] = Place(index, axes)


# Adds the layer of a node and says True, or says False where the node does something that there is no word for.
Word = Callable[[Walk, Node], bool]
