"""One layer of a model, in Keras' words: what `matching` walks over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy.typing as npt

AUGMENTATIONS = frozenset(
    [
        "AugMix",
        "CutMix",
        "Equalization",
        "MixUp",
        "RandAugment",
        "RandomBrightness",
        "RandomColorDegeneration",
        "RandomColorJitter",
        "RandomContrast",
        "RandomElasticTransform",
        "RandomErasing",
        "RandomFlip",
        "RandomGaussianBlur",
        "RandomGrayscale",
        "RandomHeight",
        "RandomHue",
        "RandomInvert",
        "RandomPerspective",
        "RandomPosterization",
        "RandomRotation",
        "RandomSaturation",
        "RandomSharpness",
        "RandomShear",
        "RandomTranslation",
        "RandomWidth",
        "RandomZoom",
        "Solarization",
    ]
)


@dataclass(frozen=True)
class Ref:
    """Stands for the output of layer number `index` among the operands of a layer."""

    index: int


@dataclass(frozen=True)
class Layer:
    """One call of a Keras layer or operation.

    `name` is the layer's name, behind the names of the models that it is nested in. `kind` is its Keras 3
    class name. `operands` are the positional arguments (tensors as `Ref`, constants as they are), `keywords` those
    with a name, `inputs` the layers among them. `options` are the layer's configuration and keyword arguments.
    `shape` is the output's, None where it is open. `parameters` is Keras' own count; a layer that is called twice
    counts once. `operation` is the Keras object, and `output` tells which of the call's results is meant.
    """

    index: int
    name: str
    kind: str
    operands: tuple[Any, ...]
    inputs: tuple[int, ...]
    options: Mapping[str, Any]
    weights: tuple[npt.NDArray[Any], ...] = field(repr=False)
    shape: tuple[int | None, ...]
    parameters: int
    operation: Any = field(repr=False, compare=False, default=None)
    keywords: Mapping[str, Any] = field(default_factory=dict)
    output: int = 0

    def __str__(self) -> str:
        return f"layer '{self.name}' ({self.kind})"
