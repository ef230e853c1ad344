"""A rival learns what the teacher says, the same way every time, and goes on after a kill."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgedense.converters.rivals import networks, training
from edgedense.converters.rivals.rival import spec_of
from edgedense.errors import EdgedenseError
from tests.converters.rivals import students

pytest.importorskip("tensorflow")

SPEC = replace(spec_of(epochs=4), batch=9, learning_rate=0.02)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(networks.BACKBONES, "mobilenetv2", students.features)


def fresh() -> Any:
    return networks.build("mobilenetv2", students.SHAPE, students.CLASSES, 0)


def equal(one: Any, other: Any) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one.get_weights(), other.get_weights(), strict=True))


@pytest.mark.slow
def test_it_comes_closer_and_a_killed_run_ends_with_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, killed = fresh(), fresh()
    course = training.train(whole, students.lesson(), SPEC)
    assert [epoch.number for epoch in course.history] == [1, 2, 3, 4]
    assert min(epoch.held for epoch in course.history) < 0.9 * course.start  # after a dozen steps
    epoch = training._Loop.epoch

    def dying(self: Any, number: int, tick: Callable[[int], None]) -> float:
        if number == 3:
            raise KeyboardInterrupt
        return epoch(self, number, tick)

    with monkeypatch.context() as patch:
        patch.setattr(training._Loop, "epoch", dying)
        with pytest.raises(KeyboardInterrupt):
            training.train(killed, students.lesson(), SPEC, tmp_path / "rival.npz")
    numbers: list[int] = []

    def counting(self: Any, number: int, tick: Callable[[int], None]) -> float:
        numbers.append(number)
        return epoch(self, number, tick)

    monkeypatch.setattr(training._Loop, "epoch", counting)
    killed = fresh()
    assert training.train(killed, students.lesson(), SPEC, tmp_path / "rival.npz") == course
    assert numbers == [3, 4]
    assert equal(whole, killed)
    other = replace(SPEC, seed=1)
    with pytest.raises(EdgedenseError, match="of another run"):
        training.train(fresh(), students.lesson(), other, tmp_path / "rival.npz")


def test_a_mirrored_picture_has_the_scores_of_its_mirror_image() -> None:
    loop = training._Loop(fresh(), students.lesson(), SPEC)
    seen: list[tuple[np.ndarray, ...]] = []

    def step(*given: Any) -> Any:
        seen.append(tuple(one.numpy() for one in given))
        return loop.tf.constant(0.0)

    loop.step = step
    loop.learn(np.array([0, 1]), np.array([True, False]))
    pixels, wanted, labels = seen[0]
    given = students.pixels()
    assert np.array_equal(pixels, [given[0, :, ::-1], given[1]])
    assert wanted.argmax(axis=1).tolist() == [2, 1]  # picture 0 is bright on the left, and mirrored on the right
    assert labels.tolist() == [-1, -1]


def test_nothing_is_mirrored_where_the_teacher_has_not_seen_it() -> None:
    assert not training._Loop(fresh(), replace(students.lesson(), mirrored=False), SPEC).spec.flip
    assert training._Loop(fresh(), students.lesson(), SPEC).spec.flip


@pytest.mark.slow
def test_labels_count_where_there_are_any() -> None:
    losses = [
        training._Loop(fresh(), students.lesson(labelled=labelled), SPEC).learn(np.arange(9), np.zeros(9, bool))
        for labelled in (False, True)
    ]
    assert losses[1] > losses[0]  # by a tenth of a cross-entropy


@pytest.mark.slow
def test_epochs_that_fit_into_minutes_leave_the_model_as_it_was() -> None:
    model = fresh()
    before = [weight.copy() for weight in model.get_weights()]
    assert training.epochs_within(model, students.lesson(), SPEC, 1e-9) == 1
    assert training.epochs_within(model, students.lesson(), SPEC, 1000.0) == SPEC.epochs
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
