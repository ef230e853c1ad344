"""`edgedense.convert`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgedense.api.values import check_choices, labels_of, with_values
from edgedense.notes import tell
from edgedense.progress import Progress, reporting

if TYPE_CHECKING:
    from edgedense.converters.calibration.pictures import CalibrationLike
    from edgedense.converters.conversion import Conversion
    from edgedense.converters.options import Options
    from edgedense.images.pictures import LabelledLike


def convert(
    model: Any,
    calibration: CalibrationLike,
    *,
    labels: Path | str | Sequence[str] | None = None,
    validation: LabelledLike | None = None,
    options: Options | None = None,
    progress: Progress | None = None,
    **values: Any,
) -> Conversion:
    """Turn a trained DenseNet into one int8 file. Writes nothing: see `Conversion.save`.

    `model` is a path (`.keras`, `.h5`, a Keras SavedModel folder, `.onnx`, or PyTorch weights: `.safetensors`, `.pth`,
    `.pt`, `.bin`, `.ckpt`), the name of weights that Keras offers (`densenet121:imagenet`), or a `keras.Model` or
    `tf_keras.Model` in memory, which is not changed.

    `calibration` are 100 to 300 pictures like those the camera will see: a folder, a table (`Table`, or the path
    of a .csv or .tsv file), or an iterable of paths, of arrays uint8 [H, W, 3] in RGB or of PIL images, of any size.
    With a sub-folder per class, one label in each row, or as pairs (picture, class name), they also name the labels and
    check the preprocessing. Of a generator the first `calibration_images` pictures are taken, of anything else as many,
    evenly. Of a table with splits that names none, `train` is taken.

    `labels` are the class names in the order of the model's outputs, or a text file with one per line. `validation` are
    labelled pictures on which `max_drop` is kept, thresholds are chosen (`operating_point`) and the temperature is
    fitted (`calibrate_confidence`): a folder with a sub-folder per class, a table, or pairs (picture,
    label). Of a table with splits that names none, `val`, `valid` or `validation` is taken.

    What else can be chosen is listed by `Options`, which is given as `options`, by keyword, or both:
    `convert(model, pictures, target="coral", prune_channels=0.5)`.

    `progress` is called with a step's name, how many of its pieces are done, and how many there are. Remarks are logged
    by the logger `edgedense`, and kept in `Conversion.notes`.

    Raises EdgedenseError when the model is no DenseNet, the pictures are unusable, options do not go together, or
    labelled pictures show that the model was trained with another preprocessing; its subclass GateError when no
    attempt keeps `max_drop`; TypeError for an unknown option.
    """
    from edgedense.converters import pipeline
    from edgedense.converters.options import Options

    chosen = with_values(options or Options(), values)
    check_choices(chosen)
    with reporting(progress):
        result = pipeline.convert(model, calibration, labels_of(labels), chosen, validation)
    tell(result.notes)
    return result
