"""How much a DenseNet's scores depend on each channel that could be cut.

Every criterion gives one number per bottleneck channel and one per growth channel of every dense layer, on one scale
for the whole network, so that a global choice can compare them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from edgedense.converters.network.evaluate import forward, logits_tensor, run_op
from edgedense.converters.network.graph import Array, DenseLayer, DenseNet
from edgedense.converters.network.program import IMAGE, Program, lower
from edgedense.converters.options import Criterion
from edgedense.converters.pruning.elimination import taken_over
from edgedense.images.preprocessing import Pixels

DRAWS = 4  # random directions in logit space per picture
TEMPERATURE = 2.0  # a model that is sure of every picture would show no sensitivity at all
BATCH = 8


@dataclass(frozen=True)
class Importance:
    """`bottleneck["block1/layer2"]` [k] and `growth["block1/layer2"]` [g], >= 0."""

    bottleneck: dict[str, Array]
    growth: dict[str, Array]


def measure_importance(
    network: DenseNet,
    pixels: Pixels,
    criterion: Criterion = "taylor",
    seed: int = 0,
    tick: Callable[[int], None] = lambda n: None,
) -> Importance:
    """The importance of each channel; `pixels` [N, H, W, 3] matter to "taylor" and "norm" only.

    taylor  What cutting the channel adds to the KL divergence from the uncut network, once those that stay have taken
            over for it: `sensitivity` says what an error matters, and `elimination` how large it is.
    l1      The sum of the absolute weights that compute the channel (Li et al., "Pruning filters", 2017).
    norm    The batch norm's scale behind the channel (Liu et al., "Network slimming", 2017): the standard deviation
            of its output. Growth channels: the root of the sum of squares over their readers.
    random  Drawn from `seed`.
    """
    layers = _layers(network)
    if criterion == "random":
        rng = np.random.default_rng(seed)
        return Importance(
            {name: rng.random(layer.conv1.bias.size) for name, layer in layers.items()},
            {name: rng.random(layer.conv2.bias.size) for name, layer in layers.items()},
        )
    if criterion == "l1":
        return Importance(
            {name: np.abs(layer.conv1.kernel).sum(axis=(0, 1, 2)) for name, layer in layers.items()},
            {name: np.abs(layer.conv2.kernel).sum(axis=(0, 1, 2)) for name, layer in layers.items()},
        )
    if criterion == "taylor":
        return _importance(network, taken_over(network, pixels, sensitivity(network, pixels, seed, tick)))
    moments = _moments(lower(network), _taps(network), pixels, linear=True, tick=tick)
    variances = {name: np.maximum(square - mean**2, 0) for name, (mean, square) in moments.items()}
    return _importance(network, _gathered(network, variances, np.sqrt))


def sensitivity(
    network: DenseNet, pixels: Pixels, seed: int = 0, tick: Callable[[int], None] = lambda n: None
) -> dict[str, Array]:
    """What it adds to the KL divergence from the uncut network when a channel becomes its mean, and no other takes
    over for it: the losses that `elimination.taken_over` asks for.

    It is known to second order: half the mean of (gradient . change)^2 over random directions that have the Fisher
    information of the scores as their covariance (Theis et al., "Faster gaze prediction with dense networks and Fisher
    pruning", 2018). The mean is what the readers' biases make up for. Growth channels: the sum over all their readers.
    """
    program = lower(network)
    convs = [f"transition{number}/conv" for number, block in enumerate(network.blocks, start=1) if block.transition]
    taps = [*_taps(network), *convs]
    means = {name: mean for name, (mean, _) in _moments(program, taps, pixels).items()}
    effects = _effects(program, taps, means, pixels, seed, tick)

    def loss(effect: Array) -> Array:
        return 0.5 * (effect**2).mean(axis=0)

    own = {name: loss(effects[name]) for name in convs} | {"head": loss(effects[_read(network)["head"]])}
    return _gathered(network, effects, loss) | own


def _taps(network: DenseNet) -> list[str]:
    """The tensors whose channels may be cut."""
    return [*(f"{name}/bottleneck" for name in _layers(network)), *_read(network).values()]


def _layers(network: DenseNet) -> dict[str, DenseLayer]:
    return {
        f"block{number}/layer{position}": layer
        for number, block in enumerate(network.blocks, start=1)
        for position, layer in enumerate(block.layers, start=1)
    }


def _read(network: DenseNet) -> dict[str, str]:
    """Each reader of a concatenation -> the tensor that it makes of it, channel by channel."""
    read = {name: f"{name}/norm" for name in _layers(network)}
    read.update(
        {
            f"transition{number}": f"transition{number}/norm"
            for number, block in enumerate(network.blocks, start=1)
            if block.transition
        }
    )
    blocks = network.blocks
    read["head"] = "head/norm" if network.head.norm else f"block{len(blocks)}/layer{len(blocks[-1].layers)}/concat"
    return read


def _importance(network: DenseNet, found: dict[str, Array]) -> Importance:
    return Importance(
        *({name: found[f"{name}/{part}"] for name in _layers(network)} for part in ("bottleneck", "growth"))
    )


def _gathered(network: DenseNet, effects: dict[str, Array], finish: Callable[[Array], Array]) -> dict[str, Array]:
    """Per channel of each "block1/layer2/bottleneck" its own, and of each "block1/layer2/growth" the sum over the
    readers of the concatenation."""
    found, read = {}, _read(network)
    for number, block in enumerate(network.blocks, start=1):
        names = [f"block{number}/layer{position}" for position in range(1, len(block.layers) + 1)]
        readers = [*names, f"transition{number}" if block.transition else "head"]
        for index, (name, layer) in enumerate(zip(names, block.layers, strict=True)):
            found[f"{name}/bottleneck"] = finish(effects[f"{name}/bottleneck"])
            channels = slice(layer.norm1.scale.size, layer.norm1.scale.size + layer.conv2.bias.size)
            parts = [effects[read[reader]][..., channels] for reader in readers[index + 1 :]]
            found[f"{name}/growth"] = finish(np.sum(parts, axis=0))
    return found


def _moments(
    program: Program,
    taps: list[str],
    pixels: Pixels,
    linear: bool = False,
    tick: Callable[[int], None] = lambda n: None,
) -> dict[str, Array]:
    """Mean and mean square per channel [2, C] of the tensors `taps`; `linear`: of what they are before their ReLU."""
    import tensorflow as tf

    ops = {op.output: replace(op, relu=False) for op in program.ops}

    def moments(batch: Any) -> list[Any]:
        values = forward(tf, program, batch)
        read = [run_op(tf, ops[name], values, "float32") if linear else values[name] for name in taps]
        return [tf.stack([tf.reduce_mean(x, (0, 1, 2)), tf.reduce_mean(x * x, (0, 1, 2))]) for x in read]

    signature = tf.TensorSpec((None, *program.shapes[IMAGE]), tf.float32)
    compiled = tf.function(moments, autograph=False, input_signature=[signature])
    totals: dict[str, Array] = dict.fromkeys(taps, np.zeros(()))
    for start in range(0, len(pixels), BATCH):
        batch = pixels[start : start + BATCH]
        for name, part in zip(taps, compiled(tf.constant(batch, tf.float32)), strict=True):
            totals[name] = totals[name] + part.numpy().astype(np.float64) * len(batch) / len(pixels)
        tick(len(batch))
    return totals


def _effects(
    program: Program, taps: list[str], means: dict[str, Array], pixels: Pixels, seed: int, tick: Callable[[int], None]
) -> dict[str, Array]:
    """For each tensor [draws * N, C]: by how much a random direction in logit space moves, to first order, when the
    channel becomes its mean."""
    import tensorflow as tf

    logits = logits_tensor(program)
    function = program.ops[-1].function
    kind = function.kind if function is not None else ""
    spread = 1.0 if kind in ("softmax", "sigmoid") else _spread(tf, program, logits, pixels)

    def effects(batch: Any, signs: Any) -> list[Any]:
        with tf.GradientTape() as tape:
            values = forward(tf, program, batch, lambda name, x: tape.watch(x) if name in wanted else None)
            z = values[logits]
            loss = tf.reduce_sum(tf.stop_gradient(_direction(tf, z, signs / spread, kind)) * z)
        gradients = tape.gradient(loss, [values[name] for name in taps])
        return [
            tf.reduce_sum((values[name] - tf.constant(means[name], tf.float32)) * gradient, (1, 2))
            for name, gradient in zip(taps, gradients, strict=True)
        ]

    wanted = set(taps)
    compiled = tf.function(
        effects,
        autograph=False,
        input_signature=[
            tf.TensorSpec((None, *program.shapes[IMAGE]), tf.float32),
            tf.TensorSpec((None, *program.shapes[logits]), tf.float32),
        ],
    )
    rng = np.random.default_rng(seed)
    parts: dict[str, list[Array]] = {name: [] for name in taps}
    for start in range(0, len(pixels), BATCH):
        batch = tf.constant(pixels[start : start + BATCH], tf.float32)
        for _ in range(DRAWS):
            signs = rng.choice([-1.0, 1.0], size=(len(batch), *program.shapes[logits]))
            for name, value in zip(taps, compiled(batch, tf.constant(signs, tf.float32)), strict=True):
                parts[name].append(value.numpy().astype(np.float64))
        tick(len(batch))
    return {name: np.concatenate(part) for name, part in parts.items()}


def _spread(tf: Any, program: Program, values: str, pixels: Pixels) -> Array:
    """The standard deviation [K] of each value: what an error in it is measured by."""
    batches = [tf.constant(pixels[start : start + BATCH], tf.float32) for start in range(0, len(pixels), BATCH)]
    found = np.concatenate([forward(tf, program, batch)[values].numpy() for batch in batches])
    return np.where(found.std(axis=0) > 0, found.std(axis=0), 1.0).astype(np.float32)


def _direction(tf: Any, logits: Any, signs: Any, kind: str) -> Any:
    """A direction [B, classes] with the Fisher information as covariance: diag(p) - p p^T for a softmax, p (1 - p) for
    sigmoids. For values it is the squared error's, one over the variance of each, by which `signs` are scaled."""
    if kind not in ("softmax", "sigmoid"):
        return signs
    if kind == "sigmoid":
        p = tf.sigmoid(logits / TEMPERATURE)
        return tf.sqrt(p * (1 - p)) * signs
    p = tf.nn.softmax(logits / TEMPERATURE)
    root = tf.sqrt(p) * signs
    return root - p * tf.reduce_sum(root, axis=1, keepdims=True)
