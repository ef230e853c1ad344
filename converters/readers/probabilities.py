"""Probabilities from a model that ends in plain logits, as one trained with `from_logits=True` does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from edgedense.converters.network.graph import Activation
from edgedense.converters.readers.keras.reader import Batch, Reference, Source


def with_probabilities(source: Source) -> tuple[Source, tuple[str, ...]]:
    """`source` with the activation that its loss applied, and a note that says so; as it is, and none, if it has one.

    Scores are probabilities everywhere behind this: thresholds, divergences and a single output's decision rely on it.
    """
    if isinstance(source.network.head.steps[-1], Activation):
        return source, ()
    kind: Literal["sigmoid", "softmax"] = "sigmoid" if source.network.classes == 1 else "softmax"
    head = replace(source.network.head, steps=(*source.network.head.steps, Activation(kind)))
    network = replace(source.network, head=head)
    note = f"the model ends in plain logits: {kind} was added, so that the file gives probabilities"
    return replace(source, network=network, reference=_Activated(source.reference, kind)), (note,)


class _Activated(Reference):
    """A reference whose scores are those of another one, activated."""

    def __init__(self, plain: Reference, kind: str) -> None:
        self.model, self._plain, self._kind = plain.model, plain, kind

    def predict(self, batch: npt.ArrayLike) -> Batch:
        return _activate(self._plain.predict(batch), self._kind)

    def logits(self, batch: npt.ArrayLike) -> Batch:
        return self._plain.predict(batch)


def _activate(logits: Batch, kind: str) -> Batch:
    x: npt.NDArray[Any] = logits.astype(np.float64)
    if kind == "sigmoid":
        return (1 / (1 + np.exp(-x))).astype(np.float32)
    x = np.exp(x - x.max(axis=1, keepdims=True))
    return (x / x.sum(axis=1, keepdims=True)).astype(np.float32)
