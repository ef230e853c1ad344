"""A trained Keras model -> the DenseNet that it is, and the model itself as the reference to compare with."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from edgedense.converters.network.graph import Activation
from edgedense.converters.opening import Opening
from edgedense.converters.readers.keras import files as keras_files
from edgedense.converters.readers.keras import head as keras_head
from edgedense.converters.readers.keras import layers as keras_layers
from edgedense.converters.readers.source import Batch, Source
from edgedense.converters.readers.structure import matching, seam
from edgedense.converters.readers.structure.layers import Layer
from edgedense.errors import EdgedenseError

_CHUNK = 32  # images computed at once


class KerasReference:
    """A Keras model that computes scores, and logits by leaving its last activation out."""

    def __init__(self, model: Any, last: Any, activates: bool) -> None:
        """`last` is the Keras layer that computes the scores; `activates`: it ends in softmax or sigmoid."""
        self.model, self._last, self._activates = model, last, activates

    def predict(self, batch: npt.ArrayLike) -> Batch:
        return _chunked(self._scores, batch)

    def logits(self, batch: npt.ArrayLike) -> Batch:
        return _chunked(self._logits if self._activates else self._scores, batch)

    @cached_property
    def _scores(self) -> Any:
        return _traced(self.model)

    @cached_property
    def _logits(self) -> Any:
        with _without_activation(self._last):
            return _traced(self.model)


def read(source: Any, opening: Opening | None = None) -> Source:
    """Reads a trained DenseNet: `.keras`, `.h5`, a Keras SavedModel folder, "densenet121:imagenet", or a `keras.Model`
    or `tf_keras.Model` in memory.

    `opening` is what the file does not say. EdgedenseError when the file cannot be read, needs code that it does not
    hold or that is not trusted, or is no DenseNet.
    """
    opening = opening or Opening()
    return read_opened(keras_files.open_model(source, opening), opening.size)


def read_opened(opened: keras_files.Opened, size: tuple[int, int] | None = None) -> Source:
    """As `read`, for a Keras model that is in memory. The model itself is not changed."""
    layers = keras_layers.flatten(opened.model)
    batch, *built = layers[0].shape
    wanted = size or _built_size(built, opened.name)
    structure = matching.match(layers, wanted)
    model = opened.model
    free_size = tuple(built[:2]) != wanted
    if free_size and None not in built[:2] and structure.steps:
        raise EdgedenseError(
            f"pictures of {built[0]}x{built[1]} pixels, which this model brings to a size of its own",
            f"the wish for {wanted[0]}x{wanted[1]}",
            "leave the size out, or build the model again with another size behind its resizing",
        )
    if free_size or batch is not None or _is_half(layers):
        try:
            model = keras_files.rebuild(model, free_size, opened.trusted)
        except EdgedenseError as error:
            if structure.seam is None or not free_size:
                raise
            raise seam.fixed_size(structure.seam, error.found) from error
        layers = keras_layers.flatten(model)
    network, last = structure.network, layers[structure.final].operation
    final = network.head.steps[-1] if network.head.steps else None
    activates = isinstance(final, Activation) and final.kind in ("softmax", "sigmoid")
    if structure.seam is not None:
        with _without_activation(last) if activates else contextlib.nullcontext():
            traced = keras_head.trace(layers, structure.seam)
        network = replace(network, head=replace(network.head, steps=(traced, *network.head.steps)))
    reference = KerasReference(model, last, activates)
    height, width = built[:2]
    own = None if height is None or width is None else (height, width)
    return Source(
        network,
        structure.normalized,
        opened.sha256,
        opened.name,
        structure.parameters,
        reference,
        wanted,
        structure.steps,
        own,
        opened.loss,
        hashed=opened.hashed,
        backbone=structure.backbone,
    )


def _built_size(shape: list[int | None], name: str) -> tuple[int, int]:
    """Height and width of an input of shape [height, width, channels]."""
    height, width = shape[:2] if len(shape) == 3 else (0, 0)  # of another shape, what is refused is the shape
    if height is None or width is None:
        raise EdgedenseError(
            "a fixed image size", f"{name}, which takes images of any size", "name the size that it was trained with"
        )
    return height, width


def _is_half(layers: tuple[Layer, ...]) -> bool:
    """Whether the model computes in half precision, which would be no reference."""
    return any("float16" in str(layer.options.get("dtype")) for layer in layers)


def _traced(model: Any) -> Any:
    """The model as a TensorFlow function, traced now."""
    import tensorflow as tf

    images = model.inputs[0]
    signature = tf.TensorSpec([None, *images.shape[1:]], tf.float32)

    def call(batch: Any) -> Any:
        scores = model(tf.cast(batch, images.dtype), training=False)
        scores = scores[0] if isinstance(scores, list | tuple) else scores
        scores = next(iter(scores.values())) if isinstance(scores, dict) else scores  # one output, whatever holds it
        return tf.reshape(scores, [tf.shape(batch)[0], -1])

    return tf.function(call, autograph=False).get_concrete_function(signature)


@contextlib.contextmanager
def _without_activation(layer: Any) -> Iterator[None]:
    """For this long the layer returns what it would apply its activation to."""
    name, value = ("activation", lambda x: x) if hasattr(layer, "activation") else ("call", lambda x, *a, **k: x)
    had, before = name in vars(layer), getattr(layer, name)
    object.__setattr__(layer, name, value)
    try:
        yield
    finally:
        if had:
            object.__setattr__(layer, name, before)
        else:
            object.__delattr__(layer, name)


def _chunked(function: Any, batch: npt.ArrayLike) -> Batch:
    images = np.asarray(batch, np.float32)
    return np.concatenate([function(images[i : i + _CHUNK]).numpy() for i in range(0, len(images), _CHUNK)])
