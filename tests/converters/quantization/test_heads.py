"""The deployed head: its heatmaps are those of the Keras model, before and after quantization."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from edgedense.converters import explain, pipeline
from edgedense.converters.network.evaluate import evaluate
from edgedense.converters.network.program import lower
from edgedense.converters.options import Options
from edgedense.converters.quantization import heads
from edgedense.converters.readers import door
from edgedense.converters.tflite import edgetpu, execute
from edgedense.deployed import bundle, gradcam
from edgedense.device.classifier import Classifier
from edgedense.device.engines import replay
from edgedense.device.engines.contents import contents
from edgedense.device.explain import explain as explain_on_device
from edgedense.images.preprocessing import load_image
from tests import models, networks
from tests.converters.test_explain import HEADS, saved
from tests.pictures import fill

keras = pytest.importorskip("keras")

QUICK = Options(ranges="minmax", headroom=1.0, explain=True)
# float32 through a head of four layers; the largest value is 1.
CLOSE = 1e-4
# int8 rounds a feature map by 0.11 % rms of its range, and the layers before it add up to some 3 %; a heatmap of
# independent errors in 30 channels is as far off. With a signal as large as the range's tenth that is 0.95.
CORRELATION = 0.95


@pytest.mark.parametrize("name", HEADS)
def test_numpy_computes_what_tensorflow_does(name: str, tmp_path: Path) -> None:
    opened = explain.read(saved(models.densenet(size=(64, 64), head=HEADS[name]), tmp_path))
    pictures = sorted(fill(tmp_path / "pictures", 3).iterdir())
    pixels = np.stack([load_image(path, opened.preprocessing) for path in pictures])
    source = door.read(tmp_path / "model.keras")
    head = heads.deployed_head(source.network.head)
    tensor = heads.features_tensor(opened.program)
    features = evaluate(opened.program, pixels, output=tensor)
    numbers = range(len(opened.labels))
    _, expected = explain.heatmaps(opened, pixels, numbers)
    found = np.stack([head.heatmaps(one, numbers) for one in features])
    assert np.abs(found - expected).max() <= CLOSE * expected.max()
    assert expected.max() > 0


def test_a_large_dense_is_int8_as_in_the_file() -> None:
    network = networks.densenet()
    kernel = np.random.default_rng(0).normal(0, 1, (15, 10_000))
    steps = (*network.head.steps[:1], networks.Dense(kernel, np.zeros(10_000)), networks.Activation("softmax"))
    dense = heads.deployed_head(networks.with_head(network, *steps).head).steps[-1]
    assert isinstance(dense, gradcam.Dense)
    assert dense.kernel.dtype == np.int8
    assert dense.scale is not None
    assert np.abs(dense.kernel * dense.scale - kernel).max() <= 0.51 * dense.scale.max()


def test_the_features_of_a_network_without_a_last_norm() -> None:
    network = networks.densenet()
    bare = networks.replace(network, head=networks.replace(network.head, norm=None))
    assert heads.features_tensor(lower(network)) == "head/norm"
    assert heads.features_tensor(lower(bare)) == "block2/layer2/concat"


@pytest.mark.parametrize("name", HEADS)
def test_a_deployed_file(name: str, tmp_path: Path) -> None:
    model = saved(models.densenet(size=(96, 96), head=HEADS[name]), tmp_path)
    pictures = sorted(fill(tmp_path / "pictures", 12).iterdir())
    (tmp_path / "model.tflite").write_bytes(pipeline.convert(model, tmp_path / "pictures", None, QUICK).data)
    opened = explain.read(model)
    with Classifier(tmp_path / "model.tflite", threads=1) as classifier:
        assert classifier.explains
        found = list(explain_on_device(classifier, pictures, classifier.labels))
    expected = list(explain.explain(opened, pictures, opened.labels))
    correlations = [
        np.corrcoef(f.values.ravel(), e.values.ravel())[0, 1]
        for one, other in zip(found, expected, strict=True)
        for f, e in zip(one.heats, other.heats, strict=True)
        if e.values.any() and f.values.any()
    ]
    assert len(correlations) >= len(pictures)  # a class may have no evidence
    assert np.median(correlations) >= CORRELATION


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The same model with and without --explain, and for an Edge TPU."""
    folder = tmp_path_factory.mktemp("files")
    model = saved(models.densenet(size=(64, 64)), folder)
    fill(folder / "pictures", 6)
    options = {
        "plain": Options(ranges="minmax", headroom=1.0),
        "explained": QUICK,
        "coral": Options(ranges="minmax", headroom=1.0, explain=True, target="coral"),
    }
    return {name: pipeline.convert(model, folder / "pictures", None, one).data for name, one in options.items()}


