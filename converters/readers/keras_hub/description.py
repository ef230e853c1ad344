"""What the description of a DenseNet of keras-hub or keras-cv says, as data."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from edgedense.converters.network.graph import Activation, Affine
from edgedense.errors import EdgedenseError
from edgedense.images.steps import Size

_CLASSIFIERS = ("DenseNetImageClassifier", "ImageClassifier")
_BACKBONE = "DenseNetBackbone"
_BUILD = "build the network of keras.applications, copy the weights, and save that"
# What their classes write. What is not here may change what is computed.
_OF_ANY = frozenset(["name", "trainable", "dtype"])
_OF_CLASSIFIER = _OF_ANY | {"backbone", "preprocessor", "num_classes", "pooling", "activation", "dropout", "head_dtype"}
_OF_BACKBONE = _OF_ANY | {
    *("stackwise_num_repeats", "compression_ratio", "growth_rate", "image_shape"),
    *("input_shape", "input_tensor", "include_rescaling"),  # of keras-cv
}
_OF_CONVERTER = _OF_ANY | {
    *("image_size", "scale", "offset", "interpolation", "antialias", "crop_to_aspect_ratio", "pad_to_aspect_ratio"),
    *("bounding_box_format", "data_format"),
}


@dataclass(frozen=True)
class Classifier:
    """A DenseNet classifier. `blocks` are the layers of each dense block, as `--architecture` takes them, `size` the
    height and width of its pictures, None where it takes any. `normalization` is what its preprocessor does to pixels,
    or it does itself, None where the file says nothing about it. `resizing` are the options that tell
    how its preprocessor brought pictures to that size, None where it did not.
    """

    blocks: str
    pooling: Literal["avg", "max"]
    activation: Activation | None
    size: Size | None = None
    normalization: Affine | None = None
    resizing: str | None = None


def classifier(description: Mapping[str, Any], name: str) -> Classifier:
    """Reads it. EdgedenseError, naming what differs, for a model that is no DenseNet classifier."""
    config = _config(description, _CLASSIFIERS, _OF_CLASSIFIER, name)
    backbone = _config(config.get("backbone"), (_BACKBONE,), _OF_BACKBONE, name)
    repeats = backbone.get("stackwise_num_repeats")
    if not isinstance(repeats, list) or not all(isinstance(count, int) for count in repeats):
        raise _refused("stackwise_num_repeats", repeats, name)
    pooling = config.get("pooling")
    if pooling not in ("avg", "max"):
        raise _refused("pooling", pooling, name)
    shape = backbone.get("image_shape", backbone.get("input_shape"))
    if not isinstance(shape, list) or len(shape) != 3:
        raise _refused("image_shape", shape, name)
    channels = shape[2] or 3
    converter = _converter(config.get("preprocessor"), name)
    return Classifier(
        ",".join(map(str, repeats)),
        pooling,
        _activation(config.get("activation"), name),
        _size(shape[:2]) or _size(converter.get("image_size")),
        _normalization(converter, bool(backbone.get("include_rescaling")), channels, name),
        _resizing(converter),
    )


def _config(described: Any, classes: Collection[str], known: Collection[str], name: str) -> Mapping[str, Any]:
    """The configuration of an object of one of `classes`, which says nothing but what is `known`."""
    kind = described.get("class_name") if isinstance(described, dict) else None
    if kind not in classes:
        hint = (
            f"put a head behind it and save that: keras_hub.models.{_CLASSIFIERS[0]}" if kind == _BACKBONE else _BUILD
        )
        raise EdgedenseError(f"a DenseNet classifier: {' or '.join(classes)}", f"{kind or 'nothing'} in '{name}'", hint)
    config = described.get("config")
    if not isinstance(config, dict):
        raise _refused("config", config, name)
    for key in config:
        if key not in known and config[key] not in (None, False):
            raise _refused(key, config[key], name)
    return config


def _converter(preprocessor: Any, name: str) -> Mapping[str, Any]:
    """The configuration of the preprocessor's image converter; empty where there is none."""
    if preprocessor is None:
        return {}
    config = preprocessor.get("config") if isinstance(preprocessor, dict) else None
    if not isinstance(config, dict):
        raise _refused("preprocessor", preprocessor, name)
    converter = config.get("image_converter")
    if converter is None:
        return {}
    return _config(converter, (str(converter.get("class_name")),), _OF_CONVERTER, name)


def _normalization(converter: Mapping[str, Any], rescales: bool, channels: int, name: str) -> Affine | None:
    if rescales:
        return Affine(np.full(channels, 1 / 255), np.zeros(channels))
    if not converter:
        return None
    scale, offset = (converter.get(key) for key in ("scale", "offset"))
    try:
        one, other = (
            np.broadcast_to(np.asarray(value, np.float64), channels)
            for value in (1.0 if scale is None else scale, 0.0 if offset is None else offset)
        )
    except (TypeError, ValueError) as error:
        raise _refused("scale and offset", f"{scale} and {offset}", name) from error
    if not (np.isfinite(one).all() and np.isfinite(other).all() and one.all()):
        raise _refused("scale and offset", f"{scale} and {offset}", name)
    return Affine(one, other)


def _resizing(converter: Mapping[str, Any]) -> str | None:
    """The options that describe it."""
    if not converter.get("image_size"):
        return None
    fits = {"crop_to_aspect_ratio": "crop", "pad_to_aspect_ratio": "pad"}
    fit = next((word for key, word in fits.items() if converter.get(key)), "stretch")
    method = str(converter.get("interpolation", "bilinear"))
    smoothed = {"bilinear": "pil-bilinear", "bicubic": "pil-bicubic", "lanczos3": "pil-lanczos"}
    return f"--fit {fit} --resize {smoothed.get(method, method) if converter.get('antialias') else method}"


def _activation(value: Any, name: str) -> Activation | None:
    if isinstance(value, dict):
        value = value.get("config")
    if value in (None, "linear"):
        return None
    if value == "softmax" or value == "sigmoid":
        return Activation("softmax" if value == "softmax" else "sigmoid")
    raise _refused("activation", value, name)


def _size(sides: Any) -> Size | None:
    """Height and width, where both are known."""
    if not isinstance(sides, list) or len(sides) != 2 or not all(isinstance(side, int) and side > 0 for side in sides):
        return None
    return sides[0], sides[1]


def _refused(what: str, found: Any, name: str) -> EdgedenseError:
    return EdgedenseError(
        f"a DenseNet as keras-hub and keras-cv build it, with a {what} that is known",
        f"{what} {found!r} in '{name}'"[:300],
        _BUILD,
    )
