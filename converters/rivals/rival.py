"""`make()`: a rival, trained and converted to the int8 file that somebody would have had in place of a DenseNet's."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from edgedense.converters.network.full_integer import full_integer
from edgedense.converters.readers.keras import files as keras_files
from edgedense.converters.recovery import Course, RecoverySpec
from edgedense.converters.recovery.checkpoint import make_folder
from edgedense.converters.rivals import networks
from edgedense.converters.rivals.lessons import Lesson
from edgedense.converters.rivals.networks import STEP, ZERO
from edgedense.converters.rivals.options import EPOCHS, title
from edgedense.converters.rivals.training import epochs_within, train
from edgedense.errors import EdgedenseError
from edgedense.files import write_atomically
from edgedense.images.preprocessing import Pixels

LEARNING_RATE = 0.003
STOCK = "TFLiteConverter, full integer, representative dataset"


@dataclass(frozen=True)
class Rival:
    """A network beside the pruned DenseNets.

    `file` is its .tflite: uint8 pixels in, as the DenseNet's files take them, float32 scores out. `parameters` is how
    many weights it has. `recipe` says how it was made; `course` what training gave, None for a file that was trained
    elsewhere.
    """

    name: str
    file: bytes
    parameters: int
    recipe: dict[str, Any]
    course: Course | None = None


def spec_of(epochs: int = EPOCHS, seed: int = 0) -> RecoverySpec:
    """How rivals are trained: the recovery's schedule, longer, because they begin with nothing."""
    return RecoverySpec(epochs=epochs, learning_rate=LEARNING_RATE, seed=seed)


def make(
    name: str,
    learned: Lesson,
    pixels: Pixels,
    spec: RecoverySpec | None = None,
    work: Path | None = None,
    minutes: float | None = None,
) -> Rival:
    """Train the network `name`, one of `options.RIVALS`, and convert it.

    `pixels` uint8 [N, H, W, C] are the calibration pictures. In the folder `work` each epoch is kept, and so are the
    epochs that fitted into `minutes`: a call that was killed goes on. The same input gives the same bytes on the same
    machine, but for the choice by `minutes`. Raises EdgedenseError for pictures that are too small for the network,
    and for a `work` folder of another run.
    """
    spec = spec or spec_of()
    model = networks.build(name, learned.pictures.pixels.shape[1:], learned.logits.shape[-1], spec.seed)
    if minutes is not None:
        spec = replace(spec, epochs=_planned(model, learned, spec, minutes, work))
    course = train(model, learned, spec, None if work is None else work / f"{name}.npz")
    file = _converted(model, learned.activation, pixels)
    known = int((learned.pictures.labels >= 0).sum())
    recipe = {
        "converter": STOCK,
        "network": name,
        "training": {
            **asdict(spec),
            "best_epoch": course.best,
            "pictures": len(learned.pictures.pixels),
            "labelled": known,
            "sha256": learned.pictures.sha256,
        },
    }
    return Rival(name, file, int(model.count_params()), recipe, course)


def untrained(name: str, shape: tuple[int, int, int], outputs: int, activation: str, pixels: Pixels) -> bytes:
    """The file of the network `name` before it has learned anything. It has the operators of the one to come.

    Raises EdgedenseError for pictures that are too small for the network.
    """
    return _converted(networks.build(name, shape, outputs, 0), activation, pixels)


def _converted(model: Any, activation: str, pixels: Pixels) -> bytes:
    return full_integer(networks.scoring(model, activation), to_the_ends(pixels), lambda x: (x - ZERO) / STEP)


def _planned(model: Any, learned: Lesson, spec: RecoverySpec, minutes: float, work: Path | None) -> int:
    """How many epochs fit into so many minutes, as it was found at the first time."""
    if work is None:
        return epochs_within(model, learned, spec, minutes)
    make_folder(work)
    path, asked = work / f"{model.name}.json", {"minutes": minutes, "epochs": spec.epochs, "lesson": learned.sha256}
    try:
        found = json.loads(path.read_text("utf-8"))
        if found["asked"] == asked:
            return int(found["planned"])
    except (OSError, ValueError, KeyError, TypeError):
        pass  # there is none, or one that is not whole: it is found again
    planned = epochs_within(model, learned, spec, minutes)
    write_atomically(path, json.dumps({"asked": asked, "planned": planned}).encode())
    return planned


def convert_own(path: Path, shape: tuple[int, int, int], outputs: int, pixels: Pixels) -> Rival:
    """Convert the Keras file of a rival that was trained elsewhere, as it is.

    Raises EdgedenseError for a file that cannot be read, and for a network that does not take pictures of `shape`
    (height, width, channels) or does not give `outputs` scores.
    """
    opened = keras_files.open_model(path)
    takes, gives = opened.model.input_shape[1:], opened.model.output_shape[1:]
    if takes != shape or gives != (outputs,):
        raise EdgedenseError(
            f"a network for pictures of {_size(shape)} with {outputs} scores, as the DenseNet has them",
            f"{path.name}, which takes {_size(takes)} and gives {_size(gives)}",
            "train it at that size and on the same classes",
        )
    file = full_integer(opened.model, to_the_ends(pixels))
    recipe = {"converter": STOCK, "network": path.name, "sha256": opened.sha256}
    return Rival(title(path.name), file, int(opened.model.count_params()), recipe)


def _size(shape: tuple[int | None, ...]) -> str:
    return "x".join("any" if side is None else str(side) for side in shape)


def to_the_ends(pixels: Pixels) -> Pixels:
    """Calibration pictures of which one has a black and one a white pixel: the converter takes the range of the input
    from them, and a pixel is to be one level of it whatever pictures come."""
    if pixels.min() == 0 and pixels.max() == 255:
        return pixels
    pixels = pixels.copy()
    pixels[0, 0, 0], pixels[0, -1, -1] = 0, 255
    return pixels
