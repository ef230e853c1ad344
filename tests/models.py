"""Small Keras DenseNets for tests: built in Keras 3 or, with `keras=tf_keras`, in Keras 2; weights random,
seeded.

A fresh model's batch norms are trivial (scale 1, shift 0, statistics 0 and 1), so that a reader could ignore
them and pass: here gammas are of either sign and the statistics are those of no data.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Tensor = Any
Head = Callable[[Any, Tensor], Tensor]


def norm(keras: Any, x: Tensor, **options: Any) -> Tensor:
    return keras.layers.BatchNormalization(epsilon=1.001e-5, **options)(x)


def norm_relu(keras: Any, x: Tensor) -> Tensor:
    return keras.layers.Activation("relu")(norm(keras, x))


def conv(keras: Any, x: Tensor, filters: int, size: int = 1, **options: Any) -> Tensor:
    options = {"use_bias": False, "padding": "same", **options}
    return keras.layers.Conv2D(filters, size, **options)(x)


def stem(keras: Any, x: Tensor, filters: int = 12) -> Tensor:
    """As Keras' own: 7x7 with stride 2 and max pooling, both behind zero padding."""
    x = conv(keras, keras.layers.ZeroPadding2D(3)(x), filters, 7, strides=2, padding="valid")
    x = keras.layers.ZeroPadding2D(1)(norm_relu(keras, x))
    return keras.layers.MaxPooling2D(3, strides=2)(x)


def dense_layer(keras: Any, x: Tensor, growth: int) -> Tensor:
    """The new channels of one dense layer, without the concatenation."""
    x = conv(keras, norm_relu(keras, x), 2 * growth)
    return conv(keras, norm_relu(keras, x), growth, 3)


