"""Where a head begins that the graph has no words for, and whether it can be cut off there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgedense.converters.network.graph import Activation, FloatHead
from edgedense.converters.network.quiet import silent
from edgedense.converters.readers.structure import weights as keras_weights
from edgedense.converters.readers.structure.layers import Layer
from edgedense.errors import EdgedenseError, first_line

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


def frozen(seam: Seam, head: Callable[[Any, Any], Any], names: tuple[str, ...], single: bool = False) -> FloatHead:
    """The layers behind `seam` as a graph that holds its weights: what `head(tensorflow, features)` computes of the
    last feature map [B, *seam.shape], with its channels in the order of the model's own.

    `names` are the layers' names for people; `single` says that the graph takes one picture at a time. EdgedenseError
    when `head` does not take a map of that shape.
    """
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    def ordered(features: Any) -> Any:
        identity = np.array_equal(seam.order, np.arange(seam.order.size))
        return head(tf, features if identity else tf.gather(features, seam.order, axis=-1))

    signature = tf.TensorSpec((1 if single else None, *seam.shape), tf.float32)
    try:
        with silent():
            concrete = tf.function(ordered, autograph=False).get_concrete_function(signature)
            constant = convert_variables_to_constants_v2(concrete, lower_control_flow=False)
    except EdgedenseError:
        raise
    except Exception as error:
        raise fixed_size(seam, first_line(error)) from error
    return FloatHead(
        constant.graph.as_graph_def().SerializeToString(deterministic=True),
        constant.inputs[0].name,
        constant.outputs[0].name,
        seam.shape,
        int(constant.outputs[0].shape[1]),
        names,
        seam.reason,
        single,
    )


def fixed_size(seam: Seam, found: str) -> EdgedenseError:
    """The error for a head that was built for another size, in which Keras `found` something."""
    return EdgedenseError(
        f"a head that takes a map of {' x '.join(map(str, seam.shape))}",
        f"one that does not: {found}",
        "a head with Flatten or Reshape fixes the image size: convert at the size that the model was trained with",
    )
