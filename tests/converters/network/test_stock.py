"""TensorFlow Lite operators of a head that stays float: the same numbers, names that do not depend on the day."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from edgedense.converters.network import float_head
from edgedense.converters.network.graph import FloatHead
from edgedense.converters.network.stock import FEATURES, LOGITS, Part, converted, parsed
from edgedense.converters.tflite import execute
from edgedense.converters.tflite.flatbuffer import Operator, Tensor, write
from edgedense.errors import EdgedenseError

WEIGHTS = np.array([[1, 2], [3, 4], [5, 6]], np.float32)
FEATURE_MAP = np.array([[[[1, 2, 3], [4, 5, 6]]]], np.float32)


def head(function: Callable[[Any], Any], outputs: int = 2, shape: tuple[int, int, int] = (1, 2, 3)) -> FloatHead:
    """A head that computes `function` of maps of 1x2 positions with three channels."""
    concrete = tf.function(function, autograph=False).get_concrete_function(tf.TensorSpec((None, *shape), tf.float32))
    definition = concrete.graph.as_graph_def().SerializeToString(deterministic=True)
    ends = concrete.inputs[0].name, concrete.outputs[0].name
    return FloatHead(definition, *ends, shape, outputs, ("layer (Kind)",), "a reason")


def pooled_dense(x: Any) -> Any:
    """Sum and maximum over the positions, and one matrix product."""
    with tf.name_scope("layer"):
        return tf.matmul(tf.reduce_sum(x, (1, 2)), WEIGHTS) + tf.matmul(tf.reduce_max(x, (1, 2)), WEIGHTS)


def run(part: Part) -> np.ndarray:
    """What the operators make of FEATURE_MAP."""
    runner = execute.interpreter(write(part.tensors, part.operators, (FEATURES,), (LOGITS,)))
    runner.set_tensor(runner.get_input_details()[0]["index"], FEATURE_MAP)
    runner.invoke()
    return runner.get_tensor(runner.get_output_details()[0]["index"])


def test_operators_give_what_the_graph_gives() -> None:
    """(5 + 4, 7 + 5, 9 + 6) @ WEIGHTS."""
    assert run(converted(head(pooled_dense))).tolist() == [[9 + 36 + 75, 18 + 48 + 90]]
    assert float_head.function(head(pooled_dense))(FEATURE_MAP).numpy().tolist() == [[120, 156]]


def test_gradients_go_through() -> None:
    """Each position counts once for the sum, and the second one, which is the maximum, twice."""
    with tf.GradientTape() as tape:
        x = tf.constant(FEATURE_MAP)
        tape.watch(x)
        y = float_head.function(head(pooled_dense))(x)[:, 0]
    assert tape.gradient(y, x).numpy().tolist() == [[[[1, 3, 5], [2, 6, 10]]]]


def test_a_head_for_one_picture_computes_each_in_turn() -> None:
    """And gradients go through."""
    concrete = tf.function(pooled_dense, autograph=False).get_concrete_function(tf.TensorSpec((1, 1, 2, 3), tf.float32))
    definition = concrete.graph.as_graph_def().SerializeToString(deterministic=True)
    ends = concrete.inputs[0].name, concrete.outputs[0].name
    single = FloatHead(definition, *ends, (1, 2, 3), 2, single=True)
    maps = tf.constant(np.concatenate([FEATURE_MAP, 2 * FEATURE_MAP]))
    with tf.GradientTape() as tape:
        tape.watch(maps)
        y = float_head.function(single)(maps)
        first = y[:, 0]
    assert y.numpy().tolist() == [[120, 156], [240, 312]]
    assert tape.gradient(first, maps).numpy().tolist() == [[[[1, 3, 5], [2, 6, 10]]]] * 2


def test_what_it_costs() -> None:
    part = converted(head(pooled_dense))
    assert part.counts == {"ADD": 1, "FULLY_CONNECTED": 2, "REDUCE_MAX": 1, "SUM": 1}
    assert part.parameters == WEIGHTS.size
    assert part.macs == 2 * WEIGHTS.size
    assert part.weight_bytes == 4 * WEIGHTS.size + 4 * 2  # and the axes 1 and 2


@pytest.mark.parametrize(
    ("function", "macs"),
    [
        (lambda x: tf.nn.conv2d(x, np.ones((1, 2, 3, 5), np.float32), 1, "SAME"), 2 * 2 * 3 * 5),
        (lambda x: tf.nn.depthwise_conv2d(x, np.ones((1, 2, 3, 2), np.float32), (1, 1, 1, 1), "SAME"), 2 * 2 * 3 * 2),
        (
            lambda x: tf.nn.conv2d_transpose(x, np.ones((1, 2, 5, 3), np.float32), (1, 1, 4, 5), (1, 1, 2, 1)),
            2 * 2 * 15,
        ),
        (lambda x: tf.matmul(x, tf.sin(x), transpose_b=True), 2 * 2 * 3),
        (lambda x: tf.matmul(x, tf.sin(x), transpose_a=True), 3 * 3 * 2),
        (lambda x: tf.nn.relu(x), 0),
    ],
    ids=["convolution", "depthwise", "transposed", "product", "product of columns", "no product"],
)
def test_multiply_accumulates(function: Callable[[Any], Any], macs: int) -> None:
    """Outputs times summands, counted by hand; conv2d_transpose multiplies each input by each weight."""

    def flat(x: Any) -> Any:
        return tf.reshape(function(tf.ensure_shape(x, (None, 1, 2, 3))), (1, -1))

    part = converted(head(flat, outputs=1))
    assert part.macs == macs


def test_names_are_those_of_operators() -> None:
    part = converted(head(pooled_dense))
    names = [tensor.name for tensor in part.tensors]
    assert names[0] == FEATURES
    assert names[-1] == LOGITS
    assert [name for name in names if "/" in name] == []
    assert "1_sum" in names or "1_reduce_max" in names


def test_the_same_head_gives_the_same_operators() -> None:
    """Made twice in one process, whose counters go on in between."""
    one, two = head(pooled_dense), head(lambda x: pooled_dense(x))
    converted.cache_clear()
    first = converted(one).content
    head(lambda x: pooled_dense(2 * x))
    converted.cache_clear()
    assert converted(two).content == first
    assert converted(head(lambda x: pooled_dense(2 * x))).content != first


def test_loggers_are_left_as_they_were() -> None:
    """The converter's package absl gives the root logger a handler where it has none, which would print twice."""
    handlers = list(logging.root.handlers)
    logging.root.handlers.clear()
    try:
        converted.cache_clear()
        converted(head(pooled_dense))
        assert logging.root.handlers == []
    finally:
        logging.root.handlers[:] = handlers


