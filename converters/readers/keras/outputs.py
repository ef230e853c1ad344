"""The one output of a Keras model that is deployed."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

from edgedense.errors import EdgedenseError


def one(model: Any, name: str | None, source: str) -> tuple[Any, tuple[str, ...], int]:
    """(the model with the output called `name` alone, the names of all outputs, the number of that one).

    A model with a single output needs no `name`. One without a layer graph is left to whoever reads its layers.
    `source` is the file's name. EdgedenseError, listing the outputs, when it takes a name to choose or there is none
    of that name.
    """
    outputs = getattr(model, "outputs", None)
    if not outputs:
        return model, ("",), 0
    called = getattr(model, "output_names", None) or [tensor._keras_history[0].name for tensor in outputs]
    names = _distinct([str(name) for name in called])
    if name is None and len(outputs) == 1:
        return model, names, 0
    if name not in names:
        listed = ", ".join(f"{own} {_shape(tensor)}" for own, tensor in zip(names, outputs, strict=True))
        count = f"{len(outputs)} outputs" if len(outputs) > 1 else "one output"
        raise EdgedenseError(
            "the name of the output to use",
            f"{name!r}" if name else f"{count} in {source}",
            f"one of: {listed}, as --output {names[0]}",
        )
    number = names.index(name)
    if len(outputs) == 1:
        return model, names, 0
    keras = importlib.import_module(type(model).__module__.split(".")[0])
    return keras.Model(model.inputs, outputs[number]), names, number


def _distinct(names: Sequence[str]) -> tuple[str, ...]:
    """The names, with a number behind each that occurs more than once."""
    return tuple(name if names.count(name) == 1 else f"{name}:{names[:i].count(name)}" for i, name in enumerate(names))


def _shape(tensor: Any) -> str:
    return str(list(tuple(tensor.shape)[1:]))
