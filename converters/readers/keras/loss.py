"""What the loss that a model was trained with says about the activation that its layers leave out.

A model that was compiled with `from_logits=True` ends in plain numbers, and its loss applied the activation. The
compile configuration is read as data; nothing of it is executed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from edgedense.converters.readers.source import Loss

# Keras' losses that take `from_logits`, and the activation that they apply then.
_APPLIED: dict[str, Literal["softmax", "sigmoid"]] = {
    "CategoricalCrossentropy": "softmax",
    "CategoricalFocalCrossentropy": "softmax",
    "SparseCategoricalCrossentropy": "softmax",
    "BinaryCrossentropy": "sigmoid",
    "BinaryFocalCrossentropy": "sigmoid",
}


def loss_of(compiled: Any, outputs: Sequence[str], chosen: int) -> Loss | None:
    """The loss of output number `chosen` of `outputs`; None where the model was not compiled, or where it cannot be
    told which loss is that output's.

    `compiled` is the compile configuration as Keras 2 or 3 wrote it. It holds one loss for all outputs, a list with
    one for each, or a dict with one for each name.
    """
    entry = compiled.get("loss") if isinstance(compiled, dict) else None
    if isinstance(entry, list):
        entry = entry[chosen] if len(entry) == len(outputs) else None
    elif isinstance(entry, dict) and "class_name" not in entry:
        entry = entry.get(outputs[chosen])
    return _loss(entry)


def _loss(entry: Any) -> Loss | None:
    """A loss by its name alone, a function, or an object with its configuration."""
    if isinstance(entry, str):
        return Loss(entry)
    if not isinstance(entry, dict):
        return None
    name, config = str(entry.get("class_name")), entry.get("config")
    if name == "function":
        return Loss(str(config))
    from_keras = entry.get("registered_name") in (None, name) and str(entry.get("module", "keras")).split(".")[0] in (
        "keras",
        "tf_keras",
    )
    applied = from_keras and isinstance(config, dict) and config.get("from_logits") is True
    return Loss(name, _APPLIED.get(name) if applied else None)
