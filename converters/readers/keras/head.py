"""Layers of a Keras head that the graph has no words for, as one TensorFlow graph from feature map to logits."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgedense.converters.network.graph import Activation, FloatHead
from edgedense.converters.network.quiet import silent
from edgedense.converters.readers.keras import weights as keras_weights
from edgedense.converters.readers.keras.layers import Layer, Ref
from edgedense.errors import EdgedenseError

FLATTENING = ("Flatten", "Reshape")  # at the end of a model they keep the order of its scores
_ACTIVATED = ("Dense", "EinsumDense", "Conv1D", "Conv2D", "DepthwiseConv2D", "SeparableConv2D")


@dataclass(frozen=True)
class Seam:
    """Where a head begins that stays float: it reads the output of layer `start`, [B, *shape].

    Channel j of that output in Keras is channel order[j] of the graph's. `layers` are the numbers of the head's layers,
    in calling order. `reason` is what was found that the graph has no words for.
    """

    start: int
    order: npt.NDArray[np.intp]
    shape: tuple[int, int, int]
    layers: tuple[int, ...]
    reason: str


def check(layers: Sequence[Layer], seam: Seam) -> None:
    """EdgedenseError for layers that cannot be cut off behind `seam`, or must not be deployed."""
    inside = {seam.start, *seam.layers}
    for layer in (layers[i] for i in seam.layers):
        beside = [layers[i] for i in layer.inputs if i not in inside]
        if beside:
            raise EdgedenseError(
                f"a head that reads the last feature map, behind {layers[seam.start]}, and nothing else",
                f"{layer}, which also reads {beside[0]}",
                "rebuild the model with one branch from the last dense block to the scores",
            )
        keras_weights.require_channels_last(layer)
        keras_weights.arrays(layer, len(layer.weights))
    if not any(np.ndim(weight) > 1 for i in seam.layers for weight in layers[i].weights):
        raise EdgedenseError(
            "a DenseNet: a Dense layer that classifies",
            f"a model that ends in {layers[-1]}",
            "convert the whole classifier, not its feature extractor",
        )


def last_activated(layers: Sequence[Layer]) -> Layer:
    """The layer that computes the scores: the last one that does more than flatten them."""
    layer = layers[-1]
    while layer.kind in FLATTENING and len(layer.inputs) == 1:
        layer = layers[layer.inputs[0]]
    return layer


def scoring(layer: Layer) -> Activation | None:
    """The softmax or sigmoid that the layer is, or ends in; None for anything else, which stays in the head."""
    if not keras_weights.is_activation(layer) and layer.kind not in _ACTIVATED:
        return None
    try:
        function = keras_weights.activation(layer)
    except EdgedenseError:  # a function that the graph has no words for
        return None
    return function if function is not None and function.kind in ("softmax", "sigmoid") else None


def trace(layers: Sequence[Layer], seam: Seam) -> FloatHead:
    """What the layers behind `seam` compute as they are now, weights included.

    EdgedenseError when they do not take a map of the seam's shape, or give something else than a row of scores.
    """
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    def head(features: Any) -> Any:
        identity = np.array_equal(seam.order, np.arange(seam.order.size))
        values = {seam.start: features if identity else tf.gather(features, seam.order, axis=-1)}
        for number in seam.layers:
            with tf.name_scope(layers[number].name.replace(" ", "_")):
                values[number] = _called(layers[number], values)
        return _row_of_scores(tf, values[seam.layers[-1]], layers[seam.layers[-1]])

    signature = tf.TensorSpec((None, *seam.shape), tf.float32)
    try:
        with silent():
            concrete = tf.function(head, autograph=False).get_concrete_function(signature)
            frozen = convert_variables_to_constants_v2(concrete, lower_control_flow=False)
    except EdgedenseError:
        raise
    except Exception as error:
        found = f"{type(error).__name__}: {str(error).strip().splitlines()[0][:200]}"
        raise fixed_size(seam, found) from error
    return FloatHead(
        frozen.graph.as_graph_def().SerializeToString(deterministic=True),
        frozen.inputs[0].name,
        frozen.outputs[0].name,
        seam.shape,
        int(frozen.outputs[0].shape[1]),
        tuple(f"{layers[i].name} ({layers[i].kind})" for i in seam.layers),
        seam.reason,
    )


def fixed_size(seam: Seam, found: str) -> EdgedenseError:
    """The error for a head that was built for another size, in which Keras `found` something."""
    return EdgedenseError(
        f"a head that takes a map of {' x '.join(map(str, seam.shape))}",
        f"one that does not: {found}",
        "a head with Flatten or Reshape fixes the image size: convert at the size that the model was trained with",
    )


def _row_of_scores(tf: Any, value: Any, layer: Layer) -> Any:
    """[B, 1, 1, outputs] and the like as [B, outputs]."""
    shape = value.shape[1:].as_list()
    if not shape or None in shape or any(size != 1 for size in shape[:-1]):
        raise EdgedenseError(
            "scores of shape [batch, classes]",
            f"{layer} with an output of shape {[None, *shape]}",
            "convert the whole classifier, not its feature extractor",
        )
    return tf.reshape(value, (-1, shape[-1]))


def _called(layer: Layer, values: dict[int, Any]) -> Any:
    """The layer's output, as the model was built to call it, at inference."""

    def real(value: Any) -> Any:
        if isinstance(value, Ref):
            return values[value.index]
        return [real(v) for v in value] if isinstance(value, tuple) and _has_ref(value) else value

    keywords = {name: real(value) for name, value in layer.keywords.items() if name != "training"}
    if any(getattr(layer.operation, name, False) for name in ("_call_has_training_arg", "_expects_training_arg")):
        keywords["training"] = False
    with _unrolled(layer.operation):
        result = layer.operation(*map(real, layer.operands), **keywords)
    while isinstance(result, list | tuple):
        result = result[layer.output]
    return result


@contextlib.contextmanager
def _unrolled(operation: Any) -> Iterator[None]:
    """Recurrent layers compute step by step for this long: as a loop they would be a graph beside the others."""
    every: Any = getattr(operation, "_flatten_layers", tuple)()
    loops = [layer for layer in every if getattr(layer, "unroll", True) is False]
    for layer in loops:
        layer.unroll = True
    try:
        yield
    finally:
        for layer in loops:
            layer.unroll = False


def _has_ref(value: Any) -> bool:
    return isinstance(value, Ref) or (isinstance(value, tuple) and any(map(_has_ref, value)))
