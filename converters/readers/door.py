"""The door for trained models of every kind: the file decides which reader reads it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgedense.converters.opening import Opening
from edgedense.converters.readers import grey
from edgedense.converters.readers.keras import reader as keras_reader
from edgedense.converters.readers.keras_hub import files as keras_hub
from edgedense.converters.readers.keras_hub import reader as keras_hub_reader
from edgedense.converters.readers.keras_weights import contents as keras_weights
from edgedense.converters.readers.keras_weights import reader as keras_weights_reader
from edgedense.converters.readers.onnx import reader as onnx_reader
from edgedense.converters.readers.source import Source
from edgedense.converters.readers.state_dicts import reader as state_dicts_reader
from edgedense.errors import EdgedenseError


def read(model: Any, opening: Opening | None = None) -> Source:
    """The DenseNet of a trained model, for pictures of `opening.channels`, and what computes its own scores.

    `model` is a path (a Keras file, an ONNX file, or PyTorch weights), the name of weights that Keras offers, or a
    Keras model in memory; `opening` is what the file does not say. EdgedenseError when it cannot be read, or is no
    DenseNet.
    """
    opening = opening or Opening()
    return grey.fitted(_read(model, opening), opening.channels)


def _read(model: Any, opening: Opening) -> Source:
    if isinstance(model, str | Path) and keras_weights.holds_weights_alone(Path(model)):
        return keras_weights_reader.read(Path(model), opening)
    if state_dicts_reader.reads(model):
        return state_dicts_reader.read(model, opening)
    given = {"--architecture": opening.architecture, "--head-activation": opening.head_activation}
    if unused := [option for option, value in given.items() if value]:
        raise EdgedenseError(
            f"a file that holds weights alone for {' and '.join(unused)}",
            f"{model}, which says it itself",
            "leave it out",
        )
    if onnx_reader.reads(model):
        return onnx_reader.read(model, opening)
    if keras_hub.reads(model):
        return keras_hub_reader.read(model, opening)
    return keras_reader.read(model, opening)
