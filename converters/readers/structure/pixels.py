"""What a Keras model does to its pixels before the first convolution: cutting and resizing, and behind it one scale
and shift per channel.

Rescaling, Normalization, batch norms and arithmetic with constants are affine; slicing, stacking, flipping and
repeating reorder the channels, and of a grey picture so does a 1x1 convolution. Each tensor on the way is held as its
channels, each of them a multiple of one channel of the input behind the steps. Where a step stands makes no difference:
the shares of every resizing add up to one, so that it comes to the same before and behind a scale and shift.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from edgedense.converters.network.graph import Affine, Conv, Front
from edgedense.converters.readers.structure import front as keras_front
from edgedense.converters.readers.structure import probe as keras_probe
from edgedense.converters.readers.structure import sizes as keras_sizes
from edgedense.converters.readers.structure import weights as keras_weights
from edgedense.converters.readers.structure.layers import AUGMENTATIONS, Layer, Ref
from edgedense.errors import EdgedenseError
from edgedense.images.steps import Pad, Size, Step, size_behind

ARITHMETIC = frozenset(["Add", "Subtract", "Multiply", "Divide", "TrueDivide", "Negative"])
AFFINE_LAYERS = frozenset(["Rescaling", "Normalization", "BatchNormalization", "SyncBatchNormalization"])
REORDERING = frozenset(["GetItem", "Flip", "Take", "Stack", "Concatenate", "Cast"])
REPEATING = frozenset(["Repeat", "Tile", "GrayscaleToRgb"])


@dataclass(frozen=True)
class Channel:
    """scale * pixel[source] + shift."""

    source: int
    scale: float = 1.0
    shift: float = 0.0


@dataclass(frozen=True)
class Pixels:
    """A tensor made of pixels: [B, H, W, C], or [B, H, W] when it is one channel cut out (`flat`).

    `steps` brought the input to this `size`; borders that they add are in the units of the input. `is_grey`: the input
    has one channel. `before` are the channels that the first convolution read, if there was one.
    """

    channels: tuple[Channel, ...]
    size: Size
    steps: tuple[Step, ...] = ()
    flat: bool = False
    is_grey: bool = False
    before: tuple[Channel, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether each channel of the input is there: red, green and blue once each, a grey one any number of times."""
        sources = sorted(channel.source for channel in self.channels)
        return not self.flat and (set(sources) == {0} if self.is_grey else sources == [0, 1, 2])

    @property
    def normalized(self) -> bool:
        """Whether anything but the order of the channels changes, other than by a convolution's learned weights."""
        return any((c.scale, c.shift) != (1, 0) for c in self.before or self.channels)


@dataclass(frozen=True)
class Entry:
    """How pixels enter the stem: the picture goes through `steps`, which leave `size`; then channel c is affine(c) of
    pixel channel order[c]. `layers` is what was composed. Of a grey picture there is one channel, or one that is
    repeated. `front` is a convolution that reads this, in front of the stem, and `front_layer` its layer.
    """

    steps: tuple[Step, ...]
    size: Size
    affine: Affine
    order: tuple[int, ...]
    layers: tuple[Layer, ...]
    last: Layer  # whose output the stem reads
    is_grey: bool
    normalized: bool  # whether values were changed by something that is there for this
    front: Front | None = None
    stem_size: Size = (0, 0)  # of what the stem reads, behind `front`


def entry(layers: Sequence[Layer], size: Size) -> Entry:
    """Composes the layers that stand before the stem. Where code of the file's own is among them, they are run on
    random pictures instead.

    `layers` is the whole model, the input first; `size` is that of the pictures that it takes. EdgedenseError when
    the input is neither an RGB image nor a grey one, or when something before the stem cannot be written as steps,
    scale and shift per channel, and one convolution.
    """
    first = layers[0]
    if len(first.shape) != 4 or first.shape[3] not in (1, 3):
        raise EdgedenseError(
            "an RGB input of shape [batch, height, width, 3], or a grey one of shape [batch, height, width, 1]",
            f"{first} of shape {list(first.shape)}",
            "train on images with three channels or with one",
        )
    count = first.shape[3]
    start = Pixels(tuple(Channel(c) for c in range(count)), size, is_grey=count == 1)
    known, composed = {first.index: start}, [first]
    before = keras_probe.before_stem(layers)
    if keras_probe.has_code(before):
        scale, shift, order = keras_probe.fit(before, size)
        channels = tuple(Channel(*channel) for channel in zip(order, scale, shift, strict=True))
        known, composed = {before[-1].index: replace(start, channels=channels)}, list(before)
    for layer in layers:
        if layer.index in {done.index for done in composed}:
            continue
        if not all(i in known for i in layer.inputs):
            break
        if keras_front.is_front(layers, layer):
            front, behind = keras_front.read(layer, known[layer.inputs[0]].size)
            if not known[layer.inputs[0]].is_grey or not keras_front.is_mixing(front):
                entry = _entry(composed, known[layer.inputs[0]])
                return replace(entry, layers=(*entry.layers, layer), last=layer, front=front, stem_size=behind)
            pixels: Pixels | None = _convolved(known[layer.inputs[0]], front.conv)
        else:
            pixels = _apply(layer, known)
        if pixels is None:
            break
        known[layer.index] = pixels
        composed.append(layer)
    return _entry(composed, known[composed[-1].index])


