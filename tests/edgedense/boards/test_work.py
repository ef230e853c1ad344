"""The pieces of work of an operator, counted by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgedense.boards.known import A72, A76
from edgedense.boards.operators import Operator
from edgedense.boards.work import parts, work
from tests.edgedense.boards.files import convolution, tensor


def pieces(operator: Operator) -> dict[str, float]:
    found = work(operator, A76)
    assert found is not None
    return found[1]


def test_tiles_are_whole() -> None:
    """49 pixels are 13 tiles of 4 rows; 24 channels are 2 tiles of 16, as 32 are; 40 inputs are 2 rounds of 16 and 2
    steps of 4."""
    found = pieces(convolution(7, 40, 24))
    assert found["tile"] == 13 * 2
    assert (found["round"], found["rest"]) == (26 * 2, 26 * 2)
    assert found["narrow tile"] == 13  # the second one, of 8 channels
    wide = pieces(convolution(7, 40, 32))
    assert (wide["tile"], wide["narrow tile"]) == (found["tile"], 0)


def test_another_processor_has_other_tiles() -> None:
    found = work(convolution(7, 40, 24), A72)
    assert found is not None
    assert found[1]["tile"] == 25 * 3  # 2 rows and 8 columns


def test_a_window_is_read_position_by_position() -> None:
    kind, found = work(convolution(7, 40, 24, kernel=3), A76) or ("", {})
    assert kind == "CONV_2D int8 window"
    assert found["position"] == 26 * 9
    assert found["round"] == 26 * 9 * 2


def test_wide_weights_are_computed_in_several_calls() -> None:
    """One pixel's 9 x 512 inputs and the weights of 8 channels more than fill a first-level cache of 64 KiB: of 128
    channels not all are computed in one call."""
    small, large = pieces(convolution(8, 16, 128, 3)), pieces(convolution(8, 512, 128, 3))
    assert small["call"] == 16  # 64 pixels by 4
    assert large["call"] > 16


def test_depthwise_taps_are_rounded_up() -> None:
    source, output = tensor(0, (1, 8, 8, 24)), tensor(2, (1, 4, 4, 24))
    operator = Operator("DEPTHWISE_CONV_2D", (source, tensor(1, (1, 2, 2, 24), "int8", True)), (output,), (2, 2), 2)
    kind, found = work(operator, A76) or ("", {})
    assert kind == "DEPTHWISE_CONV_2D int8 9 taps"
    assert (found["pixel"], found["tile"], found["narrow tile"]) == (16, 16, 16)


def test_a_concatenation_copies_row_by_row() -> None:
    inputs = tensor(0, (1, 4, 4, 8)), tensor(1, (1, 4, 4, 24))
    operator = Operator("CONCATENATION", inputs, (tensor(2, (1, 4, 4, 32)),), axis=3)
    found = pieces(operator)
    assert (found["input"], found["copy"], found["vector"]) == (2, 32, 32)
    assert pieces(replace(operator, axis=1))["copy"] == 2


@pytest.mark.parametrize("side", [1, 7])
def test_a_stored_value_for_each_channel(side: int) -> None:
    """Also on a map of one pixel, where it has as many values as the map."""
    source, stored = tensor(0, (1, side, side, 40)), tensor(1, (1, 1, 1, 40), "int8", True)
    kind, found = work(Operator("MAXIMUM", (source, stored), (tensor(2, source.shape),)), A76) or ("", {})
    assert kind == "MAXIMUM int8 by channel"
    assert (found["pixel"], found["vector"], found["rest"]) == (side**2, 2 * side**2, 8 * side**2)


def test_two_computed_maps() -> None:
    both = tensor(0, (1, 7, 7, 32)), tensor(1, (1, 7, 7, 32))
    assert work(Operator("ADD", both, (tensor(2, (1, 7, 7, 32)),)), A76) == ("ADD int8", {"operator": 1, "vector": 98})


def test_an_operator_that_nobody_counted() -> None:
    assert work(Operator("LSTM", (tensor(0, (1, 4)),), (tensor(1, (1, 4)),)), A76) is None


@pytest.mark.parametrize(("codes", "wanted"), [("CMC", 2), ("CC", 1), ("MM", 0), ("MCCMC", 2)])
def test_what_xnnpack_does_not_take_cuts_a_file_into_parts(codes: str, wanted: int) -> None:
    maximum = Operator("MAXIMUM", (tensor(0, (1, 2, 2, 8)),), (tensor(1, (1, 2, 2, 8)),))
    assert parts([convolution(2, 8, 8) if code == "C" else maximum for code in codes]) == wanted
