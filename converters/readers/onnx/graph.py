"""An ONNX graph for pictures of one size: constants folded, every shape known, what does nothing left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from edgedense.converters.readers.onnx.files import HINT, library
from edgedense.errors import EdgedenseError
from edgedense.images.steps import Size

Constant = npt.NDArray[Any]
Shape = tuple[int, ...]

LARGEST = 2**28  # numbers in one tensor: a kernel of a DenseNet has 2**22
_KNOWN_DATA = 1024  # constants up to this size are told to the inference of shapes
_NOTHING = frozenset(["Identity", "Dropout"])
_RANDOM = frozenset(["Multinomial", "RandomNormal", "RandomUniform"])
_QUANTIZED = frozenset(["ConvInteger", "DynamicQuantizeLinear", "QLinearConv", "QLinearMatMul", "QuantizeLinear"])
_DOMAINS = ("", "ai.onnx")


@dataclass(frozen=True)
class Node:
    """One operator. `inputs` are the names of what it reads ("" for one left out), `outputs` of what it makes."""

    op: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    proto: Any = field(repr=False, compare=False)

    def __str__(self) -> str:
        return f"operator '{self.name}' ({self.op})"


@dataclass(frozen=True)
class Graph:
    """Nodes in calling order from the value `image` to the value `output`, and nothing beside them.

    `shapes` are those of all values for one picture. `constants` are float32 where they are not integers. `opset` is
    the version of the operators.
    """

    nodes: tuple[Node, ...]
    constants: Mapping[str, Constant]
    shapes: Mapping[str, Shape]
    image: str
    output: str
    opset: int

    def readers(self, value: str) -> list[Node]:
        """The nodes that read a value."""
        return [node for node in self.nodes if value in node.inputs]


@dataclass(frozen=True)
class Input:
    """The picture that a graph takes: its name, shape as far as it is fixed, and which axis holds the channels."""

    name: str
    shape: tuple[int | None, ...]
    channel_axis: int

    @property
    def size(self) -> tuple[int | None, int | None]:
        """Height and width, None where they are open."""
        height, width = self.shape[2:] if self.channel_axis == 1 else self.shape[1:3]
        return height, width


def picture(model: Any, name: str) -> Input:
    """The input of a model; `name` is the file's. EdgedenseError when it is not one picture."""
    given = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in given]
    if len(inputs) != 1:
        raise EdgedenseError(
            "a model with one input",
            f"{len(inputs)} inputs ({', '.join(value.name for value in inputs)}) in {name}",
            "export the model with the picture as its only input",
        )
    dimensions = inputs[0].type.tensor_type.shape.dim
    shape = tuple(int(d.dim_value) if d.HasField("dim_value") and d.dim_value > 0 else None for d in dimensions)
    axes = [axis for axis in (1, 3) if len(shape) == 4 and shape[axis] in (1, 3)]
    if len(axes) == 2:  # a picture so small that height or width could be taken for the channels
        axes = axes[:1]
    if not axes:
        raise EdgedenseError(
            "an RGB input of shape [batch, 3, height, width] or [batch, height, width, 3]",
            f"'{inputs[0].name}' of shape {['?' if d is None else d for d in shape]} in {name}",
            "export the model with the number of channels fixed",
        )
    return Input(inputs[0].name, shape, axes[0])


def build(model: Any, image: Input, size: Size, output: str) -> Graph:
    """The graph of `model` up to the value `output` for pictures of `size`.

    EdgedenseError when it does not take them, holds loops or branches, or operators that ONNX does not define.
    """
    return _Builder(model, image, size).graph(output)