def _entry(composed: list[Layer], pixels: Pixels) -> Entry:
    last, channels = composed[-1], pixels.channels
    if not pixels.is_whole:
        raise EdgedenseError(
            "red, green and blue once each behind the preprocessing",
            f"channels {[c.source for c in channels]} behind {last}",
            "let the network read all three channels",
        )
    affine = Affine(np.array([c.scale for c in channels]), np.array([c.shift for c in channels]))
    return Entry(
        pixels.steps,
        pixels.size,
        affine,
        tuple(c.source for c in channels),
        tuple(composed),
        last,
        pixels.is_grey,
        pixels.normalized,
        stem_size=pixels.size,
    )


def _convolved(pixels: Pixels, conv: Conv) -> Pixels:
    """Channels of a grey picture behind a 1x1 convolution."""
    scale, shift = keras_front.mixed(conv, *zip(*((c.scale, c.shift) for c in pixels.channels), strict=True))
    channels = tuple(Channel(0, float(s), float(t)) for s, t in zip(scale, shift, strict=True))
    return replace(pixels, channels=channels, before=pixels.before or pixels.channels)


def _apply(layer: Layer, known: dict[int, Pixels]) -> Pixels | None:
    """The layer's output; None when the layer is no preprocessing."""
    if layer.kind == "Pipeline":
        return _pipeline(layer, known)
    if layer.kind in keras_sizes.KINDS:
        pixels = known[layer.inputs[0]]
        return _stepped(pixels, keras_sizes.steps_of(layer, pixels.size), layer)
    if layer.kind in AFFINE_LAYERS:
        return _scaled(known[layer.inputs[0]], _layer_affine(layer), layer)
    if layer.kind in ARITHMETIC:
        return _arithmetic(layer, known)
    if layer.kind in REORDERING:
        return _reordered(layer, known)
    if layer.kind in REPEATING:
        return _repeated(known[layer.inputs[0]], layer)
    return None


def _pipeline(layer: Layer, known: dict[int, Pixels]) -> Pixels | None:
    """A row of layers that Keras calls as one; what only training does is left out."""
    pixels: Pixels | None = known[layer.inputs[0]]
    for inner in layer.operation.layers:
        if type(inner).__name__ not in AUGMENTATIONS and pixels is not None:
            part = replace(
                layer,
                name=f"{layer.name}/{inner.name}",
                kind=type(inner).__name__,
                options=inner.get_config(),
                weights=tuple(np.asarray(w) for w in inner.get_weights()),
                operation=inner,
            )
            pixels = _apply(part, {**known, layer.inputs[0]: pixels})
    return pixels


def _stepped(pixels: Pixels, new: tuple[Step, ...], layer: Layer) -> Pixels:
    """Pixels behind further steps of `layer`, whose borders are in the units that the pixels have there."""
    if not pixels.is_whole or not all(channel.scale for channel in pixels.channels):
        sources = [channel.source for channel in pixels.channels]
        raise EdgedenseError("cutting and resizing of red, green and blue together", f"{layer} of channels {sources}")
    steps = tuple(replace(step, fill=_undone(pixels, step.fill)) if isinstance(step, Pad) else step for step in new)
    return replace(pixels, steps=(*pixels.steps, *steps), size=size_behind(pixels.size, steps))


