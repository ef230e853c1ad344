"""Other networks beside the files of a search: looked at before it, made by workers, timed on the board, and points of
the result."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from edgedense.boards.result import BoardTime
from edgedense.converters.options import Options
from edgedense.converters.rivals.making import Making
from edgedense.converters.rivals.options import RivalOptions
from edgedense.errors import EdgedenseError
from edgedense.measures.bootstrap import Estimate
from edgedense.searching import rivals as module
from edgedense.searching.bench import Task
from edgedense.searching.choice import Choice
from edgedense.searching.final import Made
from edgedense.searching.options import SearchOptions
from edgedense.searching.points import rival_points, with_front
from edgedense.searching.rivals import Judging, check, rivals, work_on
from tests.edgedense.boards.files import convolution_file

TASK = Task("chest.keras", Path("calibration"), Path("validation"), None, Options(), "pi5", Path("w"), Path("recover"))


class InTurn:
    """Jobs that are done one after the other, here."""

    workers = 1

    def each(self, work: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        return map(work, items)

    def must_see(self, *paths: Path | str) -> None: ...


def made(name: str) -> Made:
    recipe = {"rival": {"training": {"epochs": 3}} if name == "mobilenetv2" else {}}
    return Made(name, Choice(), name.encode(), recipe, Estimate(80.0, 78.0, 82.0), 500, "accuracy")


def on_pi5(data: bytes, board: str) -> BoardTime:
    assert board == "pi5"
    return BoardTime(board, 2.0, 5e6, True, 0.03)


def test_rivals_are_trained_with_the_pictures_and_the_seed_of_the_search() -> None:
    options = SearchOptions(seed=7, rivals=RivalOptions(("mobilenetv2",), against_epochs=3))
    making = work_on(TASK, options, Path("w/rivals")).making
    making.check()
    assert (making.model, making.calibration, making.work, making.seed) == (
        *("chest.keras", Path("calibration"), Path("w/rivals")),
        7,
    )
    assert making.options.slimming.recover == Path("recover")
    assert making.rivals.against_epochs == 3


def test_each_is_made_and_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Judging, "__call__", lambda self, name: made(name))
    monkeypatch.setattr(module, "estimated", on_pi5)
    judging = work_on(TASK, SearchOptions(rivals=RivalOptions(("mobilenetv2", "mine.keras"))), Path("w"))
    found = rivals(judging, InTurn())
    assert [(one.name, time.milliseconds) for one, time in found] == [("mobilenetv2", 2.0), ("mine.keras", 2.0)]

    def measure(files: Sequence[bytes]) -> list[BoardTime]:
        assert files == [b"mobilenetv2", b"mine.keras"]
        return [BoardTime("barn-1", 3.0 + number, None, False, None) for number in range(2)]

    monkeypatch.delattr(module, "estimated")  # what is measured needs no estimate, and may have none
    measured = rivals(judging, InTurn(), measure)
    assert [time.milliseconds for _, time in measured] == [3.0, 4.0]
    assert rivals(work_on(TASK, SearchOptions(), Path("w")), InTurn()) == []


def test_a_network_without_an_estimate_is_told_with_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    codes = {"mobilenetv2": "CONV_2D", "mine.keras": "BATCH_MATMUL"}
    monkeypatch.setattr(Making, "untrained", lambda self, name: convolution_file(code=codes[name]))
    both = work_on(TASK, SearchOptions(rivals=RivalOptions(("mobilenetv2", "mine.keras"))), Path("w"))
    with pytest.raises(EdgedenseError, match=r"in mine\.keras of --against; found BATCH_MATMUL .*--on user@host"):
        check(both, InTurn(), is_estimated=True)
    check(both, InTurn(), is_estimated=False)  # a host measures it
    check(work_on(TASK, SearchOptions(rivals=RivalOptions(("mobilenetv2",))), Path("w")), InTurn(), is_estimated=True)


def test_a_network_that_cannot_be_made_is_told_on_a_host_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(making: Making, name: str) -> bytes:
        raise EdgedenseError("pictures of 32x32 pixels or more", "24x24")

    monkeypatch.setattr(Making, "untrained", refuse)
    judging = work_on(TASK, SearchOptions(rivals=RivalOptions(("resnet50",))), Path("w"))
    with pytest.raises(EdgedenseError, match="32x32"):
        check(judging, InTurn(), is_estimated=False)
    check(work_on(TASK, SearchOptions(), Path("w")), InTurn(), is_estimated=True)  # nothing to look at


def test_their_points_have_no_command_and_the_settings_of_their_training() -> None:
    points = with_front(rival_points([(made(name), on_pi5(b"", "pi5")) for name in ("mobilenetv2", "mine")]))
    assert [(one.name, one.kind, one.command, dict(one.settings)) for one in points] == [
        ("mobilenetv2", "rival", "", {"epochs": 3}),
        ("mine", "rival", "", {}),
    ]
    assert (points[0].file, points[0].recipe, points[0].low) == ("mobilenetv2.tflite", "mobilenetv2.json", 78.0)
