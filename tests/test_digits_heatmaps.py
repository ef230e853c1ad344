"""Where the bundled model sees a digit is where the digit is: its pictures say so themselves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgedense.converters import explain
from edgedense.explanations.colormap import enlarged
from edgedense.images.preprocessing import resize
from tests.test_digits_example import EXAMPLE, images

pytest.importorskip("keras")
REACH = 45 / images.WIDTH  # half of the largest digit, in shares of the picture


@pytest.fixture(scope="module")
def found() -> list[tuple[np.ndarray, tuple[float, float], bool]]:
    """Of two pictures of each class: the heatmap of the digit's class over the picture, the digit's centre (x, y) in
    shares of the picture, and whether it was recognized."""
    model = explain.read(EXAMPLE / "digits.keras", images.LABELS)
    result = []
    for picture in images.pictures(held_out=True, per_class=2, seed=3):
        scores, heats = explain.heatmaps(model, resize(picture.pixels, 224, 224)[None], (picture.label,))
        centre = (picture.centre[0] / images.WIDTH, picture.centre[1] / images.HEIGHT)
        result.append((enlarged(heats[0, 0], 224, 224), centre, int(scores.argmax()) == picture.label))
    return result


@pytest.mark.slow
def test_the_peak_is_on_the_digit(found: list[tuple[np.ndarray, tuple[float, float], bool]]) -> None:
    """A digit covers 5 % of a picture: by chance one of 20 would be met, and 17 never."""
    hits = 0
    for heat, (x, y), _ in found:
        row, column = np.unravel_index(heat.argmax(), heat.shape)
        hits += abs((column + 0.5) / 224 - x) <= REACH and abs((row + 0.5) / 224 - y) <= REACH
    assert sum(right for *_, right in found) >= 18  # 98 % are recognized
    assert hits >= 17


@pytest.mark.slow
def test_a_random_network_does_not_know_where_it_is() -> None:
    """The same pictures, weights of the last block and head made random."""
    from benchmarks.randomization import cascade
    from edgedense.converters.calibration import normalization
    from edgedense.converters.network.program import lower
    from edgedense.converters.readers.keras import reader as keras_reader

    model = explain.read(EXAMPLE / "digits.keras", images.LABELS)
    network = normalization.compose(keras_reader.read(EXAMPLE / "digits.keras").network, "densenet")
    changed = dict(cascade(network))["block4"]
    pixels = np.stack([resize(p.pixels, 224, 224) for p in images.pictures(held_out=True, per_class=1, seed=3)])
    _, before = explain.heatmaps(model, pixels, (0, 1))
    _, after = explain.heatmaps(replace(model, program=lower(changed)), pixels, (0, 1))
    correlations = [
        np.corrcoef(one.ravel(), other.ravel())[0, 1]
        for one, other in zip(before.reshape(-1, 49), after.reshape(-1, 49), strict=True)
        if one.any() and other.any()
    ]
    assert np.mean(np.abs(correlations)) < 0.5
