"""Layers in front of the stem that hold code of their own, understood by what they do to random pixels.

A Lambda layer can be run and not read. If all that stands between the input and the stem gives, on random pixels,
one scale and one shift per channel, that is the normalization; everything else is refused with what was seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edgedense.converters.readers.structure.layers import Layer, Ref
from edgedense.errors import EdgedenseError

TOLERANCE = 1e-6  # of the largest value; float32 rounds three operations in a row to about 2e-7
SEED = 0
# (lowest, highest) pixel of each random picture. Each is computed alone, so that what depends on a picture's own
# brightness or on its neighbours in a batch cannot look like one scale for all.
_PICTURES = ((0, 255), (0, 255), (60, 200), (0, 20), (200, 255))
_DIGITS = 7  # that float32 can tell apart: the last bits of a fit would make other bytes on another machine
_COLOURS = ("red", "green", "blue")

Floats = npt.NDArray[np.float64]


def before_stem(layers: Sequence[Layer]) -> tuple[Layer, ...]:
    """The input and all layers that the first convolution, or the padding in front of it, reads through."""
    stem = next((layer for layer in layers if layer.kind in ("Conv2D", "ZeroPadding2D") and layer.inputs), None)
    if stem is None:
        return ()
    needed, waiting = {layers[0].index}, [stem.inputs[0]]
    while waiting:
        index = waiting.pop()
        if index not in needed:
            needed.add(index)
            waiting += layers[index].inputs
    return tuple(layer for layer in layers if layer.index in needed)


def has_code(layers: Sequence[Layer]) -> bool:
    """Whether one of the layers can be run and not read."""
    return any(layer.kind == "Lambda" for layer in layers)


def fit(layers: Sequence[Layer], size: tuple[int, int]) -> tuple[Floats, Floats, tuple[int, ...]]:
    """(scale [C], shift [C], order) of `layers`, the input first, on pictures of `size`: behind them channel c is
    scale[c] * pixel[order[c]] + shift[c]. Of a grey picture there may be several, all of its one channel.

    EdgedenseError, telling what was seen, when that does not hold to TOLERANCE.
    """
    pixels = _pictures(layers[0], size)
    values = np.concatenate([_run(layers, picture[None]) for picture in pixels])
    sources, count = pixels.shape[-1], values.shape[-1]
    x, y = pixels.reshape(-1, sources).astype(np.float64), values.reshape(-1, count)
    limit = TOLERANCE * max(float(np.abs(y).max()), 1e-30)
    mixed = np.linalg.lstsq(np.column_stack([x / 255, np.ones(len(x))]), y, rcond=None)[0]
    order = tuple(int(source) for source in np.abs(mixed[:sources]).argmax(axis=0))
    scale, shift = np.empty(count), np.empty(count)
    for channel, source in enumerate(order):
        line = np.linalg.lstsq(np.column_stack([x[:, source] / 255, np.ones(len(x))]), y[:, channel], rcond=None)[0]
        scale[channel], shift[channel] = _rounded(line[0] / 255), _rounded(line[1])
    error = float(np.abs(scale * x[:, order] + shift - y).max())
    if not error <= limit:  # written so that a NaN is refused too
        raise _refusal(layers, _seen(mixed, x, y, limit))
    if np.abs(scale).max() * 255 <= limit:
        raise _refusal(layers, "values that do not depend on the picture")
    return _exact(scale, 1.0, limit / 255), _exact(shift, 0.0, limit), order


def _pictures(first: Layer, size: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Random pictures [N, height, width, C]: whole levels where the model takes integers, any values elsewhere."""
    random = np.random.default_rng(SEED)
    made = np.stack([random.uniform(low, high, (*size, int(first.shape[3] or 0))) for low, high in _PICTURES])
    return (np.round(made) if "int" in str(first.options.get("dtype")) else made).astype(np.float32)


def _run(layers: Sequence[Layer], picture: npt.NDArray[np.float32]) -> Floats:
    """What the last of `layers` gives for a picture [1, height, width, C]."""
    first, known = layers[0], {}
    known[first.index] = _as_input(first, picture)

    def value(operand: Any) -> Any:
        if isinstance(operand, Ref):
            return known[operand.index]
        return tuple(map(value, operand)) if isinstance(operand, tuple) else operand

    for layer in layers[1:]:
        keywords = {name: value(operand) for name, operand in layer.keywords.items()}
        try:
            known[layer.index] = layer.operation(*map(value, layer.operands), **keywords)
        except Exception as error:  # whatever the code in the file raises
            said = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
            raise EdgedenseError(
                "preprocessing that runs here",
                f"{layer}, which ends with {said}",
                "save the model with the versions of Python and Keras that are installed here",
            ) from error
    result = np.asarray(known[layers[-1].index], np.float64)
    is_same = result.shape == picture.shape or (picture.shape[3] == 1 and result.shape[:3] == picture.shape[:3])
    if not is_same or result.ndim != 4:
        raise _refusal(layers, f"a picture of shape {list(picture.shape)} that becomes {list(result.shape)}")
    return result


def _as_input(first: Layer, picture: npt.NDArray[np.float32]) -> Any:
    import tensorflow as tf

    return tf.constant(picture.astype(str(first.options.get("dtype") or "float32")))


def _seen(mixed: Floats, x: Floats, y: Floats, limit: float) -> str:
    """What the values are, where they are no scale and shift of one channel each."""
    if not np.isfinite(y).all():
        return "values that are no numbers"
    error = float(np.abs(np.column_stack([x / 255, np.ones(len(x))]) @ mixed - y).max())
    if error <= limit and x.shape[1] == 3:
        shares = [f"{mixed[source, 0] / 255:+.4g} {colour}" for source, colour in enumerate(_COLOURS)]
        return f"channels that mix colours: the first is {' '.join(shares)} {mixed[3, 0]:+.4g}"
    return (
        f"values that differ from the nearest scale and shift by up to {error:.3g} (they reach {np.abs(y).max():.3g})"
    )


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")


def _exact(values: Floats, neutral: float, limit: float) -> Floats:
    """The values, those that cannot be told from `neutral` being it."""
    return np.where(np.abs(values - neutral) <= limit, neutral, values)


def _refusal(layers: Sequence[Layer], found: str) -> EdgedenseError:
    code = " and ".join(str(layer) for layer in layers if layer.kind == "Lambda")
    return EdgedenseError(
        f"one scale and one shift per colour in front of the stem, to {TOLERANCE:g}",
        f"{found}, on random pixels behind {code}",
        "take the layer out, and prepare the pictures as it does before they are classified",
    )
