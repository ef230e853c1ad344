"""The points of a result: the front, the chosen one, and the command of each."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from edgedense.boards.result import BoardTime
from edgedense.converters.opening import Opening
from edgedense.converters.options import Options
from edgedense.errors import EdgedenseError, GateError
from edgedense.images.tables import Table
from edgedense.measures.bootstrap import Estimate
from edgedense.searching.bench import Task
from edgedense.searching.choice import Choice
from edgedense.searching.final import Made
from edgedense.searching.points import check_tables, chosen, command, points, with_front

PLAIN, HALF = Choice(), Choice(0.5)
TASK = Task("m.keras", Path("cal"), Path("val"), None, Options(), "pi5", Path("work"), Path("more pictures"))


def made(name: str, milliseconds: float, accuracy: float | None, choice: Choice = PLAIN) -> tuple[Made, BoardTime]:
    reached = Estimate(accuracy) if accuracy is None else Estimate(accuracy, accuracy - 1, accuracy + 1)
    return (
        Made(name, choice, b"four", {}, reached, 1000, "accuracy"),
        BoardTime("pi5", milliseconds, 1e6 * milliseconds, True, 0.03),
    )


FOUND = points(
    [
        made("unpruned", 8, 80),
        made("trial-1", 4, 79, Choice(0.5)),
        made("trial-2", 5, 78),
        made("prune-channels", 4, 76),
    ],
    TASK,
    None,
    Path("out"),
)


def test_the_fastest_come_first_and_the_front_is_marked() -> None:
    assert [point.name for point in FOUND] == ["trial-1", "prune-channels", "trial-2", "unpruned"]
    assert [point.name for point in FOUND if point.on_front] == ["trial-1", "unpruned"]
    assert [point.kind for point in FOUND] == ["trial", "fraction", "trial", "unpruned"]


def test_a_point_has_what_was_measured() -> None:
    first = FOUND[0]
    assert (first.milliseconds, first.instructions, first.is_estimate) == (4, 4e6, True)
    assert (first.accuracy, first.low, first.high, first.images, first.size) == (79, 78, 80, 1000, 4)
    assert (first.settings, first.file, first.recipe) == ({"prune_channels": 0.5}, "trial-1.tflite", "trial-1.json")
    (nothing,) = points([made("trial-3", 1, None)], TASK, None, Path("out"))
    assert (nothing.accuracy, nothing.low, nothing.high) == (0, 0, 0)


def test_the_most_accurate_within_the_budget() -> None:
    assert chosen(FOUND, 8).name == "unpruned"
    assert chosen(FOUND, 7.9).name == "trial-1"
    twins = with_front([replace(FOUND[0], name="slower", milliseconds=4.5), FOUND[0]])
    assert chosen(twins, 5).name == "trial-1"


def test_another_network_is_never_chosen() -> None:
    rival = replace(FOUND[0], name="net", kind="rival", accuracy=99, milliseconds=1)
    assert chosen([*FOUND, rival], 8).name == "unpruned"


def test_no_file_within_the_budget() -> None:
    with pytest.raises(GateError, match=r"at most 3 ms; found 4 ms at least, which trial-1 takes"):
        chosen(FOUND, 3)


def typed(choice: Choice, task: Task = TASK, labels: Path | None = None) -> str:
    return command(choice, task, labels, Path("out/a.tflite"))


def test_the_command_of_the_plain_conversion() -> None:
    assert typed(Choice()) == "edgedense convert m.keras --calibration cal --out out/a.tflite"
    assert FOUND[-1].command == "edgedense convert m.keras --calibration cal --out out/unpruned.tflite"


def test_what_all_files_have_in_common_is_typed() -> None:
    task = replace(TASK, options=Options(calibration_images=64, force=True, opening=Opening(activation="softmax")))
    words = shlex.split(typed(Choice(), task, Path("my labels.txt")))
    assert words[5:7] == ["--labels", "my labels.txt"]
    assert words[words.index("--calibration-images") + 1] == "64"
    assert words[words.index("--activation") + 1] == "softmax"
    assert "--force" in words


def test_the_size_of_a_choice_goes_before_that_of_all() -> None:
    task = replace(TASK, options=Options(opening=Opening(size=(96, 96))))
    assert "--input-size 96 " in typed(Choice(), task)
    assert typed(Choice(size=(64, 64)), task).count("--input-size") == 1
    assert "--input-size 64 " in typed(Choice(size=(64, 64)), task)


def test_pictures_to_train_on_are_named_where_something_is_trained() -> None:
    assert "--recover" not in typed(Choice(0.5))
    assert "--prune-channels 0.5 --epochs 2 --recover 'more pictures'" in typed(Choice(0.5, epochs=2))


def test_tables() -> None:
    table = Table("cal.csv", images="pictures", split="train")
    task = replace(TASK, calibration=table, recover=replace(table, file="more.csv"))
    text = typed(Choice(0.5, epochs=1), task)
    assert "--calibration cal.csv" in text
    assert text.endswith("--recover more.csv --images pictures --calibration-split train --out out/a.tflite")
    assert "--images pictures" in typed(Choice(), task)


def test_tables_that_no_command_can_say_together() -> None:
    table = Table("cal.csv", images="pictures")
    for other in (Path("folder"), None, replace(table, file="more.csv")):
        check_tables(replace(TASK, calibration=table, recover=other))
    for other in (replace(table, images="others"), replace(table, split="train")):
        with pytest.raises(EdgedenseError, match="`images` and `split` are the same"):
            check_tables(replace(TASK, calibration=table, recover=other))
