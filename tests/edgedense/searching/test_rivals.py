"""Other networks beside the files of a search: made by workers, timed on the board, and points of the result."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from edgedense.boards.result import BoardTime
from edgedense.converters.options import Options
from edgedense.converters.rivals.options import RivalOptions
from edgedense.measures.bootstrap import Estimate
from edgedense.searching.bench import Task
from edgedense.searching.choice import Choice
from edgedense.searching.final import Made
from edgedense.searching.options import SearchOptions
from edgedense.searching.points import rival_points, with_front
from edgedense.searching.rivals import Judging, rivals, work_on

TASK = Task("chest.keras", Path("calibration"), Path("validation"), None, Options(), "pi5", Path("w"), Path("recover"))


class InTurn:
    """Jobs that are done one after the other, here."""

    workers = 1

    def each(self, work: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        return map(work, items)

    def must_see(self, *paths: Path | str) -> None: ...


def made(name: str) -> Made:
    recipe = {"rival": {"training": {"epochs": 3}} if name == "mobilenetv2" else {}}
    time = BoardTime("pi5", 2.0, 5e6, True, 0.03)
    return Made(name, Choice(), name.encode(), recipe, time, Estimate(80.0, 78.0, 82.0), 500, "accuracy")


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
    judging = work_on(TASK, SearchOptions(rivals=RivalOptions(("mobilenetv2", "mine.keras"))), Path("w"))
    found = rivals(judging, InTurn())
    assert [(one.name, time.milliseconds) for one, time in found] == [("mobilenetv2", 2.0), ("mine.keras", 2.0)]

    def measure(files: Sequence[bytes]) -> list[BoardTime]:
        assert files == [b"mobilenetv2", b"mine.keras"]
        return [BoardTime("barn-1", 3.0 + number, None, False, None) for number in range(2)]

    measured = rivals(judging, InTurn(), measure)
    assert [time.milliseconds for _, time in measured] == [3.0, 4.0]
    assert rivals(work_on(TASK, SearchOptions(), Path("w")), InTurn()) == []


def test_their_points_have_no_command_and_the_settings_of_their_training() -> None:
    points = with_front(rival_points([(made(name), made(name).time) for name in ("mobilenetv2", "mine")]))
    assert [(one.name, one.kind, one.command, dict(one.settings)) for one in points] == [
        ("mobilenetv2", "rival", "", {"epochs": 3}),
        ("mine", "rival", "", {}),
    ]
    assert (points[0].file, points[0].recipe, points[0].low) == ("mobilenetv2.tflite", "mobilenetv2.json", 78.0)
