"""A file of PyTorch weights -> the DenseNet that they are of."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from edgedense.converters.network.graph import Activation, Array
from edgedense.converters.opening import Opening
from edgedense.converters.readers import assembly
from edgedense.converters.readers.assembly import Parts, densenet
from edgedense.converters.readers.programs import FloatProgram
from edgedense.converters.readers.source import Source
from edgedense.converters.readers.state_dicts import files, head, names, structure
from edgedense.converters.readers.state_dicts.names import Named
from edgedense.errors import EdgedenseError
from edgedense.images.preprocessing import Normalization


def reads(model: Any) -> bool:
    """Whether `model` is named as files of PyTorch weights are."""
    return isinstance(model, str | Path) and Path(model).suffix in files.SUFFIXES


def read(path: Path | str, opening: Opening | None = None) -> Source:
    """Reads `.safetensors`, or what torch.save wrote: a state dict, or a checkpoint of a training that holds one.

    `opening` is what weights do not say: the picture size, and what stands between several Linear layers. The network
    takes as many channels as its stem has. EdgedenseError when the file cannot be read without running code, or its
    network is no DenseNet of torchvision, timm, MONAI or TorchXRayVision.
    """
    opening = opening or Opening()
    opened = files.open_weights(Path(path))
    found = names.named(opened)
    _refuse(opening, opened.name)
    if opening.size is None:
        raise EdgedenseError(
            "to be told the picture size",
            f"weights alone in '{opened.name}', which fit any",
            "--input-size PIXELS, the height and width that it was trained with",
        )
    network = densenet(_parts(found, opened.name, opening), opening.size)
    thresholds = _thresholds(found.thresholds, network.classes, opened.name)
    if found.thresholds is not None:  # they are of sigmoids: TorchXRayVision applies one where it has them
        network = replace(network, head=replace(network.head, steps=(*network.head.steps, Activation("sigmoid"))))
    return Source(
        network,
        False,
        opened.sha256,
        opened.name,
        assembly.parameters(network),
        FloatProgram(network),
        opening.size,
        outside=_outside(found),
        thresholds=thresholds,
    )


def _parts(found: Named, source: str, opening: Opening) -> Parts:
    structure.refuse_variants(found.body, source)
    weights = structure.Weights(found.body, source)
    stem, stem_norm = weights.kernel("conv0", 7), weights.norm("norm0")
    blocks = structure.blocks(weights)
    transitions = tuple(structure.transition(weights, number) for number in range(1, len(blocks)))
    norm = weights.norm("norm5")
    weights.refuse_rest()
    steps = head.steps(found.head, norm.scale.size, source, opening.head_activation)
    return Parts(stem, stem_norm, blocks, transitions, norm, steps)


def _outside(found: Named) -> Normalization | None:
    """What the library documents. None where it leaves that to its users, and of one channel: ImageNet has three."""
    if found.thresholds is not None:
        return "xrayvision"
    return None if found.of_monai or found.body["conv0.weight"].shape[1] != 3 else "densenet"


def _thresholds(array: Array | None, classes: int, source: str) -> tuple[float | None, ...]:
    """TorchXRayVision's thresholds, None for a class that its weights were not trained for, where it has NaN."""
    if array is None or np.isnan(array).all():
        return ()
    known = array[~np.isnan(array)]
    if array.shape != (classes,) or (known <= 0).any() or (known >= 1).any():
        found = f"op_threshs of shape {list(array.shape)} from {known.min():g} to {known.max():g} in '{source}'"
        raise EdgedenseError(f"{classes} thresholds between 0 and 1", found, "take op_threshs out of the state dict")
    return tuple(None if np.isnan(value) else float(value) for value in array)


def _refuse(opening: Opening, source: str) -> None:
    """EdgedenseError for options that mean nothing here: the shapes say the architecture."""
    given = {"--output": opening.output, "--trust-model": opening.trust, "--architecture": opening.architecture}
    if used := [name for name, value in given.items() if value]:
        found = f"PyTorch weights in '{source}'"
        raise EdgedenseError(f"another kind of model for {' and '.join(used)}", found, "leave it out")
