"""The trained model as the reference that a deployed file is compared with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from edgedense.converters.opening import Opening
from edgedense.converters.readers import door
from edgedense.converters.readers.scores import settled
from edgedense.converters.readers.source import Source
from edgedense.images.preprocessing import NORMALIZATIONS, Preprocessing
from edgedense.measures.temperature import tempered
from edgedense.measures.validation import Model


def reference(
    model: Any, preprocessing: Preprocessing, opening: Opening | None = None, temperature: float = 1.0
) -> tuple[Model, Source]:
    """(a trained model, at a path or in memory, as a model under test, and what was read).

    It gets the pixels that the deployed file gets, normalized as the recipe says: the deployed graph does
    that itself. Where the model cuts or resizes them itself, it gets them before that. `opening` is how the recipe
    says that the model was opened; its size is that of `preprocessing`. By `temperature` the file's logits were
    divided: the model's are too, so that what is left of a difference was lost.

    Raises EdgedenseError when the model cannot be read.
    """
    opening = (opening or Opening()).at((preprocessing.height, preprocessing.width))
    source, _ = settled(door.read(model, opening), opening.activation)
    mean, std = (np.array(values, np.float32) for values in NORMALIZATIONS[preprocessing.normalize])

    def predict(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        scores = source.predict((pixels.astype(np.float32) - mean) / std)
        if temperature == 1:
            return scores
        return tempered(scores, str(source.activation), temperature).astype(np.float32)

    return Model(source.name, replace(preprocessing, steps=()), predict), source


def is_source(source: Source, recipe: Mapping[str, Any]) -> bool:
    """Whether a deployed file was made from `source`, as far as its `recipe` says."""
    recorded = recipe.get("source", {})
    if recorded.get("hashed", "file") != source.hashed:  # a file and a model in memory cannot be compared
        return True
    return recorded.get("sha256") in (None, source.sha256)
