"""What is deployed at another size is compared with the model at its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgedense.converters.calibration import normalization
from edgedense.converters.opening import Opening
from edgedense.converters.options import Options
from edgedense.converters.pipeline import convert
from edgedense.converters.readers.keras import reader as keras_reader
from edgedense.converters.readers.trained import trained
from edgedense.converters.slimming import Slimming
from edgedense.images.preprocessing import Preprocessing, load_image
from tests import models
from tests.pictures import fill

DEPLOYED = Preprocessing(40, 56, "densenet")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    models.densenet().save(tmp_path / "model.keras")
    return tmp_path / "model.keras"


def test_the_models_own_size_is_the_reference(model: Path, tmp_path: Path) -> None:
    source = keras_reader.read(model, Opening((40, 56)))
    own = keras_reader.read(model)
    reference = trained(model, source, DEPLOYED, Opening())
    assert reference.resized
    assert (reference.preprocessing.height, reference.preprocessing.width) == (own.network.height, own.network.width)
    paths = sorted(fill(tmp_path / "pictures", 3).iterdir())
    pixels = np.stack([load_image(path, reference.preprocessing) for path in paths])
    wanted = own.predict(normalization.normalized(pixels, "densenet"))
    np.testing.assert_array_equal(reference.predict(reference.load(paths, "test")), wanted)


def test_the_same_size_and_any_size_need_no_second_reading(model: Path, tmp_path: Path) -> None:
    source = keras_reader.read(model)
    same = Preprocessing(source.network.height, source.network.width, "densenet")
    assert not trained(model, source, same, Opening()).resized
    models.densenet(size=(None, None)).save(tmp_path / "any.keras")
    source = keras_reader.read(tmp_path / "any.keras", Opening((40, 56)))
    assert not trained(tmp_path / "any.keras", source, DEPLOYED, Opening()).resized


@pytest.mark.slow
def test_a_smaller_input_is_told_with_its_drift(model: Path, tmp_path: Path) -> None:
    fill(tmp_path / "pictures", 6)
    options = Options(opening=Opening((40, 56)), calibration_images=6, ranges="minmax", headroom=1.0)
    found = convert(model, tmp_path / "pictures", tuple("abcde"), options)
    assert [stage.name for stage in found.stages] == ["as trained", "input size"]
    assert found.stages[1].parameters == {"height": 40, "width": 56}
    assert found.stages[0].macs != found.stages[1].macs
    assert found.stages[1].flatbuffer_bytes == found.figures["flatbuffer_bytes"]
    assert [step["name"] for step in found.recipe["steps"]] == ["as trained", "input size"]
    assert "latency_ms" not in found.recipe["steps"][0]
    # What the figures compare with is the model at its own size.
    own = keras_reader.read(model)
    preprocessing = replace(DEPLOYED, height=own.network.height, width=own.network.width)
    pixels = np.stack([load_image(path, preprocessing) for path in found.outcome.pictures.paths])
    np.testing.assert_allclose(
        found.outcome.before, own.predict(normalization.normalized(pixels, "densenet")), atol=1e-5
    )  # batches of another size add up in another order


def test_what_changes_nothing_has_no_stages(model: Path, tmp_path: Path) -> None:
    fill(tmp_path / "pictures", 6)
    options = Options(calibration_images=6, ranges="minmax", headroom=1.0, slimming=Slimming())
    found = convert(model, tmp_path / "pictures", tuple("abcde"), options)
    assert found.stages == ()
    assert "steps" not in found.recipe