class _Builder:
    """Goes through the nodes once, in the order in which the file has them, which is a calling order."""

    def __init__(self, model: Any, image: Input, size: Size) -> None:
        self.onnx, self.model, self.image = library(), model, image
        self.opsets = [entry for entry in model.opset_import if entry.domain in _DOMAINS]
        self.opset = int(self.opsets[0].version) if self.opsets else 0
        channels = image.shape[image.channel_axis] or 0
        shape = (1, channels, *size) if image.channel_axis == 1 else (1, *size, channels)
        self.constants: dict[str, Constant] = {}
        self.types: dict[str, Any] = {}
        self.same: dict[str, str] = {}  # what does nothing: the output's name, and that of the input
        self.nodes: list[Node] = []
        self._typed(image.name, shape)

    def graph(self, output: str) -> Graph:
        if self.opset < 7:
            raise EdgedenseError("ONNX operators of version 7 or later", f"version {self.opset}", HINT)
        if self.model.graph.sparse_initializer:
            raise EdgedenseError("dense weights", "sparse initializers", HINT)
        for tensor in self.model.graph.initializer:
            self.constants[tensor.name] = self._array(tensor)
        for proto in self.model.graph.node:
            self._add(proto)
        end = self.same.get(output, output)
        nodes = self._needed(end)
        if end in self.constants or not nodes or self.image.name not in {i for node in nodes for i in node.inputs}:
            raise EdgedenseError(
                "an output that depends on the picture", f"'{output}', which does not", "another --output"
            )
        used = {name for node in nodes for name in node.inputs}
        constants = {name: value for name, value in self.constants.items() if name in used}
        shapes = {name: _dimensions(kind) for name, kind in self.types.items()}
        known = {name: shape for name, shape in shapes.items() if shape is not None}
        for node in nodes:
            if any(name not in known for name in node.outputs[:1]):
                raise EdgedenseError("shapes that follow from the picture's", f"{node}, whose output is open", HINT)
        known |= {name: value.shape for name, value in constants.items()}
        return Graph(nodes, constants, known, self.image.name, end, self.opset)

    def _add(self, proto: Any) -> None:
        onnx = self.onnx
        named = onnx.NodeProto.FromString(proto.SerializeToString())
        del named.input[:]
        named.input.extend(self.same.get(name, name) for name in proto.input)
        if self.opset < 13 and proto.op_type in ("Softmax", "LogSoftmax") and not proto.attribute:
            named.attribute.append(onnx.helper.make_attribute("axis", 1))  # what newer versions have is -1
        if proto.op_type == "Reshape":
            self._for_one_picture(named)
        node = _node(named, onnx)
        if proto.domain not in _DOMAINS:
            raise EdgedenseError("operators that ONNX defines", f"{node} of '{proto.domain}'", _OTHERS)
        if node.op in _QUANTIZED:
            raise EdgedenseError(
                "a float model", f"{node}, of a quantized one", "convert the model that it was made of"
            )
        if any(isinstance(value, onnx.GraphProto) for value in node.attributes.values()):
            raise EdgedenseError("a graph without branches and loops", str(node), _OTHERS)
        missing = [name for name in node.inputs if name and name not in self.constants and name not in self.types]
        if missing:
            raise EdgedenseError("operators in calling order", f"{node}, which reads '{missing[0]}' before it is", HINT)
        if self._does_nothing(node):
            self.same[node.outputs[0]] = node.inputs[0]
        elif node.op in ("Shape", "Size") and node.inputs[0] in self.types:
            self.constants[node.outputs[0]] = self._shape(node)
        else:
            self._compute(node)

    def _for_one_picture(self, proto: Any) -> None:
        """Changes a Reshape that begins with the number of pictures that the file was exported for."""
        batch, shape = self.image.shape[0] or 1, self.constants.get(proto.input[-1])
        before = _dimensions(self.types[proto.input[0]]) if proto.input[0] in self.types else None
        if batch > 1 and before and before[0] == 1 and shape is not None and shape.size and shape.flat[0] == batch:
            name = f"{proto.input[-1]} for one picture"
            self.constants[name] = np.concatenate([np.ones_like(shape[:1]), shape[1:]])
            proto.input[1] = name

    def _does_nothing(self, node: Node) -> bool:
        """Whether its output is its input, which is no constant. A cast of the picture's integers is one from float to
        float here.
        """
        if not node.inputs or node.inputs[0] not in self.types:
            return False
        if node.op == "Cast":
            return {node.attributes.get("to"), self._type(node.inputs[0]).tensor_type.elem_type} <= _floats(self.onnx)
        training = node.op == "Dropout" and len(node.inputs) > 2 and self._is_true(node.inputs[2])
        alone = node.op in ("Concat", "Sum", "Max", "Min") and len(node.inputs) == 1
        return (node.op in _NOTHING and not training) or alone

    def _is_true(self, name: str) -> bool:
        return bool(name) and bool(np.any(self.constants.get(name, np.ones(1))))

    def _shape(self, node: Node) -> Constant:
        shape = self._known_shape(node, node.inputs[0])
        if node.op == "Size":
            return np.array(int(np.prod(shape)), np.int64)
        return np.array(shape[node.attributes.get("start", 0) : node.attributes.get("end")], np.int64)

    def _compute(self, node: Node) -> None:
        """Folds a node of nothing but constants; of any other finds the shapes of what it makes."""
        constant = all(name in self.constants for name in node.inputs if name)
        if constant and node.op in _RANDOM:
            raise EdgedenseError("a graph that gives the same scores each time", str(node), HINT)
        found = self._inferred(node)
        for name in node.outputs:
            shape = _dimensions(found[name]) if name in found else None
            if shape is not None and np.prod(shape, dtype=np.float64) > LARGEST:
                raise EdgedenseError("tensors of a network for pictures", f"{node} of shape {list(shape)}", HINT)
            if constant and shape is None:
                raise EdgedenseError("constants of a known shape", str(node), _OTHERS)
        if constant:
            self._fold(node)
            return
        self.types |= {name: kind for name, kind in found.items() if name}
        if node.op == "Reshape":
            self._check_reshape(node)
        self.nodes.append(node)

    def _inferred(self, node: Node) -> dict[str, Any]:
        onnx = self.onnx
        kinds = {name: self._type(name) for name in node.inputs if name}
        small = {
            name: onnx.numpy_helper.from_array(self.constants[name])
            for name in node.inputs
            if name in self.constants and self.constants[name].size <= _KNOWN_DATA
        }
        try:
            schema = onnx.defs.get_schema(node.op, self.opset, "")
        except Exception as error:
            raise EdgedenseError("operators that ONNX defines", str(node), _OTHERS) from error
        try:
            return onnx.shape_inference.infer_node_outputs(
                schema, node.proto, kinds, small, opset_imports=self.opsets, ir_version=self.model.ir_version
            )
        except Exception as error:  # InferenceError, and others of the native code
            said = " ".join(str(error).split())[:200]
            raise self._misfit(f"{node}: {said}") from error

    def _fold(self, node: Node) -> None:
        onnx = self.onnx
        named = [onnx.ValueInfoProto(name=name) for name in dict.fromkeys(node.inputs) if name]
        results = [onnx.ValueInfoProto(name=name) for name in node.outputs if name]
        graph = onnx.helper.make_graph([node.proto], "constant", named, results)
        model = onnx.helper.make_model(graph, opset_imports=self.opsets, ir_version=self.model.ir_version)
        given = {value.name: self.constants[value.name] for value in named}
        try:
            with np.errstate(all="ignore"):
                values = onnx.reference.ReferenceEvaluator(model).run(None, given)
        except Exception as error:  # whatever NumPy says of damaged content
            raise EdgedenseError("constants that can be computed", f"{node}: {error}", HINT) from error
        for result, value in zip(results, values, strict=True):
            self.constants[result.name] = _plain(np.asarray(value))

    def _check_reshape(self, node: Node) -> None:
        """The inference of shapes believes what a Reshape says."""
        before, after = (self._known_shape(node, name) for name in (node.inputs[0], node.outputs[0]))
        if np.prod(before) != np.prod(after):
            raise self._misfit(f"{node} from {list(before)} to {list(after)}")

    def _misfit(self, found: str) -> EdgedenseError:
        shape = self._known_shape(None, self.image.name)
        return EdgedenseError(
            f"a graph that takes pictures of shape {list(shape)}",
            found,
            "convert at the size that the model was exported with, or export it again for one picture at a time",
        )

    def _known_shape(self, node: Node | None, name: str) -> Shape:
        shape = _dimensions(self._type(name))
        if shape is None:
            raise EdgedenseError("shapes that follow from the picture's", f"an open one before {node}", HINT)
        return shape

    def _type(self, name: str) -> Any:
        if name in self.types:
            return self.types[name]
        value, helper = self.constants[name], self.onnx.helper
        return helper.make_tensor_type_proto(helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)

    def _typed(self, name: str, shape: Sequence[int]) -> None:
        helper = self.onnx.helper
        self.types[name] = helper.make_tensor_type_proto(self.onnx.TensorProto.FLOAT, shape)

    def _array(self, tensor: Any) -> Constant:
        if np.prod(tensor.dims, dtype=np.float64) > LARGEST or any(size < 0 for size in tensor.dims):
            raise EdgedenseError("weights of a network for pictures", f"'{tensor.name}' of {list(tensor.dims)}", HINT)
        try:
            return _plain(self.onnx.numpy_helper.to_array(tensor))
        except Exception as error:  # TypeError, ValueError and others for damaged content
            raise EdgedenseError("weights that can be read", f"'{tensor.name}': {error}", HINT) from error

    def _needed(self, end: str) -> tuple[Node, ...]:
        """The nodes on which the value `end` depends, in order."""
        wanted, found = {end}, []
        for node in reversed(self.nodes):
            if wanted & set(node.outputs):
                found.append(node)
                wanted |= set(node.inputs)
        return tuple(reversed(found))


