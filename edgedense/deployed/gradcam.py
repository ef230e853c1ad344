"""Grad-CAM of a deployed file in numpy: its last feature map, and the few layers behind it that score the classes.

With features A [h, w, C] and the logit y of a class, the heatmap is max(0, sum_c a_c A_c), where a_c is the mean over
all positions of dy / dA_c (Selvaraju et al., "Grad-CAM", 2017). Behind average pooling and one Dense that is the class
activation map (Zhou et al., "Learning Deep Features for Discriminative Localization", 2016) by 1 / (h w), exactly.
A scale of its own for each channel cancels: the equalized features and weights of a deployed file give the same map.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from edgedense.errors import EdgedenseError
from edgedense.images.preprocessing import Floats

ENTRY = "head.npz"  # in the archive of the deployed file
Function = Literal["relu", "relu6", "leaky_relu", "elu", "tanh", "swish", "sigmoid"]


class Step(Protocol):
    """A layer of the head, for one picture. Gradients [K, ...] are those of K sums of logits."""

    @property
    def is_linear(self) -> bool:
        """Whether the mean of its gradient over positions is the same for every picture. It is for a maximum, which
        hands each gradient to one position or another."""

    def forward(self, x: Floats) -> Floats:
        """Its output."""

    def backward(self, x: Floats, gradient: Floats) -> Floats:
        """From the gradient in its output to the one in its input `x`."""


@dataclass(frozen=True)
class Pool:
    """[h, w, C] -> [C]. Where several positions hold the maximum they share its gradient."""

    kind: Literal["avg", "max"]
    is_linear = True

    def forward(self, x: Floats) -> Floats:
        if self.kind == "max":
            return x.max(axis=(0, 1))
        positions = x.reshape(-1, x.shape[-1])
        return np.full(len(positions), 1 / len(positions), x.dtype) @ positions  # a mean takes twice as long

    def backward(self, x: Floats, gradient: Floats) -> Floats:
        share: npt.NDArray[Any] = np.ones_like(x) if self.kind == "avg" else (x == self.forward(x)).astype(x.dtype)
        return gradient[:, None, None, :] * (share / share.sum(axis=(0, 1)))


@dataclass(frozen=True)
class WindowPool:
    """[h, w, C] -> [h', w', C], without padding."""

    kind: Literal["avg", "max"]
    size: tuple[int, int]
    stride: tuple[int, int]
    is_linear = True

    def forward(self, x: Floats) -> Floats:
        windows = np.stack([x[place] for place in self._places(x)])
        return windows.mean(axis=0) if self.kind == "avg" else windows.max(axis=0)

    def backward(self, x: Floats, gradient: Floats) -> Floats:
        result = np.zeros((len(gradient), *x.shape), x.dtype)
        highest, places = self.forward(x), list(self._places(x))
        shares = [np.ones_like(highest) if self.kind == "avg" else (x[p] == highest).astype(x.dtype) for p in places]
        total = np.sum(shares, axis=0)
        for (rows, columns), share in zip(places, shares, strict=True):
            result[:, rows, columns] += gradient * (share / total)
        return result

    def _places(self, x: Floats) -> Iterator[tuple[slice, slice]]:
        """For each position within the window the rows and columns of `x` that it meets."""
        ends = [
            (length - size) // stride * stride + 1
            for length, size, stride in zip(x.shape, self.size, self.stride, strict=False)
        ]
        for i in range(self.size[0]):
            for j in range(self.size[1]):
                yield slice(i, i + ends[0], self.stride[0]), slice(j, j + ends[1], self.stride[1])


@dataclass(frozen=True)
class Flatten:
    """[h, w, C] -> [h * w * C]."""

    is_linear = True

    def forward(self, x: Floats) -> Floats:
        return x.reshape(-1)

    def backward(self, x: Floats, gradient: Floats) -> Floats:
        return gradient.reshape(len(gradient), *x.shape)


@dataclass(frozen=True)
class Dense:
    """[in] -> [out], x @ kernel + bias; `kernel` [in, out] in float32, or int8 with a `scale` [out]."""

    kernel: npt.NDArray[Any]
    bias: Floats
    scale: Floats | None = None
    is_linear = True

    def forward(self, x: Floats) -> Floats:
        return x @ self._weights + self.bias

    def backward(self, x: Floats, gradient: Floats) -> Floats:
        return gradient @ self._weights.T

    @cached_property
    def _weights(self) -> Floats:
        weights = self.kernel.astype(np.float32)
        return weights if self.scale is None else weights * self.scale


@dataclass(frozen=True)
class Affine:
    """x * scale + shift over the last axis."""

    scale: Floats
    shift: Floats
    is_linear = True

    def forward(self, x: Floats) -> Floats:
        return x * self.scale + self.shift

    def backward(self, x: Floats, gradient: Floats) -> Floats:
        return gradient * self.scale


@dataclass(frozen=True)
class Nonlinear:
    """An elementwise function; `alpha` is the slope of leaky_relu below zero."""

    function: Function
    alpha: float = 0.0
    is_linear = False

    def forward(self, x: Floats) -> Floats:
        return {
            "relu": lambda: np.maximum(x, 0),
            "relu6": lambda: np.clip(x, 0, 6),
            "leaky_relu": lambda: np.where(x > 0, x, self.alpha * x),
            "elu": lambda: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
            "tanh": lambda: np.tanh(x),
            "swish": lambda: x * _sigmoid(x),
            "sigmoid": lambda: _sigmoid(x),
        }[self.function]()

    def backward(self, x: Floats, gradient: Floats) -> Floats:
        return gradient * self._slope(x)

    def _slope(self, x: Floats) -> Floats:
        return {
            "relu": lambda: x > 0,
            "relu6": lambda: (x > 0) & (x < 6),
            "leaky_relu": lambda: np.where(x > 0, 1, self.alpha),
            "elu": lambda: np.where(x > 0, 1, np.exp(np.minimum(x, 0))),
            "tanh": lambda: 1 - np.tanh(x) ** 2,
            "swish": lambda: _sigmoid(x) * (1 + x * _sigmoid(-x)),
            "sigmoid": lambda: _sigmoid(x) * _sigmoid(-x),
        }[self.function]().astype(x.dtype)


def _sigmoid(x: Floats) -> Floats:
    return 0.5 * (1 + np.tanh(0.5 * x))


@dataclass(frozen=True)
class Head:
    """The layers from the last feature map to the logits."""

    steps: tuple[Step, ...]

    @property
    def outputs(self) -> int:
        """How many logits there are: 1 for two classes, of which it is the second's."""
        return int([step for step in self.steps if isinstance(step, Dense)][-1].bias.size)

    def heatmaps(self, features: Floats, classes: Sequence[int]) -> Floats:
        """Grad-CAM [K, h, w] >= 0, float32, of K `classes` for `features` float32 [h, w, C]."""
        maps = self._weights(features, classes) @ features.reshape(-1, features.shape[-1]).T
        return np.maximum(maps, 0).reshape(-1, *features.shape[:2])

    def _weights(self, features: Floats, classes: Sequence[int]) -> Floats:
        """a [K, C]: the mean gradient in each channel."""
        if not self._is_linear:
            return self._mean_gradient(features, self._seeds(classes))
        key = features.shape
        if key not in self._constant:  # of every class, the same for every picture
            every = self._seeds(range(max(self.outputs, 2)))
            self._constant[key] = self._mean_gradient(np.zeros_like(features), every)
        return self._constant[key][list(classes)]

    def _mean_gradient(self, features: Floats, seeds: Floats) -> Floats:
        inputs = [features]
        for step in self.steps[:-1]:
            inputs.append(step.forward(inputs[-1]))
        gradient = seeds
        for step, x in zip(self.steps[:0:-1], inputs[:0:-1], strict=True):
            gradient = step.backward(x, gradient)
        if isinstance(self.steps[0], Pool):  # spreads a channel's gradient over its positions: their mean is at hand
            return gradient / np.float32(features.shape[0] * features.shape[1])
        return self.steps[0].backward(features, gradient).mean(axis=(1, 2))

    def _seeds(self, classes: Sequence[int]) -> Floats:
        """Which sum of logits belongs to each class, [K, outputs]."""
        if self.outputs == 1:
            return np.array([[1.0 if number == 1 else -1.0] for number in classes], np.float32)
        return np.eye(self.outputs, dtype=np.float32)[list(classes)]

    @cached_property
    def _is_linear(self) -> bool:
        return all(step.is_linear for step in self.steps)

    @cached_property
    def _constant(self) -> dict[tuple[int, ...], Floats]:
        return {}

    def to_bytes(self) -> bytes:
        """The archive entry: the steps by name, and each step's arrays by its number. The same head, the same bytes."""
        names, arrays = [], {}
        for number, step in enumerate(self.steps):
            names.append(_named(step))
            arrays.update({f"{number}_{field}": array for field, array in _arrays(step)})
        file = io.BytesIO()
        np.savez_compressed(file, steps=np.array(names), **arrays)  # type: ignore[arg-type]
        return file.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> Head:
        """What `to_bytes` wrote. Raises EdgedenseError when it is damaged."""
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as file:
                return cls(tuple(_step(str(name), number, file) for number, name in enumerate(file["steps"])))
        except (OSError, ValueError, KeyError, EOFError, IndexError, zipfile.BadZipFile, zlib.error) as error:
            raise EdgedenseError(
                f"the classifier's last layers in the entry {ENTRY}", str(error), "convert the model again"
            ) from error


