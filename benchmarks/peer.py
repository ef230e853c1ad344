"""A peer: one way from a trained Keras model to a file, and the runtime that runs the file."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgedense.images.preprocessing import Pixels, Preprocessing

EXTRA = "pip install 'edgedense[convert,bench]'"


@dataclass(frozen=True)
class Job:
    """What every peer converts: the model, the calibration pictures, how they become its input, where to write."""

    model: Path
    calibration: Path
    images: int  # calibration pictures, at most
    preprocessing: Preprocessing
    folder: Path
    trust: bool = False  # whether code that the model's file holds is run

    def keras_model(self) -> object:
        """The model in memory, `keras.Model` or `tf_keras.Model`."""
        from edgedense.converters.opening import Opening
        from edgedense.converters.readers.keras.files import open_model

        return open_model(self.model, Opening(trust=self.trust)).model

    def samples(self) -> Iterator[npt.NDArray[np.float32]]:
        """The calibration pictures that edgedense takes too, as the Keras model wants them: float32 [1, h, w, 3]."""
        from edgedense.converters.calibration.normalization import normalized
        from edgedense.converters.calibration.pictures import read_calibration

        for pixels in read_calibration(self.calibration, self.preprocessing, self.images).pixels:
            yield normalized(pixels[None], self.preprocessing.normalize)

    def to_json(self) -> str:
        return json.dumps(
            {**asdict(self), "model": str(self.model), "calibration": str(self.calibration), "folder": str(self.folder)}
        )

    @classmethod
    def from_json(cls, text: str) -> Job:
        entry = json.loads(text)
        return cls(
            Path(entry["model"]),
            Path(entry["calibration"]),
            entry["images"],
            Preprocessing.from_dict(entry["preprocessing"]),
            Path(entry["folder"]),
            entry["trust"],
        )


@dataclass(frozen=True)
class Runner:
    """A loaded file. `prepare`: uint8 [h, w, 3] -> what the file takes, never timed. `infer`: that -> scores
    float32 [classes], timed: the input copied in, one inference, the output copied out."""

    prepare: Callable[[Pixels], np.ndarray]
    infer: Callable[[np.ndarray], np.ndarray]

    def score(self, pixels: Pixels) -> np.ndarray:
        return self.infer(self.prepare(pixels))


@dataclass(frozen=True)
class Peer:
    """`settings` tells how it is used; `converters` and `runtimes` are the distributions' modules that each half
    imports; `convert` returns the file it wrote; `load` takes the file, the preprocessing and a number of threads."""

    name: str
    title: str
    settings: str
    converters: tuple[str, ...]
    runtimes: tuple[str, ...]
    convert: Callable[[Job], Path]
    load: Callable[[Path, Preprocessing, int], Runner]

    def missing(self) -> str:
        """Why it has to be skipped: the modules that are not installed and the command that installs them; or ""."""
        wanted = dict.fromkeys((*self.converters, *self.runtimes))
        absent = [module for module in wanted if importlib.util.find_spec(module) is None]
        return f"needs {', '.join(absent)}: {EXTRA}" if absent else ""


def normalizer(preprocessing: Preprocessing) -> Callable[[Pixels], npt.NDArray[np.float32]]:
    """uint8 [h, w, 3] -> float32 [1, h, w, 3] as the Keras model was trained with."""
    from edgedense.converters.calibration.normalization import normalized

    return lambda pixels: normalized(pixels[None], preprocessing.normalize)
