"""ONNX files: the DenseNet that is read computes what ONNX' own implementation does, and what Keras' file says."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgedense.converters.network.graph import Activation, Dense, DenseNet, Flatten, FloatHead, Pool, WindowPool
from edgedense.converters.network.program import lower
from edgedense.converters.opening import Opening
from edgedense.converters.passes.fold_norms import fold_norms
from edgedense.converters.readers import door
from edgedense.converters.readers.keras import reader as keras_reader
from edgedense.converters.readers.onnx import reader as onnx_reader
from edgedense.converters.readers.source import Source
from edgedense.errors import EdgedenseError
from tests import models, reference
from tests.onnx_graphs import Graph, Part, computed, of_keras

onnx = pytest.importorskip("onnx")
keras = pytest.importorskip("keras")

# Both compute in float32, through some 30 layers.
TOLERANCE = 1e-5
SIZE = (32, 32)


@pytest.fixture(scope="module")
def classifier() -> Any:
    return models.densenet()


@pytest.fixture(scope="module")
def features() -> Any:
    """The same without a head: its last map is 4 x 4 x 18."""
    return models.densenet(head=lambda k, x: x, body=lambda k, x: models.body(k, x, (2, 1), 6))


def saved(model: Any, folder: Path) -> Path:
    path = folder / "model.onnx"
    onnx.save(model, path)
    return path


def pixels(size: tuple[int, int], channels: int = 3) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (2, *size, channels)).astype(np.float32)


def agree(
    model: Any, folder: Path, opening: Opening | None = None, first: bool = True, normalized: bool = False
) -> Source:
    """What is read computes what the model does; `first`: its input has the channels first."""
    source = door.read(saved(model, folder), opening)
    images = pixels(source.size) if normalized else pixels(source.size) / 64 - 2
    fixed = model.graph.input[0].type.tensor_type.shape.dim[0].dim_value or len(images)
    given = images.transpose(0, 3, 1, 2) if first else images
    wanted = np.concatenate([computed(model, given[i : i + fixed]) for i in range(0, len(images), fixed)])
    found = reference.scores(source.network, images)  # not `predict`, which traces a function for each new model
    assert source.normalized == normalized
    assert np.abs(found - wanted.reshape(found.shape)).max() <= TOLERANCE * np.abs(wanted).max()
    return source


def refused(model: Any, folder: Path, *words: str, opening: Opening | None = None) -> None:
    with pytest.raises(EdgedenseError) as caught:
        door.read(saved(model, folder), opening)
    for word in words:
        assert word in str(caught.value)


def same(one: Any, two: Any, closely: bool = False) -> bool:
    """Whether two networks are equal, or where `closely` to float32's rounding, but for their layers' names."""
    if isinstance(one, np.ndarray):
        return np.allclose(one, two, rtol=1e-5, atol=1e-6) if closely else np.array_equal(one, two)
    if isinstance(one, tuple):
        return len(one) == len(two) and all(same(a, b, closely) for a, b in zip(one, two, strict=True))
    if is_dataclass(one):
        return all(same(getattr(one, f.name), getattr(two, f.name), closely) for f in fields(one))
    return bool(one == two)


class TestTheSameWeights:
    def test_give_the_network_of_the_keras_model(self, classifier: Any, tmp_path: Path) -> None:
        source = agree(of_keras(classifier), tmp_path)
        images = pixels(SIZE) / 64 - 2
        assert np.allclose(source.predict(images), reference.scores(source.network, images), atol=1e-6)
        assert np.allclose(source.logits(images), reference.logits(source.network, images), atol=1e-4)
        assert same(source.network, keras_reader.read(classifier).network)
        assert lower(source.network).shapes == lower(keras_reader.read(classifier).network).shapes
        assert sum(source.parameters.values()) == classifier.count_params()
        assert source.name == "model.onnx"
        assert source.outside == "densenet"

    def test_with_norms_folded_give_it_to_rounding(self, classifier: Any, tmp_path: Path) -> None:
        source = agree(of_keras(classifier, folded=True), tmp_path)
        assert source.network.stem.norm is None
        assert all(layer.norm2 is None for block in source.network.blocks for layer in block.layers)
        assert same(fold_norms(source.network), fold_norms(keras_reader.read(classifier).network), closely=True)

    def test_that_differ_do_not(self, classifier: Any, tmp_path: Path) -> None:
        other = door.read(saved(of_keras(models.densenet(seed=1)), tmp_path))
        assert not same(other.network, keras_reader.read(classifier).network, closely=True)

    def test_of_a_network_with_negative_and_zero_gammas_a_flatten_and_odd_sizes(self, tmp_path: Path) -> None:
        model = models.hostile()
        base = next(layer for layer in model.layers if hasattr(layer, "layers"))
        kernel, bias = model.layers[-1].get_weights()

        def head(graph: Graph, x: str) -> str:
            x = graph.op("Transpose", x, perm=[0, 2, 3, 1])
            return graph.op("Softmax", graph.op("Gemm", graph.op("Flatten", x), kernel, bias))

        found = door.read(saved(of_keras(base, head), tmp_path)).network
        wanted = keras_reader.read(model).network
        assert same(found.blocks, wanted.blocks)
        assert same(found.head, wanted.head)


def dense(graph: Graph, x: str, inputs: int, outputs: int = 5) -> str:
    return graph.op("Gemm", x, graph.normal(outputs, inputs), graph.normal(outputs), transB=1)


def pooled(graph: Graph, x: str) -> str:
    return graph.op("Flatten", graph.op("GlobalAveragePool", x))


def by_mean(graph: Graph, x: str) -> str:
    return dense(graph, graph.op("ReduceMean", x, axes=[2, 3], keepdims=0), 18)


def by_maximum(graph: Graph, x: str) -> str:
    x = graph.op("Squeeze", graph.op("GlobalMaxPool", x), np.array([2, 3]))
    return graph.op("Sigmoid", dense(graph, x, 18))


def by_window(graph: Graph, x: str) -> str:
    x = graph.op("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2])
    return dense(graph, graph.op("Flatten", x), 18 * 4)


def whole_window(graph: Graph, x: str) -> str:
    return dense(graph, graph.op("Reshape", graph.op("AveragePool", x, kernel_shape=[4, 4]), np.array([0, -1])), 18)


def flattened(graph: Graph, x: str) -> str:
    """Channels first: all positions of a channel, then the next."""
    return dense(graph, graph.op("Flatten", x), 18 * 16)


def by_shape(graph: Graph, x: str) -> str:
    """x.view(x.size(0), -1), as PyTorch's exporter writes it."""
    batch = graph.op("Gather", graph.op("Shape", x), np.array(0))
    batch = graph.op("Unsqueeze", batch, np.array([0]))
    return dense(graph, graph.op("Reshape", x, graph.op("Concat", batch, np.array([-1]), axis=0)), 18 * 16)


