"""The sanity checks of heatmaps: what they say of good, bad and random ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from benchmarks import deletion, explain, randomization
from edgedense.converters import explain as keras_explain
from edgedense.converters import pipeline
from edgedense.converters.opening import Opening
from edgedense.converters.options import Options, Resizing
from edgedense.deployed import gradcam
from edgedense.device import Classifier
from edgedense.device.engines.contents import contents
from edgedense.images.preprocessing import load_image
from tests import models, networks
from tests.converters.test_explain import HEADS, saved
from tests.pictures import fill

pytest.importorskip("keras")
random = np.random.default_rng(0)


class TestCorrelation:
    def test_of_ranks_is_scipys(self) -> None:
        for _ in range(5):
            one, other = np.maximum(random.normal(0, 1, (2, 7, 7)), 0)  # half of them zero: ties
            assert explain.spearman(one, other) == pytest.approx(stats.spearmanr(one.ravel(), other.ravel()).statistic)

    def test_of_values(self) -> None:
        one, other = random.normal(0, 1, (2, 5, 6))
        assert explain.pearson(one, other) == pytest.approx(np.corrcoef(one.ravel(), other.ravel())[0, 1])
        assert explain.pearson(one, 3 * one + 1) == pytest.approx(1)

    def test_of_a_map_that_is_the_same_everywhere(self) -> None:
        assert explain.pearson(np.zeros((2, 2)), np.eye(2)) == 0


class TestDeletion:
    """A class whose score is the share of red pixels."""

    pixels = np.zeros((56, 56, 3), np.uint8)
    pixels[:28, :28, 0] = 255

    @staticmethod
    def score(pixels: np.ndarray) -> float:
        return float((pixels[..., 0] > 200).mean()) * 4

    def areas(self, heat: np.ndarray) -> deletion.Areas:
        return deletion.areas(self.score, self.pixels, heat)

    def test_the_right_place_beats_chance_and_chance_the_wrong_one(self) -> None:
        right = np.zeros((4, 4), np.float32)
        right[:2, :2] = 1
        chance = [self.areas(deletion.random_heat((4, 4), seed)) for seed in range(5)]
        assert self.areas(right).deletion < min(one.deletion for one in chance)
        assert self.areas(right).insertion > max(one.insertion for one in chance)
        assert self.areas(1 - right).deletion > max(one.deletion for one in chance)
        assert self.areas(1 - right).insertion < min(one.insertion for one in chance)

    def test_a_perfect_map_is_as_good_as_can_be(self) -> None:
        """A quarter of the pixels falls in a straight line, three quarters are gone: 1/8."""
        right = np.zeros((56, 56), np.float32)
        right[:28, :28] = 1
        assert self.areas(right).deletion == pytest.approx(1 / 8, abs=0.01)

    def test_random_maps_differ(self) -> None:
        assert not np.array_equal(deletion.random_heat((3, 3), 0), deletion.random_heat((3, 3), 1))


class TestCascade:
    def test_goes_from_the_head_to_the_stem(self) -> None:
        network = networks.densenet()
        parts = list(randomization.cascade(network))
        assert [name for name, _ in parts] == ["head", "block2", "transition1", "block1", "stem"]
        head, *_, last_but_one, all_of_it = (changed for _, changed in parts)
        assert networks.equal(networks.replace(head, head=network.head), network)
        assert networks.equal(networks.replace(last_but_one, stem=all_of_it.stem), all_of_it)
        assert not np.array_equal(all_of_it.stem.conv.kernel, network.stem.conv.kernel)

    def test_one_seed_gives_one_network(self) -> None:
        one, same, other = (list(randomization.cascade(networks.densenet(), seed))[-1][1] for seed in (0, 0, 1))
        assert networks.equal(one, same)
        assert not networks.equal(one, other)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, list[Path]]:
    """(Keras model, file, pictures)."""
    folder = tmp_path_factory.mktemp("made")
    model = saved(models.densenet(size=(96, 96), head=HEADS["hidden"]), folder)
    pictures = sorted(fill(folder / "pictures", 8).iterdir())
    options = Options(ranges="minmax", headroom=1.0, explain=True)
    (folder / "model.tflite").write_bytes(pipeline.convert(model, folder / "pictures", None, options).data)
    return model, folder / "model.tflite", pictures


@pytest.mark.slow
def test_random_weights_give_other_heatmaps(made: tuple[Path, Path, list[Path]]) -> None:
    """A map of 12x12 that does not depend on the weights would keep a rank correlation of 1; chance leaves 0.1."""
    opened = keras_explain.read(made[0])
    pixels = [load_image(path, opened.preprocessing) for path in made[2]]
    found = explain.randomized(made[0], opened, pixels, Opening())
    assert list(found) == ["head", "block2", "transition1", "block1", "stem"]
    assert abs(found["stem"]) < 0.5


@pytest.mark.slow
def test_the_devices_heatmap_is_that_of_keras(made: tuple[Path, Path, list[Path]]) -> None:
    with Classifier(made[1], threads=1) as classifier:
        p = classifier.preprocessing
        opened = keras_explain.read(
            made[0], classifier.labels, p.normalize, Resizing(p.resize, exif=p.exif), Opening((p.height, p.width))
        )
        found = explain.beside_keras(opened, classifier, [load_image(path, p) for path in made[2]])
        assert np.median(found) >= 0.95  # int8 noise of a random network: tests/converters/quantization/test_heads.py
        assert found.max() < 1


@pytest.mark.slow
def test_a_file_without_its_second_output_says_the_same(made: tuple[Path, Path, list[Path]], tmp_path: Path) -> None:
    from edgedense.deployed import bundle

    plain = explain.without_features(bundle.read(made[1]))
    (tmp_path / "plain.tflite").write_bytes(plain)
    assert len(contents(plain).outputs) == 1
    assert gradcam.ENTRY not in bundle.parse(plain).entries
    with Classifier(made[1], threads=1) as full, Classifier(tmp_path / "plain.tflite", threads=1) as bare:
        pixels = load_image(made[2][0], full.preprocessing)
        assert np.array_equal(full.classify(pixels), bare.classify(pixels))
    paid = explain.cost(made[1], [pixels] * 3, tmp_path)
    assert paid["share"] == pytest.approx((paid["with"] + paid["heatmap"]) / paid["without"] - 1)
    assert min(paid["without"], paid["with"], paid["heatmap"]) > 0
