"""What is built: normalization inside, the heads, and weights from elsewhere."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgedense.converters.network.graph import Dense
from edgedense.converters.opening import Opening
from edgedense.converters.readers.keras import reader as keras_reader
from edgedense.converters.readers.programs import FloatProgram
from edgedense.converters.readers.source import Source
from edgedense.converters.readers.state_dicts import reader as state_dicts_reader
from edgedense.converters.training import graph_weights, networks
from edgedense.errors import EdgedenseError
from edgedense.images.preprocessing import NORMALIZATIONS
from tests import hub, models, onnx_graphs, state_dicts
from tests.converters.training.conftest import SMALL

pytestmark = pytest.mark.slow


def build(begin: networks.Start | None = None, **options: Any) -> Any:
    begin = begin or networks.start("none", SMALL, "densenet", 32)
    given = {"size": 32, "outputs": 3, "activation": "softmax", "head": None, "dropout": 0.2, **options}
    return networks.build(SMALL, begin, **given)


def saved(model: Any, path: Path) -> Path:
    model.save(path)
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained network with a head of five classes, normalized outside."""
    model = models.densenet(
        stem=lambda keras, x: models.stem(keras, x, 4), body=lambda keras, x: models.body(keras, x, (1, 1), 4)
    )
    return saved(model, tmp_path_factory.mktemp("weights") / "other.keras")


class TestBuild:
    def test_the_reader_finds_the_normalization_inside(self, tmp_path: Path) -> None:
        source = keras_reader.read(saved(build(), tmp_path / "m.keras"))
        mean, std = NORMALIZATIONS["densenet"]
        assert source.normalized
        assert source.network.normalization is not None
        assert source.network.normalization.scale == pytest.approx(1 / np.array(std), rel=1e-6)
        assert source.network.normalization.shift == pytest.approx(-np.array(mean) / std, rel=1e-6)

    def test_rescale(self, tmp_path: Path) -> None:
        model = build(networks.start("none", SMALL, "rescale", 32))
        source = keras_reader.read(saved(model, tmp_path / "m.keras"))
        assert source.network.normalization is not None
        assert source.network.normalization.scale == pytest.approx(np.full(3, 1 / 255), rel=1e-6)

    @pytest.mark.parametrize("head", [None, 16])
    @pytest.mark.parametrize(("activation", "outputs"), [("softmax", 3), ("sigmoid", 1)])
    def test_heads(self, head: int | None, activation: str, outputs: int) -> None:
        model = build(head=head, activation=activation, outputs=outputs)
        kinds = [type(layer).__name__ for layer in model.layers[-4:]]
        assert kinds[-2:] == ["Dropout", "Dense"]
        assert (kinds[-3] == "Dense") == (head is not None)
        assert model.output_shape == (None, outputs)

    def test_no_dropout(self) -> None:
        assert not any(type(layer).__name__ == "Dropout" for layer in build(dropout=0).layers)

    def test_the_users_two_heads_have_their_parameters(self) -> None:
        """8,088,129 and 7,041,604 for DenseNet121: what is counted here is the head on 1,024 features."""
        features = 1024
        assert 7_037_504 + features * 1024 + 1024 + 1024 + 1 == 8_088_129
        assert 7_037_504 + features * 4 + 4 == 7_041_604
        small = build(head=None, outputs=4)
        last = small.layers[-1]
        assert last.count_params() == (last.input.shape[-1] + 1) * 4


class TestPhases:
    def test_a_frozen_backbone_does_not_learn(self) -> None:
        model = build(head=8)
        networks.set_phase(model, whole=False, momentum=0.9)
        assert [v.path.split("/")[0] for v in model.trainable_weights] == ["hidden"] * 2 + ["predictions"] * 2
        networks.set_phase(model, whole=True, momentum=0.9)
        assert len(model.trainable_weights) > 4

    def test_a_frozen_batch_norm_keeps_its_statistics(self) -> None:
        import keras

        model = build()
        batch = np.random.default_rng(0).uniform(0, 255, (4, 32, 32, 3)).astype(np.float32)
        moving = [w for w in model.weights if "moving" in w.path]
        for whole, changes in ((False, False), (True, True)):
            networks.set_phase(model, whole=whole, momentum=0.9)
            before = [w.numpy() for w in moving]
            model(keras.ops.convert_to_tensor(batch), training=True)
            assert any((a != w.numpy()).any() for a, w in zip(before, moving, strict=True)) == changes