def two_dense(graph: Graph, x: str) -> str:
    """With everything that stands between: dropout, a norm, arithmetic, activations."""
    x = graph.op("Dropout", pooled(graph, x))
    x = graph.op("Add", graph.op("MatMul", x, graph.normal(18, 8)), graph.normal(8))
    x = graph.op("BatchNormalization", x, *np.abs(graph.normal(4, 8)) + 0.5)
    x = graph.op("LeakyRelu", graph.op("Mul", x, graph.normal(8)), alpha=0.2)
    x = graph.op("Clip", x, np.float32(0), np.float32(6))
    return graph.op("Softmax", dense(graph, graph.op("Mul", x, graph.op("Sigmoid", x)), 8), axis=-1)


def by_convolution(graph: Graph, x: str) -> str:
    """A 1x1 convolution of what global pooling leaves."""
    return graph.op("Flatten", graph.op("Conv", graph.op("GlobalAveragePool", x), graph.normal(5, 18, 1, 1)))


class TestHeads:
    @pytest.mark.parametrize(
        ("head", "steps"),
        [
            (by_mean, [Pool, Dense]),
            (by_maximum, [Pool, Dense, Activation]),
            (by_window, [WindowPool, Flatten, Dense]),
            (whole_window, [Pool, Dense]),
            (flattened, [Flatten, Dense]),
            (by_shape, [Flatten, Dense]),
            (by_convolution, [Pool, Dense]),
        ],
    )
    def test_known(self, features: Any, tmp_path: Path, head: Part, steps: list[type]) -> None:
        source = agree(of_keras(features, head), tmp_path)
        assert [type(step) for step in source.network.head.steps] == steps

    def test_many_steps(self, features: Any, tmp_path: Path) -> None:
        steps = agree(of_keras(features, two_dense), tmp_path).network.head.steps
        kinds = [step.kind for step in steps if isinstance(step, Activation)]
        assert kinds == ["leaky_relu", "relu6", "swish", "softmax"]
        assert not any(isinstance(step, FloatHead) for step in steps)

    @pytest.mark.parametrize("opset", [9, 11])
    def test_of_older_operators(self, features: Any, tmp_path: Path, opset: int) -> None:
        def head(graph: Graph, x: str) -> str:
            batch = graph.op("Unsqueeze", graph.op("Gather", graph.op("Shape", x), np.array(0)), axes=[0])
            x = graph.op("Reshape", x, graph.op("Concat", batch, np.array([-1]), axis=0))
            x = graph.op("Clip", x, min=0.0, max=6.0) if opset < 11 else graph.op("Relu", x)
            return graph.op("Softmax", dense(graph, x, 18 * 16))

        agree(of_keras(features, head, opset=opset), tmp_path)

    def test_of_a_file_for_two_pictures_at_once(self, features: Any, tmp_path: Path) -> None:
        """Which it says only of its input."""
        agree(of_keras(features, by_shape, shape=(2, 3, 32, 32)), tmp_path)

    def test_of_a_file_that_says_so_elsewhere(self, features: Any, tmp_path: Path) -> None:
        def head(graph: Graph, x: str) -> str:
            return dense(graph, graph.op("Reshape", x, np.array([2, -1])), 18 * 16)

        agree(of_keras(features, head, shape=(2, 3, 32, 32)), tmp_path)

    def test_of_a_file_that_mixes_pictures(self, features: Any, tmp_path: Path) -> None:
        def head(graph: Graph, x: str) -> str:
            return dense(graph, graph.op("Reshape", x, np.array([4, -1])), 9 * 16)

        refused(of_keras(features, head, shape=(2, 3, 32, 32)), tmp_path, "for one picture at a time")

    def test_that_fixes_the_size(self, features: Any, tmp_path: Path) -> None:
        refused(of_keras(features, flattened), tmp_path, "takes pictures of shape", opening=Opening((96, 96)))

    def test_that_does_not_fix_it(self, features: Any, tmp_path: Path) -> None:
        source = door.read(saved(of_keras(features, by_mean), tmp_path), Opening((96, 96)))
        assert (source.size, source.trained_size) == ((96, 96), (32, 32))

    def test_without_a_dense(self, features: Any, tmp_path: Path) -> None:
        refused(of_keras(features, pooled), tmp_path, "a Dense layer that classifies", "whole classifier")


