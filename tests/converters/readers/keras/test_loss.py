"""The compile configuration, read as data: which activation the loss applied."""

from __future__ import annotations

from typing import Any

import pytest

from edgedense.converters.readers.keras.loss import loss_of
from edgedense.converters.readers.source import Loss

KERAS_3 = {"module": "keras.losses", "registered_name": None}


def entry(name: str, from_logits: bool, **more: Any) -> dict[str, Any]:
    return {"class_name": name, "config": {"from_logits": from_logits, "name": "x"}, **more}


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (entry("CategoricalCrossentropy", True, **KERAS_3), Loss("CategoricalCrossentropy", "softmax")),
        (entry("SparseCategoricalCrossentropy", True), Loss("SparseCategoricalCrossentropy", "softmax")),
        (entry("CategoricalFocalCrossentropy", True, **KERAS_3), Loss("CategoricalFocalCrossentropy", "softmax")),
        (entry("BinaryCrossentropy", True, **KERAS_3), Loss("BinaryCrossentropy", "sigmoid")),
        (entry("BinaryFocalCrossentropy", True), Loss("BinaryFocalCrossentropy", "sigmoid")),
        (entry("BinaryCrossentropy", False, **KERAS_3), Loss("BinaryCrossentropy")),
        ({"class_name": "MeanSquaredError", "config": {"name": "x"}, **KERAS_3}, Loss("MeanSquaredError")),
        ("mse", Loss("mse")),
        ({"module": "builtins", "class_name": "function", "config": "weighted"}, Loss("weighted")),
        # A loss of the user's own that has the name of one of Keras' applies who knows what.
        (entry("BinaryCrossentropy", True, module=None, registered_name="mine>BinaryCrossentropy"),
         Loss("BinaryCrossentropy")),
        (entry("BinaryCrossentropy", True, module="mine", registered_name=None), Loss("BinaryCrossentropy")),
        (None, None),
    ],
)  # fmt: skip
def test_one_loss(loss: Any, expected: Loss | None) -> None:
    assert loss_of({"loss": loss}, ["scores"], 0) == expected


def test_no_compile_configuration() -> None:
    assert loss_of(None, ["scores"], 0) is None
    assert loss_of({"optimizer": "adam"}, ["scores"], 0) is None


@pytest.mark.parametrize("loss", [["mse", "mae"], {"kind": "mse", "side": "mae"}])
def test_of_several_losses_the_chosen_outputs_one(loss: Any) -> None:
    assert loss_of({"loss": loss}, ["kind", "side"], 0) == Loss("mse")
    assert loss_of({"loss": loss}, ["kind", "side"], 1) == Loss("mae")


def test_losses_that_cannot_be_told_apart_say_nothing() -> None:
    assert loss_of({"loss": ["mse"]}, ["kind", "side"], 0) is None
    assert loss_of({"loss": {"first": "mse", "second": "mae"}}, ["kind", "side"], 0) is None