class TestWeightsFile:
    def test_the_backbone_is_taken_and_the_head_is_new(self, trained: Path) -> None:
        from keras import models as keras_models

        model = build(networks.start(str(trained), SMALL, "densenet", 32))
        old = keras_models.load_model(trained)
        expected, found = (
            [
                w.numpy()
                for layer in m.layers
                for w in layer.weights
                if type(layer).__name__ in ("Conv2D", "BatchNormalization")
            ]
            for m in (old, model)
        )
        assert len(expected) == len(found) > 0
        assert all((a == b).all() for a, b in zip(expected, found, strict=True))
        assert model.output_shape == (None, 3)

    def test_convolutions_and_norms_of_the_head_are_left(self, tmp_path: Path) -> None:
        """Such a head is not the graph's to know; one with a norm between its Dense layers is."""

        def normed(keras: Any, x: Any) -> Any:
            x = keras.layers.Dense(6)(keras.layers.GlobalAveragePooling2D()(x))
            return keras.layers.Dense(5, activation="softmax")(keras.layers.BatchNormalization()(x))

        for number, head in enumerate((normed, models.classified(models.convolution_head))):
            model = models.densenet(
                stem=lambda keras, x: models.stem(keras, x, 4),
                body=lambda keras, x: models.body(keras, x, (1, 1), 4),
                head=head,
            )
            begin = networks.start(str(saved(model, tmp_path / f"{number}.keras")), SMALL, "densenet", 32)
            build(begin)  # EdgedenseError if there were more than the backbone's
            assert begin.weights is not None
            assert (begin.weights[0][0] == model.layers[2].get_weights()[0]).all()

    def test_code_in_the_file_is_run_if_it_is_trusted_and_becomes_the_normalization(self, tmp_path: Path) -> None:
        def before(k: Any, x: Any) -> Any:
            return k.layers.Lambda(lambda x: x / 127.5 - 1)(x)

        path = saved(models.densenet(before=before), tmp_path / "m.keras")
        with pytest.raises(EdgedenseError, match="--trust-model"):
            networks.start(str(path), SMALL, "densenet", 32)
        begin = networks.start(str(path), SMALL, "densenet", 32, Opening(trust=True))
        assert begin.normalization.scale == pytest.approx(1 / 127.5)
        assert begin.normalization.shift == pytest.approx(-1)

    def test_features_are_those_of_the_file(self, trained: Path) -> None:
        import keras

        model = build(networks.start(str(trained), SMALL, "densenet", 32))
        old = keras.models.load_model(trained)
        pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype(np.float32)
        mean, std = (np.array(values, np.float32) for values in NORMALIZATIONS["densenet"])
        expected, found = (
            keras.Model(
                m.input,
                next(x for x in m.layers if "Pooling2D" in type(x).__name__ and "Global" in type(x).__name__).output,
            ).predict(x, verbose=0)
            for m, x in ((old, (pixels - mean) / std), (model, pixels))
        )
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)  # float32, another order of rounding

    def test_a_file_that_normalizes_inside_keeps_its_own(self, tmp_path: Path) -> None:
        first = build(networks.start("none", SMALL, "rescale", 32))
        begin = networks.start(str(saved(first, tmp_path / "m.keras")), SMALL, "densenet", 32)
        assert begin.normalization.scale == pytest.approx(np.full(3, 1 / 255), rel=1e-6)

    def test_another_network_is_refused(self, tmp_path: Path) -> None:
        begin = networks.start(str(saved(models.densenet(), tmp_path / "m.keras")), SMALL, "densenet", 32)
        with pytest.raises(EdgedenseError, match="the weights of a Small"):
            build(begin)

    def test_a_missing_file_is_refused(self) -> None:
        with pytest.raises(EdgedenseError, match="no file 'imagnet'"):
            networks.start("imagnet", SMALL, "densenet", 32)

    def test_weights_alone(self, tmp_path: Path) -> None:
        path = tmp_path / "notop.weights.h5"
        given = build()
        given.save_weights(path)
        begin = networks.start(str(path), SMALL, "densenet", 32)
        expected = [layer.get_weights() for layer in networks.backbone_layers(given)]
        found = [layer.get_weights() for layer in networks.backbone_layers(build(begin))]
        assert len(found) == len(expected) > 0
        for one, other in zip(found, expected, strict=True):
            assert all((a == b).all() for a, b in zip(one, other, strict=True))
        assert not begin.measures

    def test_weights_alone_of_another_network_are_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "notop.weights.h5"
        models.densenet().save_weights(path)
        with pytest.raises(EdgedenseError, match=r"have 1, 1 layers; found .* 2, 2"):
            networks.start(str(path), SMALL, "densenet", 32)
        with pytest.raises(EdgedenseError, match="--weights of a ResNet50"):
            networks.start(str(path), networks.RESNET, "densenet", 32)

    def test_a_state_dict(self, tmp_path: Path) -> None:
        """Of a head of two layers, of which nobody needs to know what stands between them."""
        arrays = state_dicts.state_dict(blocks=(1, 1), first=4, bottleneck=8, head=(6, 3))
        path = state_dicts.write(tmp_path / "w.safetensors", arrays)
        begin = networks.start(str(path), SMALL, "densenet", 32)
        assert begin.measures
        assert begin.notes == ()
        assert networks.start(str(path), SMALL, "rescale", 32).normalization.scale == pytest.approx(1 / 255)
        source = state_dicts_reader.read(path, Opening((32, 32), head_activation="relu"))
        pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype(np.float32)
        assert _features(build(begin), pixels) == pytest.approx(_features_of(source, pixels), rel=1e-3, abs=1e-4)

    @pytest.mark.parametrize("folded", [False, True])
    def test_onnx(self, trained: Path, tmp_path: Path, folded: bool) -> None:
        """A file with its norms folded into its convolutions too."""
        import keras
        import onnx

        old = keras.models.load_model(trained)
        onnx.save(onnx_graphs.of_keras(old, folded=folded), tmp_path / "m.onnx")
        begin = networks.start(str(tmp_path / "m.onnx"), SMALL, "rescale", 32)
        pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype(np.float32)
        expected = keras.Model(old.input, old.layers[-2].output).predict(pixels / 255, verbose=0)
        assert _features(build(begin), pixels) == pytest.approx(expected, rel=1e-3, abs=1e-4)

    def test_keras_hub_is_padded_in_another_way(self, tmp_path: Path) -> None:
        hub.classifier(described=hub.preprocessor(scale=0.02, offset=-1.0)).save(tmp_path / "m.keras")
        begin = networks.start(str(tmp_path / "m.keras"), SMALL, "densenet", 32)
        assert begin.normalization.scale == pytest.approx(0.02)
        (note,) = begin.notes
        assert "padded in another way" in note


