"""The shape of an int8 file without a measurement: enough for an estimate of its time."""

from __future__ import annotations

import numpy as np

from edgedense.converters.calibration.statistics import Channels, derived, measured
from edgedense.converters.network.graph import DenseNet
from edgedense.converters.network.program import lower
from edgedense.converters.options import NormForm
from edgedense.converters.passes import rewriting
from edgedense.converters.quantization import attempts
from edgedense.converters.quantization.attempts import Attempt


def shape_of_file(network: DenseNet, form: NormForm, target: str = "cpu", output_type: str = "float32") -> bytes:
    """A file with the operators and shapes of the network's int8 file. Its numbers mean nothing: ranges are made up, so
    that nothing needs to be measured for an estimate of the time."""
    deployed = rewriting.rewritten(network, target)
    program = lower(deployed)
    random = np.random.default_rng(0)
    made_up = {}
    for name in measured(program):
        channels = program.shapes[name][-1]
        low, high = np.zeros((2, channels), np.float32), np.ones((2, channels), np.float32)
        made_up[name] = Channels.of(low, high, random.random((16, channels), np.float32))
    built = attempts.build(deployed, derived(program, made_up), Attempt(form=form), output_type)
    return built.quantized.to_bytes()
