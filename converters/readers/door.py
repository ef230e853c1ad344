"""The door for trained models of every kind: the file decides which reader reads it."""

from __future__ import annotations

from typing import Any

from edgedense.converters.opening import Opening
from edgedense.converters.readers.keras import reader as keras_reader
from edgedense.converters.readers.source import Source


def read(model: Any, opening: Opening | None = None) -> Source:
    """The DenseNet of a trained model, and what computes its own scores.

    `model` is a path, the name of weights that Keras offers, or a Keras model in memory; `opening` is what the file
    does not say. EdgedenseError when it cannot be read, or is no DenseNet.
    """
    return keras_reader.read(model, opening)
