"""Noise of the deployed file's layers against the float network that it was quantized from."""

from __future__ import annotations

import numpy as np

from edgedense import noise
from edgedense.converters import execute
from edgedense.converters.evaluate import evaluate
from edgedense.converters.program import Program
from edgedense.noise import LayerNoise, NoiseMeter
from edgedense.preprocessing import Pixels


def layer_noise(program: Program, model: bytes, pixels: Pixels) -> LayerNoise:
    """Signal-to-noise ratio of each layer of `model` (a .tflite file) over `pixels` [N, height, width, 3].

    `program` holds the same layers in float, after equalization: the scales that were moved between layers are then the
    same on both sides.
    """
    interpreter = execute.interpreter(model, keep_all=True)
    meter = NoiseMeter()
    for picture in pixels:
        expected: dict[str, np.ndarray] = {}
        evaluate(program, picture[None], expected.__setitem__, [op.output for op in program.ops])
        for name, found in noise.layer_outputs(interpreter, picture[None]):
            if name in expected and expected[name].size == found.size:
                meter.add(name, expected[name].ravel(), found.ravel())
    return meter.result()
