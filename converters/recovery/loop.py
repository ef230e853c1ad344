"""The training loop of a recovery and of a rival's training: the same pictures, the same bytes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgedense.converters.recovery.checkpoint import Checkpoint, Epoch, load, save
from edgedense.converters.recovery.pictures import Pictures
from edgedense.errors import EdgedenseError
from edgedense.images.preprocessing import Pixels
from edgedense.progress import progress

BATCH, BATCH_PIXELS, SMALLEST_BATCH = 64, 1 << 19, 8  # pictures of a batch: so many, or as many as hold so many pixels
HELD, FEWEST_HELD, MOST_HELD = 10, 8, 1024  # every tenth picture is not trained on; at least, and at most so many
WARM_UP = 0.05  # of all steps
CLIP = 1.0  # largest norm of the gradient of all variables, each in units of its own size
FIRST, LAST = 0.1, 0.01  # of the learning rate, at the first step and at the last

Chosen = npt.NDArray[np.int64]  # numbers of pictures
Turned = npt.NDArray[np.bool_]  # of each, whether it is mirrored
Weights = tuple[np.ndarray, ...]


@dataclass(frozen=True)
class RecoverySpec:
    """How long and how fast. `batch` None: by the pictures' size. `learning_rate` is relative to each weight's size."""

    epochs: int = 8
    learning_rate: float = 0.003
    batch: int | None = None
    flip: bool = True
    seed: int = 0

    def batch_of(self, count: int, height: int, width: int) -> int:
        """Pictures of a batch, of `count` in all."""
        fitting = min(BATCH, max(SMALLEST_BATCH, BATCH_PIXELS // (height * width)))
        return min(self.batch or fitting, count)


class Loop(ABC):
    """What `follow` takes through its epochs: a step of training, its optimizer, and the pictures in their order.

    `trained` are the variables that a step changes by their gradients. `kept` are those that are left in the end, the
    trained ones among them: a norm counts along with the steps, without a gradient.
    """

    def __init__(self, pictures: Pictures, spec: RecoverySpec, trained: list[Any], kept: list[Any]) -> None:
        self.pictures, self.spec, self.kept = pictures, spec, kept
        count, height, width, _ = pictures.pixels.shape
        self.shown, self.held = split(count)
        self.batch = spec.batch_of(len(self.shown), height, width)
        self.batches = len(self.shown) // self.batch
        self.optimizer = optimizer(spec, self.batch, max(spec.epochs * self.batches, 1))
        self.optimizer.build(trained)

    @abstractmethod
    def learn(self, chosen: Chosen, turned: Turned) -> float:
        """A step on the pictures with these numbers, of which some are mirrored; its loss."""

    @abstractmethod
    def apart(self, chosen: Chosen) -> float:
        """How far the scores of the pictures with these numbers are from the teacher's, as the weights are now."""

    def pixels(self, chosen: Chosen, turned: Turned) -> Pixels:
        """The pictures with these numbers [B, H, W, C], of which some are mirrored."""
        return mirrored(np.asarray(self.pictures.pixels[chosen]), turned)

    def epoch(self, number: int, tick: Callable[[int], None]) -> float:
        """One pass over the pictures; its mean loss."""
        losses = []
        for chosen, turned in order(self.spec, number, self.shown, self.batch, len(self.pictures.pixels)):
            losses.append(self.learn(chosen, turned))
            tick(1)
            check_loss(losses[-1], number)
        return float(np.mean(losses))

    def held_out(self) -> float:
        """How far the scores of pictures that are not trained on are from the teacher's, as the weights are now."""
        total = 0.0
        for start in range(0, len(self.held), self.batch):
            chosen = self.held[start : start + self.batch]
            total += self.apart(chosen) * len(chosen)
        return total / len(self.held)

    def state(self) -> Weights:
        """All that training changes."""
        return _values([*self.kept, *self.optimizer.variables])

    def restore(self, state: Weights) -> None:
        """Go on from what `state` gave."""
        _assign([*self.kept, *self.optimizer.variables], state)

    def weights(self) -> Weights:
        """What is kept in the end, as it is now."""
        return _values(self.kept)

    def put(self, weights: Weights) -> None:
        """Give the variables what `weights` gave."""
        _assign(self.kept, weights)


