"""Layers of a Keras head that the graph has no words for, as one TensorFlow graph from feature map to logits."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

from edgedense.converters.network.graph import FloatHead
from edgedense.converters.readers.structure.layers import Layer, Ref
from edgedense.converters.readers.structure.seam import Seam, frozen
from edgedense.errors import EdgedenseError


def trace(layers: Sequence[Layer], seam: Seam) -> FloatHead:
    """What the layers behind `seam` compute as they are now, weights included.

    EdgedenseError when they do not take a map of the seam's shape, or give something else than a row of scores.
    """

    def head(tf: Any, features: Any) -> Any:
        values = {seam.start: features}
        for number in seam.layers:
            with tf.name_scope(layers[number].name.replace(" ", "_")):
                values[number] = _called(layers[number], values)
        return _row_of_scores(tf, values[seam.layers[-1]], layers[seam.layers[-1]])

    return frozen(seam, head, tuple(f"{layers[i].name} ({layers[i].kind})" for i in seam.layers))


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
