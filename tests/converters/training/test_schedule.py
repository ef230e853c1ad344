"""Rates and the end of a phase, against Keras' own callbacks."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from edgedense.converters.training import schedule
from edgedense.converters.training.schedule import Phase

PHASE = Phase("all", 12, 0.1, True)


@pytest.mark.parametrize("seed", range(8))
def test_plateau_is_keras_own(seed: int) -> None:
    import keras

    losses = np.random.default_rng(seed).uniform(0.5, 1.0, 20).tolist()
    callback = keras.callbacks.ReduceLROnPlateau(factor=0.3, patience=3, min_delta=1e-4, min_lr=1e-3)
    optimizer = SimpleNamespace(learning_rate=0.1)
    callback.set_model(SimpleNamespace(optimizer=optimizer))
    callback.on_train_begin()
    for count, loss in enumerate(losses):
        assert schedule.plateau_rate(0.1, losses[:count], 3) == pytest.approx(float(optimizer.learning_rate))
        callback.on_epoch_end(count, {"val_loss": loss})
    assert float(optimizer.learning_rate) < 0.1


@pytest.mark.parametrize("seed", range(8))
def test_the_end_is_keras_early_stopping(seed: int) -> None:
    import keras

    losses = np.random.default_rng(seed).uniform(0.5, 1.0, 40).tolist()
    callback = keras.callbacks.EarlyStopping(patience=5, min_delta=1e-4)
    model = SimpleNamespace(stop_training=False, metrics=[])
    callback.set_model(model)
    callback.monitor_op = np.less
    callback.on_train_begin()
    long = Phase("all", 100, 0.1, True)
    for count, loss in enumerate(losses):
        assert schedule.is_over(long, "plateau", losses[:count], 5) == model.stop_training
        if model.stop_training:
            return
        callback.on_epoch_end(count, {"val_loss": loss})
    pytest.fail("never over")


def test_the_last_epoch_ends_it() -> None:
    falling = [1 / (n + 1) for n in range(12)]
    assert schedule.is_over(PHASE, "plateau", falling, 3)
    assert not schedule.is_over(PHASE, "plateau", falling[:11], 3)


def test_cosine_falls_to_its_last_epoch_and_is_not_cut_short() -> None:
    rates = [schedule.rate(PHASE, "cosine", [1.0] * n, 1) for n in range(12)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[-1] == pytest.approx(0.001)
    assert rates == sorted(rates, reverse=True)
    assert not schedule.is_over(PHASE, "cosine", [1.0] * 11, 1)
    assert schedule.is_over(PHASE, "cosine", [1.0] * 12, 1)


def test_the_rate_falls_after_a_third_of_the_patience() -> None:
    assert schedule.rate(PHASE, "plateau", [1.0, 1.0, 1.0], 9) == 0.1
    assert schedule.rate(PHASE, "plateau", [1.0, 1.0, 1.0, 1.0], 9) == pytest.approx(0.03)


def test_phases() -> None:
    assert schedule.phases(False, 5, 30, 1e-3, 1e-4) == (Phase("all", 30, 1e-3, True),)
    assert schedule.phases(True, 5, 30, 1e-3, 1e-4) == (
        Phase("head", 5, 1e-3, False),
        Phase("fine-tuning", 30, 1e-4, True),
    )
    assert [phase.name for phase in schedule.phases(True, 0, 30, 1e-3, 1e-4)] == ["fine-tuning"]


def test_best_is_the_first_of_the_smallest() -> None:
    assert schedule.best_epoch([3, 1, 2, 1]) == 1
