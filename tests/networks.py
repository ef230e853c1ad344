"""Small DenseNets as data, for tests of what rewrites them: one to check by hand, and random ones."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from edgedense.converters.calibration.statistics import Statistics
from edgedense.converters.network.evaluate import evaluate, logits_tensor
from edgedense.converters.network.graph import (
    Activation,
    Affine,
    Array,
    Block,
    Conv,
    Dense,
    DenseLayer,
    DenseNet,
    FloatHead,
    Head,
    MaxPool,
    Pool,
    Stem,
    Transition,
)
from edgedense.converters.network.program import lower
from edgedense.converters.passes import rewriting
from edgedense.converters.passes.fold_norms import fold_norms
from edgedense.converters.quantization.measure import measure
from edgedense.images.preprocessing import NORMALIZATIONS, Normalization

# float64 rounds to 1e-16; some thirty operators and the cancellation in them stay far below this.
EXACT = 1e-9


def array(*values: object) -> Array:
    return np.array(values, np.float64)


def minimal() -> DenseNet:
    """2x2 pixels, a 1x1 stem to 2 channels, one dense layer that adds one channel, average pooling, 2 scores."""
    layer = DenseLayer(
        "block1_layer1",
        Affine(array(1, 2), array(3, 4)),
        Conv(array([[[[1, 2], [3, 4]]]])[0], array(5, 6)),
        Affine(array(2, 3), array(1, 1)),
        Conv(array([[[[1], [2]]]])[0], array(7)),
    )
    stem = Stem(Conv(array([[[[1, 0], [0, 1], [1, 1]]]])[0], array(1, 2)), Affine(array(2, 4), array(1, 3)), None)
    dense = Dense(array([1, 2], [3, 4], [5, 6]), array(1, 2))
    head = Head(Affine(array(1, 1, 1), array(0, 0, 0)), (Pool("avg"), dense, Activation("softmax")))
    return DenseNet(2, 2, None, stem, (Block((layer,), None),), head)


def folded_minimal() -> DenseNet:
    return fold_norms(minimal())


def normalization(name: Normalization = "densenet") -> Affine:
    mean, std = (np.array(values) for values in NORMALIZATIONS[name])
    return Affine(1 / std, -mean / std)


def densenet(
    seed: int = 0, height: int = 33, width: int = 40, positive: bool = False, growth: int = 4, bottleneck: int = 5
) -> DenseNet:
    """Two blocks of two layers: stem 3 -> 6, growth 4, bottlenecks of 5, a transition 14 -> 7; 3 classes.

    Scales of norms are of either sign unless `positive`.
    """
    random = np.random.default_rng(seed)

    def affine(channels: int) -> Affine:
        sign = 1 if positive else random.choice([-1, 1], channels, p=[0.2, 0.8])
        return Affine(random.uniform(0.5, 1.5, channels) * sign, random.normal(0, 0.5, channels))

    def conv(size: int, inputs: int, outputs: int, stride: int = 1, before: int = 0, behind: int = 0) -> Conv:
        kernel = random.normal(0, np.sqrt(2 / (size * size * inputs)), (size, size, inputs, outputs))
        return Conv(kernel, random.normal(0, 0.1, outputs), stride, ((before, behind), (before, behind)))

    def block(number: int, channels: int, outputs: int | None) -> Block:
        layers = tuple(
            DenseLayer(
                f"block{number}_layer{i + 1}",
                affine(channels + growth * i),
                conv(1, channels + growth * i, bottleneck),
                affine(bottleneck),
                conv(3, bottleneck, growth, 1, 1, 1),
            )
            for i in range(2)
        )
        if outputs is None:
            return Block(layers, None)
        return Block(
            layers,
            Transition(f"transition{number}", affine(channels + 2 * growth), conv(1, channels + 2 * growth, outputs)),
        )

    stem = Stem(conv(7, 3, 6, 2, 3, 3), affine(6), MaxPool(3, 2, ((1, 1), (1, 1))))
    blocks = (block(1, 6, 7), block(2, 7, None))
    channels = 7 + 2 * growth
    dense = Dense(random.normal(0, 0.3, (channels, 3)), random.normal(0, 0.1, 3))
    head = Head(affine(channels), (Pool("avg"), dense, Activation("softmax")))
    return DenseNet(height, width, normalization(), stem, blocks, head)


def folded(seed: int = 0, **options: Any) -> DenseNet:
    """As `densenet`, after fold_norms: what the passes that need statistics start from."""
    return fold_norms(densenet(seed, **options))


def with_a_copy() -> DenseNet:
    """`folded`, in which channel 4 of the first layer's bottleneck is a copy of channel 1."""
    network = folded()
    block = network.blocks[0]
    layer = block.layers[0]
    kernel, bias = layer.conv1.kernel.copy(), layer.conv1.bias.copy()
    kernel[..., 4], bias[4] = kernel[..., 1], bias[1]
    layer = replace(layer, conv1=replace(layer.conv1, kernel=kernel, bias=bias))
    return replace(network, blocks=(replace(block, layers=(layer, block.layers[1])), network.blocks[1]))


