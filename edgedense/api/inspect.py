"""`edgedense.inspect` and `edgedense.inspect_layers`: what a model is made of, and where a file lost precision."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgedense.progress import Progress, reporting

if TYPE_CHECKING:
    from edgedense.converters.opening import Between
    from edgedense.converters.readers.summary import Summary
    from edgedense.device.engines.contents import DeployedFile
    from edgedense.images.pictures import PicturesLike
    from edgedense.measures.layer_noise import LayerNoise


def inspect(
    model: Any,
    *,
    size: tuple[int, int] | None = None,
    output: str | None = None,
    head_activation: Between | None = None,
    architecture: str | None = None,
    trust: bool = False,
) -> Summary | DeployedFile:
    """Show what a model is made of.

    Of a trained model (a path, a name such as `densenet121:imagenet`, or a Keras model in memory) its blocks with
    output shapes, parameters and multiply-accumulates: a `Summary`. `size` is the height and width of its input in
    pixels, in place of its own or where it has none; `output`, `head_activation`, `architecture` and `trust` are as in
    `Opening`. Of a `.tflite` file its operators, inputs and outputs, labels and recipe: a `DeployedFile`.

    Raises EdgedenseError when the model cannot be read or is no DenseNet.
    """
    if is_deployed(model):
        from edgedense.device.engines.contents import read

        return read(model)
    from edgedense.converters.opening import Opening
    from edgedense.converters.readers import door
    from edgedense.converters.readers.summary import summarize

    opening = Opening(size, trust, output, head_activation=head_activation, architecture=architecture)
    return summarize(door.read(model, opening))


def inspect_layers(
    file: Path | str,
    reference: Any,
    data: PicturesLike,
    *,
    noise_images: int = 16,
    trust: bool = False,
    progress: Progress | None = None,
) -> LayerNoise:
    """The noise that quantization left in each layer of a deployed file, from input to output.

    Pairs (layer, signal-to-quantization-noise ratio in dB), that is 10 log10 of the mean square of the trained model's
    values over that of the difference; 20 dB more are a tenth of the error. `reference` is the model that the
    file was made from, `data` pictures to compare on as for `convert`, of which at most `noise_images` are taken,
    evenly. `trust` runs code that the model's file holds.

    Raises EdgedenseError when `edgedense.convert` did not make the file, or made it with other weights.
    """
    from edgedense.converters import layers

    with reporting(progress):
        return layers.inspect_layers(Path(file), reference, data, noise_images, trust)


def is_deployed(model: Any) -> bool:
    """Whether `model` names a .tflite file."""
    return isinstance(model, str | Path) and str(model).endswith(".tflite")
