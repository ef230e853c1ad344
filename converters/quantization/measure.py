"""Measures a network's tensors on pictures, with the runtime that will run the deployed file."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edgedense.converters.calibration.statistics import Collected, Statistics, measured, summary
from edgedense.converters.network.evaluate import logits_tensor
from edgedense.converters.network.graph import DenseNet
from edgedense.converters.network.program import IMAGE, Program, lower
from edgedense.converters.quantization.quantize import float_file
from edgedense.converters.tflite import execute
from edgedense.images.preprocessing import Pixels


def statistics_of(network: DenseNet, pixels: Pixels, tick: Callable[[int], None] = lambda n: None) -> Statistics:
    """The statistics of a network's tensors over uint8 pixels [N, height, width, C]."""
    return measure(lower(network), pixels, tick)


def measure(program: Program, pixels: Pixels, tick: Callable[[int], None] = lambda n: None) -> Statistics:
    """The same of a program. LiteRT computes it in float32, one picture at a time: TensorFlow takes longer, and seconds
    to trace it; and its memory holds the tensors of a whole batch."""
    wanted = measured(program)
    file = float_file(program, [name for name in wanted if name != IMAGE])
    collected = Collected(len(pixels))
    for number, kept in enumerate(execute.each(file, pixels, summary)):
        collected.add(number, kept)
        if IMAGE in wanted:
            collected.add(number, summary({IMAGE: pixels[number]}))
        tick(1)
    return collected.statistics(program)


def logits_of(network: DenseNet, pixels: Pixels) -> np.ndarray:
    """The logits [N, outputs] of a network for uint8 pixels, in float32."""
    program = lower(network)
    return execute.run(float_file(program, (logits_tensor(program),)), pixels)