def _named(step: Step) -> str:
    if isinstance(step, Pool):
        return f"pool {step.kind}"
    if isinstance(step, WindowPool):
        return " ".join(["window", step.kind, *map(str, (*step.size, *step.stride))])
    if isinstance(step, Nonlinear):
        return f"nonlinear {step.function} {step.alpha!r}"
    return type(step).__name__.lower()


def _arrays(step: Step) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    if isinstance(step, Dense | Affine):
        for field in step.__dataclass_fields__:
            if getattr(step, field) is not None:
                yield field, getattr(step, field)


def _step(name: str, number: int, arrays: Any) -> Step:
    kind, *words = name.split()
    fields = {
        field: arrays[f"{number}_{field}"]
        for field in ("kernel", "bias", "scale", "shift")
        if f"{number}_{field}" in arrays
    }
    if kind == "pool":
        return Pool(*words)  # type: ignore[arg-type]
    if kind == "window":
        h, w, down, across = map(int, words[1:])
        return WindowPool(words[0], (h, w), (down, across))  # type: ignore[arg-type]
    if kind == "nonlinear":
        return Nonlinear(words[0], float(words[1]))  # type: ignore[arg-type]
    if kind in ("dense", "affine"):
        return (Dense if kind == "dense" else Affine)(**fields)
    if kind != "flatten":
        raise ValueError(f"a step called {kind}")
    return Flatten()
