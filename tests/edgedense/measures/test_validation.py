from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from edgedense.errors import EdgedenseError
from edgedense.images.preprocessing import Preprocessing
from edgedense.measures import labelled, validation

SMALL = Preprocessing(4, 4, "none")
LARGE = Preprocessing(8, 8, "none")


def test_each_model_gets_its_own_pixels_in_order_and_ticks_add_up(folder: Path) -> None:
    paths = labelled.read_labelled(folder, ("cat", "fox")).paths
    seen: list[tuple[int, ...]] = []

    def predict(pixels: np.ndarray) -> np.ndarray:
        seen.append(pixels.shape)
        return pixels.mean(axis=(1, 2))[:, :2]

    ticks: list[int] = []
    small, large = validation.score(
        paths, [validation.Model("a", SMALL, predict), validation.Model("b", LARGE, predict)], ticks.append, 2
    )
    assert sorted(seen) == [(1, 4, 4, 3), (1, 8, 8, 3), (2, 4, 4, 3), (2, 8, 8, 3)]  # batches may be done side by side
    assert ticks == [2, 1]
    np.testing.assert_array_equal(small, large)
    assert small[:, 0].tolist() == [10, 20, 30]


def test_models_with_equal_preprocessing_share_one_array(folder: Path) -> None:
    arrays: list[np.ndarray] = []

    def predict(pixels: np.ndarray) -> np.ndarray:
        arrays.append(pixels)
        return np.zeros((len(pixels), 2))

    paths = labelled.read_labelled(folder, ("cat", "fox")).paths
    validation.score(paths, [validation.Model(n, SMALL, predict) for n in "ab"])
    assert arrays[0] is arrays[1]


def test_models_that_take_one_picture_get_a_worker_on_every_core(folder: Path) -> None:
    """Two workers each of two models, one of which wants other pixels, beside a model that takes batches."""
    paths = labelled.read_labelled(folder, ("cat", "fox")).paths * 5
    used: set[str] = set()

    def worker(name: str) -> validation.PredictOne:
        def predict(pixels: np.ndarray) -> np.ndarray:
            used.add(name)
            time.sleep(0.005)  # time for the other one to begin
            return np.float32([pixels.shape[0], pixels.mean()])

        return predict

    batched = validation.Model("batched", SMALL, lambda pixels: pixels.mean((1, 2))[:, :2])
    small = validation.Model("small", SMALL, workers=(worker("s0"), worker("s1")))
    large = validation.Model("large", LARGE, workers=(worker("l0"), worker("l1"), worker("never")))
    ticks: list[int] = []
    scores = validation.score(paths, [small, batched, large], ticks.append, 4)
    assert [part.dtype for part in scores] == [np.float64] * 3
    assert scores[0].tolist() == [[4, level] for level in [10, 20, 30] * 5]
    assert scores[1].tolist() == [[level, level] for level in [10, 20, 30] * 5]
    assert scores[2].tolist() == [[8, level] for level in [10, 20, 30] * 5]
    assert ticks == [4, 4, 4, 3]
    assert used == {"s0", "s1", "l0", "l1"}


def test_judge_reports_on_the_last_model_with_a_gate(folder: Path) -> None:
    images = labelled.read_labelled(folder, ("cat", "fox"))

    def says(*scores: float) -> np.ndarray:
        return np.array([[s, 1 - s] for s in scores])

    before, after = says(0.9, 0.9, 0.2), says(0.9, 0.3, 0.2)
    result = validation.judge(images, ["float", "int8"], [before, after], max_drop=10)
    assert result.title == "int8"
    assert result.drift is not None
    assert result.drift.drop == pytest.approx(100 / 3)
    assert result.gate is not None
    assert not result.gate.passed
    alone = validation.judge(images, ["int8"], [after])
    assert (alone.drift, alone.gate) == (None, None)


def test_judge_takes_a_single_sigmoid_beside_two_columns(folder: Path) -> None:
    images = labelled.read_labelled(folder, ("cat", "fox"))
    single, pair = np.array([[0.1], [0.2], [0.8]]), np.array([[0.9, 0.1], [0.8, 0.2], [0.2, 0.8]])
    result = validation.judge(images, ["float", "int8"], [single, pair], activation="sigmoid")
    assert result.drift is not None
    assert result.drift.kl_mean == pytest.approx(0, abs=1e-12)
    assert result.drift.thresholds[0].positive == "fox"


def test_a_model_with_other_classes_is_refused() -> None:
    validation.require_classes(np.zeros((4, 1)), "pair", ("cat", "fox"), "classes")
    validation.require_classes(np.zeros((4, 2)), "both", ("cat", "fox"), "several")
    with pytest.raises(EdgedenseError, match="3 in wide"):
        validation.require_classes(np.zeros((4, 3)), "wide", ("cat", "fox"), "classes")
    with pytest.raises(EdgedenseError, match="1 in one"):
        validation.require_classes(np.zeros((4, 1)), "one", ("cat", "fox"), "several")
    with pytest.raises(EdgedenseError, match=r"expected 1 values \(age\); found 2 in two"):
        validation.require_classes(np.zeros((4, 2)), "two", ("age",), "values")
