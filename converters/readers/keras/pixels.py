"""What a Keras model does to its pixels before the first convolution, composed to one scale and shift per
channel.

Rescaling, Normalization, batch norms and arithmetic with constants are affine; slicing, stacking and flipping
reorder the channels. Each tensor on the way is held as its channels, each of them a multiple of one channel
of the input.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgedense.converters.network.graph import Affine
from edgedense.converters.readers.keras import weights as keras_weights
from edgedense.converters.readers.keras.layers import Layer, Ref
from edgedense.errors import EdgedenseError

ARITHMETIC = frozenset(["Add", "Subtract", "Multiply", "Divide", "TrueDivide", "Negative"])
AFFINE_LAYERS = frozenset(["Rescaling", "Normalization", "BatchNormalization", "SyncBatchNormalization"])
REORDERING = frozenset(["GetItem", "Flip", "Take", "Stack", "Concatenate", "Cast"])


@dataclass(frozen=True)
class Channel:
    """scale * pixel[source] + shift."""

    source: int
    scale: float = 1.0
    shift: float = 0.0


@dataclass(frozen=True)
class Pixels:
    """A tensor made of pixels: [B, H, W, C], or [B, H, W] when it is one channel cut out (`flat`)."""

    channels: tuple[Channel, ...]
    flat: bool = False


@dataclass(frozen=True)
class Entry:
    """How pixels enter the stem: channel c is affine(c) of pixel channel order[c]. `layers` is what was
    composed.
    """

    affine: Affine
    order: tuple[int, ...]
    layers: tuple[Layer, ...]
    last: Layer  # whose output the stem reads

    @property
    def changes_values(self) -> bool:
        """Whether anything but the order of the channels changes."""
        return bool(np.any(self.affine.scale != 1) or np.any(self.affine.shift != 0))


def entry(layers: Sequence[Layer]) -> Entry:
    """Composes the layers that stand before the stem.

    `layers` is the whole model, the input first. EdgedenseError when the input is no RGB image, or when
    something before the stem cannot be written as scale and shift per channel.
    """
    first = layers[0]
    if len(first.shape) != 4 or first.shape[3] != 3:
        raise EdgedenseError(
            "an RGB input of shape [batch, height, width, 3]",
            f"{first} of shape {list(first.shape)}",
            "train on images with three channels; a grey image can be repeated three times",
        )
    known = {first.index: Pixels(tuple(Channel(c) for c in range(3)))}
    composed = [first]
    for layer in layers[1:]:
        if not all(i in known for i in layer.inputs):
            break
        if (pixels := _apply(layer, known)) is None:
            break
        known[layer.index] = pixels
        composed.append(layer)
    return _entry(composed, known)


def _entry(composed: list[Layer], known: dict[int, Pixels]) -> Entry:
    last = composed[-1]
    channels = known[last.index].channels
    if sorted(c.source for c in channels) != [0, 1, 2] or known[last.index].flat:
        raise EdgedenseError(
            "red, green and blue once each behind the preprocessing",
            f"channels {[c.source for c in channels]} behind {last}",
            "let the network read all three channels",
        )
    affine = Affine(np.array([c.scale for c in channels]), np.array([c.shift for c in channels]))
    return Entry(affine, tuple(c.source for c in channels), tuple(composed), last)


def _apply(layer: Layer, known: dict[int, Pixels]) -> Pixels | None:
    """The layer's output; None when the layer is no preprocessing."""
    if layer.kind in AFFINE_LAYERS:
        return _scaled(known[layer.inputs[0]], _layer_affine(layer), layer)
    if layer.kind in ARITHMETIC:
        return _arithmetic(layer, known)
    if layer.kind in REORDERING:
        return _reordered(layer, known)
    return None


def _layer_affine(layer: Layer) -> Affine:
    if layer.kind == "Rescaling":
        scale, shift = (np.asarray(layer.options[key], np.float64).ravel() for key in ("scale", "offset"))
        return Affine(scale, shift)
    if layer.kind == "Normalization":
        if layer.options.get("axis") not in (None, (), []):
            keras_weights.require_channel_axis(layer)
        return keras_weights.normalization(layer)
    return keras_weights.batch_norm(layer)


def _scaled(pixels: Pixels, affine: Affine, layer: Layer) -> Pixels:
    """Applies scale and shift, each one number or one per channel."""
    count = len(pixels.channels)
    if affine.scale.size not in (1, count) or affine.shift.size not in (1, count):
        raise EdgedenseError(
            "one number, or one per channel", f"{max(affine.scale.size, affine.shift.size)} numbers in {layer}"
        )
    scale, shift = np.broadcast_to(affine.scale, count), np.broadcast_to(affine.shift, count)
    channels = zip(pixels.channels, scale, shift, strict=True)
    return Pixels(
        tuple(Channel(c.source, float(c.scale * s), float(c.shift * s + t)) for c, s, t in channels), pixels.flat
    )


