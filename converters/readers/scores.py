"""What the numbers of a trained model are: probabilities, or values of another kind.

A model may end in softmax or sigmoid, or leave that to its loss, or mean its numbers as they are. The model says it,
or its loss, or a person: it is never guessed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from edgedense.converters.network.graph import Activation
from edgedense.converters.opening import Ending
from edgedense.converters.readers.source import Batch, Loss, Reference, Source
from edgedense.errors import EdgedenseError

_CHOICES = (
    "--activation softmax for classes of which one is right, --activation sigmoid for classes that are independent, "
    "or --activation none for values such as lengths or positions"
)
_CHOICES_OF_ONE = "--activation sigmoid for a yes or no, or --activation none for a value such as an age"


def settled(source: Source, wanted: Ending | None = None) -> tuple[Source, tuple[str, ...]]:
    """`source` with the activation that makes its scores, and notes for the user.

    The activation is the model's own; or what its loss applied (`from_logits=True`), which is then added to network
    and reference; or `wanted`, what a person said. "none" leaves the model's numbers as they are, and says that they
    are no probabilities. EdgedenseError when nothing says it, or `wanted` contradicts the model.
    """
    own = _own(source)
    if own is not None:
        if wanted not in (None, own, "none"):
            raise EdgedenseError(
                f"an activation that fits the model, which ends in {own}",
                f"--activation {wanted}",
                f"leave it out; or --activation none, if the numbers behind the {own} are values and no probabilities",
            )
        return replace(source, activation=wanted or own), source.notes
    applied = source.loss.activation if source.loss is not None else None
    kind = wanted or applied
    if kind is None:
        raise EdgedenseError(
            "a model that says what its numbers are, by ending in softmax or sigmoid or by a loss "
            "with from_logits=True",
            _found(source),
            _CHOICES if source.network.classes > 1 else _CHOICES_OF_ONE,
        )
    if kind == "none":
        return replace(source, activation="none"), source.notes
    if kind == "softmax" and source.network.classes == 1:
        raise EdgedenseError(
            "more than one output for a softmax, which makes a single one always 1",
            f"one output in {source.name}",
            "--activation sigmoid or --activation none",
        )
    said = "as you said" if wanted else f"as its loss {_called(source.loss)} did in training (from_logits=True)"
    note = f"the model ends in plain logits: {kind} was added, {said}, so that the file gives probabilities"
    return _activated(source, kind), (*source.notes, note)


def _own(source: Source) -> Literal["softmax", "sigmoid"] | None:
    """What the model itself ends in, if it makes probabilities."""
    last = source.network.head.steps[-1]
    if isinstance(last, Activation) and last.kind in ("softmax", "sigmoid"):
        return "softmax" if last.kind == "softmax" else "sigmoid"
    return None


def _found(source: Source) -> str:
    last, count = source.network.head.steps[-1], source.network.classes
    numbers = f"{count} numbers" if count > 1 else "one number"
    ending = f" behind {last.kind}" if isinstance(last, Activation) else " without an activation"
    loss = f"with the loss {_called(source.loss)}" if source.loss is not None else "and names no loss"
    return f"'{source.name}', which ends in {numbers}{ending} {loss}"


def _called(loss: Loss | None) -> str:
    return "" if loss is None else loss.name


def _activated(source: Source, kind: Literal["softmax", "sigmoid"]) -> Source:
    head = replace(source.network.head, steps=(*source.network.head.steps, Activation(kind)))
    network = replace(source.network, head=head)
    return replace(source, network=network, reference=_Activated(source.reference, kind), activation=kind)


class _Activated:
    """A reference whose scores are those of another one, activated."""

    def __init__(self, plain: Reference, kind: str) -> None:
        self.plain, self._kind = plain, kind

    def predict(self, batch: npt.ArrayLike) -> Batch:
        return _activate(self.plain.predict(batch), self._kind)

    def logits(self, batch: npt.ArrayLike) -> Batch:
        return self.plain.predict(batch)


def _activate(logits: Batch, kind: str) -> Batch:
    x: npt.NDArray[Any] = logits.astype(np.float64)
    if kind == "sigmoid":
        return (1 / (1 + np.exp(-x))).astype(np.float32)
    x = np.exp(x - x.max(axis=1, keepdims=True))
    return (x / x.sum(axis=1, keepdims=True)).astype(np.float32)
