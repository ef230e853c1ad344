"""`edgedense inspect --layers`: the noise of every layer of a deployed file against the model that it was made of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from edgedense.converters import slimming
from edgedense.converters.calibration import normalization
from edgedense.converters.network.program import lower
from edgedense.converters.opening import recorded
from edgedense.converters.passes import rewriting
from edgedense.converters.quantization import noise, temperature
from edgedense.converters.readers import door
from edgedense.converters.readers.scores import settled
from edgedense.deployed import bundle
from edgedense.errors import EdgedenseError
from edgedense.images.pictures import PicturesLike, collect
from edgedense.images.preprocessing import load_image
from edgedense.measures.layer_noise import LayerNoise
from edgedense.measures.temperature import value_of
from edgedense.progress import progress


def inspect_layers(model: Path, reference: Any, data: PicturesLike, images: int, trust: bool = False) -> LayerNoise:
    """Signal-to-quantization-noise ratio in dB of each layer, from input to output, on at most `images` pictures.

    `trust` runs code that the model's file holds; all else is opened as the recipe says.

    Raises EdgedenseError when the file was not made by `edgedense convert`.
    """
    content = bundle.read(model)
    preprocessing = content.preprocessing
    if preprocessing is None or noise.ENTRY not in content.entries:
        raise EdgedenseError(
            "a file made by edgedense convert",
            f"{model}, which has no recipe",
            "edgedense convert MODEL --calibration FOLDER --out FILE.tflite",
        )
    changed = [step["name"] for step in content.recipe.get("steps", ()) if step["name"] in slimming.CHANGES]
    if changed:
        raise EdgedenseError(
            "a file that computes layer by layer what its Keras model does",
            f"{model}, made with other weights: {', '.join(changed)}",
            "edgedense compare, which compares what both say",
        )
    opening = recorded(content.recipe, (preprocessing.height, preprocessing.width), trust)
    source, _ = settled(door.read(reference, opening), opening.activation)
    target = content.recipe.get("options", {}).get("target", "cpu")
    network = rewriting.rewritten(normalization.compose(source.network, preprocessing.normalize), target)
    if (divided_by := value_of(content.recipe)) != 1:
        network = temperature.in_network(network, divided_by)
    paths = collect(data)
    chosen = [paths[i] for i in np.linspace(0, len(paths) - 1, min(images, len(paths))).astype(int)]
    pixels = np.stack([load_image(path, preprocessing) for path in chosen])
    with progress("comparing layers", len(pixels)) as tick:
        return noise.layer_noise(
            lower(network), content.model, noise.from_bytes(content.entries[noise.ENTRY]), pixels, tick
        )