class TestInputs:
    def test_of_any_size(self, classifier: Any, tmp_path: Path) -> None:
        model = of_keras(classifier, shape=("batch", 3, "height", "width"))
        refused(model, tmp_path, "a fixed image size", "--input-size")
        source = agree(model, tmp_path, Opening((45, 62)))
        assert (source.size, source.trained_size) == ((45, 62), None)

    def test_channels_last(self, classifier: Any, tmp_path: Path) -> None:
        def turned(graph: Graph, x: str) -> str:
            return graph.op("Transpose", x, perm=[0, 3, 1, 2])

        agree(of_keras(classifier, before=turned, shape=("batch", 32, 32, 3)), tmp_path, first=False)

    def test_normalized_inside(self, classifier: Any, tmp_path: Path) -> None:
        def normalized(graph: Graph, x: str) -> str:
            x = graph.op("Div", graph.op("Cast", x, to=1), np.float32(255))
            x = graph.op("Sub", x, np.array([0.485, 0.456, 0.406]).reshape(1, 3, 1, 1))
            return graph.op("Div", x, np.array([0.229, 0.224, 0.225]).reshape(3, 1, 1))

        source = agree(of_keras(classifier, before=normalized), tmp_path, normalized=True)
        affine = source.network.normalization
        assert affine is not None
        assert np.allclose(affine.scale * 255 * [0.229, 0.224, 0.225], 1)
        assert np.allclose(affine.shift / affine.scale, -255 * np.array([0.485, 0.456, 0.406]))

    def test_uint8_in_bgr(self, classifier: Any, tmp_path: Path) -> None:
        def turned(graph: Graph, x: str) -> str:
            x = graph.op("Gather", graph.op("Cast", x, to=1), np.array([2, 1, 0]), axis=1)
            return graph.op("Mul", x, np.float32(1 / 64))

        model = of_keras(classifier, before=turned, kind=onnx.TensorProto.UINT8)
        source = door.read(saved(model, tmp_path))
        images = pixels(SIZE)
        wanted = computed(model, images.transpose(0, 3, 1, 2).astype(np.uint8))
        assert np.allclose(source.predict(images), wanted, atol=1e-5)

    @pytest.mark.parametrize(
        "turn",
        [
            lambda graph, x: graph.op("Slice", x, *map(np.array, ([-1], [-(2**63)], [1], [-1]))),
            lambda graph, x: graph.op("Concat", *graph.op("Split", x, outputs=3, axis=1)[::-1], axis=1),
        ],
    )
    def test_channels_turned_around(self, classifier: Any, tmp_path: Path, turn: Part) -> None:
        agree(of_keras(classifier, before=turn), tmp_path)

    def test_resized_inside(self, classifier: Any, tmp_path: Path) -> None:
        def cut(graph: Graph, x: str) -> str:
            return graph.op("Slice", x, *map(np.array, ([4], [36], [2])))

        refused(of_keras(classifier, before=cut, shape=(1, 3, 40, 32)), tmp_path, "resizes or cuts", "--input-size")

    def test_of_one_channel(self, tmp_path: Path) -> None:
        """How such pictures are normalized, no convention says."""
        model = of_keras(models.densenet(head=models.softmax_head))
        stem = next(tensor for tensor in model.graph.initializer if tensor.dims == [12, 3, 7, 7])
        kernel = onnx.numpy_helper.to_array(stem)
        stem.CopyFrom(onnx.numpy_helper.from_array(kernel.sum(1, keepdims=True), stem.name))
        model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 1
        grey = onnx_reader.read(saved(model, tmp_path))
        images = pixels(SIZE, 1) / 64 - 2
        assert grey.network.stem.conv.kernel.shape == (7, 7, 1, 12)
        assert np.allclose(grey.predict(images), computed(model, images.transpose(0, 3, 1, 2)), atol=1e-5)
        with pytest.raises(EdgedenseError, match="--preprocess"):
            door.read(tmp_path / "model.onnx").normalization()

    def test_two(self, classifier: Any, tmp_path: Path) -> None:
        model = of_keras(classifier)
        model.graph.input.append(onnx.helper.make_tensor_value_info("age", 1, [1]))
        refused(model, tmp_path, "one input", "image, age")

    @pytest.mark.parametrize("shape", [(1, 4, 32, 32), (1, 3, 32), (1, "channels", 32, 32)])
    def test_that_are_no_pictures(self, classifier: Any, tmp_path: Path, shape: Sequence[Any]) -> None:
        refused(of_keras(classifier, shape=shape), tmp_path, "[batch, 3, height, width]", "'image' of shape")

    def test_weights_among_the_inputs_as_old_files_have_them(self, classifier: Any, tmp_path: Path) -> None:
        model = of_keras(classifier)
        for tensor in model.graph.initializer:
            model.graph.input.append(onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
        agree(model, tmp_path)


class TestOutputs:
    def two(self, classifier: Any) -> Any:
        model = of_keras(classifier)
        hidden = next(node.output[0] for node in model.graph.node if node.op_type == "Gemm")
        model.graph.output.append(onnx.helper.make_tensor_value_info(hidden, 1, ["rows", "scores"]))
        return model

    def test_must_be_chosen(self, classifier: Any, tmp_path: Path) -> None:
        refused(self.two(classifier), tmp_path, "the name of the output", "2 outputs", "--output")

    def test_the_chosen_one_counts(self, classifier: Any, tmp_path: Path) -> None:
        model = self.two(classifier)
        source = door.read(saved(model, tmp_path), Opening(output=model.graph.output[1].name))
        assert not isinstance(source.network.head.steps[-1], Activation)

    def test_of_another_name(self, classifier: Any, tmp_path: Path) -> None:
        refused(of_keras(classifier), tmp_path, "'scores'", "one of", opening=Opening(output="scores"))


def changed(model: Any, kind: str, change: Callable[[Any], None]) -> Any:
    """The model with the first operator of a kind changed."""
    change(next(node for node in model.graph.node if node.op_type == kind))
    return model


def set_attribute(**values: Any) -> Callable[[Any], None]:
    def change(node: Any) -> None:
        kept = [entry for entry in node.attribute if entry.name not in values]
        del node.attribute[:]
        node.attribute.extend([*kept, *(onnx.helper.make_attribute(k, v) for k, v in values.items())])

    return change


class TestBordersAndSizes:
    """45 and 62 meet an odd height or width at each stride."""

    @pytest.mark.parametrize("size", [(32, 32), (45, 62), (47, 53)])
    def test_ceil_mode_of_the_maximum(self, classifier: Any, tmp_path: Path, size: tuple[int, int]) -> None:
        model = of_keras(classifier, shape=(1, 3, *size))
        pool = next(node for node in model.graph.node if node.op_type == "MaxPool")
        pad = next(node for node in model.graph.node if node.output[0] == pool.input[0])
        pool.input[0] = pad.input[0]
        model.graph.node.remove(pad)
        agree(changed(model, "MaxPool", set_attribute(ceil_mode=1, pads=[1, 1, 1, 1])), tmp_path)

    @pytest.mark.parametrize("auto", ["SAME_UPPER", "SAME_LOWER"])
    def test_auto_pad(self, classifier: Any, tmp_path: Path, auto: str) -> None:
        model = of_keras(classifier, shape=(1, 3, 45, 62))
        for node in model.graph.node:
            if node.op_type == "Conv" and len(onnx.helper.get_attribute_value(node.attribute[0])) == 4:
                set_attribute(auto_pad=auto)(node)
                node.attribute.remove(next(a for a in node.attribute if a.name == "pads"))
        agree(model, tmp_path)

    def test_a_transition_with_ceil_mode(self, classifier: Any, tmp_path: Path) -> None:
        """On a map of 8 x 8 it changes nothing; on one of 8 x 15 it pools half windows, which a DenseNet does not."""
        even = changed(of_keras(classifier), "AveragePool", set_attribute(ceil_mode=1))
        agree(even, tmp_path)
        refused(even, tmp_path, "pooling without padding", "AveragePooling2D", opening=Opening((32, 60)))

    def test_a_transition_with_a_border(self, classifier: Any, tmp_path: Path) -> None:
        model = changed(of_keras(classifier), "AveragePool", set_attribute(pads=[1, 1, 1, 1], count_include_pad=1))
        refused(model, tmp_path, "pooling without padding", "((1, 1), (1, 1))")

    def test_dilation_and_groups(self, classifier: Any, tmp_path: Path) -> None:
        model = changed(of_keras(classifier), "Conv", set_attribute(dilations=[2, 2], pads=[6] * 4))
        refused(model, tmp_path, "without dilation or groups", "dilation (2, 2)")

    def test_epsilon_is_the_decimal_that_training_had(self, tmp_path: Path) -> None:
        model = models.densenet(body=lambda k, x: models.body(k, x, (1,)))
        for layer in model.layers:
            if type(layer).__name__ == "BatchNormalization":
                layer.epsilon = 1e-3
        source = agree(of_keras(model), tmp_path)
        assert same(source.network, keras_reader.read(model).network)


class TestRefused:
    def test_a_network_that_is_no_densenet(self, tmp_path: Path) -> None:
        graph = Graph()
        x = graph.op("Relu", graph.op("Conv", "image", graph.normal(4, 3, 3, 3), pads=[1] * 4))
        y = graph.op("Conv", x, graph.normal(4, 4, 3, 3), pads=[1] * 4)
        scores = dense(graph, pooled(graph, graph.op("Add", x, y)), 4)
        refused(graph.model([scores], (1, 3, 8, 8)), tmp_path, "a DenseNet: a dense layer", "(Add)")

    def test_an_operator_of_one_runtime(self, classifier: Any, tmp_path: Path) -> None:
        def foreign(graph: Graph, x: str) -> str:
            return graph.op("FusedRelu", x, domain="com.microsoft")

        model = of_keras(classifier, foreign)
        model.opset_import.append(onnx.helper.make_opsetid("com.microsoft", 1))
        refused(model, tmp_path, "operators that ONNX defines", "FusedRelu", "com.microsoft")

    def test_weights_that_are_no_numbers(self, classifier: Any, tmp_path: Path) -> None:
        model = of_keras(classifier)
        largest = max(range(len(model.graph.initializer)), key=lambda i: len(model.graph.initializer[i].dims))
        tensor = model.graph.initializer[largest]
        bad = np.full(tuple(tensor.dims), np.nan, np.float32)
        tensor.CopyFrom(onnx.numpy_helper.from_array(bad, tensor.name))
        refused(model, tmp_path, "finite weights")

    def test_settings_that_fit_nothing(self, classifier: Any, tmp_path: Path) -> None:
        model = changed(of_keras(classifier), "Conv", set_attribute(strides=[2]))
        refused(model, tmp_path, "(Conv)")
        model = changed(of_keras(classifier), "MaxPool", set_attribute(dilations=1))
        refused(model, tmp_path, "an ONNX model")

    def test_a_training_norm(self, classifier: Any, tmp_path: Path) -> None:
        model = changed(of_keras(classifier), "BatchNormalization", set_attribute(training_mode=1))
        refused(model, tmp_path, "(BatchNormalization)")

    def test_without_the_library(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        real = builtins.__import__

        def missing(name: str, *args: Any, **options: Any) -> Any:
            if name.split(".")[0] == "onnx":
                raise ImportError("No module named 'onnx'")
            return real(name, *args, **options)

        monkeypatch.setattr(builtins, "__import__", missing)
        with pytest.raises(EdgedenseError, match=r"pip install 'edgedense\[onnx\]'"):
            door.read(tmp_path / "model.onnx")


def test_half_precision(classifier: Any, tmp_path: Path) -> None:
    """Weights of 16 bits are what they are; what is computed of them is float32."""
    model = of_keras(classifier)
    for tensor in model.graph.initializer:
        array = onnx.numpy_helper.to_array(tensor)
        if array.dtype == np.float32:
            tensor.CopyFrom(onnx.numpy_helper.from_array(array.astype(np.float16), tensor.name))
    model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.FLOAT16
    network: DenseNet = door.read(saved(model, tmp_path)).network
    kernel = next(w for w in map(onnx.numpy_helper.to_array, model.graph.initializer) if w.ndim == 4)
    assert np.array_equal(network.stem.conv.kernel, kernel.transpose(2, 3, 1, 0).astype(np.float64))
