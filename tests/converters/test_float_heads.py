"""A Keras model whose head stays float, converted: the same labels, the same bytes, and what is told of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgedense.converters.conversion import Conversion
from edgedense.converters.conversion_page import to_html
from edgedense.converters.options import Options
from edgedense.converters.pipeline import convert
from edgedense.converters.slimming import Slimming
from edgedense.converters.tflite import execute
from edgedense.deployed import bundle
from edgedense.device.classifier import Classifier
from edgedense.device.engines.contents import contents
from edgedense.errors import EdgedenseError
from tests import models


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("float_heads") / "attention.keras"
    models.densenet(size=(64, 64), head=models.classified(models.attention_head)).save(path)
    return path


def quick(**options: Any) -> Options:
    return Options(ranges="minmax", headroom=1.15, force=True, **options)


@pytest.fixture(scope="module")
def conversion(model: Path, pictures: Path) -> Conversion:
    return convert(model, pictures, options=quick())


def test_the_labels_are_those_of_keras(conversion: Conversion) -> None:
    """The int8 backbone moves these scores by less than 0.01, and so the label where two are closer than twice that."""
    before, after = conversion.outcome.before, conversion.outcome.after
    assert np.abs(before - after).max() < 0.01
    best = np.sort(before, axis=1)
    clear = best[:, -1] - best[:, -2] > 0.02
    assert clear.sum() > len(clear) / 2
    assert (before.argmax(1) == after.argmax(1))[clear].all()


def test_only_the_head_is_float_behind_one_dequantize(conversion: Conversion) -> None:
    found = {(o.code, o.arithmetic): o.count for o in contents(conversion.data).operators}
    floats = {code: count for (code, arithmetic), count in found.items() if arithmetic == "float32"}
    # The last norm and ReLU, in float because int8 channels of one range would be coarser; the head; the softmax.
    assert floats == {
        "DEPTHWISE_CONV_2D": 1, "FULLY_CONNECTED": 3, "LOGISTIC": 1, "MEAN": 2, "MUL": 1, "SOFTMAX": 1,
    }  # fmt: skip
    assert found["DEQUANTIZE", "int8 -> float32"] == 1
    assert not any(code == "CONV_2D" and arithmetic != "int8" for code, arithmetic in found)


def test_it_is_told(conversion: Conversion, tmp_path: Path) -> None:
    facts = bundle.parse(conversion.data).recipe["float_head"]
    channels = (12 + 2 * 8) // 2 + 2 * 8  # the stem's and two layers', halved by the transition, and two layers' more
    weights = channels * 3 + 3 * channels + channels * 5
    assert facts["multiply_accumulates"] == weights
    assert facts["parameters"] >= weights
    assert facts["operators"]["FULLY_CONNECTED"] == 3
    (note,) = [note for note in conversion.notes if "stays float32" in note]
    assert f"{weights:,} multiply-accumulates" in note
    page = to_html(conversion)
    assert "The head in float32" in page
    assert f"{facts['bytes']:,}" in page


@pytest.mark.slow
def test_the_same_bytes_twice_in_one_process(model: Path, pictures: Path, conversion: Conversion) -> None:
    from edgedense.converters.network.stock import converted

    converted.cache_clear()
    assert convert(model, pictures, options=quick()).data == conversion.data


def test_the_head_of_a_native_model_is_not_told(pictures: Path, tmp_path: Path) -> None:
    models.densenet().save(tmp_path / "plain.keras")
    result = convert(tmp_path / "plain.keras", pictures, options=quick())
    assert "float_head" not in result.recipe
    assert not any("float32" in note for note in result.notes)


def test_scores_in_uint8(model: Path, pictures: Path, conversion: Conversion) -> None:
    """Rounded once, to 1/256."""
    result = convert(model, pictures, options=quick(output_type="uint8"))
    assert contents(result.data).outputs[0].dtype == "uint8"
    assert np.abs(result.outcome.after - conversion.outcome.after).max() <= 0.5 / 256 + 1e-6
    assert any("not integer only" in note for note in result.notes)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"target": "coral"}, "for an Edge TPU, which computes in integers only"),
        ({"slimming": Slimming(fit_edgetpu=True)}, "for an Edge TPU, which computes in integers only"),
        ({"explain": True}, "for heatmaps on the device"),
    ],
)
def test_what_cannot_be_had_is_said_before_any_picture_is_read(model: Path, options: Any, words: str) -> None:
    with pytest.raises(EdgedenseError, match=words):
        convert(model, "no such folder", options=quick(**options))


@pytest.mark.slow
def test_pruning_leaves_what_the_head_reads(model: Path, pictures: Path, conversion: Conversion) -> None:
    result = convert(model, pictures, options=quick(slimming=Slimming(prune_channels=0.02)))
    before, after = result.stages
    assert after.macs < before.macs
    assert result.recipe["float_head"] == conversion.recipe["float_head"]
    with pytest.raises(EdgedenseError, match="all of those in the last block, whose channels the head"):
        convert(model, pictures, options=quick(slimming=Slimming(prune_channels=0.99)))


def test_heatmaps_on_the_device_say_why_not(conversion: Conversion, tmp_path: Path) -> None:
    path = tmp_path / "attention.tflite"
    path.write_bytes(conversion.data)
    with Classifier(path) as classifier, pytest.raises(EdgedenseError, match="one whose head is float32"):
        classifier.heatmaps([0])


def test_it_runs_on_one_thread_as_on_two(conversion: Conversion) -> None:
    pixels = conversion.outcome.pictures.pixels[:2]
    assert np.allclose(execute.run(conversion.data, pixels), conversion.outcome.after[:2], atol=1e-6)
