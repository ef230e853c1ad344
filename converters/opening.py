"""How a trained model is opened: what a person decides because the file does not say it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

Ending = Literal["softmax", "sigmoid", "none"]


@dataclass(frozen=True)
class Opening:
    """What `keras.reader.read` is told beside the file.

    `size` (height, width in pixels) is needed where the model takes any size, and replaces the size that it was
    built for. `trust` runs Python code that the file holds (Lambda layers). `output` names the one output that
    counts, where the model has several. `activation` says what turns the model's last numbers into scores where
    neither its layers nor its loss say it: "softmax" for classes of which one is right, "sigmoid" for classes that
    are independent, "none" for numbers that are no probabilities, such as those of a regression.
    """

    size: tuple[int, int] | None = None
    trust: bool = False
    output: str | None = None
    activation: Ending | None = None

    def at(self, size: tuple[int, int] | None) -> Opening:
        """The same at another picture size; None is the model's own."""
        return replace(self, size=size)


def recorded(recipe: Mapping[str, Any], size: tuple[int, int] | None = None, trust: bool = False) -> Opening:
    """How the model of a deployed file was opened, by its `recipe`, to open it in the same way.

    Not `trust`: a file must not say of another that its code may be run.
    """
    source, activation = recipe.get("source", {}), recipe.get("activation")
    return Opening(size, trust, source.get("output"), activation if activation in get_args(Ending) else None)
