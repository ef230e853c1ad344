"""Every kind of MODEL: the graph that is read computes Keras' own logits, and what is no DenseNet is refused."""

from __future__ import annotations

import hashlib
import re
import shutil
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgedense.converters.network.graph import DenseNet
from edgedense.converters.opening import Opening
from edgedense.converters.readers.keras import layers as keras_layers
from edgedense.converters.readers.keras.files import Opened
from edgedense.converters.readers.keras.reader import read, read_opened
from edgedense.converters.readers.source import Source
from edgedense.errors import EdgedenseError
from tests import models, reference

keras = pytest.importorskip("keras")
tf_keras = pytest.importorskip("tf_keras")

# Keras computes in float32 (relative rounding 6e-8) through some 30 layers here; the graph in float64.
TOLERANCE = 1e-5


def pixels(network: DenseNet, seed: int = 1) -> np.ndarray:
    """Three images of random pixels, 0 to 255."""
    return np.random.default_rng(seed).integers(0, 256, (3, network.height, network.width, 3)).astype(np.float32)


def agree(source: Source, images: np.ndarray | None = None) -> None:
    """Graph and Keras give the same logits and scores, and Keras' parameters are all counted."""
    images = pixels(source.network) if images is None else images
    wanted = source.logits(images)
    assert reference.relative_error(reference.logits(source.network, images), wanted) < TOLERANCE
    assert np.allclose(reference.scores(source.network, images), source.predict(images), atol=1e-5)
    assert sum(source.parameters.values()) == source.reference.model.count_params()


def saved(model: Any, folder: Path, name: str = "model.keras") -> Path:
    with warnings.catch_warnings():
        # Keras 2 calls HDF5 a legacy format when it writes it. Users have such files, so they are tested.
        warnings.filterwarnings("ignore", "You are saving your model as an HDF5 file", UserWarning)
        model.save(folder / name)
    return folder / name


def read_back(model: Any, folder: Path, name: str = "model.keras", **options: Any) -> Source:
    source = read(saved(model, folder, name), **options)
    images = pixels(source.network)
    wanted = np.asarray(model(images, training=False))  # not `predict`, which traces a function for each new model
    assert np.allclose(wanted, source.predict(images), atol=1e-5)
    return source


def one_layer(k: Any, x: Any) -> Any:
    """A body for tests in which it does not matter: Keras 2 takes half a second a layer to write a SavedModel."""
    return models.body(k, x, (1,))


