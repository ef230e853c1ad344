"""Lambda layers of a trusted file: understood by what they do, or refused with what was seen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgedense.converters.network.evaluate import evaluate
from edgedense.converters.network.graph import FloatHead
from edgedense.converters.network.program import lower
from edgedense.converters.opening import Opening
from edgedense.converters.readers.keras.reader import read
from edgedense.converters.readers.source import Source
from edgedense.errors import EdgedenseError
from tests import models, reference

keras = pytest.importorskip("keras")
tf_keras = pytest.importorskip("tf_keras")
# Keras 2 calls HDF5 a legacy format when it writes it. Users have such files, so they are tested.
pytestmark = pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file:UserWarning")

TRUST = Opening(trust=True)
FILES = [
    (keras, "model.keras"),
    (keras, "model.h5"),
    (tf_keras, "model.keras"),
    (tf_keras, "model.h5"),
    (tf_keras, "saved_model"),
]


def with_lambda(k: Any, function: Callable[[Any], Any], **options: Any) -> Any:
    def before(k: Any, x: Any) -> Any:
        return k.layers.Lambda(function, name="code", **options)(x)

    return models.densenet(k, before=before, body=lambda k, x: models.body(k, x, (1, 1)))


def agree(source: Source, model: Any) -> None:
    """The graph that was read computes what Keras computes, with the normalization inside."""
    pixels = np.random.default_rng(1).integers(0, 256, (3, 32, 32, 3)).astype(np.float32)
    wanted = np.asarray(model(pixels))
    assert np.allclose(source.predict(pixels), wanted, atol=1e-5)
    assert np.allclose(reference.scores(source.network, pixels), wanted, atol=1e-5)


@pytest.mark.parametrize(("library", "name"), FILES)
def test_one_scale_and_shift_become_the_normalization(tmp_path: Path, library: Any, name: str) -> None:
    model = with_lambda(library, lambda x: x / 127.5 - 1, output_shape=(32, 32, 3))
    model.save(tmp_path / name)
    source = read(tmp_path / name, TRUST)
    agree(source, model)
    assert source.normalized
    assert source.network.normalization is not None
    assert np.allclose(source.network.normalization.scale, 1 / 127.5, rtol=1e-6)
    assert np.allclose(source.network.normalization.shift, -1, rtol=1e-6)


def test_channels_turned_around_each_with_its_own_shift() -> None:
    model = with_lambda(keras, lambda x: x[..., ::-1] - [103.939, 116.779, 123.68])
    source = _read(model)
    agree(source, model)
    # The graph reads red first, as the pictures do.
    assert np.allclose(source.network.normalization.shift, [-123.68, -116.779, -103.939], rtol=1e-6)


def test_a_layer_that_does_nothing_normalizes_nothing() -> None:
    source = _read(with_lambda(keras, lambda x: x + 0))
    assert not source.normalized


def test_layers_around_it_are_part_of_what_is_seen() -> None:
    def before(k: Any, x: Any) -> Any:
        return k.layers.Rescaling(2.0, offset=1.0)(k.layers.Lambda(lambda x: x / 255, name="code")(x))

    model = models.densenet(before=before)
    source = _read(model)
    agree(source, model)
    assert np.allclose(source.network.normalization.scale, 2 / 255, rtol=1e-6)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda x: x**0.5, "differ from the nearest scale and shift"),
        (lambda x: keras.ops.clip(x / 200, 0, 1), "differ from the nearest scale and shift"),
        (lambda x: keras.ops.round(x / 16), "differ from the nearest scale and shift"),
        (lambda x: x - keras.ops.mean(x, (1, 2, 3), keepdims=True), "differ from the nearest scale and shift"),
        (lambda x: x / keras.ops.max(x), "differ from the nearest scale and shift"),
        (lambda x: keras.ops.flip(x, 1), "differ from the nearest scale and shift"),
        (lambda x: x[..., :1] * 0.5 + x[..., 1:2] * 0.25 + x * 0, "the first is +0.5 red +0.25 green"),
        (lambda x: x * 0, "do not depend on the picture"),
        (lambda x: x / 0, "no numbers"),
        (lambda x: x[..., :1] + x * 0, "channels [0, 0, 0]"),
    ],
)  # fmt: skip
def test_what_is_no_scale_and_shift_is_refused_with_what_was_seen(function: Callable[[Any], Any], words: str) -> None:
    with pytest.raises(EdgedenseError) as caught:
        _read(with_lambda(keras, function))
    assert words in str(caught.value)
    assert "'code' (Lambda)" in str(caught.value)


def test_another_size_is_refused() -> None:
    with pytest.raises(EdgedenseError, match=r"\[1, 32, 32, 3\] that becomes \[1, 16, 16, 3\]"):
        _read(with_lambda(keras, lambda x: x[:, ::2, ::2]))


def test_at_another_size_and_with_another_batch_the_code_is_kept(tmp_path: Path) -> None:
    """Then Keras builds the model anew from its description, the code among it."""
    with_lambda(keras, lambda x: x / 127.5 - 1).save(tmp_path / "model.keras")
    source = read(tmp_path / "model.keras", Opening((48, 40), trust=True))
    pixels = np.random.default_rng(1).uniform(0, 255, (2, 48, 40, 3))
    assert np.allclose(reference.scores(source.network, pixels), source.predict(pixels), atol=1e-5)


def test_in_the_head_it_stays_float_with_the_rest_of_it(tmp_path: Path) -> None:
    def head(k: Any, x: Any) -> Any:
        x = k.layers.Lambda(lambda x: x * 2, name="doubled")(k.layers.GlobalAveragePooling2D()(x))
        return k.layers.Dense(3, activation="softmax")(x)

    model = models.densenet(head=head)
    model.save(tmp_path / "model.keras")
    network = read(tmp_path / "model.keras", TRUST).network
    assert isinstance(network.head.steps[0], FloatHead)
    pixels = np.random.default_rng(1).integers(0, 256, (3, 32, 32, 3)).astype(np.float32)
    assert np.allclose(evaluate(lower(network), pixels), model(pixels), atol=1e-5)


def test_code_that_ends_with_an_error_is_told(tmp_path: Path) -> None:
    """As when a name of the module that wrote it is missing."""
    model = with_lambda(keras, lambda x: x / divisor, output_shape=(32, 32, 3))  # type: ignore[name-defined] # noqa: F821
    with pytest.raises(EdgedenseError, match=r"'code' \(Lambda\), which ends with NameError: .*divisor"):
        _read(model)


@pytest.mark.parametrize(("library", "name"), FILES)
def test_without_trust_it_is_refused_with_the_way_on(tmp_path: Path, library: Any, name: str) -> None:
    with_lambda(library, lambda x: x / 255, output_shape=(32, 32, 3)).save(tmp_path / name)
    with pytest.raises(EdgedenseError, match=r"Lambda layer 'code' .*--trust-model"):
        read(tmp_path / name)


@pytest.mark.parametrize("name", ["model.keras", "model.h5"])
def test_a_function_of_which_the_file_has_the_name_alone_is_refused(tmp_path: Path, name: str) -> None:
    """Keras 2 writes the code of named functions too."""

    def scaled(x: Any) -> Any:
        return x / 255

    with_lambda(keras, scaled, output_shape=(32, 32, 3)).save(tmp_path / name)
    with pytest.raises(EdgedenseError, match=r"'code' in .*the name '.*scaled' alone"):
        read(tmp_path / name, TRUST)


def test_other_code_is_refused_in_a_trusted_file_too(tmp_path: Path) -> None:
    class Halve(keras.layers.Layer):  # type: ignore[misc, name-defined]
        def call(self, x: Any) -> Any:
            return x / 2

    models.densenet(before=lambda k, x: Halve()(k.layers.Lambda(lambda x: x / 255)(x))).save(tmp_path / "model.keras")
    with pytest.raises(EdgedenseError, match=r"custom object 'Halve'"):
        read(tmp_path / "model.keras", TRUST)


def _read(model: Any) -> Source:
    """Read from memory: what the code does to pixels does not depend on the file."""
    from edgedense.converters.readers.keras.files import Opened
    from edgedense.converters.readers.keras.reader import read_opened

    return read_opened(Opened(model, "model.keras", "0", trusted=True))
