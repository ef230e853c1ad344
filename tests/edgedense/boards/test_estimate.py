"""The estimate of a file's time."""

from __future__ import annotations

import pytest

from edgedense.boards import coefficients as module
from edgedense.boards.coefficients import Coefficients
from edgedense.boards.estimate import estimate
from edgedense.boards.known import A76, BOARDS, known
from edgedense.errors import EdgedenseError
from tests.edgedense.boards.files import convolution_file


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Round numbers, so that a sum can be checked by hand."""
    pieces = dict.fromkeys(("rest", "position", "has round", "call", "narrow tile"), 0.0)
    kinds = {"CONV_2D int8 1x1": {"operator": 500.0, "tile": 10.0, "round": 100.0, **pieces}}
    monkeypatch.setattr("edgedense.boards.estimate.coefficients", lambda name: Coefficients(1000, 50, kinds, 0.02))


@pytest.mark.usefixtures("counted")
def test_a_sum_by_hand() -> None:
    """64 pixels and 32 channels are 16 x 2 tiles, each with one round of 16 inputs."""
    found = estimate(convolution_file(), "pi5")
    assert found.instructions == 1000 + 50 + 500 + 32 * (10 + 100)
    assert (found.board, found.is_estimate, found.error) == ("pi5", True, 0.02)
    assert found.milliseconds == pytest.approx(5070 / A76.per_cycle / 2.4 / 1e6)  # all fits into the cache
    assert estimate(convolution_file(), "pi5") == found


@pytest.mark.parametrize("board", BOARDS)
def test_every_board_has_coefficients(board: str) -> None:
    found = estimate(convolution_file(height=56, channels=64, outputs=128), board)
    assert found.instructions is not None
    # 25.7 million multiplications: a kernel makes from 2 to 16 of them in an instruction
    assert 56 * 56 * 64 * 128 / 16 < found.instructions < 56 * 56 * 64 * 128 / 2
    assert 0 < (found.error or 0) <= 0.03
    assert known(board).processor.counted in ("pi5", "pi4", "pi3")


def test_faster_boards_are_faster() -> None:
    times = [estimate(convolution_file(), board).milliseconds for board in ("pi5", "pi4", "pi3", "zero2")]
    assert times == sorted(times)


def test_an_operator_without_a_count() -> None:
    with pytest.raises(EdgedenseError, match=r"BATCH_MATMUL \(int8\).*--on user@host"):
        estimate(convolution_file(code="BATCH_MATMUL"), "pi5")


def test_a_board_without_an_estimate() -> None:
    with pytest.raises(EdgedenseError, match=r"pi5, pi4, pi3, zero2; found pi6\. Try: --on user@host"):
        estimate(convolution_file(), "pi6")
    with pytest.raises(EdgedenseError, match=r"n100: .*AVX-VNNI.*--on user@host"):
        estimate(convolution_file(), "n100")


def test_no_coefficient_is_negative() -> None:
    for name in ("pi5", "pi4", "pi3"):
        found = module.coefficients(name)
        values = [value for pieces in found.operators.values() for value in pieces.values()]
        assert min(values) >= 0
        assert found.call > 0
