"""The layers of a Keras model as a flat list: nested models opened, Keras 3 and Keras 2 (tf_keras) alike.

What does nothing at inference (dropout, augmentation, linear activations, inputs of nested models) is left
out; whoever reads such a layer reads what the layer reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from edgedense.converters.readers.structure.layers import AUGMENTATIONS, Layer, Ref
from edgedense.errors import EdgedenseError

HINT = "export the trained model with model.save('NAME.keras') as a Functional or Sequential model"

REGULARIZERS = frozenset(
    ["ActivityRegularization", "AlphaDropout", "Dropout", "GaussianDropout", "GaussianNoise", "SpatialDropout2D"]
)
_IDENTITIES = AUGMENTATIONS | REGULARIZERS | {"Identity"}

# TensorFlow functions that Keras 2 wraps as layers, by the Keras 3 operation that does the same.
_TF_FUNCTIONS = {
    "__operators__.add": "Add",
    "__operators__.getitem": "GetItem",
    "cast": "Cast",
    "compat.v1.cast": "Cast",
    "compat.v1.gather": "Take",
    "concat": "Concatenate",
    "gather": "Take",
    "identity": "Identity",
    "image.grayscale_to_rgb": "GrayscaleToRgb",
    "math.add": "Add",
    "math.divide": "TrueDivide",
    "math.multiply": "Multiply",
    "math.negative": "Negative",
    "math.sigmoid": "Sigmoid",
    "math.subtract": "Subtract",
    "math.tanh": "Tanh",
    "math.truediv": "TrueDivide",
    "nn.bias_add": "Add",
    "nn.elu": "Elu",
    "nn.relu": "Relu",
    "nn.relu6": "Relu6",
    "nn.sigmoid": "Sigmoid",
    "nn.silu": "Silu",
    "nn.softmax": "Softmax",
    "nn.swish": "Silu",
    "nn.tanh": "Tanh",
    "repeat": "Repeat",
    "reverse": "Flip",
    "stack": "Stack",
    "tile": "Tile",
}


def flatten(model: Any) -> tuple[Layer, ...]:
    """The layers of a Keras model with one input and one output, in calling order; the last one makes the
    output.

    `model` is a `keras.Model` or a `tf_keras.Model`. EdgedenseError when it has no layer graph (a subclassed
    model), or several inputs or outputs.
    """
    inputs, outputs = getattr(model, "inputs", None), getattr(model, "outputs", None)
    if not inputs or not outputs:
        raise EdgedenseError(
            "a Functional or Sequential Keras model", f"{type(model).__name__}, which has no layer graph", HINT
        )
    for what, tensors in (("input", inputs), ("output", outputs)):
        if len(tensors) != 1:
            names = ", ".join(_producer(tensor).name for tensor in tensors)
            raise EdgedenseError(
                f"a model with one {what}",
                f"{len(tensors)} {what}s ({names})",
                "--output NAME" if what == "output" else "keep the one input that is the picture",
            )
    walk = _Walk()
    last = walk.resolve(outputs[0])
    layers = tuple(walk.layers)
    if last != len(layers) - 1:
        raise EdgedenseError(
            "a model that ends in its last layer", f"an output taken from {layers[last]}", "rebuild the model"
        )
    return layers


_Key = tuple[int, int, int]  # a tensor: its layer, the layer's call, the call's output
_Bound = Mapping[_Key, int]  # the inputs of the nested model being walked, and the layers that stand for them
_Place = tuple[Any, _Bound, tuple[tuple[int, int], ...], str]  # a tensor; the models and calls around it; their names


class _Walk:
    """Follows tensors back to the input and lists the calls on the way."""

    def __init__(self) -> None:
        self.layers: list[Layer] = []
        self._known: dict[Any, int] = {}
        self._counted: set[int] = set()

    def resolve(self, tensor: Any) -> int:
        """The number of the layer that makes `tensor`. Keeps a stack of its own: a DenseNet201 is deeper than
        Python's.
        """
        start: _Place = (tensor, {}, (), "")
        stack = [start]
        while stack:
            missing = [] if self._find(stack[-1]) is not None else self._missing(stack[-1])
            if missing:
                stack.extend(reversed(missing))
            else:
                place = stack.pop()
                if self._find(place) is None:
                    self._add(place)
        return self._number(start)

    def _find(self, place: _Place) -> int | None:
        tensor, bound, models, _ = place
        key = _key(tensor)
        return bound[key] if key in bound else self._known.get((key, models))

    def _number(self, place: _Place) -> int:
        number = self._find(place)
        if number is None:
            raise LookupError(f"{_producer(place[0]).name} was not walked yet")
        return number

    def _missing(self, place: _Place) -> list[_Place]:
        """What to resolve before `place`: the call's inputs, then the output of the model that is called."""
        tensor, bound, models, path = place
        needs: list[_Place] = [(t, bound, models, path) for t in _tensors(_node(tensor))]
        missing = [need for need in needs if self._find(need) is None]
        if missing or not _is_model(_producer(tensor)):
            return missing
        inside = self._inside(place)
        return [inside] if self._find(inside) is None else []

    def _inside(self, place: _Place) -> _Place:
        """The nested model's own tensor behind `place`, with the model's inputs bound to what it is called
        on.
        """
        tensor, bound, models, path = place
        model, node_index, tensor_index = tensor._keras_history
        called_on = [self._number((t, bound, models, path)) for t in _tensors(_node(tensor))]
        inner = {_key(t): number for t, number in zip(model.inputs, called_on, strict=True)}
        return model.outputs[tensor_index], inner, (*models, (id(model), node_index)), f"{path}{model.name}/"

    def _add(self, place: _Place) -> None:
        tensor, _, models, _ = place
        if _is_model(_producer(tensor)):
            number = self._number(self._inside(place))
        else:
            layer = self._layer(place)
            if _is_identity(layer):
                number = layer.inputs[0]
            else:
                number = layer.index
                self.layers.append(layer)
        self._known[_key(tensor), models] = number

    def _layer(self, place: _Place) -> Layer:
        tensor, bound, models, path = place
        operation, node = _producer(tensor), _node(tensor)

        def plain(value: Any) -> Any:
            if hasattr(value, "_keras_history"):
                return Ref(self._number((value, bound, models, path)))
            if isinstance(value, list | tuple):
                return tuple(plain(v) for v in value)
            return value.numpy() if hasattr(value, "numpy") else value

        args, kwargs = _arguments(node)
        keywords = {k: plain(v) for k, v in kwargs.items()}
        weights = tuple(np.asarray(w) for w in getattr(operation, "get_weights", tuple)())
        first_call = id(operation) not in self._counted
        self._counted.add(id(operation))
        layer = Layer(
            index=len(self.layers),
            name=path + operation.name,
            kind=_kind(operation),
            operands=tuple(plain(a) for a in args),
            inputs=tuple(self._number((t, bound, models, path)) for t in _tensors(node)),
            options={**_config(operation), **keywords},
            weights=weights,
            shape=tuple(tensor.shape),
            parameters=sum(w.size for w in weights) if first_call else 0,
            operation=operation,
            keywords=keywords,
            output=tensor._keras_history[2],
        )
        if layer.options.get("training") is True and "tf_keras" in type(operation).__module__:
            # Keras 3 overrides what the call was built with; Keras 2 goes on training at inference.
            raise EdgedenseError(
                "layers that run at inference",
                f"{layer}, called with training=True",
                "rebuild the model without training=True and load its weights",
            )
        return layer


