"""Heads that the graph has no words for: where they begin, what they compute, and what is refused by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tf_keras

from edgedense.converters.network.graph import Activation, Dense, FloatHead
from edgedense.converters.readers.keras import files, reader
from edgedense.converters.readers.source import Source
from edgedense.errors import EdgedenseError
from tests import models, reference

# A head in float32 rounds to 1e-7 of its largest logit at each of some ten operators, and so does the network before.
TOLERANCE = 1e-5


def read(model: Any, size: tuple[int, int] | None = None) -> Source:
    return reader.read_opened(files.Opened(model, "memory", ""), size)


def pixels(source: Source) -> np.ndarray:
    size = (3, source.network.height, source.network.width, 3)
    return np.random.default_rng(0).integers(0, 256, size).astype(np.float32)


def float_head(source: Source) -> FloatHead:
    head = source.network.head.float_head
    assert head is not None
    return head


def agree(source: Source) -> None:
    """Graph and Keras give the same logits, and Keras' parameters are all counted."""
    wanted = source.logits(pixels(source))
    assert np.ptp(wanted, axis=0).max() > 1e-3 * np.abs(wanted).max(), "a head that does not look at its picture"
    assert reference.relative_error(reference.logits(source.network, pixels(source)), wanted) < TOLERANCE
    assert sum(source.parameters.values()) == source.reference.model.count_params()


@pytest.mark.parametrize(
    ("library", "name"),
    [
        *((keras, name) for name in models.FLOAT_HEADS),
        *((tf_keras, name) for name in ("two poolings", "convolution", "PReLU", "sequence")),
    ],
)
def test_logits_are_those_of_keras(library: Any, name: str) -> None:
    source = read(models.densenet(library, size=(64, 64), head=models.classified(models.FLOAT_HEADS[name])))
    agree(source)
    assert source.network.head.norm is not None, "the last norm and ReLU belong to the backbone"
    assert [type(step) for step in source.network.head.steps] == [FloatHead, Activation]
    assert source.network.classes == float_head(source).outputs == 5


def test_a_head_that_is_known_is_left_to_the_graph() -> None:
    steps = read(models.densenet()).network.head.steps
    assert not any(isinstance(step, FloatHead) for step in steps)
    assert any(isinstance(step, Dense) for step in steps)


def test_it_is_told_what_has_no_words_and_what_the_head_is_made_of() -> None:
    head = float_head(read(models.densenet(head=models.classified(models.prelu_head))))
    assert "(PReLU) on a tensor of shape [None, 6]" in head.reason
    assert [layer.split(" (")[1] for layer in head.layers] == [
        "GlobalAveragePooling2D)", "Dense)", "PReLU)", "Dense)",
    ]  # fmt: skip


def test_saved_and_nested(tmp_path: Path) -> None:
    """The seam lies inside a model in a model, and the head is spread over three."""
    image = keras.Input((32, 32, 3))
    base = keras.Model(image, models.two_poolings_head(keras, models.body(keras, models.stem(keras, image))))
    top = keras.Sequential([keras.Input(base.output.shape[1:]), keras.layers.Dense(4, activation="gelu")])
    model = keras.Sequential([keras.Input((32, 32, 3)), base, top, keras.layers.Dense(3, activation="softmax")])
    models.randomized(model, 1).save(tmp_path / "model.keras")
    agree(reader.read(tmp_path / "model.keras"))


def test_channels_in_another_order_than_the_graphs() -> None:
    """New channels are joined in front, as the head sees them; the graph keeps them behind."""

    def body(k: Any, x: Any) -> Any:
        for _ in range(2):
            x = k.layers.Concatenate()([models.dense_layer(k, x, 8), x])
        return models.norm_relu(k, x)

    agree(read(models.densenet(body=body, head=models.classified(models.prelu_head))))


def test_without_a_last_norm() -> None:
    """Two branches that read the last block itself."""

    def body(k: Any, x: Any) -> Any:
        return k.layers.Concatenate()([x, models.dense_layer(k, x, 8)])

    source = read(models.densenet(body=body, head=models.classified(models.two_poolings_head)))
    agree(source)
    assert source.network.head.norm is None


