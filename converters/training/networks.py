"""The networks that are trained: a backbone of Keras' own, its normalization inside, and a head."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from edgedense.converters.network.graph import Affine
from edgedense.converters.opening import Opening
from edgedense.converters.readers import door
from edgedense.converters.readers.keras import files as keras_files
from edgedense.converters.readers.keras import layers as keras_layers
from edgedense.converters.readers.keras import reader as keras_reader
from edgedense.converters.readers.keras_hub import files as keras_hub
from edgedense.converters.readers.keras_weights import contents as keras_weights
from edgedense.converters.readers.keras_weights import reader as keras_weights_reader
from edgedense.converters.readers.keras_weights.parts import Backbone
from edgedense.converters.readers.source import Source
from edgedense.converters.readers.state_dicts import reader as state_dicts_reader
from edgedense.converters.training import graph_weights
from edgedense.errors import EdgedenseError, first_line
from edgedense.images.preprocessing import NORMALIZATIONS, ONE_CHANNEL, Normalization

USUAL: Normalization = "densenet"  # what is done where nobody says more
Weights = list[list[np.ndarray]]  # of the backbone's convolutions and batch norms, in calling order


@dataclass(frozen=True)
class Architecture:
    """A backbone: `attach(keras, tensor)` puts it behind a tensor and returns the last feature map.

    `stock(keras)` is Keras' own model without head and with ImageNet weights, which it downloads into
    ~/.keras/models under the name `file`. `said` is what `--architecture` would say of a file that holds its weights
    alone, None where no file is read. `own` is the normalization that the ImageNet weights expect, where it is not
    DenseNet's, and `bgr` says that they take BGR.
    """

    name: str
    file: str
    attach: Callable[[Any, Any], Any]
    stock: Callable[[Any], Any]
    said: str | None = None
    own: Affine | None = None
    bgr: bool = False


def _application(
    maker: str, file: str, said: str | None = None, own: Affine | None = None, bgr: bool = False
) -> Architecture:
    def attach(keras: Any, pixels: Any) -> Any:
        return getattr(keras.applications, maker)(include_top=False, weights=None, input_tensor=pixels).output

    def stock(keras: Any) -> Any:
        return getattr(keras.applications, maker)(include_top=False, weights="imagenet")

    return Architecture(maker, file, attach, stock, said, own, bgr)


DENSENET = _application("DenseNet121", "densenet121_weights_tf_dim_ordering_tf_kernels_notop.h5", "densenet121")
# keras.applications.resnet.preprocess_input (its mode "caffe"): BGR less the means of ImageNet.
RESNET = _application(
    "ResNet50",
    "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5",
    own=Affine(np.ones(3), -np.array([123.68, 116.779, 103.939])),
    bgr=True,
)


@dataclass(frozen=True)
class Start:
    """What the backbone begins with: its weights, none for a fresh one, and the normalization they expect.

    `measures`: the norms hold no statistics of their own, and `graph_weights.measure` is to find them. `notes` are
    remarks for the user.
    """

    weights: Weights | None
    normalization: Affine
    measures: bool = False
    notes: tuple[str, ...] = ()


def start(
    weights: str, architecture: Architecture, normalize: Normalization, size: int, opening: Opening | None = None
) -> Start:
    """Read what --weights names: imagenet, none, or a file. EdgedenseError when it cannot be had or does not fit."""
    keras = keras_files.load_keras()
    outside = affine(normalize)
    if weights == "none":
        return Start(None, outside)
    if weights == "imagenet":
        return Start(_rgb(_kernels(_imagenet(keras, architecture)), architecture), architecture.own or outside)
    path = Path(weights)
    if not path.exists():
        raise EdgedenseError(
            "imagenet, none or the file of a trained DenseNet121 for --weights", f"no file '{weights}'"
        )
    if keras_weights.holds_weights_alone(path):
        if architecture.said is None:
            raise EdgedenseError(f"imagenet or none for --weights of a {architecture.name}", f"the file '{weights}'")
        return _of_keras_weights(keras_weights_reader.backbone(path, architecture.said), path, normalize)
    whole = replace(opening or Opening(), size=(size, size))
    if _is_keras_model(path):
        begin = _of_keras(path, whole, outside)
        if begin.weights is not None and begin.weights[0][0].shape[2] == 3:
            return begin
    if state_dicts_reader.reads(path):  # what stands between the layers of a head that is not taken need not be known
        whole = replace(whole, head_activation="none")
    return _of_graph(door.read(path, whole), normalize)


def _is_keras_model(path: Path) -> bool:
    written = path.suffix in (".keras", ".h5", ".hdf5") or (path / "saved_model.pb").is_file()
    return written and not keras_hub.reads(path)


def _of_keras(path: Path, opening: Opening, outside: Affine) -> Start:
    """A whole Keras model, whose norms keep the statistics of their training."""
    opened = keras_files.open_model(path, opening)
    built = opened.model.input_shape[1:3] if isinstance(opened.model.input_shape, tuple) else (None, None)
    source = keras_reader.read_opened(opened, None if all(built) else opening.size)
    inside = source.network.normalization
    return Start(
        _kernels(opened.model, source.backbone),
        inside if source.normalized and inside is not None else outside,
        notes=(graph_weights.REPEATED,) if source.network.repeats > 1 else (),
    )


def _of_graph(source: Source, wanted: Normalization) -> Start:
    """Whatever else the door opens. Pixels are normalized as `wanted`, or where that is the usual way as the kind of
    model says."""
    network, notes = source.network, list(graph_weights.notes(source.network))
    inside = network.normalization if source.normalized else None
    if inside is None:
        known = source.normalization(source.outside if wanted == USUAL and source.outside else wanted)
        inside = affine(known)
        if known != wanted:
            notes.append(f"--preprocess {known} in place of {wanted}, as {source.name} was trained")
    inside = Affine(*(np.broadcast_to(part, 3) for part in (inside.scale, inside.shift)))  # of one channel one number
    weights = [[np.asarray(array, np.float32) for array in arrays] for arrays in graph_weights.weights(network)]
    return Start(weights, inside, True, tuple(notes))


def _of_keras_weights(backbone: Backbone, path: Path, normalize: Normalization) -> Start:
    """Convolutions and norms in calling order: stem, norm, then norm and convolution in turn, and the last norm."""
    one_channel = backbone.convs[0].shape[2] == 1
    if one_channel and normalize not in ONE_CHANNEL:
        raise EdgedenseError(
            "a normalization by one number for weights that take one channel",
            f"--preprocess {normalize}, which has a number for each colour, with '{path}'",
            f"--preprocess {', '.join(ONE_CHANNEL)}: the one that they were trained with",
        )
    first, *convs = [[conv] for conv in backbone.convs]
    norms = [list(norm) for norm in backbone.norms]
    between = [arrays for pair in zip(norms[1:-1], convs, strict=True) for arrays in pair]
    ordered = [[graph_weights.rgb(first[0])], norms[0], *between, norms[-1]]
    weights = [[np.asarray(array, np.float32) for array in arrays] for arrays in ordered]
    notes = ((graph_weights.GREY,) if one_channel else ()) + (() if backbone.relu else (graph_weights.RELU,))
    return Start(weights, affine(normalize), notes=notes)


def affine(normalize: Normalization) -> Affine:
    """(pixel - mean) / std as scale and shift."""
    mean, std = (np.array(values) for values in NORMALIZATIONS[normalize])
    return Affine(1 / std, -mean / std)


def build(
    architecture: Architecture,
    begin: Start,
    *,
    size: int,
    outputs: int,
    activation: str,
    head: int | None,
    dropout: float,
) -> Any:
    """The Keras model, size x size x 3 raw pixels of 0 to 255 in, probabilities [B, outputs] out.

    GAP - Dense(head, relu) - Dropout - Dense(outputs, activation); without `head` no hidden layer. Raises
    EdgedenseError when the weights do not fit the architecture.
    """
    keras = keras_files.load_keras()
    image = keras.Input((size, size, 3), name="image")
    features = architecture.attach(keras, _normalized(keras, image, begin.normalization))
    backbone = keras.Model(image, features)
    x = keras.layers.GlobalAveragePooling2D(name="pooling")(features)
    if head:
        x = keras.layers.Dense(head, activation="relu", name="hidden")(x)
    if dropout:
        x = keras.layers.Dropout(dropout, name="dropout")(x)
    # float32 also where a user's policy computes in less: the loss needs it.
    x = keras.layers.Dense(outputs, activation=activation, name="predictions", dtype="float32")(x)
    if begin.weights is not None:
        _transfer(begin.weights, backbone, architecture.name)
    return keras.Model(image, x, name=architecture.name.lower())


def _normalized(keras: Any, image: Any, normalization: Affine) -> Any:
    """Normalization is part of the model, so that nobody has to know it later."""
    scale, shift = normalization.scale, normalization.shift
    if np.any(scale <= 0):  # Keras' Normalization divides by a root
        return keras.layers.Rescaling(scale.tolist(), shift.tolist(), name="normalization")(image)
    return keras.layers.Normalization(
        mean=(-shift / scale).tolist(), variance=(1 / scale**2).tolist(), name="normalization"
    )(image)


def backbone_layers(model: Any) -> list[Any]:
    """The layers with weights before the head."""
    names = ("hidden", "predictions")
    return [layer for layer in model.layers if layer.weights and layer.name not in names]


def _rgb(weights: Weights, architecture: Architecture) -> Weights:
    """The same network on RGB: the first kernel's channels [h, w, 3, filters] turned around."""
    if not architecture.bgr:
        return weights
    (kernel, *rest), *others = weights
    return [[kernel[:, :, ::-1], *rest], *others]