def body(keras: Any, x: Tensor, blocks: tuple[int, ...] = (2, 2), growth: int = 8) -> Tensor:
    """Dense blocks with transitions between them, and the final norm and ReLU."""
    for number, layers in enumerate(blocks):
        if number:
            x = conv(keras, norm_relu(keras, x), x.shape[-1] // 2)
            x = keras.layers.AveragePooling2D(2)(x)
        for _ in range(layers):
            x = keras.layers.Concatenate()([x, dense_layer(keras, x, growth)])
    return norm_relu(keras, x)


def softmax_head(keras: Any, x: Tensor, classes: int = 5) -> Tensor:
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.layers.Dense(classes, activation="softmax")(x)


def _pooled(keras: Any, x: Tensor) -> Tensor:
    return keras.layers.GlobalAveragePooling2D()(x)


def two_poolings_head(keras: Any, x: Tensor) -> Tensor:
    return keras.layers.Concatenate()([_pooled(keras, x), keras.layers.GlobalMaxPooling2D()(x)])


def attention_head(keras: Any, x: Tensor) -> Tensor:
    """Squeeze and excite: each channel is weighted by what all of them are on average."""
    channels, layers = x.shape[-1], keras.layers
    weights = layers.Dense(channels, activation="sigmoid")(layers.Dense(3, activation="relu")(_pooled(keras, x)))
    return _pooled(keras, layers.Multiply()([x, layers.Reshape((1, 1, channels))(weights)]))


def convolution_head(keras: Any, x: Tensor) -> Tensor:
    x = keras.layers.Conv2D(6, 3, padding="same", activation="relu")(keras.layers.SpatialDropout2D(0.3)(x))
    return _pooled(keras, keras.layers.BatchNormalization()(x))


def bottleneck_head(keras: Any, x: Tensor) -> Tensor:
    """1x1 convolution - norm - ReLU - 3x3 convolution: as a dense layer begins, but nothing is joined."""
    return _pooled(keras, keras.layers.Conv2D(5, 3)(norm_relu(keras, keras.layers.Conv2D(8, 1)(x))))


def prelu_head(keras: Any, x: Tensor) -> Tensor:
    slopes = keras.initializers.RandomUniform(0.1, 0.9, seed=1)
    return keras.layers.PReLU(alpha_initializer=slopes)(keras.layers.Dense(6)(_pooled(keras, x)))


def gelu_head(keras: Any, x: Tensor) -> Tensor:
    return keras.layers.LayerNormalization()(keras.layers.Dense(6, activation="gelu")(_pooled(keras, x)))


def residual_head(keras: Any, x: Tensor) -> Tensor:
    x = _pooled(keras, x)
    y = keras.layers.Dense(x.shape[-1], activation="swish")(keras.layers.BatchNormalization()(x))
    return keras.layers.Add()([x, y])


def sequence_head(keras: Any, x: Tensor) -> Tensor:
    """Self-attention over the positions of the map, and a recurrent layer over what it gives."""
    layers = keras.layers
    x = layers.Permute((2, 1))(layers.Permute((2, 1))(layers.Reshape((-1, x.shape[-1]))(x)))
    x = layers.Add()([x, layers.MultiHeadAttention(2, 3)(x, value=x)])
    return layers.GRU(4)(layers.LayerNormalization()(x))


def padded_pooling_head(keras: Any, x: Tensor) -> Tensor:
    return keras.layers.Flatten()(keras.layers.AveragePooling2D(3, 2, padding="same")(x))


# What stands between the last feature map and the last Dense where the graph has no words for it.
FLOAT_HEADS: dict[str, Head] = {
    "two poolings": two_poolings_head,
    "attention": attention_head,
    "convolution": convolution_head,
    "bottleneck": bottleneck_head,
    "PReLU": prelu_head,
    "GELU and LayerNormalization": gelu_head,
    "residual": residual_head,
    "sequence": sequence_head,
    "padded pooling": padded_pooling_head,
}


def classified(features: Head, classes: int = 5, activation: str | None = "softmax") -> Head:
    """A head that ends in a Dense behind `features`."""
    return lambda keras, x: keras.layers.Dense(classes, activation=activation)(features(keras, x))


def densenet(
    keras: Any | None = None,
    size: tuple[int | None, int | None] = (32, 32),
    head: Head = softmax_head,
    before: Head = lambda keras, x: x,
    stem: Head = stem,
    body: Head = body,
    seed: int = 0,
    channels: int = 3,
) -> Any:
    """A small DenseNet: `before` the stem, `stem`, `body` and `head` each take (keras, tensor) and return a
    tensor. The image has so many `channels`.
    """
    keras = keras or _keras3()
    image = keras.Input((*size, channels))
    model = keras.Model(image, head(keras, body(keras, stem(keras, before(keras, image)))))
    return randomized(model, seed)


def nested(keras: Any | None = None, size: tuple[int, int] = (32, 32), seed: int = 0) -> Any:
    """Rescaling, augmentation, a headless DenseNet as a model in a model, dropout and two Dense, in a
    Sequential.
    """
    keras = keras or _keras3()
    image = keras.Input((*size, 3))
    base = keras.Model(image, body(keras, stem(keras, image)))
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((*size, 3)),
            keras.Sequential([layers.RandomFlip("horizontal"), layers.RandomRotation(0.1), layers.RandomZoom(0.1)]),
            layers.Rescaling(1 / 127.5, offset=-1),
            keras.Sequential([base, layers.GlobalAveragePooling2D()]),
            layers.Dropout(0.3),
            layers.Dense(16, activation="relu"),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    return randomized(model, seed)


def hostile(keras: Any | None = None, seed: int = 0) -> Any:
    """What breaks rewrites: odd sizes, a Flatten head, nesting, and gammas that are negative, zero or 1e-9.

    Of every batch norm's channels, one is constant and positive, one is constant and dead behind the ReLU,
    one is scaled by 1e-9, one is turned around. One growth channel of each block is constant. Input 41 x 53
    pixels.
    """
    keras = keras or _keras3()
    layers = keras.layers
    image = keras.Input((41, 53, 3))
    base = keras.Model(image, body(keras, stem(keras, image), (3, 2, 2)))
    model = keras.Sequential(
        [
            keras.Input((41, 53, 3)),
            layers.Rescaling(1 / 255, offset=[-0.4, -0.5, -0.3]),
            base,
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(4, activation="softmax"),
        ]
    )
    randomized(model, seed)
    for number, layer in enumerate(base.layers):
        if type(layer).__name__ == "BatchNormalization":
            gamma, beta, mean, variance = layer.get_weights()
            gamma[:4], beta[:4] = (0, 0, 1e-9, -abs(gamma[3])), (0.7, -0.7, 0.2, beta[3])
            layer.set_weights([gamma, beta, mean, variance])
        elif type(layer).__name__ == "Conv2D" and layer.kernel_size == (3, 3):
            (kernel,) = layer.get_weights()
            kernel[..., number % kernel.shape[3]] = 0
            layer.set_weights([kernel])
    return model


def randomized(model: Any, seed: int) -> Any:
    """The model with random weights that keep the signal's size; returns it."""
    random = np.random.default_rng(seed)
    for layer in _leaves(model):
        weights = layer.get_weights()
        if type(layer).__name__ == "BatchNormalization":
            layer.set_weights(_statistics(layer, weights, random))
        elif type(layer).__name__ in ("Conv2D", "Dense"):
            fan_in = np.prod(weights[0].shape[:-1])
            kernel = random.normal(0, np.sqrt(2 / fan_in), weights[0].shape)
            layer.set_weights([kernel, *(random.normal(0, 0.1, w.shape) for w in weights[1:])])
    return model


def _statistics(layer: Any, weights: list[Any], random: np.random.Generator) -> list[Any]:
    channels = weights[0].shape
    gamma = random.uniform(0.5, 1.5, channels) * random.choice([-1, 1], channels, p=[0.2, 0.8])
    beta, mean = random.normal(0, 0.3, (2, *channels))
    variance = random.uniform(0.5, 2, channels)
    return [gamma] * layer.scale + [beta] * layer.center + [mean, variance]


def _leaves(model: Any) -> list[Any]:
    return [leaf for layer in model.layers for leaf in (_leaves(layer) if hasattr(layer, "layers") else [layer])]


def _keras3() -> Any:
    import keras

    return keras