class TestOneChannel:
    """The trained network takes RGB pictures; of grey ones it computes what the model of one channel does."""

    def small(self) -> Any:
        return models.densenet(
            stem=lambda keras, x: models.stem(keras, x, 4),
            body=lambda keras, x: models.body(keras, x, (1, 1), 4),
            channels=1,
        )

    @pytest.mark.parametrize("name", ["m.keras", "m.weights.h5"])
    def test_grey_pictures_give_the_same(self, tmp_path: Path, name: str) -> None:
        import keras

        model = self.small()
        path = tmp_path / name
        (model.save_weights if name.endswith(".weights.h5") else model.save)(path)
        begin = networks.start(str(path), SMALL, "rescale", 32)
        assert begin.notes == (graph_weights.GREY,)
        grey = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 1)).astype(np.float32)
        expected = keras.Model(model.input, model.layers[-2].output).predict(grey / 255, verbose=0)
        assert _features(build(begin), np.repeat(grey, 3, 3)) == pytest.approx(expected, rel=1e-3, abs=1e-4)
        with pytest.raises(EdgedenseError, match="which has a number for each colour"):
            networks.start(str(path), SMALL, "densenet", 32)

    def test_one_that_repeats_it_takes_colours(self, tmp_path: Path) -> None:
        def thrice(keras: Any, x: Any) -> Any:
            return keras.layers.Concatenate()([x, x, x])

        models.densenet(before=thrice, channels=1).save(tmp_path / "m.keras")
        assert networks.start(str(tmp_path / "m.keras"), SMALL, "rescale", 32).notes == (graph_weights.REPEATED,)


def _features(model: Any, pixels: np.ndarray) -> np.ndarray:
    import keras

    return keras.Model(model.input, model.get_layer("pooling").output).predict(pixels, verbose=0)


def _features_of(source: Source, pixels: np.ndarray) -> np.ndarray:
    """What stands before the first Dense, normalized outside."""
    mean, std = (np.array(values, np.float32) for values in NORMALIZATIONS["densenet"])
    width = source.network.head.steps[1].kernel.shape[0]
    last = Dense(np.eye(width), np.zeros(width))
    bare = replace(source.network, head=replace(source.network.head, steps=(source.network.head.steps[0], last)))
    return FloatProgram(bare).logits((pixels - mean) / std)


def test_weights_for_bgr_are_turned_to_rgb() -> None:
    """Keras' ResNet50 takes BGR less the means; ours takes RGB and must compute the same."""
    import keras

    image = keras.Input((32, 32, 3))
    theirs = keras.Model(image, SMALL.attach(keras, image))
    own = networks.RESNET.own
    assert own is not None
    peer = replace(SMALL, stock=lambda keras: theirs, own=own, bgr=True)
    ours = build(networks.start("imagenet", peer, "densenet", 32))
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype(np.float32)
    expected = theirs.predict(keras.applications.resnet.preprocess_input(pixels.copy()), verbose=0)
    features = keras.Model(ours.input, ours.get_layer("pooling").input)
    # float32 through a few layers, the means subtracted in another order
    np.testing.assert_allclose(features.predict(pixels, verbose=0), expected, rtol=1e-3, atol=1e-3)


def test_imagenet_without_a_network_says_where_the_file_goes() -> None:
    with pytest.raises(EdgedenseError, match=r"small\.h5.*--weights none"):
        networks.start("imagenet", SMALL, "densenet", 32)
