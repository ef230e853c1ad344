"""The parameters before the head -> stem, dense blocks and transitions, whose numbers the shapes tell.

What the weights cannot say is as in all of these libraries: strides, padding, pooling, and the norms' epsilon.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from edgedense.converters.network.graph import Affine, Array
from edgedense.converters.readers.assembly import LayerParts, TransitionParts, batch_norm
from edgedense.errors import EdgedenseError

EPSILON = 1e-5  # PyTorch's BatchNorm
_ONNX = "export it as ONNX (torch.onnx.export), which says how its layers are joined"
_NORM = ("weight", "bias", "running_mean", "running_var")


class Weights:
    """Arrays by name, each of which is taken once: what is left at the end belongs to another kind of network."""

    def __init__(self, arrays: Mapping[str, Array], source: str) -> None:
        self._left, self.source = dict(arrays), source

    def __contains__(self, name: str) -> bool:
        return name in self._left

    def numbers(self, before: str) -> tuple[int, ...]:
        """The numbers that stand behind `before` in names: 1, 2, 3 of "denseblock". EdgedenseError when one is
        missing between 1 and the last."""
        pattern = re.compile(re.escape(before) + r"(\d+)\.")
        found = sorted({int(match[1]) for name in self._left if (match := pattern.match(name))})
        if found != list(range(1, len(found) + 1)):
            listed = ", ".join(map(str, found))
            raise EdgedenseError(f"a DenseNet with {before}1 and so on", f"{before} {listed} in '{self.source}'", _ONNX)
        return tuple(found)

    def take(self, name: str, dimensions: int) -> Array:
        """The array of that name. EdgedenseError when there is none, it has another number of dimensions, or is not
        finite."""
        if name not in self._left:
            raise EdgedenseError(f"a DenseNet with the parameter {name}", f"none in '{self.source}'", _ONNX)
        array = self._left.pop(name)
        if array.ndim != dimensions:
            shape = " x ".join(map(str, array.shape))
            raise EdgedenseError(f"{dimensions} dimensions of {name}", f"{shape} in '{self.source}'", _ONNX)
        if not np.isfinite(array).all():
            raise EdgedenseError(
                "finite weights", f"NaN or infinity in {name}", "retrain, or take an earlier checkpoint"
            )
        return array

    def kernel(self, module: str, size: int) -> Array:
        """A convolution's kernel, [out, in, height, width] in the file, as [height, width, in, out]."""
        kernel = self.take(f"{module}.weight", 4).transpose(2, 3, 1, 0)
        if kernel.shape[:2] != (size, size):
            found = f"{kernel.shape[0]}x{kernel.shape[1]} in '{self.source}'"
            raise EdgedenseError(f"a {size}x{size} convolution as {module}", found, _ONNX)
        return kernel

    def norm(self, module: str) -> Affine:
        """A batch norm as scale and shift."""
        if f"{module}.running_mean" not in self and f"{module}.weight" in self:
            raise EdgedenseError(
                "batch norms, with running_mean and running_var",
                f"{module} without them in '{self.source}', as instance and group norms are",
                "a DenseNet with batch norms",
            )
        weight, bias, mean, variance = (self.take(f"{module}.{name}", 1) for name in _NORM)
        if not weight.size == bias.size == mean.size == variance.size or (variance < 0).any():
            found = f"{module} with other ones in '{self.source}'"
            raise EdgedenseError("a batch norm with four arrays of one size and a variance of 0 or more", found, _ONNX)
        return batch_norm(weight, bias, mean, variance, EPSILON)

    def refuse_rest(self) -> None:
        """EdgedenseError when something is left."""
        if self._left:
            names = list(self._left)
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            found = f"also {', '.join(names[:3])}{more} in '{self.source}'"
            raise EdgedenseError("the parameters of a DenseNet and its head alone", found, _ONNX)


def refuse_variants(body: Mapping[str, Array], source: str) -> None:
    """EdgedenseError, by name, for relatives that the same libraries have."""
    dimensions = body["conv0.weight"].ndim - 2
    if dimensions in (1, 3):
        what = "volumes (spatial_dims=3)" if dimensions == 3 else "signals (spatial_dims=1)"
        raise EdgedenseError("a network for pictures", f"one for {what} in '{source}'", "one with spatial_dims=2")
    if "conv2.weight" in body:
        raise EdgedenseError(
            "a stem of one 7x7 convolution",
            f"a deep stem of three convolutions in '{source}', as in timm's densenet121d and densenetblur121d",
            "densenet121",
        )
    if any(name.startswith("pool") for name in body):
        raise EdgedenseError(
            "a stem with maximum pooling", f"blur pooling in '{source}' (timm's aa_layer)", "a network without aa_layer"
        )


def blocks(weights: Weights) -> tuple[tuple[LayerParts, ...], ...]:
    """The layers of each dense block."""
    numbers = weights.numbers("denseblock")
    if not numbers:
        raise EdgedenseError("dense blocks", f"no denseblock1 in '{weights.source}'", _ONNX)
    return tuple(
        tuple(
            _layer(weights, f"denseblock{block}.denselayer{number}")
            for number in weights.numbers(f"denseblock{block}.denselayer")
        )
        for block in numbers
    )


def _layer(weights: Weights, name: str) -> LayerParts:
    return LayerParts(
        weights.norm(f"{name}.norm1"),
        weights.kernel(f"{name}.conv1", 1),
        weights.norm(f"{name}.norm2"),
        weights.kernel(f"{name}.conv2", 3),
    )


def transition(weights: Weights, number: int) -> TransitionParts:
    """The transition behind dense block `number`."""
    return TransitionParts(weights.norm(f"transition{number}.norm"), weights.kernel(f"transition{number}.conv", 1))