def _producer(tensor: Any) -> Any:
    return tensor._keras_history[0]


def _node(tensor: Any) -> Any:
    operation, node_index, _ = tensor._keras_history
    return operation._inbound_nodes[node_index]


def _key(tensor: Any) -> _Key:
    operation, node_index, tensor_index = tensor._keras_history
    return id(operation), node_index, tensor_index


def _tensors(node: Any) -> list[Any]:
    """The Keras tensors that a call reads, in order."""
    return list(node.arguments.keras_tensors if hasattr(node, "arguments") else node.keras_inputs)


def _arguments(node: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if hasattr(node, "arguments"):
        return node.arguments.args, node.arguments.kwargs
    return tuple(node.call_args), node.call_kwargs


def _is_model(operation: Any) -> bool:
    return hasattr(operation, "layers") and bool(getattr(operation, "outputs", None))


def _config(operation: Any) -> dict[str, Any]:
    """The layer's configuration; empty for an operation that Keras cannot describe."""
    try:
        return dict(operation.get_config())
    except (NotImplementedError, TypeError, ValueError):
        return {}


def _kind(operation: Any) -> str:
    """The class name in Keras 3's words; of a TensorFlow function the operation that does the same, if there
    is one.
    """
    kind = type(operation).__name__
    if kind not in ("TFOpLambda", "SlicingOpLambda"):
        return kind
    function = operation.get_config()["function"]
    return _TF_FUNCTIONS.get(function, f"tf.{function}")


def _is_identity(layer: Layer) -> bool:
    if layer.kind in _IDENTITIES:
        return True
    if layer.kind == "Pipeline":
        return all(type(inner).__name__ in AUGMENTATIONS for inner in layer.operation.layers)
    return layer.kind == "Activation" and layer.options.get("activation") == "linear"
