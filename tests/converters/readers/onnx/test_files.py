"""ONNX files on disk: weights beside them, paths that lead elsewhere, and files that are damaged."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgedense.converters.readers.onnx import files
from edgedense.converters.readers.onnx.reader import read
from edgedense.errors import EdgedenseError
from tests import models
from tests.onnx_graphs import Graph, of_keras

onnx = pytest.importorskip("onnx")
keras = pytest.importorskip("keras")


@pytest.fixture(scope="module")
def network() -> Any:
    """One dense layer, as an ONNX model: the shortest that is read."""
    return of_keras(models.densenet(body=lambda k, x: models.body(k, x, (1,))))


def copied(model: Any) -> Any:
    return onnx.ModelProto.FromString(model.SerializeToString())


def beside(model: Any, folder: Path, name: str = "weights.bin") -> Path:
    """Saved with its weights in another file."""
    path = folder / "model.onnx"
    onnx.save(copied(model), path, save_as_external_data=True, location=name, size_threshold=0)
    return path


def relocated(path: Path, change: Callable[[Any], None]) -> Path:
    """The file, with what it says of the first tensor that lies beside it changed."""
    model = onnx.load(path, load_external_data=False)
    change(model.graph.initializer[0])
    path.write_bytes(model.SerializeToString())
    return path


def said(key: str, value: str) -> Callable[[Any], None]:
    def change(tensor: Any) -> None:
        kept = {entry.key: entry.value for entry in tensor.external_data} | {key: value}
        del tensor.external_data[:]
        for name, content in kept.items():
            tensor.external_data.add(key=name, value=content)

    return change


def refused(path: Path, *words: str) -> None:
    with pytest.raises(EdgedenseError) as caught:
        read(path)
    for word in words:
        assert word in str(caught.value)


class TestWeightsBeside:
    def test_are_those_of_the_one_file(self, network: Any, tmp_path: Path) -> None:
        onnx.save(network, tmp_path / "one.onnx")
        one, two = read(tmp_path / "one.onnx"), read(beside(network, tmp_path))
        assert np.array_equal(one.network.stem.conv.kernel, two.network.stem.conv.kernel)
        assert one.sha256 == hashlib.sha256((tmp_path / "one.onnx").read_bytes()).hexdigest()

    def test_count_in_the_hash(self, network: Any, tmp_path: Path) -> None:
        path = beside(network, tmp_path)
        before = files.load(path).sha256
        assert before == files.load(path).sha256
        data = bytearray((tmp_path / "weights.bin").read_bytes())
        data[5] ^= 1
        (tmp_path / "weights.bin").write_bytes(data)
        assert files.load(path).sha256 != before

    def test_in_a_folder_below(self, network: Any, tmp_path: Path) -> None:
        (tmp_path / "data").mkdir()
        read(beside(network, tmp_path, "data/weights.bin"))

    @pytest.mark.parametrize(
        "location", ["../weights.bin", "/etc/passwd", "data/../../x", "", "a\0b", "..\\weights.bin"]
    )
    def test_outside_of_the_folder_are_not_opened(self, network: Any, tmp_path: Path, location: str) -> None:
        (tmp_path / "inside").mkdir()
        (tmp_path / "weights.bin").write_bytes(bytes(10**6))
        path = relocated(beside(network, tmp_path / "inside"), said("location", location))
        refused(path, "weights in the folder of", "leads elsewhere")

    def test_behind_a_link_that_leads_outside(self, network: Any, tmp_path: Path) -> None:
        (tmp_path / "inside").mkdir()
        path = beside(network, tmp_path / "inside")
        (tmp_path / "inside" / "weights.bin").rename(tmp_path / "weights.bin")
        (tmp_path / "inside" / "weights.bin").symlink_to(tmp_path / "weights.bin")
        refused(path, "leads elsewhere")

    def test_that_are_missing(self, network: Any, tmp_path: Path) -> None:
        path = beside(network, tmp_path)
        (tmp_path / "weights.bin").unlink()
        refused(path, "'weights.bin' beside", "no such file", "copy both")

    @pytest.mark.parametrize(
        ("key", "value", "found"),
        [
            ("offset", "99999999", "bytes 99999999 to"),
            ("length", "99999999", "to 99999999 of 'weights.bin'"),
            ("offset", "-1", "bytes -1"),
            ("offset", "many", "no number"),
        ],
    )
    def test_at_places_that_are_none(self, network: Any, tmp_path: Path, key: str, value: str, found: str) -> None:
        refused(relocated(beside(network, tmp_path), said(key, value)), found)

    def test_that_are_too_large(self, network: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(files, "LIMIT", 12_000)
        refused(beside(network, tmp_path), "more than 12000 bytes of weights beside it")


class TestDamaged:
    def test_missing(self, tmp_path: Path) -> None:
        refused(tmp_path / "model.onnx", "no file")

    @pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\xff" * 100])
    def test_no_model(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "model.onnx").write_bytes(content)
        refused(tmp_path / "model.onnx", "an ONNX model", "export it again")

    def test_too_large(self, network: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        onnx.save(network, tmp_path / "model.onnx")
        monkeypatch.setattr(files, "LIMIT", 10_000)
        refused(tmp_path / "model.onnx", "more than the 10000")

    def test_a_circle(self, network: Any, tmp_path: Path) -> None:
        model = copied(network)
        relu = next(node for node in model.graph.node if node.op_type == "Relu")
        relu.input[0] = model.graph.node[-1].output[0]
        onnx.save(model, tmp_path / "model.onnx")
        refused(tmp_path / "model.onnx", "an ONNX model")

    def test_tensors_larger_than_memory(self, network: Any, tmp_path: Path) -> None:
        graph = Graph()
        huge = graph.op("ConstantOfShape", np.array([10**6, 10**6]))
        model = graph.model([graph.op("MatMul", graph.op("Flatten", "image"), huge)], (1, 3, 8, 8))
        onnx.save(model, tmp_path / "model.onnx")
        refused(tmp_path / "model.onnx", "tensors of a network for pictures", "[1000000, 1000000]")

    def test_weights_that_say_they_are_larger_than_memory(self, network: Any, tmp_path: Path) -> None:
        model = copied(network)
        model.graph.initializer[0].dims[0] = 2**40
        onnx.save(model, tmp_path / "model.onnx")
        refused(tmp_path / "model.onnx", "an ONNX model", "bytes required")

    def test_random_weights_in_the_graph(self, tmp_path: Path) -> None:
        graph = Graph()
        noise = graph.op("RandomNormal", shape=[192, 4])
        onnx.save(
            graph.model([graph.op("MatMul", graph.op("Flatten", "image"), noise)], (1, 3, 8, 8)), tmp_path / "m.onnx"
        )
        refused(tmp_path / "m.onnx", "the same scores each time", "RandomNormal")

    def test_operators_that_nobody_defines(self, network: Any, tmp_path: Path) -> None:
        model = copied(network)
        next(node for node in model.graph.node if node.op_type == "Relu").op_type = "Erfc"
        onnx.save(model, tmp_path / "model.onnx")
        refused(tmp_path / "model.onnx", "operators that ONNX defines", "Erfc")


def damaged(data: bytes, count: int) -> Iterator[bytes]:
    """Truncated, overwritten, with bytes left out and repeated; every fourth of each."""
    random = np.random.default_rng(0)
    for number in range(count):
        broken, at = bytearray(data), int(random.integers(len(data)))
        if number % 4 == 0:
            broken = broken[:at]
        elif number % 4 == 1:
            for place in random.integers(len(data), size=20):
                broken[place] ^= 1 << int(random.integers(8))
        elif number % 4 == 2:
            del broken[at : at + int(random.integers(1, 50))]
        else:
            broken[at:at] = broken[at : at + int(random.integers(1, 50))]
        yield bytes(broken)


def test_damaged_files_are_read_or_refused(network: Any, tmp_path: Path) -> None:
    """Weights are most of such a file: those left out, so that the damage hits what describes them."""
    model = copied(network)
    for tensor in model.graph.initializer:
        if len(tensor.raw_data) > 100:
            tensor.raw_data = bytes(len(tensor.raw_data))
    data = model.SerializeToString()
    refusals = 0
    for content in damaged(data, 60):
        (tmp_path / "model.onnx").write_bytes(content)
        try:
            read(tmp_path / "model.onnx")
        except EdgedenseError:
            refusals += 1
    assert refusals > 30
    assert list(tmp_path.iterdir()) == [tmp_path / "model.onnx"]
