"""Epoch by epoch through the phases, with a checkpoint after each; a training that was killed goes on there."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgedense.converters.training import batches, checkpoint, networks, schedule
from edgedense.converters.training.augmentation import Augmentation
from edgedense.converters.training.checkpoint import Epoch
from edgedense.converters.training.dataset import Side
from edgedense.converters.training.goal import Goal
from edgedense.converters.training.schedule import Phase, Schedule
from edgedense.measures.metrics import Floats
from edgedense.progress import progress

LAST, BEST = "last.npz", "best.npz"


@dataclass(frozen=True)
class Plan:
    """How to train. `settings` stands for all that decides the result, pictures included."""

    phases: tuple[Phase, ...]
    schedule: Schedule
    patience: int
    batch: int
    augmentation: Augmentation
    goal: Goal
    seed: int
    settings: str

    @property
    def epochs(self) -> int:
        """At most so many."""
        return sum(phase.epochs for phase in self.phases)


def fit(
    model: Any,
    train: Side,
    validation: Side,
    plan: Plan,
    work: Path,
    score: Callable[[Side], Floats],
    say: Callable[[str], None],
) -> tuple[Epoch, ...]:
    """Train `model` and leave the weights of its best epoch in it; returns every epoch.

    Best is the smallest validation loss. `score` is the model's `scorer`. `say` gets a line per epoch.
    """
    state = checkpoint.read(work / LAST, plan.settings)
    history = list(state.history) if state else []
    if history:
        say(f"going on after epoch {len(history)}")
    for phase in plan.phases:
        losses = [epoch.validation_loss for epoch in history if epoch.phase == phase.name]
        if losses and schedule.is_over(phase, plan.schedule, losses, plan.patience):
            continue
        optimizer = _compile(model, train, phase, plan)
        if losses and state:
            checkpoint.restore(model, state.model)
            checkpoint.restore(optimizer, state.optimizer)
        elif history:
            _restore_best(model, work, plan)
        while not schedule.is_over(phase, plan.schedule, losses, plan.patience):
            rate = schedule.rate(phase, plan.schedule, losses, plan.patience)
            epoch = _epoch(model, train, validation, plan, phase, rate, len(history), score)
            history.append(epoch)
            losses.append(epoch.validation_loss)
            if schedule.best_epoch([e.validation_loss for e in history]) == len(history) - 1:
                checkpoint.write(work / BEST, plan.settings, history, model)
            checkpoint.write(work / LAST, plan.settings, history, model, optimizer)
            say(_line(history, plan))
    _restore_best(model, work, plan)
    return tuple(history)


def _compile(model: Any, train: Side, phase: Phase, plan: Plan) -> Any:
    import keras

    # The statistics remember half an epoch: Keras' 0.99 is 100 steps, which small sets do not have in an epoch.
    momentum = float(np.clip(1 - 2 / batches.steps(train, plan.batch), 0.8, 0.99))
    networks.set_phase(model, phase.whole, momentum)
    optimizer = keras.optimizers.Adam(phase.rate)
    loss, figures = plan.goal.compiled
    model.compile(optimizer, loss, metrics=figures)
    optimizer.build(model.trainable_variables)
    return optimizer


def _epoch(
    model: Any,
    train: Side,
    validation: Side,
    plan: Plan,
    phase: Phase,
    rate: float,
    number: int,
    score: Callable[[Side], Floats],
) -> Epoch:
    started = time.monotonic()
    model.optimizer.learning_rate.assign(rate)
    count = batches.steps(train, plan.batch)
    with progress(f"epoch {number + 1}, {phase.name}", count) as tick:
        logs = model.fit(
            batches.batches(train, plan.goal, plan.batch, plan.augmentation, plan.seed, number),
            shuffle=False,
            verbose=0,
            callbacks=[_ticking(tick)],
        ).history
    scores = score(validation)
    return Epoch(
        phase.name,
        rate,
        float(logs["loss"][0]),
        float(logs["accuracy"][0]) if "accuracy" in logs else None,
        plan.goal.loss(scores, validation.labels),
        plan.goal.figure(scores, validation.labels),
        time.monotonic() - started,
    )


def _ticking(tick: Callable[[int], None]) -> Any:
    import keras

    return keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: tick(1))


def _restore_best(model: Any, work: Path, plan: Plan) -> None:
    best = checkpoint.read(work / BEST, plan.settings)
    if best is not None:
        checkpoint.restore(model, best.model)


def scorer(model: Any, batch: int = 32) -> Callable[[Side], Floats]:
    """A function from a side's pictures to scores [N, outputs], traced once for all phases."""
    import tensorflow as tf

    size = model.input_shape[1]
    signature = tf.TensorSpec([None, size, size, 3], tf.float32)
    traced = tf.function(lambda images: model(images, training=False), input_signature=[signature])

    def score(side: Side) -> Floats:
        parts = [
            traced(np.asarray(side.pixels[side.rows[start : start + batch]], np.float32)).numpy()
            for start in range(0, len(side), batch)
        ]
        return np.concatenate(parts).astype(np.float64)

    return score


def _line(history: Sequence[Epoch], plan: Plan) -> str:
    last = history[-1]
    best = schedule.best_epoch([epoch.validation_loss for epoch in history]) == len(history) - 1
    here = [epoch for epoch in history if epoch.phase == last.phase]
    phase = next(phase for phase in plan.phases if phase.name == last.phase)
    later = plan.phases[plan.phases.index(phase) + 1 :]
    left = (phase.epochs - len(here) + sum(p.epochs for p in later)) * last.seconds
    return (
        f"epoch {len(history)} ({last.phase} {len(here)}/{phase.epochs}): loss {last.loss:.4f}"
        f"{_shown(plan, last.figure)}, validation loss {last.validation_loss:.4f}"
        f"{_shown(plan, last.validation_figure)}{' (best)' if best else ''}, rate {last.rate:.2g}, "
        f"{last.seconds:.0f} s, at most {left / 60:.0f} min left"
    )


def _shown(plan: Plan, figure: float | None) -> str:
    return "" if figure is None else f", {plan.goal.called} {plan.goal.said(figure)}"
