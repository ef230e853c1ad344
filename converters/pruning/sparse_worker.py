"""The child process of `--sparsity`: magnitude pruning by tensorflow-model-optimization, on tf_keras.

    python -m edgedense.converters.pruning.sparse_worker FOLDER

It reads the task in FOLDER, writes the weights beside it, and prints "pictures N" for every N pictures trained on. It
is a process of its own because tensorflow-model-optimization works with Keras 2 and sets TF_USE_LEGACY_KERAS for all.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import numpy as np

from edgedense.converters.network.evaluate import logits_tensor, run_op
from edgedense.converters.network.program import CONSTANT, IMAGE, Op
from edgedense.converters.pruning.handover import Task, Weights, read_task, write_weights

RAMP = 0.6  # of all steps, until the fraction is reached; the rest trains what is left
UPDATES = 30  # how often the masks are chosen anew on the way


def train(task: Task) -> Weights:
    """Prune and train; kernels and biases of the operators that were trained, float32, zeros exact."""
    import tensorflow as tf
    import tensorflow_model_optimization as tfmot
    import tf_keras as keras

    spec = task.spec
    keras.utils.set_random_seed(spec["seed"])
    tf.config.experimental.enable_op_determinism()
    steps = spec["epochs"] * math.ceil(len(task.pixels) / spec["batch"])

    def prune(layer: Any, fraction: float) -> Any:
        schedule = tfmot.sparsity.keras.PolynomialDecay(0.0, fraction, *_ramp(steps))
        return tfmot.sparsity.keras.prune_low_magnitude(layer, pruning_schedule=schedule)

    model = build(tf, keras, task, prune)
    rate = keras.optimizers.schedules.CosineDecay(spec["learning_rate"], steps)
    model.compile(keras.optimizers.Adam(rate), loss=_loss(tf, task))
    model.fit(
        _batches(keras, task),
        epochs=spec["epochs"],
        verbose=0,
        shuffle=False,
        callbacks=[tfmot.sparsity.keras.UpdatePruningStep(), _report(keras, task)],
    )
    stripped = tfmot.sparsity.keras.strip_pruning(model)
    return {name: tuple(stripped.get_layer(name).get_weights()) for name in task.trained}


def _ramp(steps: int) -> tuple[int, int, int, int]:
    """PolynomialDecay's begin_step, end_step, power and frequency; steps count from 1, the last one is end_step."""
    ramp = max(1, int(RAMP * steps))
    frequency = max(1, ramp // UPDATES)
    return 0, ramp // frequency * frequency, 3, frequency


def build(tf: Any, keras: Any, task: Task, prune: Any) -> Any:
    """The operators up to the logits as a functional model; layers are named as the operators are."""
    program, logits = task.program, logits_tensor(task.program)
    values = {IMAGE: keras.Input(program.shapes[IMAGE], name=IMAGE)}
    weights = {}
    for op in program.ops:
        inputs = [values[name] for name in op.inputs if name != CONSTANT]
        if op.output in task.trained:
            layer = _layer(keras, op)
            layer = prune(layer, task.pruned[op.output]) if op.output in task.pruned else layer
            weights[layer] = op.weights
        else:
            layer = keras.layers.Lambda(_fixed(tf, op), name=op.output)
        values[op.output] = layer(inputs[0] if len(inputs) == 1 else inputs)
        if op.output == logits:
            break
    for layer, pair in weights.items():
        layer.set_weights(pair)
    return keras.Model(values[IMAGE], values[logits])


def _layer(keras: Any, op: Op) -> Any:
    kernel, _ = op.weights
    activation = "relu" if op.relu else None
    if op.kind == "dense":
        return keras.layers.Dense(kernel.shape[1], activation=activation, name=op.output)
    return keras.layers.Conv2D(
        kernel.shape[3],
        kernel.shape[:2],
        op.stride,
        "same" if op.same else "valid",
        activation=activation,
        name=op.output,
    )


def _fixed(tf: Any, op: Op) -> Any:
    """An operator that does not change, as a function of its input or inputs."""
    names = [name for name in op.inputs if name != CONSTANT]

    def run(x: Any) -> Any:
        return run_op(tf, op, dict(zip(names, x if isinstance(x, list) else [x], strict=True)), "float32")

    return run


def _loss(tf: Any, task: Task) -> Any:
    """Squared distance of the logits from the teacher's, relative to the variance of the teacher's.

    Softmax does not see what all logits have in common, so nor does the loss.
    """
    last = task.program.ops[-1]
    centred = last.function is not None and last.function.kind == "softmax"

    def centre(x: Any, mean: Any) -> Any:
        return x - mean(x, -1, keepdims=True) if centred else x

    variance = float(centre(task.logits, np.mean).var()) or 1.0
    return lambda teacher, student: (
        tf.reduce_mean(tf.square(centre(student - tf.cast(teacher, student.dtype), tf.reduce_mean))) / variance
    )


def _batches(keras: Any, task: Task) -> Any:
    """Pictures and logits by batch, in an order that the seed decides."""
    random, batch = np.random.default_rng(task.spec["seed"]), task.spec["batch"]

    class Batches(keras.utils.Sequence):
        order = random.permutation(len(task.pixels))

        def __len__(self) -> int:
            return math.ceil(len(self.order) / batch)

        def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
            chosen = np.sort(self.order[index * batch : (index + 1) * batch])  # files are read in order
            return task.pixels[chosen].astype(np.float32), task.logits[chosen]

        def on_epoch_end(self) -> None:
            self.order = random.permutation(len(task.pixels))

    return Batches()


def _report(keras: Any, task: Task) -> Any:
    """ "pictures N" after each batch."""
    count, batch = len(task.pixels), task.spec["batch"]

    def tell(index: int, logs: Any) -> None:
        print("pictures", min(batch, count - index * batch), flush=True)

    return keras.callbacks.LambdaCallback(on_batch_end=tell)


def main(folder: Path) -> None:
    write_weights(folder, train(read_task(folder)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