def _kernels(model: Any, backbone: tuple[int, ...] | None = None) -> Weights:
    """Of all layers, or of those with these numbers: a head may have convolutions and norms of its own."""
    found = keras_layers.flatten(model)
    if backbone is not None:
        found = tuple(found[number] for number in backbone)
    return [list(layer.weights) for layer in found if layer.kind in ("Conv2D", "BatchNormalization")]


def _transfer(weights: Weights, backbone: Any, name: str) -> None:
    layers = [
        layer.operation for layer in keras_layers.flatten(backbone) if layer.kind in ("Conv2D", "BatchNormalization")
    ]
    shapes = [[tuple(w.shape) for w in layer.weights] for layer in layers]
    if shapes != [[w.shape for w in some] for some in weights]:
        raise EdgedenseError(
            f"the weights of a {name}",
            f"another network ({len(weights)} convolutions and batch norms, not {len(layers)}, or of other widths)",
            "--weights none",
        )
    for layer, some in zip(layers, weights, strict=True):
        layer.set_weights(some)


def _imagenet(keras: Any, architecture: Architecture) -> Any:
    try:
        with contextlib.redirect_stdout(sys.stderr):
            return architecture.stock(keras)
    except Exception as error:
        place = Path.home() / ".keras" / "models"
        raise EdgedenseError(
            f"the ImageNet weights of {architecture.name}, which Keras downloads once",
            first_line(error),
            f"put {architecture.file} into {place}, name it with --weights, or train from nothing with --weights none",
        ) from error


def set_phase(model: Any, whole: bool, momentum: float) -> None:
    """Freeze or free the backbone. A frozen batch norm uses its stored statistics (Keras' inference mode)."""
    for layer in backbone_layers(model):
        layer.trainable = whole
        if type(layer).__name__ == "BatchNormalization":
            layer.momentum = momentum
