"""Noise, layer by layer: where in a network did precision go?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
LayerNoise = tuple[tuple[str, float], ...]  # (layer, signal-to-noise ratio in dB), from input to output

CEILING = 120.0  # dB; what equal layers are said to have, so that the figure stays finite
SUDDEN = 10.0  # dB by which a layer must be worse than all before it to stand out,
POOR = 15.0  # and what it must be below: int8 layers have 20 and more, the first one falls from infinity to 45


def signal_to_noise(signal: float, noise: float) -> float:
    """10 log10(sum x^2 / sum (y - x)^2) in dB, from the two sums: of the reference x squared and of the difference
    squared. Between -CEILING and CEILING."""
    if noise <= 0:
        return CEILING
    return float(np.clip(10 * np.log10(max(signal, 1e-300) / noise), -CEILING, CEILING))


def layer_outputs(interpreter: Any, pixels: npt.NDArray[np.uint8]) -> Iterator[tuple[str, Floats]]:
    """(tensor name, real values) of each operator's output for `pixels` [1, height, width, 3], in order.

    The interpreter of TensorFlow Lite must keep its tensors (`experimental_preserve_all_tensors`) and run without
    delegates, which hide theirs. Nothing where the runtime cannot list its operators.
    """
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], pixels)
    interpreter.invoke()
    details = {tensor["index"]: tensor for tensor in interpreter.get_tensor_details()}
    for operator in getattr(interpreter, "_get_ops_details", list)():
        for index in operator["outputs"]:
            scale, zero_point = details[index]["quantization"]
            values = interpreter.get_tensor(index).astype(np.float64)
            yield details[index]["name"], (values - zero_point) * scale if scale else values


class NoiseMeter:
    """Sums up signal and noise per layer over any number of pictures."""

    def __init__(self) -> None:
        self._sums: dict[str, tuple[float, float]] = {}

    def add(self, layer: str, reference: npt.ArrayLike, found: npt.ArrayLike) -> None:
        """Count one output of `layer`: what it should be and what it is, of one shape."""
        x, y = np.asarray(reference, np.float64), np.asarray(found, np.float64)
        signal, noise = self._sums.get(layer, (0.0, 0.0))
        self._sums[layer] = signal + float(np.sum(x**2)), noise + float(np.sum((y - x) ** 2))

    def result(self) -> LayerNoise:
        """The ratio of each layer, in the order of their first appearance."""
        return tuple((layer, signal_to_noise(*sums)) for layer, sums in self._sums.items())


def between(first: Any, second: Any, pictures: Iterable[npt.NDArray[np.uint8]]) -> LayerNoise:
    """The noise of the second interpreter's layers against the first's, of one name and shape in both, over
    `pictures`, each uint8 [1, height, width, 3]. See `layer_outputs` for the interpreters."""
    meter = NoiseMeter()
    for picture in pictures:
        references, founds = (list(layer_outputs(one, picture)) for one in (first, second))
        if [name for name, _ in references] != [name for name, _ in founds]:  # other operators: pair what is in both
            known = dict(references)
            references = [(name, known.get(name, found[:0])) for name, found in founds]
        for (name, reference), (_, found) in zip(references, founds, strict=True):
            if reference.shape == found.shape:
                meter.add(name, reference, found)
    return meter.result()


def sudden_fall(layers: LayerNoise) -> str | None:
    """The first layer that is worse than all layers before it by more than SUDDEN, and worse than POOR; None where
    noise grows gradually."""
    worst = np.inf
    for name, value in layers:
        if value < min(worst - SUDDEN, POOR) and np.isfinite(worst):
            return name
        worst = min(worst, value)
    return None
