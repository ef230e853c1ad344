"""A head that stays float, run by TensorFlow: what the deployed file's head is compared with, with gradients."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from edgedense.converters.network.graph import FloatHead


@lru_cache(maxsize=8)
def function(head: FloatHead) -> Callable[[Any], Any]:
    """A TensorFlow function from feature maps [B, H, W, C] to logits [B, outputs], both float32."""
    import tensorflow as tf

    definition = tf.compat.v1.GraphDef.FromString(head.graph)

    def computed(features: Any) -> Any:
        (found,) = tf.import_graph_def(definition, {head.features: features}, [head.logits], name="")
        return tf.ensure_shape(found, (None, head.outputs))

    def logits(features: Any) -> Any:
        if not head.single:
            return computed(features)
        row = tf.TensorSpec((head.outputs,), tf.float32)
        return tf.map_fn(lambda one: computed(one[tf.newaxis])[0], features, fn_output_signature=row)

    signature = tf.TensorSpec((None, *head.shape), tf.float32)
    return tf.function(logits, autograph=False, input_signature=[signature])


def fixed(head: FloatHead) -> Any:
    """The same for one feature map [1, H, W, C], as a traced function."""
    import tensorflow as tf

    definition = tf.compat.v1.GraphDef.FromString(head.graph)

    def logits(features: Any) -> Any:
        (found,) = tf.import_graph_def(definition, {head.features: features}, [head.logits], name="")
        return found

    return tf.function(logits, autograph=False).get_concrete_function(tf.TensorSpec((1, *head.shape), tf.float32))
