"""Models of one channel, and pictures of one: each reading computes what Keras does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

import numpy as np
import pytest

from edgedense.converters.calibration import normalization
from edgedense.converters.network.evaluate import evaluate
from edgedense.converters.network.graph import DenseNet
from edgedense.converters.network.program import lower
from edgedense.converters.opening import Opening, parse_channels, recorded
from edgedense.converters.options import Resizing
from edgedense.converters.passes.fold_grey import fold_grey
from edgedense.converters.passes.fold_repeats import fold_repeats
from edgedense.converters.readers import door
from edgedense.converters.readers.source import Source
from edgedense.errors import EdgedenseError
from edgedense.images.preprocessing import Channels
from edgedense.images.steps import Pad
from tests import models, networks, reference

keras = pytest.importorskip("keras")
tf = pytest.importorskip("tensorflow")
tf_keras = pytest.importorskip("tf_keras")

TOLERANCE = 1e-5  # float32 through some 30 layers, in Keras and in the network
SIZE = (20, 24)


def pictures(channels: int = 3) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (2, *SIZE, channels)).astype(np.uint8)


def grey_of(pixels: np.ndarray) -> np.ndarray:
    """Pixels [B, h, w, 3] or [B, h, w, 1] -> what Keras is given, [B, h, w, 1]."""
    return (pixels @ np.array([0.299, 0.587, 0.114]))[..., None] if pixels.shape[-1] == 3 else pixels.astype(float)


def agree(model: Any, source: Source, normalize: Any = "rescale") -> DenseNet:
    """The network gives the scores of the model itself, for which pictures are made grey here; returns it on raw
    pixels."""
    mean, std = (values[0] for values in normalization.NORMALIZATIONS[normalize])
    network = normalization.compose(source.network, normalize)
    pixels = pictures(network.channels)
    wanted = np.asarray(model((grey_of(pixels) - mean) / std, training=False))
    assert np.allclose(evaluate(lower(network), pixels), wanted, atol=TOLERANCE)
    return network


def ours(before: models.Head = lambda k, x: x, k: Any = keras, **options: Any) -> Any:
    return models.densenet(k, size=SIZE, before=before, channels=1, body=one_layer, **options)


def one_layer(k: Any, x: Any) -> Any:
    return models.body(k, x, (1,))


def three_of_one(k: Any, x: Any) -> Any:
    return k.layers.Concatenate()([x, x, x])


def conv_1x1(k: Any, x: Any) -> Any:
    return k.layers.Conv2D(3, 1, padding="same")(x)


def preprocessed(k: Any, x: Any) -> Any:
    """Three of one, each normalized by its own mean, as ImageNet's statistics have it."""
    return k.layers.Rescaling([0.017, 0.018, 0.0175], [-2.1, -2.0, -1.8])(three_of_one(k, x))


BEFORE: dict[str, models.Head] = {
    "one channel": lambda k, x: x,
    "one channel, rescaled": lambda k, x: k.layers.Rescaling(1 / 127.5, offset=-1)(x),
    "three of one": three_of_one,
    "three of one, rescaled": lambda k, x: k.layers.Rescaling(1 / 127.5, offset=-1)(three_of_one(k, x)),
    "ImageNet's statistics": preprocessed,
    "two of one": lambda k, x: k.layers.Concatenate()([x, 2 * x]),
    "1x1 convolution": conv_1x1,
    "two 1x1 convolutions": lambda k, x: conv_1x1(k, conv_1x1(k, x)),
    "3x3 convolution": lambda k, x: k.layers.Conv2D(3, 3, padding="same", activation="relu")(x),
    "3x3 convolution without padding": lambda k, x: k.layers.Conv2D(3, 3)(k.layers.Rescaling(2.0, offset=-1)(x)),
    "1x1 convolution and ReLU": lambda k, x: k.layers.Conv2D(3, 1, activation="relu")(x),
    "three numbers": lambda k, x: x * np.array([1.0, 2.0, 0.5], np.float32),
}  # fmt: skip


@pytest.mark.parametrize("name", BEFORE)
def test_the_network_computes_what_the_model_does(name: str) -> None:
    model = ours(BEFORE[name])
    for channels in get_args(Channels):
        source = door.read(model, Opening(channels=channels))
        assert (source.network.channels, source.one_channel, source.outside) == (channels, True, None)
        network, pixels = agree(model, source), pictures(channels)
        folded = fold_grey(fold_repeats(network))
        wanted = networks.logits(network, pixels)
        assert reference.relative_error(networks.logits(folded, pixels), wanted) < networks.EXACT


@pytest.mark.parametrize("channels", get_args(Channels))
def test_the_reference_takes_three_channels_whatever_there_were(channels: Any) -> None:
    model = ours()
    source, pixels = door.read(model, Opening(channels=channels)), pictures(channels)
    wanted = np.asarray(model(grey_of(pixels) / 255, training=False))
    normalized = normalization.normalized(pixels, "rescale")
    assert np.allclose(source.predict(normalized), wanted, atol=TOLERANCE)
    logits = source.logits(normalized)
    network = normalization.compose(source.network, "rescale")
    assert reference.relative_error(networks.logits(network, pixels), logits) < TOLERANCE


