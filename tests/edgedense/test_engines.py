"""What `convert` makes runs on OpenVINO too, whatever the file's input and outputs are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("openvino")
pytest.importorskip("tensorflow")
import edgedense
from edgedense.device.engines.replay import replay
from tests.models import densenet

pytestmark = pytest.mark.slow


def sigmoids(keras: Any, x: Any) -> Any:
    return keras.layers.Dense(4, activation="sigmoid")(keras.layers.GlobalAveragePooling2D()(x))


def values(keras: Any, x: Any) -> Any:
    return keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(x))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """24 of soft random colours, 32x32."""
    folder, random = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for number in range(24):
        small = Image.fromarray(random.integers(0, 256, (6, 6, 3), np.uint8))
        small.resize((32, 32), Image.Resampling.BILINEAR).save(folder / f"{number:02d}.png")
    return sorted(folder.iterdir())


@pytest.mark.parametrize(
    ("network", "options", "is_explained"),
    [
        ({}, {"channels": 1, "output_type": "uint8", "explain": True}, True),
        ({"head": sigmoids}, {}, False),
        ({"head": values}, {"activation": "none", "unit": "kg"}, False),
    ],
    ids=["grey, uint8 and heatmaps", "sigmoids", "values"],
)
def test_the_answers_are_those_of_litert(
    tmp_path: Path, pictures: list[Path], network: Any, options: Any, is_explained: bool
) -> None:
    path = tmp_path / "m.tflite"
    edgedense.convert(densenet(**network), pictures[0].parent, force=True, **options).save(path)
    assert replay(path, 1, "openvino").passed
    with edgedense.Classifier(path) as usual, edgedense.Classifier(path, "openvino", 1) as other:
        # Other kernels round each of some 20 layers otherwise: by a few steps of 8 bits at the end.
        allowed = 0.02 * (np.ptp([usual.classify(one) for one in inputs(usual, pictures)]) if usual.gives_values else 1)
        for pixels in inputs(usual, pictures):
            assert other.classify(pixels) == pytest.approx(usual.classify(pixels), abs=float(allowed))
            if is_explained:
                expected = usual.heatmaps([0, 1])
                assert other.heatmaps([0, 1]) == pytest.approx(expected, abs=0.2 * float(expected.max()))
        assert (other.labels, other.unit) == (usual.labels, usual.unit)


def inputs(classifier: Any, pictures: list[Path]) -> list[np.ndarray]:
    return [edgedense.load_image(one, classifier.preprocessing) for one in pictures[:8]]
