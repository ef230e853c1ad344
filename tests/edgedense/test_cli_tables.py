"""Tables in place of folders: convert, validate, compare and inspect as a user types them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import edgedense
from edgedense.api.page import _places
from edgedense.deployed import bundle
from tests.edgedense.test_cli import CLASSES, QUICK, Ended, refused, succeeded
from tests.edgedense.test_cli import edgedense as run
from tests.pictures import fill

SPLITS = ("fit", "fit", "gate", "test")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four pictures for each of five classes in `pictures`, one of them in the split `test`, and a table of all.

    In `tested` are those of the split `test` alone, in folders.
    """
    folder = tmp_path_factory.mktemp("tables")
    rows = ["file,label,split"]
    for number, name in enumerate(CLASSES):
        for path, split in zip(sorted(fill(folder / "pictures" / name, 4, number).iterdir()), SPLITS, strict=True):
            rows.append(f"{name}/{path.name},{name},{split}")
            if split == "test":
                (folder / "tested" / name).mkdir(parents=True)
                (folder / "tested" / name / path.name).write_bytes(path.read_bytes())
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture(scope="module")
def converted(folder: Path, model: Path) -> Ended:
    """One conversion: calibration and gate have their pictures by the same table."""
    table = folder / "labels.csv"
    return succeeded(
        *("convert", model, "--calibration", table, "--validation", table, "--images", folder / "pictures"),
        *("--calibration-split", "fit", "--split", "gate", "--max-drop", "100", "--force", *QUICK),
        *("--out", folder / "m.tflite"),
    )


@pytest.fixture
def file(folder: Path, converted: Ended) -> Path:
    return folder / "m.tflite"


def test_convert(converted: Ended, file: Path) -> None:
    found = bundle.read(file)
    assert found.labels == CLASSES
    assert found.recipe["calibration"]["images"] == 10
    assert "validation_drop_points" in found.recipe["figures"]
    for split, count in (("fit", 10), ("gate", 5)):
        assert f"edgedense: labels.csv: {count} of 20 rows are taken, those of the split {split}" in converted.err


def test_validate_gives_the_figures_of_the_same_pictures_in_folders(file: Path, folder: Path) -> None:
    by_table = succeeded("validate", file, "--data", folder / "labels.csv", "--images", folder / "pictures", "--json")
    by_folder = succeeded("validate", file, "--data", folder / "tested", "--json")
    assert json.loads(by_table.out) == json.loads(by_folder.out)
    assert json.loads(by_table.out)["evaluation"]["images"] == 5
    assert "labels.csv: 5 of 20 rows are taken, those of the split test" in by_table.err


def test_validate_from_python(file: Path, folder: Path) -> None:
    table = edgedense.Table(folder / "labels.csv", folder / "pictures", split="fit")
    report = edgedense.validate(file, table)
    assert isinstance(report, edgedense.Report)
    assert report.evaluation.images == 10
    assert edgedense.to_html(report, table).startswith("<!doctype html>")


def test_compare(file: Path, folder: Path) -> None:
    usual = ("compare", file, file, "--data", folder / "labels.csv", "--images", folder / "pictures", "--json")
    assert json.loads(succeeded(*usual, "--split", "gate").out)["drift"]["after"]["images"] == 5


def test_uncertain(file: Path, folder: Path, tmp_path: Path) -> None:
    """The class of the second picture is only known where -1 is taken as seen."""
    rows = ("file,ant,bee,cow,dog,emu", "ant/000.png,1,0,0,0,0", "bee/000.png,0,-1,0,0,0")
    (tmp_path / "labels.csv").write_text("\n".join(rows) + "\n")
    usual = ("validate", file, "--data", tmp_path / "labels.csv", "--images", folder / "pictures", "--json")
    assert json.loads(succeeded(*usual, "--uncertain", "one").out)["evaluation"]["images"] == 2
    assert "row 3: 0 classes are 1" in run(*usual, "--uncertain", "zero").err


def test_faults_are_printed_without_a_traceback(file: Path, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("file,label\nno.png,ant\n")
    ended = run("validate", file, "--data", tmp_path / "labels.csv")
    assert (ended.code, ended.out) == (2, "")
    assert "row 2: no file no.png" in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize("command", ["convert", "validate", "compare", "inspect"])
def test_a_count_of_pictures_is_another_option(command: str, file: Path, model: Path, folder: Path) -> None:
    data = ("--calibration", folder / "pictures") if command == "convert" else ("--data", folder / "labels.csv")
    more = {
        "convert": (model, "--out", folder / "n.tflite"),
        "validate": (file,),
        "compare": (file, file),
        "inspect": (file, "--layers", "--reference", model),
    }
    assert "Try: --calibration-images 100" in refused(command, *more[command], *data, "--images", "100")


def test_options_of_tables_need_a_table(file: Path, model: Path, folder: Path) -> None:
    pictures, table = folder / "pictures", folder / "labels.csv"
    line = refused("validate", file, "--data", pictures, "--split", "test", "--uncertain", "zero")
    assert "a table (.csv or .tsv) for --split and --uncertain" in line
    refused("validate", file, "--split", "test")
    usual = ("convert", model, "--out", folder / "n.tflite")
    calibrated, validated = ("--calibration", pictures), ("--validation", pictures)
    for given in (
        (*calibrated, "--validation", table, "--calibration-split", "fit"),
        ("--calibration", table, *validated, "--split", "gate"),
        (*calibrated, *validated, "--images", pictures),
    ):
        assert "a table (.csv or .tsv) for" in refused(*usual, *given)


def test_inspect_takes_the_pictures_of_a_table(file: Path, model: Path, folder: Path) -> None:
    usual = ("inspect", file, "--layers", "--reference", model, "--data", folder / "labels.csv")
    line = refused(*usual, "--images", folder / "pictures", "--split", "fold7")
    assert "fit (10), gate (5), test (5)" in line


def test_a_page_finds_the_pictures_of_a_table(folder: Path) -> None:
    place = _places(edgedense.Table(folder / "labels.csv", folder / "pictures"))
    assert place("ant/003.png") == folder / "pictures" / "ant" / "003.png"
