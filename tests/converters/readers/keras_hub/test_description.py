"""What the descriptions of keras-hub and keras-cv say, and what is refused by its name."""

from __future__ import annotations

from typing import Any

import pytest

from edgedense.converters.network.graph import Activation
from edgedense.converters.readers.keras_hub.description import Classifier, classifier
from edgedense.errors import EdgedenseError
from tests.hub import preprocessor


def described(backbone: dict[str, Any] | None = None, **config: Any) -> dict[str, Any]:
    own = {"stackwise_num_repeats": [6, 12], "image_shape": [224, 192, 3], "growth_rate": 32, **(backbone or {})}
    whole = {"pooling": "avg", "activation": None, "num_classes": 4, **config}
    whole.setdefault("backbone", {"class_name": "DenseNetBackbone", "config": own})
    return {"class_name": "DenseNetImageClassifier", "config": whole}


def test_the_smallest() -> None:
    assert classifier(described(), "m.keras") == Classifier("6,12", "avg", None, (224, 192))


def test_pooling_activation_and_any_size() -> None:
    found = classifier(described({"image_shape": [None, None, 3]}, pooling="max", activation="sigmoid"), "m.keras")
    assert found == Classifier("6,12", "max", Activation("sigmoid"), None)
    serialized = {"module": "builtins", "class_name": "function", "config": "softmax"}
    assert classifier(described(activation=serialized), "m.keras").activation == Activation("softmax")


def test_what_the_preprocessor_does() -> None:
    said = preprocessor(image_size=[96, 128], scale=[0.5, 0.25, 2.0], offset=-1.0, antialias=True)
    found = classifier(described({"image_shape": [None, None, 3]}, preprocessor=said), "m.keras")
    assert found.size == (96, 128)
    assert found.normalization is not None
    assert found.normalization.scale.tolist() == [0.5, 0.25, 2.0]
    assert found.normalization.shift.tolist() == [-1.0, -1.0, -1.0]
    assert found.resizing == "--fit crop --resize pil-bilinear"
    plain = classifier(described(preprocessor=preprocessor()), "m.keras")
    assert plain.normalization is not None
    assert (plain.normalization.scale.tolist(), plain.resizing) == ([1.0] * 3, None)


@pytest.mark.parametrize(
    ("converter", "options"),
    [
        ({"crop_to_aspect_ratio": False}, "--fit stretch --resize bilinear"),
        ({"crop_to_aspect_ratio": False, "pad_to_aspect_ratio": True}, "--fit pad --resize bilinear"),
        ({"interpolation": "lanczos3", "antialias": True}, "--fit crop --resize pil-lanczos"),
        ({"interpolation": "lanczos5"}, "--fit crop --resize lanczos5"),
    ],
)
def test_resizing_is_told_in_options(converter: dict[str, Any], options: str) -> None:
    said = preprocessor(image_size=[96, 128], **converter)
    assert classifier(described(preprocessor=said), "m.keras").resizing == options


def test_keras_cv() -> None:
    own = {
        "stackwise_num_repeats": [6, 12],
        "input_shape": [64, 64, 3],
        "include_rescaling": True,
        "input_tensor": None,
    }
    said = {
        "class_name": "ImageClassifier",
        "config": {
            "backbone": {"class_name": "DenseNetBackbone", "config": own},
            "pooling": "avg",
            "activation": "softmax",
        },
    }
    found = classifier(said, "m.keras")
    assert found.size == (64, 64)
    assert found.normalization is not None
    assert found.normalization.scale.tolist() == [1 / 255] * 3


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ({"class_name": "DenseNetBackbone", "config": {}}, "found DenseNetBackbone in 'm.keras'. Try: put a head"),
        ({"class_name": "ResNetImageClassifier"}, "found ResNetImageClassifier"),
        (
            {"class_name": "ImageClassifier", "config": {"backbone": {"class_name": "ResNetBackbone"}}},
            "found ResNetBackbone",
        ),
        ({"class_name": "ImageClassifier", "config": {}}, "found nothing"),
        (described({"stackwise_num_repeats": "6"}), "stackwise_num_repeats '6'"),
        (described({"dilation": 2}), "dilation 2"),
        (described({"image_shape": None}), "image_shape None"),
        (described(pooling="gem"), "pooling 'gem'"),
        (described(activation="relu"), "activation 'relu'"),
        (described(preprocessor=preprocessor(scale=[1, 2])), r"scale and offset '\[1, 2\] and None'"),
        (described(preprocessor=preprocessor(scale=0.0)), "scale and offset '0.0 and None'"),
        (described(preprocessor=preprocessor(gamma=2)), "gamma 2"),
        (described(preprocessor="x"), "preprocessor 'x'"),
    ],
)
def test_others_are_refused_with_what_differs(said: dict[str, Any], found: str) -> None:
    with pytest.raises(EdgedenseError, match=found):
        classifier(said, "m.keras")