def _arithmetic(layer: Layer, known: dict[int, Pixels]) -> Pixels | None:
    """Arithmetic between pixels and a constant; None between two tensors, as in a residual network."""
    if len(layer.inputs) != 1:
        return None
    pixels = known[layer.inputs[0]]
    one = np.ones(1)
    if layer.kind == "Negative":
        return _scaled(pixels, Affine(-one, 0 * one), layer)
    left, right = _two_operands(layer)
    constant = np.asarray(left if isinstance(right, Ref) else right, np.float64)
    if constant.size != (constant.shape[-1] if constant.ndim else 1) or (pixels.flat and constant.size > 1):
        raise EdgedenseError("one number, or one per channel", f"a constant of shape {constant.shape} in {layer}")
    constant = constant.ravel()
    if isinstance(right, Ref) and layer.kind in ("Divide", "TrueDivide"):
        raise EdgedenseError("preprocessing by scale and shift", f"{layer}, which divides by the pixels")
    affine = {
        "Add": Affine(one, constant),
        "Multiply": Affine(constant, 0 * one),
        "Subtract": Affine(-one, constant) if isinstance(right, Ref) else Affine(one, -constant),
        "Divide": Affine(1 / constant, 0 * one),
        "TrueDivide": Affine(1 / constant, 0 * one),
    }[layer.kind]
    return _scaled(pixels, affine, layer)


def _two_operands(layer: Layer) -> tuple[Any, Any]:
    named = [layer.options[k] for k in ("x1", "x", "value", "x2", "y", "bias") if k in layer.options]
    operands = [*layer.operands, *named]
    if len(operands) != 2:
        raise EdgedenseError("an operation with two operands", f"{len(operands)} in {layer}")
    return operands[0], operands[1]


def _reordered(layer: Layer, known: dict[int, Pixels]) -> Pixels:
    inputs = [known[i] for i in layer.inputs]
    pixels, options = inputs[0], layer.options
    if layer.kind == "Cast":
        _require_float(layer)
        return pixels
    if layer.kind == "GetItem":
        key = options["slice_spec"] if "slice_spec" in options else layer.operands[1]
        return _sliced(pixels, key, layer)
    if layer.kind == "Stack":
        if not all(p.flat for p in inputs):
            raise EdgedenseError("channels stacked along the last axis", f"{layer} of whole images")
        keras_weights.require_channel_axis(layer)
        return Pixels(tuple(p.channels[0] for p in inputs))
    if pixels.flat:
        raise EdgedenseError("an image with channels", f"one channel in {layer}")
    keras_weights.require_channel_axis(layer)
    if layer.kind == "Concatenate":
        return Pixels(tuple(c for p in inputs for c in p.channels))
    if layer.kind == "Flip":
        return Pixels(pixels.channels[::-1])
    indices = options["indices"] if "indices" in options else layer.operands[1]
    chosen = np.asarray(indices)
    if chosen.ndim == 0:
        return Pixels((pixels.channels[int(chosen)],), flat=True)
    return Pixels(tuple(pixels.channels[int(i)] for i in chosen.ravel()))


def _require_float(layer: Layer) -> None:
    dtype = str(layer.options.get("dtype"))
    if "float" not in dtype:
        raise EdgedenseError("preprocessing in floating point", f"{layer} to {dtype}", "cast to float32")


def _sliced(pixels: Pixels, key: Any, layer: Layer) -> Pixels:
    """Indexing that takes whole images and chooses channels: x[..., ::-1], x[:, :, :, 0], x[..., :3]."""
    parts = [_as_slice(part) for part in (key if isinstance(key, list | tuple) else [key])]
    rank = 3 if pixels.flat else 4
    missing = rank - sum(part is not Ellipsis for part in parts)
    if Ellipsis in parts:
        at = parts.index(Ellipsis)
        parts[at : at + 1] = [slice(None)] * missing
    else:
        parts += [slice(None)] * missing
    known = all(isinstance(part, slice | int) for part in parts)
    if not known or len(parts) != rank or any(part != slice(None) for part in parts[:3]):
        raise EdgedenseError("an operation on channels before the stem", f"{layer}, which cuts {key}")
    if pixels.flat:
        return pixels
    chosen = parts[3]
    if isinstance(chosen, slice):
        return Pixels(pixels.channels[chosen])
    return Pixels((pixels.channels[int(chosen)],), flat=True)


def _as_slice(part: Any) -> Any:
    """Keras 2 writes a slice as a dict."""
    return slice(part["start"], part["stop"], part["step"]) if isinstance(part, dict) else part
