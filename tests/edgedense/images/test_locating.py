from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from edgedense.errors import EdgedenseError
from edgedense.images import locating
from edgedense.images.sheet import Faults


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.png", "one/b.png", "one/same.png", "two/same.png", "two/c.JPG", "two/.c.png"):
        (tmp_path / "pictures" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "pictures" / name).touch()
    (tmp_path / "beside.png").touch()
    return tmp_path / "pictures"


def find(folder: Path, *names: str) -> list[str]:
    return located(folder, names)[1]


def located(folder: Path, names: Sequence[str]) -> tuple[list[Path], list[str]]:
    faults = Faults(Path("labels.csv"))
    found = locating.located(folder, names, np.arange(len(names)) + 2, faults)
    faults.check()
    return found


def test_names_begin_in_the_folder_or_stand_anywhere_below_it(folder: Path) -> None:
    names = ("a.png", "one/same.png", "one\\b.png", "c")
    assert find(folder, *names) == ["a.png", "one/same.png", "one/b.png", "two/c.JPG"]
    assert find(folder, "b.png") == ["one/b.png"]


def test_names_may_lead_out_of_the_folder_or_be_whole(folder: Path) -> None:
    paths, names = located(folder, ["../beside.png", str(folder / "a.png")])
    assert paths == [folder.parent / "beside.png", folder / "a.png"]
    assert names == [str(folder.parent / "beside.png"), "a.png"]


def test_the_working_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert find(Path("."), "a.png", "b.png") == ["a.png", "one/b.png"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("same.png", "same.png is there 2 times: one/same.png, two/same.png"),
        ("one/a.png", "no file one/a.png"),
        ("one", "no file one in"),
        ("/nowhere/a.png", "no file /nowhere/a.png"),
        ("pictures/a.png", r"Try: --images .*test_\w+\d*$"),  # as CheXpert's names begin with the data set's folder
    ],
)
def test_names_that_are_no_file(folder: Path, name: str, said: str) -> None:
    with pytest.raises(EdgedenseError, match=said):
        find(folder, "a.png", name)


def test_two_names_of_one_file(folder: Path) -> None:
    with pytest.raises(EdgedenseError, match=r"row 3: one/\.\./a\.png again, which row 2 has"):
        find(folder, "a.png", "one/../a.png")


def test_a_folder_that_is_none(folder: Path) -> None:
    with pytest.raises(EdgedenseError, match="which is no folder"):
        find(folder / "a.png", "a.png")


def test_each_folder_is_listed_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed: list[str] = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: (listed.append(os.fspath(path)), scandir(path))[1])
    find(folder, "a.png", "one/b.png", "one/same.png", "two/same.png")
    assert sorted(listed) == [str(folder), str(folder / "one"), str(folder / "two")]
