"""DenseNets as keras-hub builds, names and saves them, of Keras' own layers: the library itself is not installed."""

from __future__ import annotations

from typing import Any

import keras

from tests import models


def _norm_relu(x: Any, name: str) -> Any:
    return keras.layers.Activation("relu")(keras.layers.BatchNormalization(epsilon=1.001e-5, name=f"{name}_bn")(x))


def _conv(x: Any, filters: int, size: int, name: str, strides: int = 1) -> Any:
    layer = keras.layers.Conv2D(filters, size, strides, padding="same", use_bias=False, name=f"{name}_conv")
    return layer(x)


@keras.saving.register_keras_serializable("keras_hub")
class DenseNetBackbone(keras.Model):
    """Its file says how many layers each block has, and names none of them."""

    def __init__(self, stackwise_num_repeats: list[int], image_shape: list[int | None], growth_rate: int) -> None:
        image = keras.Input(image_shape)
        x = keras.layers.MaxPooling2D(3, 2, padding="same")(_norm_relu(_conv(image, 6, 7, "conv1", 2), "conv1"))
        for number, repeats in enumerate(stackwise_num_repeats, start=1):
            if number > 1:
                x = _norm_relu(x, name := f"transition{number - 1}")
                x = keras.layers.AveragePooling2D(2, 2)(_conv(x, x.shape[-1] // 2, 1, name))
            for layer in range(repeats):
                name = f"stack{number}_block{layer + 1}"
                y = _conv(_norm_relu(x, f"{name}_1"), 4 * growth_rate, 1, f"{name}_1")
                y = _conv(_norm_relu(y, f"{name}_2"), growth_rate, 3, f"{name}_2")
                x = keras.layers.Concatenate()([x, y])
        super().__init__(image, _norm_relu(x, "last"))
        self.own = {
            "stackwise_num_repeats": stackwise_num_repeats,
            "image_shape": image_shape,
            "growth_rate": growth_rate,
            "compression_ratio": 0.5,
        }

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "trainable": True, **self.own}


@keras.saving.register_keras_serializable("keras_hub")
class DenseNetImageClassifier(keras.Model):
    """A backbone as one layer, pooling and a Dense."""

    def __init__(self, backbone: Any, preprocessor: Any, pooling: str, activation: str | None) -> None:
        pools = {"avg": keras.layers.GlobalAveragePooling2D, "max": keras.layers.GlobalMaxPooling2D}
        x = keras.layers.Dropout(0.2)(pools[pooling]()(backbone(backbone.input)))
        super().__init__(backbone.input, keras.layers.Dense(3, activation=activation, name="predictions")(x))
        self.own = {"preprocessor": preprocessor, "pooling": pooling, "activation": activation, "num_classes": 3}
        self.backbone = backbone

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "dropout": 0.2, "backbone": keras.layers.serialize(self.backbone), **self.own}


for made in (DenseNetBackbone, DenseNetImageClassifier):
    made.__module__ = "keras_hub.src.models.densenet"


def preprocessor(**converter: Any) -> dict[str, Any]:
    """The description of a preprocessor with such an image converter."""
    config = {"image_size": None, "interpolation": "bilinear", "crop_to_aspect_ratio": True, **converter}
    described = {"class_name": "DenseNetImageConverter", "config": {"name": "converter", **config}}
    return {"class_name": "DenseNetImageClassifierPreprocessor", "config": {"image_converter": described}}


def classifier(
    shape: tuple[int | None, int | None] = (32, 32),
    pooling: str = "avg",
    activation: str | None = "softmax",
    described: dict[str, Any] | None = None,
) -> Any:
    """A small one with random weights."""
    backbone = DenseNetBackbone([1, 2], [*shape, 3], 4)
    return models.randomized(DenseNetImageClassifier(backbone, described, pooling, activation), 0)
