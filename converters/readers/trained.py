"""The trained model at the size that it was trained with: what every file made of it is compared with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from edgedense.converters.calibration import normalization
from edgedense.converters.opening import Opening
from edgedense.converters.readers import door
from edgedense.converters.readers.scores import settled
from edgedense.converters.readers.source import Source
from edgedense.images.in_memory import Picture
from edgedense.images.preprocessing import Normalization, Pixels, Preprocessing, load_image
from edgedense.progress import progress

BATCH = 16  # pictures scored at once


@dataclass(frozen=True)
class Trained:
    """The model and how its training prepared pictures. `resized`: what is deployed takes pictures of another size.

    What the model itself does to a picture's size is not in this `preprocessing`, but in that of what is deployed.
    """

    source: Source
    preprocessing: Preprocessing
    resized: bool

    def load(self, paths: Sequence[Picture], what: str) -> Pixels:
        """Pictures as the training saw them, uint8 [N, height, width, C]."""
        with progress(f"reading {what} pictures", len(paths)) as tick:
            rows = []
            for path in paths:
                rows.append(load_image(path, self.preprocessing))
                tick(1)
        return np.stack(rows)

    def predict(self, pixels: Pixels) -> np.ndarray:
        """The model's scores [N, classes] of what `load` gives."""
        with progress("scoring the float model", len(pixels)) as tick:
            parts = []
            for start in range(0, len(pixels), BATCH):
                parts.append(self.score(pixels[start : start + BATCH], self.preprocessing.normalize))
                tick(len(parts[-1]))
        return np.concatenate(parts)

    def score(self, pixels: Pixels, normalize: Normalization) -> np.ndarray:
        """The model's scores of a few pictures with a normalization that may be another."""
        return self.source.predict(normalization.normalized(pixels, normalize))


def trained(
    model: Any, source: Source, preprocessing: Preprocessing, opening: Opening, shorter_side: int | None = None
) -> Trained:
    """The model as it was trained; `source`, `preprocessing` and `opening` are those of what is deployed, and
    `shorter_side` is that of the training's pictures."""
    own = source.trained_size
    outside = replace(preprocessing, steps=())
    if own is None or own == (preprocessing.height, preprocessing.width):
        return Trained(source, outside, resized=False)
    whole, _ = settled(door.read(model, opening.at(None)), opening.activation)
    return Trained(whole, replace(outside, height=own[0], width=own[1], shorter_side=shorter_side), resized=True)
