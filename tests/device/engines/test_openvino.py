"""OpenVINO runs the same files, and gives the same answers as LiteRT as far as its own kernels do."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("openvino")
from edgedense.deployed import bundle
from edgedense.device import Classifier
from edgedense.device.engines import openvino
from edgedense.device.engines.edgetpu import CUSTOM_OPERATOR
from edgedense.device.engines.interpreter import make_interpreter
from edgedense.device.engines.replay import replay
from edgedense.errors import DeviceError, EdgedenseError
from tests.device.conftest import CARDS, COLOURS, RECIPE

MakeModel = Callable[..., bytes]


def card(colour: str) -> np.ndarray:
    """The colour on the left, and black on the right."""
    pixels = np.zeros((48, 64, 3), np.uint8)
    pixels[:, :40] = CARDS[colour]
    return pixels


@pytest.mark.parametrize(
    ("device", "name"),
    [
        ("openvino", "CPU"),
        ("openvino:cpu", "CPU"),
        ("openvino:gpu", "GPU"),
        ("openvino:gpu:1", "GPU.1"),
        ("openvino:npu", "NPU"),
        ("openvino:tpu", None),
        ("openvino:1", None),
        ("cpu", None),
    ],
)
def test_the_words_of_a_device(device: str, name: str | None) -> None:
    assert openvino.parse_device(device) == name


@pytest.mark.parametrize(
    "kind", [{}, {"quantized": True}, {"independent": True}, {"outputs": 1}], ids=["", "uint8", "sigmoids", "pair"]
)
def test_the_scores_are_those_of_litert(tmp_path: Path, colour_model: MakeModel, kind: dict[str, bool]) -> None:
    path = tmp_path / "m.tflite"
    labels = COLOURS if "outputs" not in kind else ("no", "blue")
    recipe = {**RECIPE, **({"activation": "sigmoid"} if {"independent", "outputs"} & set(kind) else {})}
    path.write_bytes(bundle.pack(colour_model(**kind), labels, recipe))
    tolerance = 1 / 256 if kind.get("quantized") else 1e-5  # sums in another order, which may cost a step of uint8
    with Classifier(path) as usual, Classifier(path, device="openvino", threads=1) as other:
        for colour in CARDS:
            expected = usual.classify(card(colour))
            assert other.classify(card(colour)) == pytest.approx(expected, abs=tolerance)
        assert other.invoke_seconds > 0
        assert (other.labels, other.device) == (usual.labels, "openvino")


def test_heatmaps(explained_colours: Path) -> None:
    with Classifier(explained_colours) as usual, Classifier(explained_colours, device="openvino") as other:
        for classifier in (usual, other):
            classifier.classify(card("red"))
        assert other.heatmaps([0, 2]) == pytest.approx(usual.heatmaps([0, 2]), abs=1e-5)


def test_golden_samples_are_judged_as_those_of_other_kernels(proved: Callable[..., Path]) -> None:
    found = replay(proved("m.tflite"), 1, "openvino")
    assert found.passed
    assert found.run_with.startswith(f"openvino {openvino.version()}, ")
    assert found.allowed_steps is None
    assert not replay(proved("m.tflite", is_wrong=True), 1, "openvino").passed


def test_a_device_that_is_not_there_is_named(colours: Path) -> None:
    with pytest.raises(DeviceError, match=r"a device GPU\.77 that OpenVINO can use; found .*CPU"):
        make_interpreter(colours, "openvino:gpu:77")


def test_what_it_cannot_run(tmp_path: Path, colours: Path) -> None:
    with pytest.raises(EdgedenseError, match=r"a whole \.tflite file"):
        make_interpreter(b"text", "openvino")
    with pytest.raises(EdgedenseError, match="one compiled for the Edge TPU"):
        make_interpreter(colours.read_bytes() + CUSTOM_OPERATOR, "openvino")


def test_an_operator_that_it_does_not_know_is_told(monkeypatch: pytest.MonkeyPatch, colours: Path) -> None:
    def refuse(self: object, path: object) -> None:
        raise RuntimeError("Exception from a.cpp:1:\nNo translator for FOO")

    monkeypatch.setattr("openvino.Core.read_model", refuse)
    with pytest.raises(
        EdgedenseError, match=r"that OpenVINO .* can run on the device CPU; found .*No translator for FOO"
    ):
        make_interpreter(colours, "openvino")


def test_without_openvino_it_says_what_brings_it(colours: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(DeviceError, match=r"pip install 'edgedense\[openvino\]'"):
        make_interpreter(colours, "openvino")
    monkeypatch.setattr(openvino, "version", lambda: None)
    with pytest.raises(DeviceError, match="none that is installed"):
        openvino.title("CPU")
