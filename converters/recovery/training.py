"""The training loop of recovery and of quantization-aware training: the same pictures, the same bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from edgedense.converters.network.evaluate import forward
from edgedense.converters.network.program import Program
from edgedense.converters.network.stock import converted
from edgedense.converters.recovery.checkpoint import Checkpoint, Epoch, load, make_folder, save
from edgedense.converters.recovery.distill import Objective
from edgedense.converters.recovery.pictures import Pictures
from edgedense.errors import EdgedenseError
from edgedense.images.preprocessing import Pixels
from edgedense.progress import progress

BATCH, BATCH_PIXELS, SMALLEST_BATCH = 64, 1 << 19, 8  # pictures of a batch: so many, or as many as hold so many pixels
HELD, FEWEST_HELD, MOST_HELD = 10, 8, 1024  # every tenth picture is not trained on; at least, and at most so many
WARM_UP = 0.05  # of all steps
CLIP = 1.0  # largest norm of the gradient of all variables, each in units of its own size
FIRST, LAST = 0.1, 0.01  # of the learning rate, at the first step and at the last


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


class Model(Protocol):
    """What is trained: a `Trainable`, or the same behind quantization."""

    program: Program

    @property
    def flat(self) -> list[Any]: ...

    def __call__(self, pixels: Any) -> dict[str, Any]: ...

    def masked(self, gradients: list[Any]) -> list[Any]: ...


Weights = tuple[np.ndarray, ...]


class Loop(Protocol):
    """What `follow` takes through its epochs. `batches` are the steps of an epoch. `state` is all that training
    changes, `weights` the part of it that is kept in the end."""

    batches: int

    def epoch(self, number: int, tick: Callable[[int], None]) -> float: ...

    def held_out(self) -> float: ...

    def state(self) -> Weights: ...

    def restore(self, state: Weights) -> None: ...

    def weights(self) -> Weights: ...

    def put(self, weights: Weights) -> None: ...


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


def train(
    model: Model,
    objective: Objective,
    pictures: Pictures,
    spec: RecoverySpec,
    path: Path | None,
    stop: Callable[[], bool],
    title: str,
) -> Course:
    """Train `model` in place, for `spec.epochs` or until `stop()` says that an epoch's weights, better than all before,
    are good enough. It is left with the weights whose scores are closest on held-out pictures, be they the start's.

    `path` and `title` are those of `follow`.
    """
    if path is not None:
        make_folder(path.parent)
    mark = fingerprint(model, objective, pictures, spec)
    return follow(_Loop(model, objective, pictures, spec), spec.epochs, mark, path, stop, title)


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


def fingerprint(model: Model, objective: Objective, pictures: Pictures, spec: RecoverySpec) -> str:
    """Names a run: both networks, the pictures and the options."""
    digest = hashlib.sha256(f"{asdict(spec)}\0{pictures.sha256}\0{pictures.labels.tolist()}".encode())
    for program in (model.program, objective.teacher):
        update(digest, program)
    return digest.hexdigest()


def update(digest: Any, program: Program) -> None:
    """Feed a hash with all that `program` computes with."""
    for op in program.ops:
        digest.update(f"{op.kind}\0{op.output}\0{op.inputs}\0{op.stride}\0".encode())
        for array in (op.kernel, op.bias, op.constant):
            digest.update(b"" if array is None else np.ascontiguousarray(array).tobytes())
        digest.update(b"" if op.head is None else converted(op.head).content)


def split(count: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
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


def order(
    spec: RecoverySpec, number: int, trained: npt.NDArray[np.int64], batch: int, count: int
) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]]:
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


def mirrored(pixels: Pixels, turned: npt.NDArray[np.bool_]) -> Pixels:
    """Pictures [B, H, W, C], those that are `turned` [B] from left to right."""
    return np.where(turned[:, None, None, None], pixels[:, :, ::-1], pixels)


class _Loop:
    """The traced step, the optimizer, and the order of the pictures."""

    def __init__(self, model: Model, objective: Objective, pictures: Pictures, spec: RecoverySpec) -> None:
        import tensorflow as tf

        self.tf, self.model, self.objective, self.pictures, self.spec = tf, model, objective, pictures, spec
        count, height, width, channels = pictures.pixels.shape
        self.trained, self.held = split(count)
        self.batch = spec.batch_of(len(self.trained), height, width)
        self.batches = len(self.trained) // self.batch
        self.optimizer = optimizer(spec, self.batch, max(spec.epochs * self.batches, 1))
        self.optimizer.build(model.flat)
        shapes = tf.TensorSpec((None, height, width, channels), tf.uint8), tf.TensorSpec((None,), tf.int64)
        self.step = tf.function(self._step, input_signature=shapes, autograph=False)
        self.distance = tf.function(self._distance, input_signature=shapes[:1], autograph=False)

    def _distance(self, pixels: Any) -> Any:
        pixels = self.tf.cast(pixels, self.tf.float32)
        return self.objective.scores(self.tf, self.model(pixels), forward(self.tf, self.objective.teacher, pixels))

    def _step(self, pixels: Any, labels: Any) -> Any:
        tf = self.tf
        pixels = tf.cast(pixels, tf.float32)
        teacher = forward(tf, self.objective.teacher, pixels)
        with tf.GradientTape() as tape:
            loss = self.objective.loss(tf, self.model(pixels), teacher, labels)
        gradients = tape.gradient(
            loss, [variable.value for variable in self.model.flat], unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
        self.optimizer.apply(self.model.masked(gradients), self.model.flat)
        return loss

    def epoch(self, number: int, tick: Callable[[int], None]) -> float:
        """One pass over the pictures; its mean loss."""
        losses = []
        for pixels, labels in self._pictures(number):
            losses.append(self.step(self.tf.constant(pixels), self.tf.constant(labels)).numpy())
            tick(1)
            check_loss(losses[-1], number)
        return float(np.mean(losses))

    def held_out(self) -> float:
        """How far the scores of pictures that are not trained on are from the teacher's, as the weights are now."""
        total = 0.0
        for start in range(0, len(self.held), self.batch):
            chosen = self.held[start : start + self.batch]
            pixels = self.tf.constant(np.asarray(self.pictures.pixels[chosen]))
            total += float(self.distance(pixels)) * len(chosen)
        return total / len(self.held)

    def _pictures(self, number: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        count = len(self.pictures.pixels)
        for chosen, turned in order(self.spec, number, self.trained, self.batch, count):
            yield mirrored(np.asarray(self.pictures.pixels[chosen]), turned), self.pictures.labels[chosen]

    def _variables(self) -> list[Any]:
        return [*self.model.flat, *self.optimizer.variables]

    def state(self) -> tuple[np.ndarray, ...]:
        """All that training changes."""
        return tuple(variable.numpy() for variable in self._variables())

    def restore(self, state: tuple[np.ndarray, ...]) -> None:
        """Go on from what `state` gave."""
        for variable, value in zip(self._variables(), state, strict=True):
            variable.assign(value)

    def weights(self) -> tuple[np.ndarray, ...]:
        """The trained variables as they are now."""
        return tuple(variable.numpy() for variable in self.model.flat)

    def put(self, weights: tuple[np.ndarray, ...]) -> None:
        """Give the trained variables what `weights` gave."""
        for variable, value in zip(self.model.flat, weights, strict=True):
            variable.assign(value)
