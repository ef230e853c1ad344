"""A network's own scores, from the float program that it is lowered to: the reference of a file that is not Keras'.

What stands in such a file are weights, or a graph of another runtime. Its scores are computed here in float32 from the
same operators that are quantized later, so that nobody needs that other runtime. That both agree is tested where it is
installed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from edgedense.converters.network.evaluate import evaluate, logits_tensor, traced
from edgedense.converters.network.graph import DenseNet
from edgedense.converters.network.program import SCORES, lower
from edgedense.converters.readers.source import Batch

CHUNK = 32  # pictures computed at once


class FloatProgram:
    """Computes the scores of `network`, whose normalization is what the model itself does to its pixels."""

    def __init__(self, network: DenseNet) -> None:
        self._program = lower(network)

    def predict(self, batch: npt.ArrayLike) -> Batch:
        """Scores float32 [B, classes] of images [B, height, width, channels], normalized as they were outside."""
        images = np.asarray(batch, np.float32)
        return np.concatenate([self._run(images[i : i + CHUNK]).numpy() for i in range(0, len(images), CHUNK)])

    def logits(self, batch: npt.ArrayLike) -> Batch:
        """As `predict`, before the last softmax or sigmoid; the same where the network ends in plain logits. They are
        asked for a few images alone: tracing would take longer than these."""
        return evaluate(self._program, np.asarray(batch, np.float32), output=logits_tensor(self._program))

    @cached_property
    def _run(self) -> Callable[[np.ndarray], Any]:
        run = traced(self._program, (SCORES,), lambda tf, value: value)
        return lambda images: run(images)[SCORES]
