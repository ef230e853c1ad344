"""What --against takes."""

from __future__ import annotations

import pytest

from edgedense.converters.rivals.options import RivalOptions, parse, title
from edgedense.errors import EdgedenseError
from edgedense.flags import options_of


def test_names_and_files_in_their_order() -> None:
    assert parse("resnet50, mobilenetv2") == ("resnet50", "mobilenetv2")
    assert parse("runs/mine.keras,efficientnet-lite0") == ("runs/mine.keras", "efficientnet-lite0")
    assert [title(name) for name in ("runs/mine.keras", "resnet50")] == ["mine", "resnet50"]


@pytest.mark.parametrize("text", ["vgg16", "", "resnet50,", "mine.tflite", "resnet50,resnet50", "a/x.keras,b/x.h5"])
def test_what_is_no_rival_or_is_there_twice_is_refused(text: str) -> None:
    with pytest.raises(EdgedenseError, match="--against"):
        parse(text)


def test_a_file_is_not_trained() -> None:
    assert RivalOptions(("mine.keras", "mobilenetv2")).trained == ("mobilenetv2",)
    assert RivalOptions(("mine.keras",)).trained == ()


def test_options_that_say_how_long_need_a_rival() -> None:
    needs = {option.name: option.flag.needs for option in options_of(RivalOptions)}
    assert needs == {"--against": (), "--against-epochs": ("--against",), "--against-minutes": ("--against",)}
