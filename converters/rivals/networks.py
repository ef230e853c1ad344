"""The networks that a pruned DenseNet is compared with, without weights that somebody trained before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edgedense.converters.readers.keras import files as keras_files
from edgedense.converters.rivals import efficientnet_lite
from edgedense.errors import EdgedenseError

SMALLEST = 32  # pixels of a side: all of them halve it five times
ZERO, STEP = 127.0, 128.0  # pixels become (pixel - ZERO) / STEP: a level of a uint8 pixel is one of int8, exactly
LOGITS = "logits"


def _application(maker: str) -> Callable[[Any, Any], Any]:
    def features(keras: Any, image: Any) -> Any:
        return getattr(keras.applications, maker)(include_top=False, weights=None, input_tensor=image).output

    return features


BACKBONES: dict[str, Callable[[Any, Any], Any]] = {
    "mobilenetv2": _application("MobileNetV2"),
    "efficientnet-lite0": efficientnet_lite.features,
    "resnet50": _application("ResNet50"),
}


def build(name: str, shape: tuple[int, int, int], outputs: int, seed: int) -> Any:
    """A fresh Keras model: pictures [B, height, width, channels] normalized by ZERO and STEP in, logits [B, outputs]
    out.

    Behind the backbone stand global average pooling and a Dense layer. The weights follow from the seed. Raises
    EdgedenseError for pictures that are smaller than SMALLEST.
    """
    if min(shape[:2]) < SMALLEST:
        raise EdgedenseError(
            f"pictures of {SMALLEST}x{SMALLEST} pixels or more for {name}", f"{shape[0]}x{shape[1]}", "leave it out"
        )
    keras = keras_files.load_keras()
    keras.utils.set_random_seed(seed)
    image = keras.Input(shape, name="image")
    x = keras.layers.GlobalAveragePooling2D(name="pooling")(BACKBONES[name](keras, image))
    return keras.Model(image, keras.layers.Dense(outputs, name=LOGITS)(x), name=name)


def scoring(model: Any, activation: str) -> Any:
    """`model` with the activation that makes scores of its logits: softmax, sigmoid, or linear for none."""
    import keras

    return keras.Model(model.input, keras.layers.Activation(activation, name="scores")(model.output), name=model.name)