def test_an_operator_that_is_not_built_in_is_named_with_its_layer() -> None:
    def inverse(x: Any) -> Any:
        with tf.name_scope("layer"):
            return tf.math.erfinv(tf.reduce_sum(x, (1, 2)) / 1e3)

    with pytest.raises(EdgedenseError, match=r"the TensorFlow operators Erfinv, in layer \(Kind\)"):
        converted(head(inverse, outputs=3))


class TestParsed:
    """What a part of another file cannot have."""

    def made(self, *operators: Operator, dtype: str = "float32") -> bytes:
        tensors = [Tensor(name, (1, 2), dtype) for name in "ab"]
        return write(tensors, operators, ("a",), ("b",))

    def test_plain(self) -> None:
        part = parsed(self.made(Operator("RELU", 1, ("a",), ("b",))))
        assert part.operators == (Operator("RELU", 1, (FEATURES,), (LOGITS,)),)

    def test_an_input_that_is_left_out(self) -> None:
        tensors = [Tensor("a", (1, 3), "float32"), Tensor("w", (2, 3), "float32", data=WEIGHTS.T)]
        operator = Operator(
            "FULLY_CONNECTED", 1, ("a", "w", ""), ("b",), "FullyConnectedOptions", {"fusedActivationFunction": 0}
        )
        part = parsed(write([*tensors, Tensor("b", (1, 2), "float32")], [operator], ("a",), ("b",)))
        assert part.operators[0].inputs == (FEATURES, "constant1", "")
        assert part.operators[0].options["fusedActivationFunction"] == 0

    def test_a_custom_operator(self) -> None:
        with pytest.raises(EdgedenseError, match="the custom operator"):
            parsed(self.made(Operator("CUSTOM", 1, ("a",), ("b",))))
