"""What makes one file, as Python takes it and as it is typed."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from pathlib import Path

import pytest

from edgedense.converters.opening import Opening
from edgedense.converters.options import Options
from edgedense.searching.choice import Choice

ALL = Choice(0.5, "norm", (56, 56), "depthwise", ("head/norm", "stem/conv"), "mse", 1.15, 2)


def test_the_plain_conversion_says_nothing() -> None:
    assert Choice().words == []
    assert Choice().settings == {}
    assert Choice().options(Options(), Path("pictures"), Path("work")) == Options()


def test_everything_is_typed() -> None:
    assert all(getattr(ALL, field.name) != getattr(Choice(), field.name) for field in fields(Choice))
    typed = "--prune-channels 0.5 --importance norm --input-size 56 --form depthwise --float-layers head/norm,stem/conv"
    assert ALL.words == [*typed.split(), "--ranges", "mse", "--headroom", "1.15", "--epochs", "2"]


def test_only_what_was_changed_is_told() -> None:
    assert Choice(prune_channels=0.25, form="depthwise").settings == {"prune_channels": 0.25, "form": "depthwise"}
    assert ALL.settings["float_layers"] == ["head/norm", "stem/conv"]  # as JSON has it
    assert set(ALL.settings) == {field.name for field in fields(Choice)}


def test_options_of_a_conversion() -> None:
    base = Options(calibration_images=64, opening=Opening(activation="sigmoid"))
    found = ALL.options(base, Path("pictures"), Path("work"))
    assert (found.calibration_images, found.opening.activation) == (64, "sigmoid")
    assert (found.opening.size, found.form, found.ranges, found.headroom) == ((56, 56), "depthwise", "mse", 1.15)
    assert found.float_layers == ("head/norm", "stem/conv")
    slimming = found.slimming
    assert (slimming.prune_channels, slimming.importance, slimming.epochs) == (0.5, "norm", 2)
    assert (slimming.recover, slimming.work) == (Path("pictures"), Path("work"))


def test_without_epochs_nothing_is_trained() -> None:
    slimming = Choice(prune_channels=0.5).options(Options(), Path("pictures"), Path("work")).slimming
    assert (slimming.recover, slimming.epochs, slimming.work) == (None, None, None)


@pytest.mark.parametrize("choice", [Choice(), ALL])
def test_json_and_back(choice: Choice) -> None:
    assert Choice.from_dict(json.loads(json.dumps(asdict(choice)))) == choice