def pictures(network: DenseNet, count: int = 3, seed: int = 1) -> npt.NDArray[np.uint8]:
    """Smooth random pictures, as photographs are."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (count, 4, 4, 3)).astype(np.float64)
    rows = np.linspace(0, 3, network.height).round().astype(int)
    columns = np.linspace(0, 3, network.width).round().astype(int)
    noise = random.normal(0, 12, (count, network.height, network.width, 3))
    return np.clip(coarse[:, rows][:, :, columns] + noise, 0, 255).astype(np.uint8)


def logits(network: DenseNet, pixels: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """The lowered network's logits in float64."""
    program = lower(network)
    return evaluate(program, np.asarray(pixels), output=logits_tensor(program), dtype="float64")


def statistics(network: DenseNet, pixels: npt.NDArray[np.uint8] | None = None) -> Statistics:
    return measure(lower(network), pictures(network, 5) if pixels is None else pixels)


def equal(one: DenseNet, other: DenseNet) -> bool:
    """Whether two networks are the same, arrays included."""
    return _plain(one) == _plain(other)


def _plain(value: object) -> object:
    if isinstance(value, np.ndarray):
        return value.shape, value.tolist()
    if isinstance(value, tuple):
        return tuple(map(_plain, value))
    if hasattr(value, "__dataclass_fields__"):
        return type(value).__name__, [(name, _plain(getattr(value, name))) for name in value.__dataclass_fields__]
    return value


def with_head(network: DenseNet, *steps: object) -> DenseNet:
    return replace(network, head=replace(network.head, steps=steps))


def with_float_head(network: DenseNet, seed: int = 1) -> DenseNet:
    """The same with a TensorFlow graph for a head: sums over all positions, a random product, and a softmax."""
    import tensorflow as tf

    shape = lower(network).shapes["head/norm"]
    kernel = np.random.default_rng(seed).normal(0, 0.1, (shape[2], 3)).astype(np.float32)

    def head(features: Any) -> Any:
        return tf.matmul(tf.reduce_sum(features, (1, 2)), kernel)

    signature = tf.TensorSpec((None, *shape), tf.float32)
    traced = tf.function(head, autograph=False).get_concrete_function(signature)
    graph = traced.graph.as_graph_def().SerializeToString(deterministic=True)
    ends = traced.inputs[0].name, traced.outputs[0].name
    height, width, channels = shape
    step = FloatHead(graph, *ends, (height, width, channels), 3, ("one (Sum)", "two (Dense)"), "a reason")
    return with_head(network, step, Activation("softmax"))


def rewritten(seed: int = 0, **options: Any) -> DenseNet:
    """A network as it is when convert() measures it."""
    return rewriting.rewritten(densenet(seed, **options), "cpu")
