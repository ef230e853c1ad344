"""The trained Keras model as the reference that a deployed file is compared with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgedense.converters.readers.keras import reader as keras_reader
from edgedense.converters.readers.probabilities import with_probabilities
from edgedense.images.preprocessing import NORMALIZATIONS, Preprocessing
from edgedense.measures.validation import Model


def reference(path: Path | str, preprocessing: Preprocessing) -> tuple[Model, str]:
    """(the Keras model at `path` as a model under test, the SHA-256 of its file).

    It gets the pixels that the deployed file gets, normalized as the recipe says: the deployed graph does
    that itself. Raises EdgedenseError when the model cannot be read.
    """
    source, _ = with_probabilities(keras_reader.read(path, (preprocessing.height, preprocessing.width)))
    mean, std = (np.array(values, np.float32) for values in NORMALIZATIONS[preprocessing.normalize])

    def predict(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        return source.predict((pixels.astype(np.float32) - mean) / std)

    return Model(Path(path).name, preprocessing, predict), source.sha256