@dataclass(frozen=True)
class Course:
    """What training gave: the scores' distance from the teacher's on held-out pictures before it, and each epoch."""

    start: float
    history: tuple[Epoch, ...] = ()

    @property
    def best(self) -> int:
        """The epoch whose scores are closest to the teacher's; 0 for the start."""
        distances = [self.start, *(epoch.held for epoch in self.history)]
        return distances.index(min(distances))


def follow(loop: Loop, epochs: int, mark: str, path: Path | None, stop: Callable[[], bool], title: str) -> Course:
    """So many epochs of `loop`, fewer where `stop()` says so of one that is better than all before. It is left with the
    weights whose scores are closest on held-out pictures, be they the start's. `title` names the step for progress.

    With a `path`, what is found there is gone on with and every epoch is written there. The order of pictures depends
    on seed and epoch alone, so a run that was killed ends with the weights of one that was not. Raises EdgedenseError
    where what is found has another `mark`.
    """
    found = None if path is None else load(path, mark)
    if found is None:
        course, best, done = Course(loop.held_out()), loop.weights(), False
    else:
        course, best, done = Course(found.start, found.history), found.best, found.done
        loop.restore(found.state)
    batches = loop.batches * (epochs - len(course.history))
    with progress(title, batches) as tick:
        for number in range(len(course.history) + 1, epochs + 1):
            if done:
                break
            epoch = Epoch(number, loop.epoch(number, tick), loop.held_out())
            course = replace(course, history=(*course.history, epoch))
            if course.best == number:
                best, done = loop.weights(), stop()
                course = replace(course, history=(*course.history[:-1], replace(epoch, met=done)))
            if path is not None:
                finished = done or number == epochs
                save(path, mark, Checkpoint(loop.state(), best, course.start, course.history, finished))
    loop.put(best)
    return course


def split(count: int) -> tuple[Chosen, Chosen]:
    """Indices of the pictures to train on, and of those held out. So few that none can be spared are both."""
    everything = np.arange(count)
    if count < 4 * FEWEST_HELD:
        return everything, everything
    spacing = max(min(HELD, count // FEWEST_HELD), -(-count // MOST_HELD))
    held = everything % spacing == spacing - 1
    return everything[~held], everything[held]


def optimizer(spec: RecoverySpec, batch: int, steps: int) -> Any:
    """Adam with clipped gradients, whose rate rises at first and then falls along half a cosine wave, over so many
    steps of `batch` pictures."""
    import keras

    warm = max(int(WARM_UP * steps), 1)
    rate = spec.learning_rate * np.sqrt(batch / BATCH)
    schedule = keras.optimizers.schedules.CosineDecay(
        FIRST * rate, max(steps - warm, 1), LAST, warmup_target=rate, warmup_steps=warm
    )
    return keras.optimizers.Adam(schedule, global_clipnorm=CLIP)


def order(spec: RecoverySpec, number: int, trained: Chosen, batch: int, count: int) -> Iterator[tuple[Chosen, Turned]]:
    """The batches of epoch `number`: which of `trained` out of `count` pictures, and which of these are mirrored. What
    does not fill a batch is left out of this epoch."""
    random = np.random.default_rng((spec.seed, number))
    shuffled = random.permutation(trained)
    turned = random.random(count) < (0.5 if spec.flip else 0.0)
    for start in range(0, len(trained) // batch * batch, batch):
        chosen = np.sort(shuffled[start : start + batch])  # in the file's order
        yield chosen, turned[chosen]


def check_loss(loss: float, number: int) -> None:
    """Raise EdgedenseError where a step of epoch `number` has left no weights to go on with."""
    if not np.isfinite(loss):
        raise EdgedenseError(
            "training that converges",
            f"a loss of {loss} in epoch {number}",
            "report this model: its weights take no steps of this size",
        )


def mirrored(pixels: Pixels, turned: Turned) -> Pixels:
    """Pictures [B, H, W, C], those that are `turned` [B] from left to right."""
    return np.where(turned[:, None, None, None], pixels[:, :, ::-1], pixels)


def _values(variables: list[Any]) -> Weights:
    return tuple(variable.numpy() for variable in variables)


def _assign(variables: list[Any], values: Weights) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
