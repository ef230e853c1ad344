"""Noise of the deployed file's layers against the float network it was made from, with the equalization undone."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Callable, Mapping

import numpy as np

from edgedense.converters.calibration.statistics import Statistics
from edgedense.converters.network.evaluate import evaluate
from edgedense.converters.network.graph import Array
from edgedense.converters.network.program import Program
from edgedense.converters.tflite import execute
from edgedense.errors import EdgedenseError
from edgedense.images.preprocessing import Pixels
from edgedense.measures.layer_noise import LayerNoise, NoiseMeter, layer_outputs

ENTRY = "equalization.npz"  # in the archive of the deployed file

Equalization = Mapping[str, tuple[Array, Array]]  # tensor -> scale and shift [C]: deployed = scale * original + shift


def equalization(statistics: Statistics) -> Equalization:
    """How the deployed tensors differ from those of the network as it was measured.

    Left out are the norms of dense layers: they read what the concatenation holds, and would double the entry's size.
    """
    return {name: (channels.scale, channels.shift) for name, channels in statistics.items() if not _is_inner_norm(name)}


def to_bytes(maps: Equalization) -> bytes:
    """The archive entry: scale and shift of each tensor as float32 [2, C]."""
    file = io.BytesIO()
    arrays = {name.replace("/", "|"): np.stack(pair).astype(np.float32) for name, pair in sorted(maps.items())}
    np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    return file.getvalue()


def from_bytes(data: bytes) -> Equalization:
    """What `to_bytes` wrote. Raises EdgedenseError when it is damaged."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            arrays = {name.replace("|", "/"): file[name].astype(float) for name in file}
        return {name: (array[0], array[1]) for name, array in arrays.items()}
    except (OSError, ValueError, EOFError, IndexError, zipfile.BadZipFile, zlib.error) as error:
        raise EdgedenseError(
            f"scales and shifts in the entry {ENTRY}", str(error), "convert the model again"
        ) from error


def layer_noise(
    program: Program, model: bytes, maps: Equalization, pixels: Pixels, tick: Callable[[int], None] = lambda n: None
) -> LayerNoise:
    """Signal-to-noise ratio of each layer of `model` (a .tflite file) over `pixels` [N, height, width, 3].

    `program` holds the same layers in float, as they were before equalization. Raises EdgedenseError when the two
    have no layer in common.
    """
    interpreter = execute.interpreter(model, keep_all=True)
    meter = NoiseMeter()
    names = [op.output for op in program.ops if op.output in maps]
    for picture in pixels:
        expected: dict[str, np.ndarray] = {}
        evaluate(program, picture[None], expected.__setitem__, names)
        for name, found in layer_outputs(interpreter, picture[None]):
            if name in expected and expected[name].shape == found.shape:
                scale, shift = maps[name]
                meter.add(name, expected[name], (found - shift) / scale)
        tick(1)
    result = meter.result()
    if not result:
        raise EdgedenseError(
            "a reference whose layers are those of the file",
            "none in common",
            "the Keras model that the file was made from",
        )
    return result


def _is_inner_norm(name: str) -> bool:
    return name.startswith("block") and name.endswith("/norm")


def worst_first(layers: LayerNoise) -> LayerNoise:
    """The same layers, the lowest ratio first."""
    return tuple(sorted(layers, key=lambda layer: layer[1]))