OPERATIONS: dict[str, tuple[Any, models.Head]] = {
    "repeat": (keras, lambda k, x: k.ops.repeat(x, 3, axis=-1)),
    "tile": (keras, lambda k, x: k.ops.tile(x, (1, 1, 1, 3))),
    "stack": (keras, lambda k, x: k.ops.stack([x[..., 0]] * 3, axis=-1)),
    "Keras 2 grayscale_to_rgb": (tf_keras, lambda k, x: tf.image.grayscale_to_rgb(x)),
    "Keras 2 repeat": (tf_keras, lambda k, x: tf.repeat(x, 3, axis=-1)),
    "Keras 2 tile": (tf_keras, lambda k, x: tf.tile(x, [1, 1, 1, 3])),
    "Keras 2 concat": (tf_keras, lambda k, x: tf.concat([x, x, x], -1)),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_that_repeat_a_channel(name: str) -> None:
    library, before = OPERATIONS[name]
    model = ours(before, library)
    source = door.read(model)
    assert source.network.repeats == 3
    agree(model, source)


def test_code_of_the_files_own_that_repeats_a_channel() -> None:
    def before(k: Any, x: Any) -> Any:
        return k.layers.Lambda(lambda x: keras.ops.repeat(x, 3, axis=-1) / 127.5 - 1, output_shape=(*SIZE, 3))(x)

    model = ours(before)
    source = door.read(model, Opening(trust=True))
    assert (source.network.repeats, source.normalized) == (3, True)
    agree(model, source)


@pytest.mark.parametrize("operation", [lambda x: keras.ops.tile(x, (1, 2, 1, 1)), lambda x: keras.ops.repeat(x, 2, 1)])
def test_what_repeats_rows_is_refused(operation: Callable[[Any], Any]) -> None:
    with pytest.raises(EdgedenseError, match="one channel that is repeated"):
        door.read(ours(lambda k, x: operation(x)))


def test_a_convolution_in_front_of_an_rgb_network() -> None:
    """Blue first, so that the kernel's channels have to follow."""
    model = models.densenet(
        size=SIZE, body=one_layer, before=lambda k, x: k.layers.Conv2D(3, 3, padding="same")(x[..., ::-1] / 255)
    )
    source = door.read(model)
    assert (source.network.channels, source.one_channel, source.outside) == (3, False, "densenet")
    pixels = pictures()
    network = normalization.compose(source.network, "none")
    wanted = np.asarray(model(pixels.astype(np.float32), training=False))
    assert np.allclose(source.predict(pixels), wanted, atol=TOLERANCE)
    assert reference.relative_error(networks.logits(network, pixels), source.logits(pixels)) < TOLERANCE


def test_a_convolution_in_front_may_end_in_relu_and_nothing_else() -> None:
    with pytest.raises(EdgedenseError, match=r"linear or ends in ReLU.*activation tanh"):
        door.read(ours(lambda k, x: k.layers.Conv2D(3, 3, activation="tanh")(x)))


def test_an_rgb_model_sees_one_channel_three_times() -> None:
    model = models.densenet(size=SIZE, body=one_layer)
    source = door.read(model, Opening(channels=1))
    assert (source.network.channels, source.network.repeats, source.one_channel) == (1, 3, False)
    pixels = pictures(1)
    normalized = normalization.normalized(np.repeat(pixels, 3, axis=3), "densenet")
    assert np.allclose(source.predict(normalization.normalized(pixels, "densenet")), model(normalized), atol=TOLERANCE)
    network = normalization.compose(source.network, "densenet")
    assert reference.relative_error(networks.logits(network, pixels), source.logits(normalized)) < TOLERANCE


def test_an_rgb_network_is_left_as_it_was_read() -> None:
    model = models.densenet(size=SIZE, body=one_layer)
    assert door.read(model).network.channels == door.read(model, Opening(channels=3)).network.channels == 3


def test_what_was_done_outside_is_asked_and_colours_are_refused() -> None:
    source = door.read(ours())
    with pytest.raises(
        EdgedenseError, match=r"how pixels were normalized.*--preprocess rescale, symmetric, xrayvision or"
    ):
        source.normalization()
    with pytest.raises(EdgedenseError, match=r"by one number.*--preprocess densenet, which has a number for each"):
        source.normalization("densenet")
    assert source.normalization("rescale") == "rescale"
    assert "densenet" not in source.normalizations
    assert door.read(ours(BEFORE["one channel, rescaled"])).normalization() == "none"
    assert door.read(models.densenet(size=SIZE, body=one_layer)).normalization() == "densenet"


def test_a_convolution_is_no_normalization_that_could_stand_for_the_one_outside() -> None:
    assert not door.read(ours(conv_1x1)).normalized


def test_a_border_in_front_is_one_grey_level() -> None:
    """PadImages puts zeros around; behind x / 2 - 1 that is a level of 2."""

    def padded(k: Any, x: Any) -> Any:
        return k.ops.image.pad_images(x, 2, 2, target_height=SIZE[0] + 4, target_width=SIZE[1] + 4)

    source = door.read(ours(lambda k, x: padded(k, x * 0.5 - 1)))
    assert source.steps[0].fill == (2, 2, 2)  # type: ignore[union-attr]
    with pytest.raises(EdgedenseError, match="border of one grey level"):
        door.read(ours(lambda k, x: padded(k, preprocessed(k, x))))


def test_a_coloured_border_is_none_for_one_channel() -> None:
    steps = (Pad(1, 1, 4, 4, (0, 0, 0)),)
    with pytest.raises(EdgedenseError, match=r"one grey level.*123.7, 116.3, 103.5.*leave --input-channels out"):
        normalization.preprocessing((2, 2), steps, "densenet", Resizing(), channels=1)
    assert normalization.preprocessing((2, 2), steps, "rescale", Resizing(), channels=1).shape == (4, 4, 1)


def test_the_option() -> None:
    assert (parse_channels(1), parse_channels(3)) == (1, 3)
    with pytest.raises(EdgedenseError, match="--input-channels 1 or 3"):
        parse_channels(2)


def test_a_recipe_says_how_many_channels_there_were() -> None:
    assert recorded({"preprocessing": {"channels": 1}}) == Opening(channels=1)
    assert recorded({"preprocessing": {"channels": "many"}}) == recorded({}) == Opening()