@pytest.fixture(scope="module")
def keras_2_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SavedModel, to be copied by tests that change it."""
    return saved(models.densenet(tf_keras, body=one_layer), tmp_path_factory.mktemp("keras2"), "saved_model")


def refused(model: Any, folder: Path, *words: str, name: str = "model.keras", **options: Any) -> EdgedenseError:
    path = saved(model, folder, name)
    with pytest.raises(EdgedenseError) as caught:
        read(path, **options)
    for word in words:
        assert word in str(caught.value)
    return caught.value


class TestFiles:
    def test_keras_file(self, tmp_path: Path) -> None:
        source = read_back(models.densenet(), tmp_path)
        agree(source)
        assert (source.name, source.normalized) == ("model.keras", False)
        assert [len(block.layers) for block in source.network.blocks] == [2, 2]
        assert np.all(source.network.normalization.scale == 1)
        assert np.all(source.network.normalization.shift == 0)
        assert source.network.classes == 5

    @pytest.mark.parametrize("name", ["model.h5", pytest.param("model.keras", marks=pytest.mark.slow), "saved_model"])
    @pytest.mark.parametrize("make", [models.densenet, models.nested])
    def test_what_keras_2_wrote(self, tmp_path: Path, name: str, make: Callable[..., Any]) -> None:
        agree(read_back(make(tf_keras), tmp_path, name))

    @pytest.mark.parametrize("make", [models.densenet, models.nested, models.hostile])
    def test_h5_that_keras_3_wrote(self, tmp_path: Path, make: Callable[..., Any]) -> None:
        agree(read_back(make(), tmp_path, "model.h5"))

    def test_hdf5_named_keras_as_early_keras_2_wrote_it(self, tmp_path: Path) -> None:
        path = saved(models.densenet(tf_keras), tmp_path, "model.h5").rename(tmp_path / "model.keras")
        agree(read(path))


@pytest.mark.slow
class TestOfferedWeights:
    """`densenet121:imagenet`, with Keras' download replaced by a local file in the format that Keras offers."""

    @pytest.fixture(scope="class")
    @classmethod
    def weights(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        path = tmp_path_factory.mktemp("weights") / "densenet121_weights_tf_dim_ordering_tf_kernels.h5"
        # Keras 2 wrote the files that Keras offers.
        models.randomized(tf_keras.applications.DenseNet121(weights=None), 0).save_weights(path)
        return path

    @pytest.fixture
    def downloads(self, weights: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """Stands for the internet; lists the names of the files asked for."""
        asked: list[str] = []

        def get_file(name: str, *args: Any, **options: Any) -> str:
            asked.append(name)
            return str(weights)

        monkeypatch.setattr("keras.src.utils.file_utils.get_file", get_file)
        return asked

    def test_weights_that_keras_downloads(self, downloads: list[str]) -> None:
        source = read("densenet121:imagenet")
        assert downloads == ["densenet121_weights_tf_dim_ordering_tf_kernels.h5"]
        assert (source.name, source.normalized, source.network.classes) == ("densenet121:imagenet", False, 1000)
        assert [len(block.layers) for block in source.network.blocks] == [6, 12, 24, 16]
        agree(source, pixels(source.network)[:1] / 64)

    def test_other_size(self, downloads: list[str]) -> None:
        source = read("densenet121:imagenet", Opening((64, 96)))
        assert (source.network.height, source.network.width) == (64, 96)
        agree(source, pixels(source.network) / 64)

    def test_no_internet(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def get_file(*args: Any, **options: Any) -> str:
            raise Exception("URL fetch failure on https://example.org/x.h5: None -- no route")  # as Keras does

        monkeypatch.setattr("keras.src.utils.file_utils.get_file", get_file)
        with pytest.raises(EdgedenseError, match=r"URL fetch failure.*internet"):
            read("densenet169:imagenet")

    def test_weights_that_keras_does_not_offer(self) -> None:
        with pytest.raises(EdgedenseError, match="densenet121:imagenet, densenet169:imagenet"):
            read("densenet264:imagenet")


class TestPreprocessing:
    """What stands before the stem is one scale and shift per channel, whatever it is made of."""

    def test_preprocess_input(self, tmp_path: Path) -> None:
        model = models.densenet(before=lambda k, x: k.applications.densenet.preprocess_input(x))
        source = read_back(model, tmp_path)
        agree(source)
        assert source.normalized
        assert np.allclose(source.network.normalization.scale, 1 / (255 * np.array([0.229, 0.224, 0.225])))

    @pytest.mark.slow
    def test_keras_2_preprocess_input(self, tmp_path: Path) -> None:
        for name in ("model.h5", "saved_model"):
            model = models.densenet(tf_keras, before=lambda k, x: k.applications.densenet.preprocess_input(x))
            source = read_back(model, tmp_path, name)
            agree(source)
            assert source.normalized

    @pytest.mark.parametrize("library", [keras, tf_keras])
    def test_mode_that_turns_channels_around(self, tmp_path: Path, library: Any) -> None:
        model = models.densenet(library, before=lambda k, x: k.applications.resnet50.preprocess_input(x))
        agree(read_back(model, tmp_path, "model.h5" if library is tf_keras else "model.keras"))

    def test_keras_operations(self, tmp_path: Path) -> None:
        def before(k: Any, x: Any) -> Any:
            x = k.ops.cast(x, "float32")[..., ::-1]
            x = k.ops.flip(x / 127.5 - np.array([0.9, 1.0, 1.1], "float32"), axis=-1)
            x = k.ops.take(2 - x, [1, 2, 0], axis=-1)
            x = k.ops.stack([x[..., 2], x[:, :, :, 0], x[..., 1]], axis=-1)
            x = k.ops.concatenate([x[..., 1:], x[..., :1]], axis=-1)
            return k.ops.multiply(0.5, -x) + np.array([0.1, 0.2, 0.3], "float32")

        agree(read_back(models.densenet(before=before), tmp_path))

    def test_tensorflow_functions_in_keras_2(self, tmp_path: Path) -> None:
        import tensorflow as tf

        def before(k: Any, x: Any) -> Any:
            x = tf.cast(x, tf.float32)[..., ::-1]
            x = tf.reverse(tf.subtract(x / 127.5, [0.9, 1.0, 1.1]), axis=[-1])
            x = tf.gather(2 - x, [1, 2, 0], axis=-1)
            x = tf.stack([x[..., 2], x[:, :, :, 0], x[..., 1]], axis=-1)
            x = tf.concat([x[..., 1:], x[..., :1]], axis=-1)
            return tf.multiply(0.5, -x) + tf.constant([0.1, 0.2, 0.3])

        agree(read_back(models.densenet(tf_keras, before=before), tmp_path, "model.h5"))

    @pytest.mark.parametrize(
        ("library", "name"), [(keras, "model.keras"), (tf_keras, "model.keras"), (tf_keras, "model.h5")]
    )
    def test_normalization_layers(self, tmp_path: Path, library: Any, name: str) -> None:
        layers = library.layers
        adapted = layers.Normalization()
        adapted.adapt(np.random.default_rng(0).integers(0, 256, (8, 4, 4, 3)).astype("float32"))

        def before(k: Any, x: Any) -> Any:
            x = layers.Normalization(mean=[0.1, 0.2, 0.3], variance=[1.0, 2.0, 3.0])(adapted(x))
            x = layers.Normalization(mean=0.1, variance=4.0, invert=True)(x)
            return layers.BatchNormalization()(layers.Rescaling([1.0, 0.5, 2.0], offset=0.1)(x))

        source = read_back(models.densenet(library, before=before), tmp_path, name)
        agree(source)
        assert source.parameters["input"] == 7 + 12

    def test_channel_flip_alone_changes_no_values(self, tmp_path: Path) -> None:
        source = read_back(models.densenet(before=lambda k, x: x[..., ::-1]), tmp_path)
        agree(source)
        assert not source.normalized

    def test_integer_input(self, tmp_path: Path) -> None:
        image = keras.Input((32, 32, 3), dtype="uint8")
        x = keras.ops.cast(image, "float32") / 255
        model = keras.Model(image, models.softmax_head(keras, models.body(keras, models.stem(keras, x))))
        agree(read(saved(models.randomized(model, 0), tmp_path)))

    @pytest.mark.parametrize("library", [keras, tf_keras])
    def test_augmentation_does_nothing_at_inference(self, library: Any) -> None:
        arguments: dict[str, Any] = {
            name: {"factor": 0.2}
            for name in keras_layers.AUGMENTATIONS
            - {
                "AugMix",
                "CutMix",
                "Equalization",
                "MixUp",
                "RandAugment",
                "RandomColorJitter",
                "RandomElasticTransform",
            }
            - {"RandomErasing", "RandomFlip", "RandomGaussianBlur", "RandomPerspective", "Solarization"}
        }
        arguments |= {"RandomTranslation": {"height_factor": 0.2, "width_factor": 0.2}}
        arguments |= {"RandomZoom": {"height_factor": 0.2}}
        arguments |= {"RandomShear": {"x_factor": 0.2, "y_factor": 0.2}, "RandomPosterization": {"factor": 4}}
        images = np.random.default_rng(0).uniform(0, 255, (2, 8, 8, 3)).astype("float32")
        for name in sorted(keras_layers.AUGMENTATIONS | keras_layers.REGULARIZERS):
            if not hasattr(library.layers, name):
                continue
            needed = {"rate": 0.5} if "ropout" in name else {"stddev": 1.0} if name == "GaussianNoise" else {}
            layer = getattr(library.layers, name)(**arguments.get(name, needed))
            given = images.mean((1, 2)) if name == "AlphaDropout" else images
            assert np.array_equal(layer(given, training=False), given), name

    def test_pipeline_of_augmentation(self, tmp_path: Path) -> None:
        layers = keras.layers
        pipeline = layers.Pipeline([layers.RandomFlip(), layers.RandomRotation(0.2)])
        agree(read_back(models.densenet(before=lambda k, x: pipeline(x)), tmp_path))

    @pytest.mark.parametrize(
        ("before", "word"),
        [
            (lambda k, x: k.ops.log(x + 1), "Log"),
            (lambda k, x: 1 / (x + 1), "divides by the pixels"),
            (lambda k, x: k.ops.flip(x, axis=1), "axis 1"),
            (lambda k, x: x[:, ::2], "which cuts"),
            (lambda k, x: k.layers.RandomCrop(24, 24)(x), "RandomCrop"),
            (lambda k, x: k.layers.Resizing(24, 24)(x[..., :1]), "red, green and blue together"),
            (
                lambda k, x: k.ops.concatenate([k.layers.Resizing(24, 24)(x), k.layers.CenterCrop(24, 24)(x)]),
                "cut and resized alike",
            ),
            (lambda k, x: x - np.zeros((32, 32, 3), "float32"), "a constant of shape"),
            (lambda k, x: k.ops.cast(k.ops.cast(x / 2, "int32"), "float32"), "to int32"),
            (lambda k, x: k.ops.concatenate([x[..., :1]] * 3, axis=-1), "red, green and blue"),
            (lambda k, x: x * x, "Multiply"),
        ],
    )
    def test_what_is_no_scale_and_shift_is_refused(self, tmp_path: Path, before: Any, word: str) -> None:
        refused(models.densenet(before=before), tmp_path, word)


class TestStructure:
    @pytest.mark.parametrize("size", [(32, 32), (33, 47), (45, 38)])
    def test_sizes(self, tmp_path: Path, size: tuple[int, int]) -> None:
        agree(read_back(models.densenet(size=size), tmp_path))

    def test_hostile(self, tmp_path: Path) -> None:
        source = read_back(models.hostile(), tmp_path)
        agree(source)
        norms = [layer.norm1.scale for block in source.network.blocks for layer in block.layers]
        assert all((norm == 0).any() and (norm < 0).any() for norm in norms)

    def test_keras_own_densenet(self) -> None:
        from keras.src.applications.densenet import DenseNet as KerasDenseNet  # public only at three sizes

        stock = KerasDenseNet([1, 2, 1, 1], weights=None, input_shape=(49, 64, 3), classes=7)
        source = in_memory(models.randomized(stock, 0))
        agree(source)
        assert [len(block.layers) for block in source.network.blocks] == [1, 2, 1, 1]

    def test_layers_are_found_without_their_names(self, tmp_path: Path) -> None:
        model = models.densenet()
        names = iter(range(1000))

        def rename(layer: Any) -> Any:
            return type(layer).from_config({**layer.get_config(), "name": f"a{next(names)}"})

        renamed = keras.models.clone_model(model, clone_function=rename)
        renamed.set_weights(model.get_weights())
        assert all(re.fullmatch(r"a\d+", layer.name) for layer in renamed.layers[1:])
        agree(read_back(renamed, tmp_path))

    @pytest.mark.parametrize("same", [(7, 2), (3, 1), (5, 3), (4, 2)])
    @pytest.mark.parametrize("size", [(32, 33), (35, 40)])
    def test_stem_with_same_padding(self, same: tuple[int, int], size: tuple[int, int]) -> None:
        """Keras pads "same" by the input's size, more at the bottom and right."""

        def stem(k: Any, x: Any) -> Any:
            x = models.conv(k, x, 12, same[0], strides=same[1], use_bias=True)
            return k.layers.MaxPooling2D(3, strides=2, padding="same")(k.layers.ReLU()(models.norm(k, x)))

        agree(in_memory(models.densenet(stem=stem, size=size)))

    def test_stem_without_pooling(self) -> None:
        def stem(k: Any, x: Any) -> Any:
            return models.norm_relu(k, models.conv(k, x, 12, 3, strides=2))

        source = in_memory(models.densenet(stem=stem))
        agree(source)
        assert source.network.stem.pool is None

    def test_stem_without_norm(self) -> None:
        def stem(k: Any, x: Any) -> Any:
            return models.conv(k, x, 12, 3, strides=2, use_bias=True, activation="relu")

        source = in_memory(models.densenet(stem=stem))
        agree(source)
        assert source.network.stem.norm is None

    def test_norms_without_scale_or_center_and_convolutions_with_bias(self) -> None:
        def layer(k: Any, x: Any, **options: Any) -> Any:
            x = k.layers.ReLU()(models.norm(k, x, **options))
            x = k.layers.ReLU()(models.norm(k, models.conv(k, x, 16, use_bias=True), **options))
            x = k.layers.ZeroPadding2D((2, 1))(x)
            return k.layers.Dropout(0.2)(models.conv(k, x, 8, (5, 3), use_bias=True, padding="valid"))

        def body(k: Any, x: Any) -> Any:
            for options in ({"scale": False}, {"center": False}, {"scale": False, "center": False}):
                x = k.layers.Concatenate(axis=3)([x, layer(k, x, **options)])
            return models.norm_relu(k, x)

        agree(in_memory(models.densenet(body=body)))

    def test_new_channels_first(self) -> None:
        """Another order of concatenation is the same network with its channels permuted."""

        def body(k: Any, x: Any) -> Any:
            for number in range(2):
                if number:
                    x = models.conv(k, models.norm_relu(k, x), 14)
                    x = k.layers.AveragePooling2D(2)(x)
                x = k.layers.Concatenate()([models.dense_layer(k, x, 8), x])
                x = k.layers.Concatenate()([models.dense_layer(k, x, 6), x])
            return models.norm_relu(k, x)

        agree(in_memory(models.densenet(body=body)))
        agree(in_memory(models.densenet(body=body, head=flatten_head)))
        agree(in_memory(models.densenet(body=lambda k, x: body(k, x)._keras_history[0].input, head=norm_head)))

    def test_blocks_that_keep_a_list_of_features(self) -> None:
        def body(k: Any, x: Any) -> Any:
            features = [x]
            for growth in (8, 6, 4):
                joined = k.ops.concatenate(features, -1) if len(features) > 1 else x
                features.insert(1, models.dense_layer(k, joined, growth))
            return models.norm_relu(k, k.layers.Concatenate()(features))

        agree(in_memory(models.densenet(body=body)))

    def test_deeply_nested(self, tmp_path: Path) -> None:
        layers = keras.layers
        image = keras.Input((32, 32, 3))
        features = keras.Model(image, models.body(keras, models.stem(keras, layers.Rescaling(1 / 255)(image))))
        outer = keras.Input((32, 32, 3))
        pooled = keras.Model(outer, layers.GlobalAveragePooling2D()(features(outer)))
        inner_head = keras.Sequential([layers.Dense(9, activation="relu"), layers.Dropout(0.1)])
        final = keras.Sequential([inner_head, keras.Sequential([layers.Dense(5), layers.Activation("softmax")])])
        wrapped = keras.Sequential([keras.Sequential([layers.RandomFlip(), pooled]), final])
        top = keras.Input((32, 32, 3))
        model = keras.Model(top, wrapped(top))
        agree(read_back(models.randomized(model, 3), tmp_path))

    @pytest.mark.slow
    def test_mixed_precision_is_compared_in_float32(self, tmp_path: Path) -> None:
        for library, name in ((keras, "model.keras"), (tf_keras, "model.h5"), (keras, "model.h5")):
            library.mixed_precision.set_global_policy("mixed_float16")
            try:
                path = saved(models.nested(library), tmp_path, name)
            finally:
                library.mixed_precision.set_global_policy("float32")
            agree(read(path))


class TestSize:
    def test_open_size_is_asked_for(self, tmp_path: Path) -> None:
        model = models.densenet(size=(None, None))
        refused(model, tmp_path, "images of any size")
        source = read(tmp_path / "model.keras", Opening((40, 48)))
        assert (source.network.height, source.network.width) == (40, 48)
        agree(source)

    @pytest.mark.slow
    @pytest.mark.parametrize("name", ["model.keras", "model.h5", "saved_model"])
    def test_another_size_than_it_was_built_for(self, tmp_path: Path, name: str) -> None:
        path = saved(models.nested(keras if name == "model.keras" else tf_keras), tmp_path, name)
        source = read(path, Opening((43, 50)))
        agree(source)
        images = pixels(source.network)
        smaller = read(path)
        assert smaller.predict(pixels(smaller.network)).shape == source.predict(images).shape
        assert source.reference.model.inputs[0].shape[1] is None

    @pytest.mark.slow
    def test_flatten_fixes_the_size(self, tmp_path: Path) -> None:
        path = saved(models.hostile(), tmp_path)
        agree(read(path, Opening((41, 53))))
        with pytest.raises(EdgedenseError, match="Flatten head fixes the image size"):
            read(path, Opening((64, 64)))

    def test_fixed_batch(self, tmp_path: Path) -> None:
        image = keras.Input((32, 32, 3), batch_size=1)
        model = keras.Model(image, models.softmax_head(keras, models.body(keras, models.stem(keras, image))))
        agree(read(saved(models.randomized(model, 0), tmp_path)))

    def test_too_small(self, tmp_path: Path) -> None:
        path = saved(models.densenet(size=(None, None)), tmp_path)
        with pytest.raises(EdgedenseError, match="large enough"):
            read(path, Opening((2, 2)))


def flatten_head(k: Any, x: Any) -> Any:
    return k.layers.Dense(5, activation="softmax")(k.layers.Flatten()(x))


def norm_head(k: Any, x: Any) -> Any:
    """Pooling of what no norm and ReLU stand behind."""
    x = k.layers.BatchNormalization()(k.layers.GlobalMaxPooling2D()(x))
    return k.layers.Dense(5)(x)


def in_memory(model: Any) -> Source:
    return read_opened(Opened(model, "a model", ""))


class TestHead:
    @pytest.mark.parametrize(
        "steps",
        [
            lambda L: [L.GlobalAveragePooling2D(), L.Dense(4)],
            lambda L: [L.GlobalMaxPooling2D(), L.Dropout(0.5), L.Dense(1, activation="sigmoid")],
            lambda L: [L.AveragePooling2D(2), L.Flatten(), L.Dense(4, activation="softmax")],
            lambda L: [L.MaxPooling2D((2, 1), strides=1), L.Flatten(), L.Dense(4), L.Softmax()],
            lambda L: [L.GlobalAveragePooling2D(keepdims=True), L.Flatten(), L.Dense(4), L.Activation("softmax")],
            lambda L: [L.GlobalAveragePooling2D(keepdims=True), L.Dense(4, activation="softmax")],
            lambda L: [L.Reshape((-1,)), L.Dense(4, use_bias=False, activation="softmax")],
            lambda L: [L.GlobalAveragePooling2D(), L.Dense(4, activation="softmax"), L.Flatten(), L.Reshape((4,))],
            lambda L: [L.BatchNormalization(), L.GlobalAveragePooling2D(), L.Flatten(), L.Dense(4)],
            lambda L: [L.GlobalAveragePooling2D(), L.Dense(6), L.BatchNormalization(), L.ReLU(), L.Dense(3)],
            lambda L: [
                L.GlobalAveragePooling2D(), L.BatchNormalization(), L.Dense(6, activation="relu6"), L.ReLU(6.0),
                L.Dense(6, activation="elu"), L.ELU(), L.Dense(6, activation="tanh"), L.Dense(6, activation="swish"),
                L.Dense(6), L.LeakyReLU(), L.Dense(6), L.ReLU(negative_slope=0.1), L.Dense(6, activation="silu"),
                L.Dense(6, activation="leaky_relu"), L.GaussianNoise(0.1), L.Dense(3), L.Activation("sigmoid"),
            ],
        ],
    )  # fmt: skip
    @pytest.mark.parametrize("library", [keras, tf_keras])
    def test_heads(self, steps: Callable[[Any], list[Any]], library: Any) -> None:
        def head(k: Any, x: Any) -> Any:
            for layer in steps(k.layers):
                x = layer(x)
            return x

        agree(in_memory(models.densenet(library, head=head)))

    def test_operations(self, tmp_path: Path) -> None:
        def head(k: Any, x: Any) -> Any:
            x = k.layers.GlobalAveragePooling2D()(x)
            for function in (k.ops.relu, k.ops.relu6, k.ops.silu, k.ops.tanh, k.ops.elu):
                x = function(k.layers.Dense(8)(x))
            x = k.ops.leaky_relu(k.layers.Dense(8)(x), negative_slope=0.3)
            return k.ops.softmax(k.layers.Dense(4)(x))

        agree(read_back(models.densenet(head=head), tmp_path))

    def test_keras_2_functions(self, tmp_path: Path) -> None:
        import tensorflow as tf

        def head(k: Any, x: Any) -> Any:
            x = k.layers.GlobalAveragePooling2D()(x)
            for function in (tf.nn.relu, tf.nn.relu6, tf.nn.silu, tf.tanh, tf.nn.elu):
                x = function(k.layers.Dense(8)(x))
            return tf.sigmoid(k.layers.Dense(4)(x))

        agree(read_back(models.densenet(tf_keras, head=head), tmp_path, "model.h5"))

    def test_logits_come_before_the_last_activation_only(self) -> None:
        source = in_memory(models.nested())
        images = pixels(source.network)
        logits, scores = source.logits(images), source.predict(images)
        assert np.allclose(1 / (1 + np.exp(-logits.astype(float))), scores, atol=1e-6)
        assert np.array_equal(source.logits(images), logits)
        assert np.allclose(source.reference.model(images, training=False), scores, atol=1e-6)

    def test_plain_logits_are_the_scores(self) -> None:
        source = in_memory(models.densenet(head=norm_head))
        assert np.array_equal(source.logits(pixels(source.network)), source.predict(pixels(source.network)))

    @pytest.mark.parametrize(
        ("steps", "word"), [(lambda L: [L.GlobalAveragePooling2D()], "a Dense layer that classifies")]
    )
    def test_refused(self, steps: Callable[[Any], list[Any]], word: str) -> None:
        def head(k: Any, x: Any) -> Any:
            for layer in steps(k.layers):
                x = layer(x)
            return x

        with pytest.raises(EdgedenseError, match=word):
            in_memory(models.densenet(size=(72, 72), head=head))


def residual_layer(k: Any, x: Any) -> Any:
    return k.layers.Add()([x, models.dense_layer(k, x, x.shape[-1])])


def max_pooled_transition(k: Any, x: Any) -> Any:
    x = k.layers.Concatenate()([x, models.dense_layer(k, x, 8)])
    x = k.layers.MaxPooling2D(2)(models.conv(k, models.norm_relu(k, x), 10))
    return models.body(k, x)


class TestNoDenseNet:
    """The message says what was found and what was expected there."""

    @pytest.mark.parametrize(
        ("make", "found"),
        [
            (lambda a: a.ResNet50, r"a dense layer .* behind layer 'pool1_pool'.*found layer 'conv2_block1_0_conv'"),
            (lambda a: a.ResNet50V2, r"the stem's ReLU behind layer 'conv1_conv' .*found layer 'pool1_pad'"),
            (lambda a: a.MobileNetV2, r"the stem's ReLU behind layer 'bn_Conv1'.*ReLU\) with max_value 6"),
            (lambda a: a.VGG16, r"a dense layer .* behind layer 'block1_pool'.*found layer 'block2_conv1'"),
            (lambda a: a.EfficientNetB0, r"the stem's ReLU .* with activation (swish|silu)"),
            (lambda a: a.InceptionV3, r"a dense layer .*found layer 'conv2d_\d+'"),
        ],
    )
    def test_other_networks(self, make: Any, found: str) -> None:
        model = make(keras.applications)(weights=None, input_shape=(96, 96, 3), classes=4)
        with pytest.raises(EdgedenseError, match=found) as caught:
            in_memory(model)
        assert caught.value.expected.startswith("a DenseNet: ")

    @pytest.mark.parametrize(
        ("body", "words"),
        [
            (lambda k, x: models.norm_relu(k, x), "a dense layer"),
            (lambda k, x: residual_layer(k, x), "a dense layer"),
            (lambda k, x: k.layers.Concatenate()([x, models.conv(k, models.norm_relu(k, x), 8, 3)]), "a 1x1 conv"),
            (
                lambda k, x: k.layers.Concatenate(axis=1)([x, models.dense_layer(k, x, x.shape[-1])]),
                "an operation along the channels",
            ),
            (
                lambda k, x: k.layers.Concatenate()([x, x, models.dense_layer(k, x, 8)]),
                "a Concatenate of the block so far",
            ),
            (max_pooled_transition, "the pooling of a transition.*found layer '.*' .MaxPooling2D."),
            (lambda k, x: models.norm_relu(k, models.conv(k, x, 8)), "a dense layer .*found layer '.*' .Conv2D."),
        ],
    )
    def test_almost_a_densenet(self, body: Any, words: str) -> None:
        with pytest.raises(EdgedenseError, match=words):
            in_memory(models.densenet(body=body))

    def test_dense_layer_variants(self) -> None:
        def body_with(**options: Any) -> Any:
            def body(k: Any, x: Any) -> Any:
                y = models.conv(k, models.norm_relu(k, x), 16, **options.get("conv1", {}))
                y = models.conv(k, models.norm_relu(k, y), 8, 3, **options.get("conv2", {}))
                return models.norm_relu(k, k.layers.Concatenate()([x, y]))

            return body

        for options, words in (
            ({"conv1": {"activation": "relu"}}, "without activation"),
            ({"conv2": {"activation": "tanh"}}, "without activation"),
            ({"conv2": {"dilation_rate": 2}}, "dilation"),
            ({"conv2": {"groups": 2}}, "groups 2"),
        ):
            with pytest.raises(EdgedenseError, match=words):
                in_memory(models.densenet(body=body_with(**options)))

    def test_several_inputs_or_outputs(self) -> None:
        model = models.densenet()
        two = keras.Model(model.inputs, [model.outputs[0], model.layers[-2].output])
        with pytest.raises(EdgedenseError, match=r"2 outputs"):
            in_memory(two)
        age = keras.Input((1,), name="age")
        scores = keras.layers.Dense(2)(keras.layers.Concatenate()([model.outputs[0], age]))
        with pytest.raises(EdgedenseError, match="2 inputs"):
            in_memory(keras.Model([model.inputs[0], age], scores))

    def test_images_of_other_channels(self) -> None:
        image = keras.Input((32, 32, 4), name="ultrasound")
        model = keras.Model(image, models.softmax_head(keras, models.body(keras, models.stem(keras, image))))
        with pytest.raises(EdgedenseError, match=r"RGB input.*or a grey one.*layer 'ultrasound'.*\[None, 32, 32, 4\]"):
            in_memory(model)

    def test_no_image(self) -> None:
        model = keras.Sequential([keras.Input((10,)), keras.layers.Dense(3)])
        with pytest.raises(EdgedenseError, match="RGB input"):
            in_memory(model)

    def test_subclassed_model(self) -> None:
        class Classifier(keras.Model):  # type: ignore[misc, name-defined]
            pass

        with pytest.raises(EdgedenseError, match="Classifier, which has no layer graph"):
            in_memory(Classifier())

    def test_keras_2_layers_that_train_at_inference(self) -> None:
        image = tf_keras.Input((32, 32, 3))
        base = tf_keras.Model(image, models.body(tf_keras, models.stem(tf_keras, image)))
        x = tf_keras.layers.BatchNormalization()(image, training=True)
        with pytest.raises(EdgedenseError, match="called with training=True"):
            in_memory(tf_keras.Model(image, models.softmax_head(tf_keras, base(x))))

    def test_weights_that_are_not_finite(self) -> None:
        model = models.densenet()
        weights = model.get_weights()
        weights[0][0] = np.nan
        model.set_weights(weights)
        with pytest.raises(EdgedenseError, match="NaN or infinity in layer 'conv2d"):
            in_memory(model)


class TestUnreadable:
    def test_missing(self, tmp_path: Path) -> None:
        with pytest.raises(EdgedenseError, match=r"\.keras.*no file '.*none.keras'"):
            read(tmp_path / "none.keras")

    @pytest.mark.parametrize("name", ["model.keras", "model.h5", "model.tflite", "model.pt"])
    @pytest.mark.parametrize("content", [b"", b"no model at all"])
    def test_no_model(self, tmp_path: Path, name: str, content: bytes) -> None:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(EdgedenseError, match="neither a zip nor an HDF5 file"):
            read(tmp_path / name)

    @pytest.mark.parametrize("name", ["model.keras", "model.h5"])
    @pytest.mark.parametrize("kept", [0.3, 0.9])
    def test_cut_off(self, tmp_path: Path, name: str, kept: float) -> None:
        path = saved(models.densenet(), tmp_path, name)
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * kept)])
        with pytest.raises(EdgedenseError, match=re.escape(str(path))):
            read(path)

    def test_keras_zip_without_its_weights(self, tmp_path: Path) -> None:
        path = saved(models.densenet(), tmp_path)
        with zipfile.ZipFile(path) as full, zipfile.ZipFile(tmp_path / "cut.keras", "w") as cut:
            for name in ("config.json", "metadata.json"):
                cut.writestr(name, full.read(name))
        with pytest.raises(EdgedenseError, match=r"cut\.keras"):
            read(tmp_path / "cut.keras")

    def test_another_zip(self, tmp_path: Path) -> None:
        with zipfile.ZipFile(tmp_path / "model.keras", "w") as archive:
            archive.writestr("README", "")
        with pytest.raises(EdgedenseError, match=r"a zip without config\.json"):
            read(tmp_path / "model.keras")

    @pytest.mark.parametrize("name", ["model.keras", "model.h5"])
    def test_wrong_name(self, tmp_path: Path, name: str) -> None:
        path = saved(models.densenet(), tmp_path, name).rename(tmp_path / "model.zip")
        with pytest.raises(EdgedenseError, match=f"rename it to {name}"):
            read(path)

    def test_weights_alone(self, tmp_path: Path) -> None:
        model = models.densenet()
        model.save_weights(tmp_path / "model.weights.h5")
        with pytest.raises(EdgedenseError, match="weights without layers"):
            read(tmp_path / "model.weights.h5")

    @pytest.mark.slow
    def test_saved_model_without_layers(self, tmp_path: Path) -> None:
        models.densenet().export(tmp_path / "exported", verbose=False)
        with pytest.raises(EdgedenseError, match=r"bare functions.*Try: .*model.save"):
            read(tmp_path / "exported")

    def test_another_folder(self, tmp_path: Path) -> None:
        with pytest.raises(EdgedenseError, match=r"without saved_model.pb"):
            read(tmp_path)

    @pytest.mark.slow
    def test_saved_model_that_is_cut_off(self, keras_2_folder: Path, tmp_path: Path) -> None:
        path = Path(shutil.copytree(keras_2_folder, tmp_path / "saved_model"))
        (path / "variables" / "variables.data-00000-of-00001").write_bytes(b"")
        with pytest.raises(EdgedenseError, match="saved_model"):
            read(path)


