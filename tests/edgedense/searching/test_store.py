"""What a search keeps, and that nothing damaged is taken for whole."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgedense.converters.pruning.importance import Importance
from edgedense.searching.choice import Choice
from edgedense.searching.store import Store
from edgedense.searching.trial import Outcome

OUTCOME = Outcome("trial-3", "full", Choice(0.5, size=(56, 56), float_layers=("a/b",)), 4.5, 9e6, 87.5, 0.25, b"file")
NONE = Outcome("trial-4", "cheap", None)  # not even the smallest network keeps the limit


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "outcomes")


def test_outcomes_come_back_without_their_files(store: Store) -> None:
    for outcome in (OUTCOME, NONE):
        store.keep_outcome(outcome.name, outcome)
        assert store.outcome(outcome.name) == replace(outcome, file=b"")


def test_a_round_comes_back_in_its_order(store: Store) -> None:
    store.keep_round(0, [NONE, OUTCOME])
    assert store.round(0) == [NONE, replace(OUTCOME, file=b"")]


def test_what_was_never_kept(store: Store) -> None:
    assert (store.outcome("trial-3"), store.round(0), store.importance("taylor")) == (None, None, None)


def test_importance_comes_back_to_the_bit(store: Store) -> None:
    random = np.random.default_rng(0)
    growth = {"block1/layer1": random.random(2), "block2/layer1": np.ones(1)}
    given = Importance({"block1/layer1": random.random(3)}, growth)
    store.keep_importance("taylor", given)
    found = store.importance("taylor")
    assert found is not None
    for one, other in ((found.bottleneck, given.bottleneck), (found.growth, given.growth)):
        assert list(one) == list(other)
        assert all(np.array_equal(one[layer], other[layer]) for layer in other)


@pytest.mark.parametrize("damage", [lambda data: b"", lambda data: data[: len(data) // 2], lambda data: b"[]"])
def test_what_is_damaged_is_not_there(store: Store, tmp_path: Path, damage: object) -> None:
    store.keep_outcome("trial-3", OUTCOME)
    store.keep_importance("taylor", Importance({"a": np.ones(2)}, {"a": np.ones(2)}))
    for path in (tmp_path / "outcomes").iterdir():
        path.write_bytes(damage(path.read_bytes()))  # type: ignore[operator]
    assert (store.outcome("trial-3"), store.importance("taylor")) == (None, None)


def test_an_outcome_of_another_version_is_not_there(store: Store, tmp_path: Path) -> None:
    (tmp_path / "outcomes" / "trial-3.json").write_text('{"name": "trial-3", "choice": null, "speed": 3}')
    assert store.outcome("trial-3") is None