def _undone(pixels: Pixels, fill: Sequence[float]) -> tuple[float, float, float]:
    """The colour of the input that scale and shift turn into `fill`, which is the same in all channels."""
    if pixels.is_grey:
        levels = [(fill[0] - c.shift) / c.scale for c in pixels.channels]
        if not np.allclose(levels, levels[0], rtol=1e-6, atol=1e-6):
            raise EdgedenseError("a border of one grey level", f"one of {levels}", "put the border before the scaling")
        return levels[0], levels[0], levels[0]
    by_source = {c.source: (value - c.shift) / c.scale for c, value in zip(pixels.channels, fill, strict=True)}
    return by_source[0], by_source[1], by_source[2]


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
    """Applies scale and shift, each one number or one per channel; several numbers repeat a single channel."""
    count = len(pixels.channels)
    if count == 1 and not pixels.flat:
        count = max(affine.scale.size, affine.shift.size)
        pixels = replace(pixels, channels=pixels.channels * count)
    if affine.scale.size not in (1, count) or affine.shift.size not in (1, count):
        raise EdgedenseError(
            "one number, or one per channel", f"{max(affine.scale.size, affine.shift.size)} numbers in {layer}"
        )
    scale, shift = np.broadcast_to(affine.scale, count), np.broadcast_to(affine.shift, count)
    channels = zip(pixels.channels, scale, shift, strict=True)
    scaled = tuple(Channel(c.source, float(c.scale * s), float(c.shift * s + t)) for c, s, t in channels)
    return replace(pixels, channels=scaled)


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
    if any(other.steps != pixels.steps for other in inputs):
        raise EdgedenseError("channels that were cut and resized alike", f"{layer} of channels that were not")
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
        return replace(pixels, channels=tuple(p.channels[0] for p in inputs), flat=False)
    if pixels.flat:
        raise EdgedenseError("an image with channels", f"one channel in {layer}")
    keras_weights.require_channel_axis(layer)
    if layer.kind == "Concatenate":
        return replace(pixels, channels=tuple(c for p in inputs for c in p.channels))
    if layer.kind == "Flip":
        return replace(pixels, channels=pixels.channels[::-1])
    indices = options["indices"] if "indices" in options else layer.operands[1]
    chosen = np.asarray(indices)
    if chosen.ndim == 0:
        return replace(pixels, channels=(pixels.channels[int(chosen)],), flat=True)
    return replace(pixels, channels=tuple(pixels.channels[int(i)] for i in chosen.ravel()))


def _repeated(pixels: Pixels, layer: Layer) -> Pixels:
    """A single channel, repeated along the last axis by whatever operation."""
    count = layer.shape[-1] if len(layer.shape) == 4 else None
    is_same = tuple(layer.shape[1:3]) in (pixels.size, (None, None))
    if count in (None, 1) or not is_same or len(pixels.channels) != 1 or pixels.flat:
        raise EdgedenseError(
            "one channel that is repeated",
            f"{layer}, which makes {list(layer.shape)} of {len(pixels.channels)} channels",
        )
    return replace(pixels, channels=pixels.channels * int(count or 1))


def _require_float(layer: Layer) -> None:
    dtype = str(layer.options.get("dtype"))
    if "float" not in dtype:
        raise EdgedenseError("preprocessing in floating point", f"{layer} to {dtype}", "cast to float32")


def _sliced(pixels: Pixels, key: Any, layer: Layer) -> Pixels:
    """Indexing that cuts images or chooses channels: x[:, 8:-8], x[..., ::-1], x[:, :, :, 0], x[..., :3]."""
    parts = [_as_slice(part) for part in (key if isinstance(key, list | tuple) else [key])]
    rank = 3 if pixels.flat else 4
    missing = rank - sum(part is not Ellipsis for part in parts)
    if Ellipsis in parts:
        at = parts.index(Ellipsis)
        parts[at : at + 1] = [slice(None)] * missing
    else:
        parts += [slice(None)] * missing
    known = all(isinstance(part, slice | int) for part in parts)
    whole = all(isinstance(part, slice) and part.step in (None, 1) for part in parts[:3])
    if not known or len(parts) != rank or not whole or parts[0] != slice(None):
        raise EdgedenseError("an operation on channels before the stem", f"{layer}, which cuts {key}")
    if cut := keras_sizes.cropped(pixels.size, parts[1], parts[2]):
        pixels = _stepped(pixels, cut, layer)
    if pixels.flat:
        return pixels
    chosen = parts[3]
    if isinstance(chosen, slice):
        return replace(pixels, channels=pixels.channels[chosen])
    return replace(pixels, channels=(pixels.channels[int(chosen)],), flat=True)


def _as_slice(part: Any) -> Any:
    """Keras 2 writes a slice as a dict."""
    return slice(part["start"], part["stop"], part["step"]) if isinstance(part, dict) else part
