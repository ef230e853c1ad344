"""Heads that stay float: TensorFlow computes what ONNX' own implementation does, operator by operator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgedense.converters.network import float_head
from edgedense.converters.network.graph import Activation, FloatHead
from edgedense.converters.network.stock import converted
from edgedense.converters.readers import door
from edgedense.converters.readers.onnx import graph as onnx_graph
from edgedense.converters.readers.onnx.head import trace
from edgedense.converters.readers.onnx.operators import OPERATORS
from edgedense.converters.readers.onnx.walk import CHANNELS_FIRST, Place
from edgedense.converters.readers.structure.seam import Seam
from edgedense.errors import EdgedenseError
from tests import models
from tests.onnx_graphs import Graph, Part, computed, of_keras

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnx.reference")
keras = pytest.importorskip("keras")

SHAPE = (4, 5, 6)  # height, width, channels
TOLERANCE = 1e-5  # of the largest value: float32, in another order


def traced(
    part: Part, opset: int = 21, order: Any = None, shape: tuple[int, int, int] = SHAPE
) -> tuple[FloatHead, Any]:
    """(`part` behind a feature map of `shape`, flattened, as a TensorFlow graph; the ONNX model)."""
    graph = Graph()
    end = graph.op("Flatten", part(graph, "image"))
    height, width, channels = shape
    model = graph.model([end], (1, channels, height, width), opset)
    image = onnx_graph.Input("image", (1, channels, height, width), 1)
    built = onnx_graph.build(model, image, (height, width), end)
    order = np.arange(channels) if order is None else order
    return trace(built, Seam(0, order, shape, (1,), "a test"), "image", Place(0, CHANNELS_FIRST), end), model


def agree(part: Part, opset: int = 21, order: Any = None, shape: tuple[int, int, int] = SHAPE) -> FloatHead:
    head, model = traced(part, opset, order, shape)
    maps = np.random.default_rng(3).normal(size=(3, *shape)).astype(np.float32)
    given = (maps if order is None else maps[..., order]).transpose(0, 3, 1, 2)
    wanted = np.concatenate([computed(model, one[None]) for one in given])
    found = float_head.function(head)(maps).numpy()
    assert np.abs(found - wanted).max() <= TOLERANCE * np.abs(wanted).max()
    return head


def one(kind: str, *inputs: Any, **attributes: Any) -> Part:
    return lambda graph, x: graph.op(kind, x, *inputs, **attributes)


def positive(kind: str, *inputs: Any, **attributes: Any) -> Part:
    """Behind the absolute value, for what takes nothing below zero."""
    return lambda graph, x: graph.op(kind, graph.op("Add", graph.op("Abs", x), np.float32(0.1)), *inputs, **attributes)


def axes(*numbers: int) -> np.ndarray:
    return np.array(numbers)


CHANNELS = np.linspace(-1, 2, 6, dtype=np.float32).reshape(6, 1, 1)
PARTS: dict[str, Part] = {
    **{
        kind: one(kind)
        for kind in ("Abs", "Ceil", "Cos", "Elu", "Erf", "Exp", "Floor", "Gelu", "HardSigmoid", "HardSwish")
    },
    **{kind: one(kind) for kind in ("LeakyRelu", "Mish", "Neg", "Relu", "Selu", "Sigmoid", "Sign", "Sin", "Softplus")},
    **{kind: one(kind) for kind in ("Softsign", "Tanh", "GlobalAveragePool", "GlobalMaxPool", "Identity")},
    **{kind: one(kind, CHANNELS) for kind in ("Add", "Sub", "Mul", "Max", "Min", "PRelu", "Sum", "Mean")},
    **{kind: positive(kind) for kind in ("Log", "Reciprocal", "Sqrt")},
    "Div": one("Div", np.abs(CHANNELS) + 1),
    "division of a constant": lambda g, x: g.op("Div", np.float32(2), g.op("Exp", x)),
    "Pow": positive("Pow", np.float32(1.7)),
    "square": one("Pow", np.float32(2)),
    "cube": one("Pow", np.float32(3)),
    "root": positive("Pow", np.float32(0.5)),
    "Clip": one("Clip", np.float32(-0.5), np.float32(0.7)),
    "Clip from below": one("Clip", np.float32(-0.5)),
    "Elu with alpha": one("Elu", alpha=0.7),
    "Gelu by tanh": one("Gelu", approximate="tanh"),
    "LogSoftmax": one("LogSoftmax", axis=1),
    "Softmax": one("Softmax", axis=1),
    "LpNormalization": one("LpNormalization", axis=1),
    "BatchNormalization": lambda g, x: g.op("BatchNormalization", x, *np.abs(g.normal(4, 6)) + 0.5),
    "InstanceNormalization": lambda g, x: g.op("InstanceNormalization", x, g.normal(6), g.normal(6)),
    "LayerNormalization": lambda g, x: g.op("LayerNormalization", x, g.normal(6, 4, 5), g.normal(6, 4, 5), axis=1),
    "LayerNormalization of rows": lambda g, x: g.op("LayerNormalization", x, g.normal(5), epsilon=1e-3),
    "Conv": lambda g, x: g.op("Conv", x, g.normal(3, 6, 3, 3), g.normal(3), pads=[1, 0, 2, 1], strides=[2, 1]),
    "Conv with dilation": lambda g, x: g.op("Conv", x, g.normal(3, 6, 2, 2), dilations=[2, 2]),
    "Conv in groups": lambda g, x: g.op(
        "Conv", x, g.normal(4, 3, 3, 3), group=2, auto_pad="SAME_LOWER", strides=[2, 2]
    ),
    "Conv, depthwise": lambda g, x: g.op("Conv", x, g.normal(12, 1, 3, 3), group=6, auto_pad="SAME_UPPER"),
    "MaxPool": one("MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
    "MaxPool with ceil_mode": one("MaxPool", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
    "AveragePool": one("AveragePool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
    "AveragePool with its border": one("AveragePool", kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1),
    "AveragePool with ceil_mode": one("AveragePool", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
    "AveragePool with auto_pad": one("AveragePool", kernel_shape=[2, 2], auto_pad="SAME_UPPER"),
    **{kind: one(kind, axes(2, 3), keepdims=0) for kind in ("ReduceMean", "ReduceMax", "ReduceMin", "ReduceSum")},
    **{kind: one(kind, axes(1)) for kind in ("ReduceL1", "ReduceL2", "ReduceProd", "ReduceSumSquare")},
    "Reshape": one("Reshape", axes(0, 3, 2, -1)),
    "Flatten": one("Flatten"),
    "Squeeze": lambda g, x: g.op("Squeeze", g.op("GlobalMaxPool", x), axes(3)),
    "Unsqueeze": one("Unsqueeze", axes(1, 5)),
    "Transpose": one("Transpose", perm=[0, 3, 1, 2]),
    "Concat": lambda g, x: g.op("Concat", x, g.op("Neg", x), axis=2),
    "Slice": one("Slice", axes(-1, 1), axes(-10, 4), axes(1, 3), axes(-2, 1)),
    "Gather": one("Gather", axes(3, -1), axis=1),
    "Split": lambda g, x: g.op("Mul", *g.op("Split", x, axes(3, 3), outputs=2, axis=1)),
    "Expand": lambda g, x: g.op("Expand", g.op("GlobalMaxPool", x), axes(1, 6, 4, 5)),
    "Tile": one("Tile", axes(1, 1, 2, 1)),
    "Pad": one("Pad", axes(0, 0, 1, 0, 0, 1, 0, 2), np.float32(0.5)),
    "Pad by reflection": one("Pad", axes(0, 0, 1, 1, 0, 0, 1, 1), mode="reflect"),
    "Where": lambda g, x: g.op("Where", g.op("Greater", x, CHANNELS), x, np.float32(0.3)),
    "And, Or, Not": lambda g, x: g.op(
        "Where",
        g.op(
            "Or",
            g.op("And", g.op("Less", x, CHANNELS), g.op("GreaterOrEqual", x, np.float32(-1))),
            g.op("Not", g.op("LessOrEqual", x, np.float32(1))),
        ),
        x,
        np.float32(0),
    ),
    "Equal, Cast": lambda g, x: g.op("Cast", g.op("Equal", g.op("Relu", x), np.float32(0)), to=1),
    "Gemm": lambda g, x: g.op("Gemm", g.op("Flatten", x), g.normal(7, 120), g.normal(7), transB=1, alpha=0.5, beta=2.0),
    "MatMul": lambda g, x: g.op("MatMul", x, g.normal(5, 3)),
}


def test_operators() -> None:
    """All side by side in one graph, since each graph takes a while to trace."""
    ends: list[str] = []

    def every(graph: Graph, x: str) -> str:
        ends[:] = [graph.op("Flatten", part(graph, x)) for part in PARTS.values()]
        assert set(OPERATORS) <= {node.op_type for node in graph.nodes}
        return graph.op("Concat", *ends, axis=1)

    head, model = traced(every)
    maps = np.random.default_rng(3).normal(size=(1, *SHAPE)).astype(np.float32)
    del model.graph.output[:]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in ends)
    wanted = onnx.reference.ReferenceEvaluator(model).run(None, {"image": maps.transpose(0, 3, 1, 2)})
    found = np.split(float_head.function(head)(maps).numpy(), np.cumsum([part.size for part in wanted])[:-1], axis=1)
    errors = {
        name: float(np.abs(one - right).max() / np.abs(right).max())
        for name, one, right in zip(PARTS, found, wanted, strict=True)
    }
    assert {name: error for name, error in errors.items() if not error <= TOLERANCE} == {}


def attention(graph: Graph, x: str) -> str:
    """Self-attention of two heads over the positions, with the batch in the second axis, as PyTorch's layer has it, and
    once within another one.
    """
    tokens = graph.op("Transpose", graph.op("Reshape", x, axes(0, 6, 20)), perm=[2, 0, 1])  # [20, batch, 6]
    parts = []
    rows = graph.op("Reshape", tokens, axes(-1, 6))  # [20 * batch, 6]
    for _ in range(3):
        y = graph.op("Gemm", rows, graph.normal(6, 6))
        y = graph.op("Reshape", y, axes(20, 2, 3))  # [20, batch * 2, 3]
        parts.append(graph.op("Transpose", y, perm=[1, 0, 2]))
    query, key, value = parts
    weights = graph.op("Softmax", graph.op("MatMul", query, graph.op("Transpose", key, perm=[0, 2, 1])), axis=-1)
    y = graph.op("Transpose", graph.op("MatMul", weights, value), perm=[1, 0, 2])
    return graph.op("Transpose", graph.op("Reshape", y, axes(20, 1, 6)), perm=[1, 2, 0])


def class_token(graph: Graph, x: str) -> str:
    """A constant that is joined to the positions of each picture."""
    tokens = graph.op("Transpose", graph.op("Reshape", x, axes(0, 6, 20)), perm=[0, 2, 1])
    return graph.op("Concat", graph.normal(1, 1, 6), tokens, axis=1)


@pytest.mark.parametrize("part", [attention, class_token])
def test_several_operators(part: Part) -> None:
    agree(part)


def test_channels_in_another_order() -> None:
    agree(PARTS["Conv"], order=np.array([3, 1, 5, 0, 2, 4]))


class TestOlderVersions:
    def test_softmax_had_another_axis(self) -> None:
        """And all axes behind its own were one."""
        head, _ = traced(lambda g, x: g.op("Softmax", g.op("GlobalMaxPool", x)), opset=11)
        maps = np.random.default_rng(3).normal(size=(1, *SHAPE)).astype(np.float32)
        wanted = np.exp(maps.max((1, 2))) / np.exp(maps.max((1, 2))).sum()
        assert np.allclose(float_head.function(head)(maps).numpy(), wanted, atol=1e-6)
        with pytest.raises(EdgedenseError, match="the axis 1 of 4"):
            traced(lambda g, x: g.op("Softmax", x), opset=11)

    def test_what_was_an_attribute(self) -> None:
        """Momentum 1, since ONNX' own implementation computes the norm as in training."""

        def part(graph: Graph, x: str) -> str:
            x = graph.op("BatchNormalization", x, *np.abs(graph.normal(4, 6)) + 0.5, momentum=1.0)
            x = graph.op("Slice", graph.op("Clip", x, max=0.5), starts=[1], ends=[3], axes=[2])
            x = graph.op("Pad", graph.op("ReduceSum", x, axes=[3]), pads=[0, 0, 1, 0, 0, 0, 1, 0])
            return graph.op("Concat", *graph.op("Split", graph.op("Squeeze", x, axes=[3]), outputs=2, axis=1), axis=2)

        agree(part, opset=9)


