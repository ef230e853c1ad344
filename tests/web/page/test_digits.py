"""A handwritten digit before the camera: a tiny model reads it in the page as in Python."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgedense.deployed import bundle
from edgedense.device.classifier import Classifier
from edgedense.images.preprocessing import Pixels, Preprocessing, prepare
from tests.web.page.conftest import BEST, NAMES, READY, SiteOf, phone, press
from tests.web.page.filming import film
from tests.web.serving import Served

pytestmark = pytest.mark.slow

tensorflow = pytest.importorskip("tensorflow")
WHITE = 16  # of scikit-learn's digits, which have 8 x 8 pixels
LARGER = 30


def levels(digits: np.ndarray) -> Pixels:
    """[N, 8, 8] from 0 to WHITE -> uint8 [N, 8, 8]."""
    return np.rint(digits * (255 / WHITE)).astype(np.uint8)


@pytest.fixture(scope="module")
def digits() -> tuple[Pixels, np.ndarray]:
    """Handwritten digits, uint8 [N, 8, 8], and which they are."""
    found = pytest.importorskip("sklearn.datasets").load_digits()
    return levels(found.images), found.target


@pytest.fixture(scope="module")
def model(digits: tuple[Pixels, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Softmax regression of the first 1500 digits, for pictures of any size, made grey and as small as those."""
    from sklearn.linear_model import LogisticRegression

    pictures, labels = digits
    learned = LogisticRegression(C=0.01, max_iter=1000).fit(pictures[:1500].reshape(1500, 64) / 16, labels[:1500])
    keras = tensorflow.keras
    inputs = keras.Input((8, 8, 1), dtype="uint8", batch_size=1)
    flat = keras.layers.Flatten()(keras.layers.Rescaling(1 / 16)(inputs))
    network = keras.Model(inputs, keras.layers.Dense(10, activation="softmax")(flat))
    network.layers[-1].set_weights([learned.coef_.T, learned.intercept_])
    content = tensorflow.lite.TFLiteConverter.from_keras_model(network).convert()
    recipe = {"edgedense": "0.1.0", "preprocessing": Preprocessing(8, 8, "none", "area", channels=1).to_dict()}
    path = tmp_path_factory.mktemp("digits") / "digits.tflite"
    path.write_bytes(bundle.pack(content, tuple("0123456789"), recipe))
    return path


def test_a_digit_is_recognized(
    tmp_path: Path, digits: tuple[Pixels, np.ndarray], model: Path, serve: Callable[[Path], Served], site_of: SiteOf
) -> None:
    """The first 4 that the model has not seen, 30 times as large."""
    pictures, labels = digits
    number = int(np.flatnonzero(labels[1500:] == 4)[0]) + 1500
    picture = np.repeat(np.kron(pictures[number], np.ones((LARGER, LARGER), np.uint8))[..., None], 3, axis=2)
    with Classifier(model) as classifier:
        assert classifier.classify(prepare(picture, classifier.preprocessing)).argmax() == 4
    path = film(tmp_path / "digit.y4m", [picture])
    with phone(tmp_path, film=path) as browser:
        browser.open(serve(site_of(model)).url)
        browser.wait_for(READY)
        press(browser, "camera")
        browser.wait_for(f"{BEST} === '4'")
        assert browser.value(NAMES).count(",") == 4  # the five best