class TestSafety:
    """Nothing that the file brings is executed."""

    @pytest.mark.parametrize(
        ("library", "name"),
        [
            (keras, "model.keras"),
            (keras, "model.h5"),
            (tf_keras, "model.h5"),
            (tf_keras, "model.keras"),
            (tf_keras, "saved_model"),
        ],
    )
    def test_lambda_layers(self, tmp_path: Path, library: Any, name: str) -> None:
        def before(k: Any, x: Any) -> Any:
            return k.layers.Lambda(lambda x: x / 255, output_shape=(32, 32, 3), name="scale")(x)

        model = models.densenet(library, before=before, body=one_layer)
        error = refused(model, tmp_path, "Lambda layer 'scale'", name=name)
        assert "Rescaling" in error.hint

    @pytest.mark.parametrize(
        ("library", "name"),
        [(keras, "model.keras"), (keras, "model.h5"), (tf_keras, "model.h5"), (tf_keras, "saved_model")],
    )
    def test_custom_layers(self, tmp_path: Path, library: Any, name: str) -> None:
        class Halve(library.layers.Layer):  # type: ignore[misc, name-defined]
            def call(self, x: Any) -> Any:
                return x / 2

        model = models.densenet(library, before=lambda k, x: Halve()(x), body=one_layer)
        error = refused(model, tmp_path, "Halve", name=name)
        assert "Keras' own layers" in error.hint or name == "saved_model"

    def test_custom_functions(self, tmp_path: Path) -> None:
        def halve(x: Any) -> Any:
            return x / 2

        def head(k: Any, x: Any) -> Any:
            return k.layers.Dense(2, activation=halve)(k.layers.GlobalAveragePooling2D()(x))

        refused(models.densenet(head=head), tmp_path, "custom object 'halve'")

    def test_a_module_named_in_the_file_is_not_imported(self, tmp_path: Path) -> None:
        path = saved(models.densenet(), tmp_path)
        (tmp_path / "intruder.py").write_text("raise SystemExit('executed')")
        with zipfile.ZipFile(path) as full:
            entries = {name: full.read(name) for name in full.namelist()}
        entries["config.json"] = entries["config.json"].replace(b'"keras.layers"', b'"intruder"', 2)
        with zipfile.ZipFile(path, "w") as changed:
            for name, content in entries.items():
                changed.writestr(name, content)
        with pytest.raises(EdgedenseError, match="not executed"):
            read(path)


class TestSource:
    def test_hash_is_that_of_the_file(self, tmp_path: Path) -> None:
        path = saved(models.densenet(), tmp_path)
        assert read(path).sha256 == hashlib.sha256(path.read_bytes()).hexdigest()

    @pytest.mark.slow
    def test_hash_of_a_folder_follows_its_contents(self, keras_2_folder: Path, tmp_path: Path) -> None:
        path = Path(shutil.copytree(keras_2_folder, tmp_path / "saved_model"))
        first = read(path).sha256
        assert read(path).sha256 == first
        (path / "assets").mkdir(exist_ok=True)
        (path / "assets" / "more").write_text("x")
        assert read(path).sha256 != first

    def test_any_number_of_images(self) -> None:
        source = in_memory(models.densenet())
        images = np.random.default_rng(0).uniform(0, 255, (70, 32, 32, 3))
        scores = source.predict(images)
        assert scores.shape == (70, 5)
        assert np.allclose(scores[65:], source.predict(images[65:]), atol=1e-6)
