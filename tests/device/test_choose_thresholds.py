"""Thresholds for a file that was made before: `validate --operating-point`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import edgedense
from edgedense import cli
from edgedense.deployed import bundle, golden
from edgedense.errors import EdgedenseError
from edgedense.measures.operating_points import wilson
from edgedense.measures.result import Report
from tests.device.conftest import COLOURS, RECIPE

# The level of a card's own channel; the others are 40. A file that scores each colour alone gives 0.5 at 100.
LEVELS = {"red": (90, 120, 140), "green": (110, 130), "blue": (100, 150)}


@pytest.fixture
def cards(tmp_path: Path) -> Path:
    for number, (name, levels) in enumerate(LEVELS.items()):
        folder = tmp_path / "cards" / name
        folder.mkdir(parents=True)
        for level in levels:
            colour = [40, 40, 40]
            colour[number] = level
            Image.new("RGB", (9, 9), tuple(colour)).save(folder / f"{level}.png")
    return tmp_path / "cards"


@pytest.fixture
def file(tmp_path: Path, colour_model: Callable[..., bytes]) -> Path:
    """As `findings`, with golden samples, an entry of somebody else and green, which it was not trained for."""
    entries = {golden.ENTRY: b"{}", "note.txt": b"keep me"}
    recipe = {**RECIPE, "activation": "sigmoid", "thresholds": [0.9, None, 0.9]}
    path = tmp_path / "findings.tflite"
    path.write_bytes(bundle.pack(colour_model(independent=True), COLOURS, recipe, entries))
    return path


def call(*arguments: object) -> None:
    cli.app([str(a) for a in arguments], standalone_mode=False)


def test_all_else_in_the_file_stays(file: Path, cards: Path, tmp_path: Path) -> None:
    before = bundle.read(file)
    chosen = edgedense.choose_thresholds(file, cards, "sensitivity=1")
    after = bundle.parse(chosen.data)
    assert bundle.without_archive(after.model) == bundle.without_archive(before.model)
    assert (after.labels, after.preprocessing) == (before.labels, before.preprocessing)
    assert set(after.recipe) - set(before.recipe) == {"operating_points"}
    assert {name: data for name, data in after.entries.items() if name != bundle.RECIPE} == {
        name: data for name, data in before.entries.items() if name != bundle.RECIPE
    }
    # The faintest red card has 90, the faintest blue one 100: 0.5 exactly.
    red, green, blue = after.thresholds
    assert red == pytest.approx(1 / (1 + np.exp(0.5)), abs=1e-6)
    assert (green, blue) == (None, 0.5)
    assert edgedense.choose_thresholds(file, cards, "sensitivity=1").data == chosen.data
    chosen.save(tmp_path / "again.tflite")
    again = edgedense.choose_thresholds(tmp_path / "again.tflite", cards, "sensitivity=1")
    assert again.data == chosen.data  # also of a file that has them


def test_the_command_writes_and_validate_tells_what_they_do_elsewhere(
    file: Path, cards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, out = file.read_bytes(), tmp_path / "new.tflite"
    call("validate", file, "--data", cards, "--operating-point", "sensitivity=1", "--out", out)
    shown = capsys.readouterr().out
    assert "Operating points, chosen by sensitivity=1 on 7 pictures" in shown
    assert "100.0 (44–100)" in shown  # Wilson's lower bound of 3 of 3 is 3 / (3 + z^2)
    assert file.read_bytes() == before
    assert out.read_bytes() == edgedense.choose_thresholds(file, cards, "sensitivity=1").data
    (cards / "blue" / "100.png").unlink()
    Image.new("RGB", (9, 9), (40, 40, 90)).save(cards / "blue" / "90.png")  # 0.3775, below the threshold
    call("validate", out, "--data", cards, "--json")
    told = json.loads(capsys.readouterr().out)["operating_points"]
    assert [one["here"]["label"] for one in told] == ["red", "blue"]
    assert told[1]["promised"]["sensitivity"]["value"] == 1
    assert told[1]["here"]["sensitivity"]["value"] == 0.5
    call("validate", out, "--data", cards)
    shown = capsys.readouterr().out
    assert "Operating points: promised and here" in shown
    assert re.search(r"blue +0\.5000 +sensitivity +100\.0 \(34–100\) +50\.0 \(9–91\) +2 *\n", shown), shown


def test_a_table_of_several_findings(file: Path, cards: Path) -> None:
    """The rows of the split val are taken. The blue card of 100 shows red too, whose score is that of 40: 0.0474."""
    rows = ["file,split,label", "red/120.png,test,red", "blue/100.png,val,blue|red", "green/110.png,val,No Finding"]
    (cards / "labels.csv").write_text("\n".join(rows) + "\n")
    chosen = edgedense.choose_thresholds(file, cards / "labels.csv", "sensitivity=1")
    assert chosen.points.images == 2
    red, _, blue = chosen.points.points
    assert red is not None
    assert blue is not None
    assert red.threshold == pytest.approx(1 / (1 + np.exp(3)), abs=1e-6)
    assert (red.sensitivity, red.specificity) == (wilson(1, 1), wilson(0, 1))
    assert (blue.threshold, blue.specificity) == (0.5, wilson(1, 1))
    assert chosen.points.notes == ["seen in every picture at the threshold for sensitivity=1: red"]


def test_in_place_only_where_the_file_itself_is_named(
    file: Path, cards: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call("validate", file, "--data", cards, "--operating-point", "0.25", "--out", file, "--json")
    told = json.loads(capsys.readouterr().out)
    assert (told["chosen_by"], told["points"][1]) == ("0.25", None)
    assert bundle.read(file).thresholds == (0.25, None, 0.25)


def test_a_pair(tmp_path: Path, cards: Path, colour_model: Callable[..., bytes]) -> None:
    """Green cards are of neither: they are taken away. The score is that of "blue"."""
    for path in (cards / "green").iterdir():
        path.unlink()
    (cards / "green").rmdir()
    path = tmp_path / "pair.tflite"
    path.write_bytes(bundle.pack(colour_model(outputs=1), ("red", "blue"), {**RECIPE, "activation": "sigmoid"}))
    chosen = edgedense.choose_thresholds(path, cards, "sensitivity=1", positive="red")
    (point,) = chosen.points.points
    assert point is not None
    assert (point.label, point.below) == ("red", "blue")
    assert (point.sensitivity, point.specificity) == (wilson(3, 3), wilson(2, 2))
    chosen.save(path)
    assert bundle.read(path).recipe["positive"] == "red"
    report = edgedense.validate(path, cards)
    assert isinstance(report, Report)
    assert report.operating_points[0].here.sensitivity == wilson(3, 3)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--out", "new.tflite"), "--data with --operating-point"),
        (("--data", "cards"), "--out with --operating-point"),
        (("--data", "cards", "--out", "new.onnx"), "--out FILE.tflite"),
        (("--data", "cards", "--out", "new.tflite", "--max-drop", "1"), "--operating-point alone"),
        (("--data", "cards", "--out", "new.tflite", "--positive", "red"), "found 3 that are scored one by one"),
    ],
)
def test_wrong_use(
    options: tuple[str, ...], said: str, file: Path, cards: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(cards.parent)
    with pytest.raises(EdgedenseError, match=said):
        call("validate", file, "--operating-point", "youden", *options)
    assert not Path("new.tflite").exists()


def test_out_alone(file: Path, cards: Path, tmp_path: Path) -> None:
    with pytest.raises(EdgedenseError, match="--operating-point with --out"):
        call("validate", file, "--data", cards, "--out", tmp_path / "new.tflite")


def test_classes_that_exclude_each_other(colours: Path, cards: Path) -> None:
    with pytest.raises(EdgedenseError, match="3 classes that exclude each other"):
        edgedense.choose_thresholds(colours, cards, "youden")
