"""Which preprocessing the model was trained with: composed into the network, and checked against pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from edgedense.converters.calibration.normalization import (
    Score,
    better_choice,
    compose,
    normalized,
    preprocessing,
    refuse,
)
from edgedense.converters.network.graph import Affine
from edgedense.converters.options import Resizing
from edgedense.images.preprocessing import Normalization, Pixels, Preprocessing
from tests import networks, reference
from tests.networks import array
from tests.pictures import fill

IN_FORCE = Preprocessing(16, 20, "densenet")
COUNT = 40


@pytest.mark.parametrize("name", get_args(Normalization))
def test_composed_with_what_the_model_does_itself(name: Normalization) -> None:
    network = networks.minimal()
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 2, 2, 3)
    outside = normalized(pixels, name)
    assert compose(network, name).normalization is not None
    wanted = reference.logits(network, outside)
    assert reference.logits(compose(network, name), pixels) == pytest.approx(wanted, rel=1e-6)  # float32 outside
    inside = Affine(array(1, 2, 3), array(4, 5, 6))
    both = reference.logits(networks.replace(network, normalization=inside), outside)
    found = reference.logits(compose(networks.replace(network, normalization=inside), name), pixels)
    assert found == pytest.approx(both, rel=1e-6)


class Judge:
    """A float model that is right on a stated share of the pictures, by the choice that it is scored under.

    It knows a picture by its order, and counts how often it is asked.
    """

    def __init__(self, folder: Path, right: Callable[[Preprocessing, int], bool]) -> None:
        self.paths = tuple(sorted(fill(folder, COUNT).iterdir()))
        self.labels = np.arange(COUNT) % 2
        self.right = right
        self.asked: list[tuple[str, int]] = []

    def scores(self, chosen: Preprocessing, indices: np.ndarray) -> np.ndarray:
        decided = [self.labels[i] if self.right(chosen, i) else 1 - self.labels[i] for i in indices]
        return np.eye(2)[decided]

    def better(
        self,
        monkeypatch: pytest.MonkeyPatch,
        in_force: Preprocessing = IN_FORCE,
        possible: tuple[Normalization, ...] = get_args(Normalization),
    ) -> object:
        loaded: list[tuple[Preprocessing, int]] = []

        def load(path: Path, preprocessing: Preprocessing) -> Pixels:
            loaded.append((preprocessing, self.paths.index(path)))
            return np.zeros((16, 20, 3), np.uint8)

        def score(pixels: Pixels, normalize: Normalization) -> np.ndarray:
            chosen = loaded[-1][0]
            assert chosen.normalize == normalize
            indices = np.array([index for _, index in loaded])
            loaded.clear()
            assert len(pixels) == len(indices)
            self.asked.append((f"{normalize} {chosen.resize} {chosen.fit}", len(indices)))
            return self.scores(chosen, indices)

        monkeypatch.setattr("edgedense.converters.calibration.normalization.load_image", load)
        checked: Score = score
        scores = self.scores(in_force, np.arange(COUNT))
        return better_choice(in_force, scores, self.paths, self.labels, checked, possible)


def test_names_the_better_choice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    judge = Judge(tmp_path, lambda p, i: i % 4 > 0 if p.normalize == "rescale" else i % 4 > 2)
    found = judge.better(monkeypatch)
    assert found.preprocessing == Preprocessing(16, 20, "rescale", "bilinear")
    assert (found.accuracy, found.accuracy_in_force) == (0.75, 0.25)
    error = str(refuse(found))
    for words in ("--preprocess rescale --resize bilinear --fit stretch scores 75.0 %", "25.0 %", "--force", "McNemar"):
        assert words in error


def test_the_best_of_several(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shares = {("rescale", "bilinear"): 20, ("rescale", "nearest"): 30, ("none", "bilinear"): 15}
    judge = Judge(tmp_path, lambda p, i: i < shares.get((p.normalize, p.resize), 5))
    found = judge.better(monkeypatch)
    assert (found.preprocessing.normalize, found.preprocessing.resize) == ("rescale", "nearest")


def test_the_resize_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    judge = Judge(tmp_path, lambda p, i: p.resize == "nearest" or i < 20)
    assert judge.better(monkeypatch).preprocessing == Preprocessing(16, 20, "densenet", "nearest")


def test_a_difference_that_may_be_chance_is_let_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """6 pictures won and none lost has p = 0.031; 8 have 0.008."""
    judge = Judge(tmp_path / "six", lambda p, i: i < 26 if p.normalize == "rescale" else i < 20)
    assert judge.better(monkeypatch) is None
    judge = Judge(tmp_path / "eight", lambda p, i: i < 28 if p.normalize == "rescale" else i < 20)
    assert judge.better(monkeypatch).preprocessing.normalize == "rescale"


def test_as_many_lost_as_won_is_let_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    judge = Judge(tmp_path, lambda p, i: (i < 20) == (p.normalize == "densenet"))
    assert judge.better(monkeypatch) is None


def test_nothing_is_scored_when_too_few_are_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """7 pictures to win at most, p = 0.016."""
    judge = Judge(tmp_path, lambda p, i: p.normalize != "densenet" or i >= 7)
    assert judge.better(monkeypatch) is None
    assert judge.asked == []


def test_only_what_the_model_can_have_had_is_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """densenet would score best, and has a number for each colour."""
    judge = Judge(tmp_path, lambda p, i: p.normalize == "densenet" or i < (30 if p.normalize == "symmetric" else 10))
    found = judge.better(monkeypatch, Preprocessing(16, 20, "rescale", channels=1), ("rescale", "symmetric"))
    assert found.preprocessing == Preprocessing(16, 20, "symmetric", channels=1)
    assert {name.split()[0] for name, _ in judge.asked} == {"symmetric"}


def test_a_network_of_one_channel_takes_one_number() -> None:
    network = networks.minimal()
    conv = networks.replace(network.stem.conv, kernel=network.stem.conv.kernel[:, :, :1])
    one = network.with_first(networks.replace(network.stem, conv=conv))
    found = compose(one, "symmetric").normalization
    assert found is not None
    assert (found.scale.tolist(), found.shift.tolist()) == ([1 / 127.5], [-1])
    assert normalized(np.full((1, 1, 1, 1), 255, np.uint8), "symmetric").tolist() == [[[[1, 1, 1]]]]


def test_right_ones_are_scored_only_when_enough_were_won(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    judge = Judge(tmp_path, lambda p, i: i < 20 or p == Preprocessing(16, 20, "rescale"))
    assert judge.better(monkeypatch) is not None
    names = [name for name, _ in judge.asked]
    assert [name for name in names if names.count(name) == 2] == ["rescale bilinear stretch"] * 2


def test_each_normalization_is_tried_and_then_each_geometry_with_the_best(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = Judge(tmp_path, lambda p, i: i < (25 if p.normalize == "rescale" else 2))
    assert judge.better(monkeypatch).options == "--preprocess rescale --resize bilinear --fit stretch"
    assert list(dict.fromkeys(name for name, _ in judge.asked)) == [
        *(f"{name} bilinear stretch" for name in get_args(Normalization) if name != "densenet"),
        *("rescale nearest stretch", "rescale pil-bilinear crop", "rescale pil-bilinear stretch"),
        *("rescale bilinear crop", "rescale bilinear pad"),
    ]


def test_what_is_in_force_is_not_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    judge = Judge(tmp_path, lambda p, i: i < 20)
    in_force = Preprocessing(16, 20, "none", "pil-bilinear", fit="crop", shorter_side=22)
    assert judge.better(monkeypatch, in_force) is None
    assert "none pil-bilinear crop" not in [name for name, _ in judge.asked]
    assert "none bilinear stretch" in [name for name, _ in judge.asked]


def test_torchvisions_cut_is_named_as_it_is_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    judge = Judge(tmp_path, lambda p, i: i < 20 or p.shorter_side == 22)  # 20 / 0.875, rounded down
    found = judge.better(monkeypatch)
    assert found.options == "--preprocess densenet --resize pil-bilinear --shorter-side 22"
    assert "--shorter-side 22, or --force" in str(refuse(found))


def test_a_shorter_side_is_that_of_the_training() -> None:
    """256 of 224 in training is 146 of 128: the same share of the picture."""
    said = Resizing("pil-bilinear", shorter_side=256)
    assert preprocessing((128, 128), (), "none", said, (224, 224)).shorter_side == 146
    assert preprocessing((224, 224), (), "none", said, (224, 224)).shorter_side == 256
    assert preprocessing((224, 224), (), "none", said) == Preprocessing(
        224, 224, "none", "pil-bilinear", fit="crop", shorter_side=256
    )
    assert preprocessing((224, 200), (), "none", Resizing(fit="pad", exif="apply")) == Preprocessing(
        224, 200, "none", exif="apply", fit="pad"
    )