def test_a_backbone_that_is_cut_at_a_transition() -> None:
    """What follows the last dense block is the head, also where more blocks once stood behind it."""

    def body(k: Any, x: Any) -> Any:
        x = k.layers.Concatenate()([x, models.dense_layer(k, x, 8)])
        return k.layers.AveragePooling2D(2)(models.conv(k, models.norm_relu(k, x), 10))

    agree(read(models.densenet(body=body)))


@pytest.mark.parametrize(
    ("end", "steps"),
    [
        (lambda k, x: k.layers.Dense(2)(x), [FloatHead]),
        (lambda k, x: k.layers.Dense(2, activation="tanh")(k.layers.LayerNormalization()(x)), [FloatHead]),
        (lambda k, x: k.layers.Dense(2, activation="softplus")(x), [FloatHead]),
        (lambda k, x: k.layers.Dense(1, activation="sigmoid")(x), [FloatHead, Activation]),
        (lambda k, x: k.layers.Activation("sigmoid")(k.layers.Dense(3)(x)), [FloatHead, Activation]),
        (
            lambda k, x: k.layers.Reshape((4,))(
                k.layers.Conv2D(4, 1, activation="softmax")(k.layers.Reshape((1, 1, -1))(x))
            ),
            [FloatHead, Activation],
        ),
    ],
    ids=[
        "plain logits",
        "values",
        "values of a function without words",
        "one sigmoid",
        "an activation of its own",
        "flattened behind the softmax",
    ],
)
def test_it_ends_in_logits(end: Callable[[Any, Any], Any], steps: list[type]) -> None:
    def head(k: Any, x: Any) -> Any:
        return end(k, models.prelu_head(k, x))

    source = read(models.densenet(head=head))
    agree(source)
    assert [type(step) for step in source.network.head.steps] == steps
    assert source.logits(pixels(source)).shape == (3, source.network.classes)


def test_another_size() -> None:
    """A head that takes maps of any size does so; one that does not says at which size it works."""
    agree(read(models.densenet(head=models.classified(models.attention_head)), (64, 48)))
    fixed = models.densenet(size=(64, 64), head=models.classified(models.padded_pooling_head))
    with pytest.raises(EdgedenseError, match="fixes the image size"):
        read(fixed, (96, 96))


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (models.two_poolings_head, "a Dense layer that classifies"),
        (lambda k, x: k.layers.Conv2D(3, 3, padding="same")(x), r"scores of shape \[batch, classes\]"),
    ],
    ids=["no classifier", "a map of scores"],
)
def test_no_classifier(head: Any, words: str) -> None:
    with pytest.raises(EdgedenseError, match=words):
        read(models.densenet(size=(64, 64), head=head))


def test_weights_that_are_not_finite() -> None:
    model = models.densenet(head=models.classified(models.prelu_head))
    layer = next(layer for layer in model.layers if type(layer).__name__ == "PReLU")
    layer.set_weights([np.full_like(layer.get_weights()[0], np.nan)])
    with pytest.raises(EdgedenseError, match=r"NaN or infinity in layer '.*PReLU"):
        read(model)


def test_a_norm_that_two_layers_read_belongs_to_the_head() -> None:
    """Its output before the ReLU is no feature map of the backbone's."""

    def head(k: Any, x: Any) -> Any:
        pooled = [_pooled(k, x), _pooled(k, x._keras_history[0].input)]
        return k.layers.Dense(3)(k.layers.Concatenate()(pooled))

    source = read(models.densenet(head=head))
    agree(source)
    assert source.network.head.norm is None


def test_a_head_that_reads_an_earlier_map_too() -> None:
    """The stem's output goes past both blocks."""
    image = keras.Input((32, 32, 3))
    early = models.stem(keras, image)
    late = models.body(keras, early)
    scores = keras.layers.Dense(3)(keras.layers.Concatenate()([_pooled(keras, late), _pooled(keras, early)]))
    with pytest.raises(EdgedenseError, match=r"found layer '.*BatchNormalization.* and layer '.*GlobalAverage"):
        read(keras.Model(image, scores))


def _pooled(k: Any, x: Any) -> Any:
    return k.layers.GlobalAveragePooling2D()(x)