_OTHERS = "export the model again, without operators of one runtime only, loops and branches"


def _node(proto: Any, onnx: Any) -> Node:
    attributes = {entry.name: onnx.helper.get_attribute_value(entry) for entry in proto.attribute}
    plain = {
        name: value.decode(errors="replace") if isinstance(value, bytes) else value
        for name, value in attributes.items()
    }
    name = proto.name or (proto.output[0] if proto.output else "")
    return Node(proto.op_type, name, tuple(proto.input), tuple(proto.output), plain, proto)


def _floats(onnx: Any) -> frozenset[int]:
    kinds = onnx.TensorProto
    return frozenset([kinds.FLOAT, kinds.FLOAT16, kinds.BFLOAT16, kinds.DOUBLE])


def _plain(value: Constant) -> Constant:
    """Every kind of floating-point number as float32, in which the graph is computed."""
    integers = value.dtype.kind in "iub" or value.dtype == object
    return value if integers else value.astype(np.float32)


def _dimensions(kind: Any) -> Shape | None:
    """The shape of a type, None where it is open."""
    if not kind.HasField("tensor_type") or not kind.tensor_type.HasField("shape"):
        return None
    sizes = [int(d.dim_value) if d.HasField("dim_value") else -1 for d in kind.tensor_type.shape.dim]
    return None if any(size < 0 for size in sizes) else tuple(sizes)
