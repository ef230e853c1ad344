"""Operators of a head that the graph has no words for, as one TensorFlow graph from feature map to logits.

What was translated is computed once more by ONNX' own reference implementation, and must agree.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgedense.converters.network import float_head
from edgedense.converters.network.graph import FloatHead
from edgedense.converters.network.quiet import silent
from edgedense.converters.readers.onnx.files import library
from edgedense.converters.readers.onnx.graph import Graph, Node
from edgedense.converters.readers.onnx.operators import OPERATORS, Translation
from edgedense.converters.readers.onnx.walk import Place
from edgedense.converters.readers.structure.seam import Seam, frozen
from edgedense.errors import EdgedenseError

PICTURES = 2  # that both compute
TOLERANCE = 1e-3  # of the largest logit: both compute in float32, in another order
HINT = "rebuild the head of other layers and load its weights, or train it anew"


@dataclass(frozen=True)
class _Cut:
    """The nodes between the values `start`, whose axes stand as `axes` says, and `end`."""

    graph: Graph
    nodes: tuple[Node, ...]
    seam: Seam
    start: str
    axes: tuple[int, ...]
    end: str


def trace(graph: Graph, seam: Seam, start: str, place: Place, end: str) -> FloatHead:
    """What the operators between the values `start`, the last feature map, and `end`, the logits, compute.

    `place` says where `start` has its axes. The shapes are those of one picture, as the graph has them: what an
    exporter wrote for one says nothing of where a Reshape would put more. EdgedenseError for an operator that
    TensorFlow has no translation for.
    """
    axes = tuple(axis for axis in place.axes if axis is not None)
    cut = _Cut(graph, _between(graph, start, end), seam, start, axes, end)
    unknown = sorted({node.op for node in cut.nodes} - set(OPERATORS))
    if unknown:
        where = next(str(node) for node in cut.nodes if node.op in unknown)
        raise EdgedenseError(
            "a head of operators that have a translation to TensorFlow", f"{', '.join(unknown)}, first {where}", HINT
        )
    head = _translated(cut)
    _check(cut, head)
    return head


def _between(graph: Graph, start: str, end: str) -> tuple[Node, ...]:
    """The nodes that lead from one value to another, in order."""
    wanted, found = {end}, []
    for node in reversed(graph.nodes):
        if start not in node.outputs and wanted & set(node.outputs):
            found.append(node)
            wanted |= set(node.inputs)
    return tuple(reversed(found))


def _translated(cut: _Cut) -> FloatHead:
    def head(tf: Any, features: Any) -> Any:
        values: dict[str, Any] = {**cut.graph.constants, cut.start: tf.transpose(features, cut.axes)}
        for node in cut.nodes:
            with tf.name_scope(scope(node.name)):
                inputs = [values[name] if name else None for name in node.inputs]
                results = OPERATORS[node.op](Translation(tf, node, cut.graph), *inputs)
            values |= dict(zip(node.outputs, results if isinstance(results, list) else [results], strict=False))
        return _row_of_scores(tf, values[cut.end], cut.nodes[-1])

    return frozen(cut.seam, head, tuple(f"{scope(node.name)} ({node.op})" for node in cut.nodes), single=True)


def scope(name: str) -> str:
    """A node's name as TensorFlow takes it."""
    return re.sub(r"[^A-Za-z0-9_./-]", "_", name).strip("/._-") or "operator"


def _row_of_scores(tf: Any, value: Any, node: Node) -> Any:
    """[B, outputs, 1, 1] and the like as [B, outputs]."""
    sizes = [size for size in value.shape.as_list()[1:] if size != 1]
    if value.shape.rank < 2 or value.shape[0] != 1 or len(sizes) > 1:
        raise EdgedenseError(
            "scores of shape [batch, classes]",
            f"{node} with an output of shape {[None, *value.shape.as_list()[1:]]}",
            "convert the whole classifier, not its feature extractor",
        )
    return tf.reshape(value, (1, *(sizes or [1])))


def _check(cut: _Cut, head: FloatHead) -> None:
    """EdgedenseError where TensorFlow computes something else than ONNX' reference implementation."""
    maps = np.abs(np.random.default_rng(0).normal(size=(PICTURES, *cut.seam.shape))).astype(np.float32)
    try:
        with silent():
            found = float_head.function(head)(maps).numpy()
    except Exception as error:  # what TensorFlow says of sizes that do not fit each other
        said = " ".join(str(error).split())[:200]
        raise EdgedenseError("a head that TensorFlow computes", f"{type(error).__name__}: {said}", HINT) from error
    for features, row in zip(maps[..., cut.seam.order], found, strict=True):
        right = _reference(cut, features[np.newaxis].transpose(cut.axes)).ravel().astype(np.float32)
        apart = float(np.abs(right - row).max())
        if not apart <= TOLERANCE * max(float(np.abs(right).max()), 1e-6):  # written so that a NaN is refused too
            raise EdgedenseError(
                "a head that TensorFlow computes as ONNX does", f"logits that differ by {apart:.3g}", HINT
            )


def _reference(cut: _Cut, features: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
    """What ONNX' reference implementation computes of `features`, the value `start`."""
    onnx, graph = library(), cut.graph
    used = {name for node in cut.nodes for name in node.inputs}
    weights = [onnx.numpy_helper.from_array(value, name) for name, value in graph.constants.items() if name in used]
    ends = [onnx.ValueInfoProto(name=name) for name in (cut.start, cut.end)]
    made = onnx.helper.make_graph(
        [_at_inference(node, graph) for node in cut.nodes], "head", ends[:1], ends[1:], weights
    )
    model = onnx.helper.make_model(made, opset_imports=[onnx.helper.make_opsetid("", graph.opset)])
    try:
        with np.errstate(all="ignore"):
            (result,) = onnx.reference.ReferenceEvaluator(model).run(None, {cut.start: features})
    except Exception as error:  # whatever NumPy says
        found = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise EdgedenseError("a head that ONNX' reference implementation computes", found, HINT) from error
    return np.asarray(result)


def _at_inference(node: Node, graph: Graph) -> Any:
    """The node for the reference implementation, which computes batch norms before version 14 as in training, with the
    share of `momentum` of the old statistics.
    """
    onnx = library()
    if node.op != "BatchNormalization" or graph.opset >= 14:
        return node.proto
    copied = onnx.NodeProto.FromString(node.proto.SerializeToString())
    kept = [entry for entry in copied.attribute if entry.name != "momentum"]
    del copied.attribute[:]
    copied.attribute.extend([*kept, onnx.helper.make_attribute("momentum", 1.0)])
    return copied