class TestRefused:
    def refused(self, part: Part, *words: str) -> None:
        with pytest.raises(EdgedenseError) as caught:
            traced(part)
        assert all(word in str(caught.value) for word in words)

    def test_an_operator_without_translation(self) -> None:
        self.refused(one("Celu"), "Celu", "translation to TensorFlow", "rebuild the head")

    def test_a_translation_that_computes_something_else(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(OPERATORS, "Erf", OPERATORS["Tanh"])
        self.refused(one("Erf"), "as ONNX does", "differ by")

    def test_another_norm(self) -> None:
        self.refused(one("LpNormalization", axis=1, p=1), "order 2")

    def test_an_output_that_is_no_row(self) -> None:
        graph = Graph()
        end = graph.op("Erf", "image")
        built = onnx_graph.build(
            graph.model([end], (1, 6, 4, 5)), onnx_graph.Input("image", (1, 6, 4, 5), 1), SHAPE[:2], end
        )
        with pytest.raises(EdgedenseError, match="scores of shape"):
            trace(built, Seam(0, np.arange(6), SHAPE, (1,), ""), "image", Place(0, CHANNELS_FIRST), end)


@pytest.fixture(scope="module")
def features() -> Any:
    return models.densenet(head=lambda k, x: x, body=lambda k, x: models.body(k, x, (2, 1), 6))


def gelu_and_norm(graph: Graph, x: str) -> str:
    """GELU as exporters wrote it before there was an operator for it, and a sigmoid."""
    x = graph.op("Gemm", graph.op("Flatten", graph.op("GlobalAveragePool", x)), graph.normal(18, 8), graph.normal(8))
    half = graph.op("Mul", x, graph.op("Add", graph.op("Erf", graph.op("Div", x, np.float32(2**0.5))), np.float32(1)))
    x = graph.op("LayerNormalization", graph.op("Mul", half, np.float32(0.5)), graph.normal(8), graph.normal(8))
    return graph.op("Sigmoid", graph.op("Gemm", x, graph.normal(8, 5), graph.normal(5)))


def two_poolings(graph: Graph, x: str) -> str:
    x = graph.op("Concat", graph.op("GlobalAveragePool", x), graph.op("GlobalMaxPool", x), axis=1)
    return graph.op("Gemm", graph.op("Flatten", x), graph.normal(36, 5), graph.normal(5))


@pytest.mark.parametrize(("head", "reason", "steps"), [(gelu_and_norm, "(Mul)", 2), (two_poolings, "Global", 1)])
def test_of_a_network(features: Any, tmp_path: Path, head: Part, reason: str, steps: int) -> None:
    model = of_keras(features, head)
    onnx.save(model, tmp_path / "model.onnx")
    source = door.read(tmp_path / "model.onnx")
    found = source.network.head.float_head
    assert found is not None
    assert reason in found.reason
    assert len(source.network.head.steps) == steps
    assert source.network.classes == 5
    assert isinstance(source.network.head.steps[-1], Activation if steps == 2 else FloatHead)
    images = np.random.default_rng(1).normal(size=(2, 32, 32, 3)).astype(np.float32)
    wanted = computed(model, images.transpose(0, 3, 1, 2))
    assert np.abs(source.predict(images) - wanted).max() <= TOLERANCE * np.abs(wanted).max()
    assert converted(found).weight_bytes > 0  # TensorFlow Lite takes it