@pytest.mark.slow
class TestFile:
    def test_has_a_second_output(self, files: dict[str, bytes]) -> None:
        plain, explained, coral = (contents(files[name]).outputs for name in ("plain", "explained", "coral"))
        assert [(one.dtype, one.shape) for one in plain] == [("float32", (1, 5))]
        assert [(one.dtype, one.shape) for one in explained] == [("float32", (1, 5)), ("float32", (1, 8, 8, 30))]
        assert [(one.dtype, one.shape) for one in coral] == [("uint8", (1, 5)), ("uint8", (1, 8, 8, 30))]

    def test_says_the_same(self, files: dict[str, bytes]) -> None:
        pixels = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3)).astype(np.uint8)
        assert np.array_equal(execute.run(files["plain"], pixels), execute.run(files["explained"], pixels))

    def test_carries_its_head_and_little_else(self, files: dict[str, bytes]) -> None:
        plain, explained = (bundle.parse(files[name]).entries for name in ("plain", "explained"))
        assert explained.keys() - plain.keys() == {gradcam.ENTRY}
        assert len(files["explained"]) - len(files["plain"]) < len(explained[gradcam.ENTRY]) + 2000

    def test_is_recorded(self, files: dict[str, bytes]) -> None:
        assert bundle.parse(files["explained"]).recipe["options"]["explain"] is True
        assert bundle.parse(files["plain"]).recipe["options"]["explain"] is False

    def test_replays_its_golden_samples(self, files: dict[str, bytes], tmp_path: Path) -> None:
        (tmp_path / "file.tflite").write_bytes(files["explained"])
        result = replay.replay(tmp_path / "file.tflite")
        assert result.bit_equal

    def test_fits_an_edge_tpu(self, files: dict[str, bytes]) -> None:
        assert edgetpu.check(bundle.without_archive(files["coral"])) == []

    def test_on_the_device_in_uint8(self, files: dict[str, bytes], tmp_path: Path) -> None:
        """Eight bits more of rounding: the maps of both files agree as far as one step of the features goes."""
        for name in ("explained", "coral"):
            (tmp_path / f"{name}.tflite").write_bytes(files[name])
        pictures = sorted(fill(tmp_path / "pictures", 3).iterdir())
        maps = []
        for name in ("explained", "coral"):
            with Classifier(tmp_path / f"{name}.tflite", threads=1) as classifier:
                maps.append(
                    np.stack(
                        [
                            heat.values
                            for one in explain_on_device(classifier, pictures, classifier.labels)
                            for heat in one.heats
                        ]
                    )
                )
        assert np.corrcoef(maps[0].ravel(), maps[1].ravel())[0, 1] >= CORRELATION

    def test_outputs_in_another_order(self, files: dict[str, bytes], tmp_path: Path) -> None:
        """A compiler may change it."""
        import flatbuffers

        model = schema.ModelT.InitFromPackedBuf(bundle.without_archive(files["explained"]), 0)
        model.subgraphs[0].outputs = model.subgraphs[0].outputs[::-1].copy()
        builder = flatbuffers.Builder(1 << 20)
        builder.Finish(model.Pack(builder), b"TFL3")
        before = bundle.parse(files["explained"])
        turned = bundle.pack(bytes(builder.Output()), before.labels, before.recipe, before.entries)
        pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
        results = []
        for number, data in enumerate((files["explained"], turned)):
            (tmp_path / f"{number}.tflite").write_bytes(data)
            with Classifier(tmp_path / f"{number}.tflite", threads=1) as classifier:
                results.append((classifier.classify(pixels), classifier.heatmaps((0, 1))))
        assert np.array_equal(results[0][0], results[1][0])
        assert np.array_equal(results[0][1], results[1][1])
