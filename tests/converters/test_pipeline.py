"""Whole conversions of small networks of every shape that the reader takes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from edgedense.converters import pipeline
from edgedense.converters.calibration import normalization
from edgedense.converters.conversion import Conversion
from edgedense.converters.network.graph import DenseNet
from edgedense.converters.opening import Opening
from edgedense.converters.options import Options
from edgedense.converters.passes import rewriting
from edgedense.converters.passes.rewriting import TOLERANCE
from edgedense.converters.quantization.measure import logits_of
from edgedense.converters.readers.keras import reader as keras_reader
from edgedense.converters.readers.scores import settled
from edgedense.converters.readers.source import Source
from edgedense.converters.tflite import execute
from edgedense.deployed import bundle
from edgedense.device.engines.contents import Contents, contents
from edgedense.errors import EdgedenseError
from tests import models, networks, reference
from tests.pictures import fill

keras = pytest.importorskip("keras")

# int8 rounds each of some 40 tensors by a step of 1/255 of its range, 0.11 % rms; in quadrature 0.7 %. On logits that
# span 6 that is 0.04, and a softmax or sigmoid changes by at most a quarter of it, three sigma of which are:
CLOSE = 0.03
CLOSE_VALUES = 0.12  # of values, which no softmax or sigmoid makes smaller: three sigma of that 0.04


def dense_head(*widths: int, activation: str | None = "softmax", between: str = "relu") -> models.Head:
    def head(k: Any, x: Any) -> Any:
        x = k.layers.GlobalAveragePooling2D()(x)
        for width in widths[:-1]:
            x = k.layers.Dense(width, activation=between)(x)
        return k.layers.Dense(widths[-1], activation=activation)(x)

    return head


def activations_head(k: Any, x: Any) -> Any:
    """One Dense for each activation that is no softmax or sigmoid."""
    x = k.layers.GlobalAveragePooling2D()(x)
    for kind in ("tanh", "elu", "swish", "relu6"):
        x = k.layers.Dense(12, activation=kind)(x)
    x = k.layers.LeakyReLU(negative_slope=0.2)(k.layers.Dense(12)(x))
    return k.layers.Dense(3, activation="softmax")(x)


def max_head(k: Any, x: Any) -> Any:
    x = k.layers.GlobalMaxPooling2D()(x)
    return k.layers.Dense(4, activation="softmax")(x)


def norm_head(k: Any, x: Any) -> Any:
    """Norms that fold into a Dense, and one between activations that cannot."""
    x = models.norm(k, k.layers.GlobalAveragePooling2D()(models.norm(k, x)))
    x = models.norm(k, k.layers.Dense(12, activation="relu")(x))
    x = k.layers.Activation("tanh")(x)
    return k.layers.Dense(3, activation="softmax")(x)


def window_head(k: Any, x: Any) -> Any:
    x = k.layers.Flatten()(k.layers.AveragePooling2D(2, strides=1)(k.layers.MaxPooling2D(2, strides=1)(x)))
    return k.layers.Dense(3, activation="softmax")(x)


def plain_stem(k: Any, x: Any) -> Any:
    """Stride 1, no pooling, as for CIFAR in the paper."""
    return models.norm_relu(k, models.conv(k, x, 8, 3))


def bright(k: Any, x: Any) -> Any:
    """A normalization by which no pixel becomes zero: it cannot be folded into a padded stem."""
    return k.layers.Rescaling(1 / 127.5, offset=0.5)(x)


@dataclass(frozen=True)
class Case:
    """A model, the options of its conversion, and what is float in the result."""

    make: Callable[[], Any]
    options: Options = field(default_factory=Options)
    floats: tuple[str, ...] = ("FULLY_CONNECTED", "SOFTMAX")


QUICK = Options(ranges="minmax", headroom=1.0)  # one candidate


def quick(**options: Any) -> Options:
    return Options(ranges="minmax", headroom=1.0, **options)


CASES = {
    "hostile": Case(models.hostile),
    "nested sigmoid": Case(models.nested, QUICK, ("FULLY_CONNECTED", "LOGISTIC")),
    "odd size": Case(lambda: models.densenet(size=(45, 37)), QUICK),
    "rescaled": Case(lambda: models.densenet(size=(32, 48)), quick(preprocess="rescale")),
    "activations": Case(lambda: models.densenet(head=activations_head), QUICK),
    "global max": Case(lambda: models.densenet(head=max_head), QUICK),
    "norms in the head": Case(lambda: models.densenet(head=norm_head), QUICK),
    "plain logits": Case(
        lambda: models.densenet(head=dense_head(4, activation=None)), quick(opening=Opening(activation="softmax"))
    ),
    "one plain logit": Case(
        lambda: models.densenet(head=dense_head(1, activation=None)),
        quick(opening=Opening(activation="sigmoid")),
        ("FULLY_CONNECTED", "LOGISTIC"),
    ),
    "values": Case(
        lambda: models.densenet(head=dense_head(2, activation=None)),
        quick(opening=Opening(activation="none")),
        ("FULLY_CONNECTED",),
    ),
    "values behind tanh": Case(
        lambda: models.densenet(head=dense_head(1, activation="tanh")),
        quick(opening=Opening(activation="none")),
        ("FULLY_CONNECTED", "TANH"),
    ),
    "integer values": Case(
        lambda: models.densenet(head=dense_head(1, activation=None)),
        quick(opening=Opening(activation="none"), output_type="uint8"),
        (),
    ),
    "windows": Case(lambda: models.densenet(size=(64, 64), head=window_head), QUICK),
    "plain stem": Case(lambda: models.densenet(size=(16, 20), stem=plain_stem), QUICK),
    "stem that reads the image itself": Case(
        lambda: models.densenet(size=(16, 16), stem=plain_stem), quick(preprocess="rescale")
    ),
    "normalization that cannot fold": Case(lambda: models.densenet(before=bright), QUICK),
    "many classes": Case(lambda: models.densenet(head=dense_head(2600, 60)), QUICK, ("SOFTMAX",)),
    "integer": Case(models.densenet, quick(output_type="uint8"), ()),
    "integer sigmoid": Case(
        lambda: models.densenet(head=dense_head(6, 1, activation="sigmoid")), quick(output_type="uint8"), ()
    ),
    "integer hostile": Case(models.hostile, quick(output_type="uint8"), ()),
    "integer activations": Case(lambda: models.densenet(head=activations_head), quick(output_type="uint8"), ()),
    "size override": Case(models.densenet, quick(opening=Opening((40, 56)))),
    "any size": Case(lambda: models.densenet(size=(None, None)), quick(opening=Opening((32, 32)))),
}


@dataclass(frozen=True)
class Result:
    """A case that was converted."""

    case: Case
    source: Source
    conversion: Conversion

    @property
    def contents(self) -> Contents:
        return contents(self.conversion.data)

    @property
    def network(self) -> DenseNet:
        """What convert() starts from: on raw pixels."""
        return normalization.compose(self.source.network, self.normalize)

    @property
    def normalize(self) -> Any:
        return self.conversion.recipe["preprocessing"]["normalize"]


@pytest.fixture(scope="module", params=CASES)
def result(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> Result:
    case = CASES[request.param]
    path = tmp_path_factory.mktemp("model") / "model.keras"
    case.make().save(path)
    source, _ = settled(keras_reader.read(path, case.options.opening), case.options.opening.activation)
    return Result(case, source, pipeline.convert(path, pictures, None, case.options))


def test_float_graph_keeps_keras_logits(result: Result) -> None:
    pixels = result.conversion.outcome.pictures.pixels
    network = result.network
    for rewrite in (*rewriting.PREPARE, *rewriting.DEPLOY):
        network = rewrite(network)
    wanted = result.source.logits(normalization.normalized(pixels, result.normalize))
    assert reference.relative_error(networks.logits(network, pixels), wanted) < TOLERANCE
    *steps, border, equalized = result.conversion.steps
    assert [step.name for step in steps] == [
        "read",
        *(rewrite.__name__ for rewrite in (*rewriting.PREPARE, *rewriting.DEPLOY)),
    ]
    assert all(step.error < TOLERANCE for step in (*steps, equalized))
    assert border.error < rewriting.BORDER_TOLERANCE


def test_int8_is_close_to_float(result: Result) -> None:
    outcome = result.conversion.outcome
    pixels = outcome.pictures.pixels
    wanted = result.source.predict(normalization.normalized(pixels, result.normalize))
    if (
        result.case.options.opening.size is None
    ):  # else what stands before is the model at its own size: test_trained.py
        assert outcome.before == pytest.approx(wanted, abs=2e-3)  # but for the rounded border
    assert np.abs(outcome.after - wanted).max() < (CLOSE_VALUES if result.source.gives_values else CLOSE)
    assert execute.run(result.conversion.data, pixels).tolist() == outcome.after.tolist()


def test_exactly_these_operators_are_float(result: Result) -> None:
    found = sorted(o.code for o in result.contents.operators for _ in range(o.count) if "float" in o.arithmetic)
    crossing = ["DEQUANTIZE"] if result.case.floats else []
    assert found == sorted([*result.case.floats, *crossing])


VERSIONS = {"CONV_2D": 3, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 4}


def test_versions_that_old_runtimes_know(result: Result) -> None:
    for operator in result.contents.operators:
        assert operator.version <= VERSIONS.get(operator.code, 2), operator


SAME_SCALE = ("CONCATENATION", "MAX_POOL_2D", "PAD", "SPACE_TO_DEPTH", "MAXIMUM", "REDUCE_MAX", "RESHAPE")


def test_what_only_moves_values_keeps_their_scale(result: Result) -> None:
    """The kernels copy integers."""
    model = schema.ModelT.InitFromPackedBuf(result.conversion.data, 0)
    names = {value: name for name, value in vars(schema.BuiltinOperator).items()}
    tensors = model.subgraphs[0].tensors
    seen = set()
    for operator in model.subgraphs[0].operators:
        code = names[model.operatorCodes[operator.opcodeIndex].builtinCode]
        if code in SAME_SCALE:
            both = [tensors[i] for i in (*operator.inputs, *operator.outputs)]
            ends = [tensor for tensor in both if tensor.type == schema.TensorType.INT8]
            assert len({(t.quantization.scale[0], t.quantization.zeroPoint[0]) for t in ends}) == 1, code
            seen.add(code)
    assert "CONCATENATION" in seen


def test_equal_quantization_vectors_are_stored_once(result: Result) -> None:
    graph = schema.Model.GetRootAs(result.conversion.data, 0).Subgraphs(0)
    places: dict[bytes, set[int]] = {}
    for i in range(graph.TensorsLength()):
        quantization = graph.Tensors(i).Quantization()
        if quantization is not None:
            table = quantization._tab
            places.setdefault(quantization.ScaleAsNumpy().tobytes(), set()).add(table.Vector(table.Offset(8)))
    assert len(places) > 10
    assert {len(found) for found in places.values()} == {1}


def test_ends(result: Result) -> None:
    (image,), (scores,) = result.contents.inputs, result.contents.outputs
    network = result.source.network
    assert (image.name, image.dtype, image.shape) == ("image", "uint8", (1, network.height, network.width, 3))
    assert scores.shape == (1, network.classes)
    if result.case.options.output_type == "uint8" and result.source.gives_values:
        span = np.ptp([*result.conversion.outcome.before.ravel(), 0.0])  # 256 steps hold what was seen, and zero
        assert scores.dtype == "uint8"
        assert scores.scale == pytest.approx(span / 255, rel=2**-9)  # ranges are rounded to ten bits
    elif result.case.options.output_type == "uint8":
        assert (scores.dtype, scores.scale, scores.zero_point) == ("uint8", 1 / 256, 0)
    else:
        assert (scores.name, scores.dtype, scores.scale) == ("scores", "float32", None)


def test_what_is_stored_reads_back(result: Result, tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(result.conversion.data)
    found = bundle.read(path)
    assert found.recipe == json.loads(json.dumps(result.conversion.recipe))  # tuples become lists
    assert found.preprocessing is not None
    assert (found.preprocessing.height, found.preprocessing.width) == (
        result.source.network.height,
        result.source.network.width,
    )
    assert found.recipe["source"]["sha256"] == result.source.sha256


class TestChecks:
    """What convert() compares stops it when it differs."""

    @pytest.fixture(scope="class")
    @classmethod
    def model(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        path = tmp_path_factory.mktemp("checked") / "model.keras"
        models.nested().save(path)
        return path

    def stopped(self, model: Path, pictures: Path, *words: str) -> None:
        with pytest.raises(EdgedenseError) as caught:
            pipeline.convert(model, pictures, None, QUICK)
        for word in words:
            assert word in str(caught.value)

    @pytest.mark.parametrize("factor", [1 + 1e-4, float("nan")])
    def test_a_pass_that_changes_the_logits_is_named(
        self, model: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch, factor: float
    ) -> None:
        def slip(network: DenseNet) -> DenseNet:
            conv = replace(network.stem.conv, kernel=network.stem.conv.kernel * factor)
            return replace(network, stem=replace(network.stem, conv=conv))

        monkeypatch.setattr(rewriting, "PREPARE", (*rewriting.PREPARE, slip))
        self.stopped(model, pictures, "the step 'slip'")

    def test_a_reader_that_errs_is_named(self, model: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Source, "logits", lambda self, batch: self.reference.logits(batch) + 0.01)
        self.stopped(model, pictures, "the step 'read'")

    def test_an_equalization_that_errs_is_named(
        self, model: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def equalize_readers(network: DenseNet, statistics: Any) -> tuple[DenseNet, Any]:
            layer = network.blocks[0].layers[0]
            slipped = replace(layer, conv2=replace(layer.conv2, bias=layer.conv2.bias + 0.01))
            block = replace(network.blocks[0], layers=(slipped, *network.blocks[0].layers[1:]))
            return replace(network, blocks=(block, *network.blocks[1:])), statistics

        monkeypatch.setattr("edgedense.converters.quantization.attempts.equalize_readers", equalize_readers)
        self.stopped(model, pictures, "the step 'equalize, absorb scales'")

    def test_a_border_that_matters_too_much(self, model: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def round_border(network: DenseNet) -> DenseNet:
            return replace(network, stem=replace(network.stem, border=np.zeros(3)))

        monkeypatch.setattr(rewriting, "round_border", round_border)
        self.stopped(model, pictures, "whole pixels", "border")

    def test_float32s_own_rounding_is_no_error(
        self, model: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Where it exceeds the tolerance, float64 decides."""

        def coarse(network: DenseNet, pixels: Any) -> np.ndarray:
            found = logits_of(network, pixels)
            noise = np.random.default_rng(len(network.stem.conv.kernel)).normal(0, 1e-3, found.shape)
            return found if network.stem.norm is not None else found + noise

        monkeypatch.setattr("edgedense.converters.given.logits_of", coarse)
        conversion = pipeline.convert(model, pictures, None, QUICK)
        assert conversion.steps[1].error < TOLERANCE

    def test_folders_that_are_no_classes_are_told(self, model: Path, tmp_path: Path) -> None:
        for name in ("monday", "tuesday"):
            fill(tmp_path / name, 3, seed=len(name))
        notes = pipeline.convert(model, tmp_path, ("well", "ill"), QUICK).notes
        assert any("was not checked" in note and "monday" in note for note in notes)

    @pytest.mark.slow
    def test_one_score_has_two_labels(self, model: Path, pictures: Path) -> None:
        conversion = pipeline.convert(model, pictures, ("well", "ill"), QUICK)
        assert bundle.parse(conversion.data).labels == ("well", "ill")
        assert not any("labels" in note for note in conversion.notes)
        assert any("no labels" in note for note in pipeline.convert(model, pictures, None, QUICK).notes)
        with pytest.raises(EdgedenseError, match="2 labels"):
            pipeline.convert(model, pictures, ("a", "b", "c"), QUICK)
