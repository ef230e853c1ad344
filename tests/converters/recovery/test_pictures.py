"""The folder of pictures to recover with: labels where folders are named so, broken files, large sets, none at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgedense.converters.recovery import pictures as module
from edgedense.converters.recovery.pictures import FEWEST, UNLABELLED, Pictures, find_pictures, read_pictures
from edgedense.errors import EdgedenseError
from edgedense.images.preprocessing import Preprocessing, load_image
from edgedense.images.tables import Table
from tests.pictures import fill

SIZE = Preprocessing(32, 40, "densenet")


def test_a_flat_folder(tmp_path: Path) -> None:
    folder = fill(tmp_path / "flat", 20)
    ticks: list[int] = []
    found = read_pictures(folder, SIZE, ("a", "b"), tick=ticks.append)
    assert found.pixels.shape == (20, 32, 40, 3)
    assert np.array_equal(found.pixels[3], load_image(folder / "003.png", SIZE))
    assert (found.labels == UNLABELLED).all()
    assert found.notes == ("recovered without labels: no sub-folder, or label of a table, is one of the model",)
    assert sum(ticks) == 20


def test_folders_named_like_labels(tmp_path: Path) -> None:
    """By name and not by order; a folder of another name has no label."""
    for number, name in enumerate(("dog", "cat", "new")):
        fill(tmp_path / name, 8, seed=number)
    found = read_pictures(tmp_path, SIZE, ("dog", "cat"))
    assert found.labels.tolist() == [1] * 8 + [0] * 8 + [UNLABELLED] * 8
    assert found.notes == ("16 of 24 pictures to recover with have a label",)
    assert read_pictures(tmp_path, SIZE).notes == ()


def test_the_hash_changes_with_names_and_content(tmp_path: Path) -> None:
    one = read_pictures(fill(tmp_path / "one", FEWEST), SIZE).sha256
    assert read_pictures(fill(tmp_path / "again", FEWEST), SIZE).sha256 == one
    assert read_pictures(fill(tmp_path / "two", FEWEST, seed=1), SIZE).sha256 != one
    (tmp_path / "one" / "000.png").rename(tmp_path / "one" / "zzz.png")
    assert read_pictures(tmp_path / "one", SIZE).sha256 != one


def test_broken_files_are_left_out(tmp_path: Path) -> None:
    folder = fill(tmp_path / "some", FEWEST)
    (folder / "001b.png").write_bytes(b"no picture")
    found = read_pictures(folder, SIZE)
    assert len(found.pixels) == len(found.labels) == FEWEST
    assert "1 of 17 files could not be read: 001b.png" in found.notes[0]
    assert np.array_equal(found.pixels[-1], load_image(folder / "015.png", SIZE))


def test_too_few(tmp_path: Path) -> None:
    with pytest.raises(EdgedenseError, match="found 3"):
        read_pictures(fill(tmp_path / "few", 3), SIZE)
    (tmp_path / "empty").mkdir()
    with pytest.raises(EdgedenseError, match="none"):
        read_pictures(tmp_path / "empty", SIZE)
    with pytest.raises(EdgedenseError, match="no folder"):
        find_pictures(tmp_path / "missing")


def test_many_pictures_are_kept_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = fill(tmp_path / "many", 20)
    small = read_pictures(folder, SIZE)
    monkeypatch.setattr(module, "IN_MEMORY", 1000)
    monkeypatch.setattr(module, "AHEAD", 7)
    work = tmp_path / "work"  # is made
    large = read_pictures(folder, SIZE, work=work)
    assert isinstance(large.pixels, np.memmap)
    assert np.array_equal(large.pixels, small.pixels)
    assert large.sha256 == small.sha256
    assert list(work.iterdir()) == []  # the file has no name: a kill leaves nothing behind


def test_unlabelled() -> None:
    found = Pictures.unlabelled(np.zeros((3, 4, 4, 3), np.uint8), "hash")
    assert found.labels.tolist() == [UNLABELLED] * 3


def test_a_table(tmp_path: Path) -> None:
    """Its labels serve where each row has one, as folders' names do."""
    folder = fill(tmp_path / "some", FEWEST)
    table = tmp_path / "labels.csv"

    def write(*labels: str) -> Table:
        names = (f"{i:03}.png,{labels[i % len(labels)]},train\n" for i in range(FEWEST))
        table.write_text("file,label,split\n" + "".join(names) + "none.png,dog,test\n")
        return Table(table, folder)

    found = read_pictures(write("cat", "dog"), SIZE, ("dog", "cat"))
    assert found.labels.tolist() == [1, 0] * (FEWEST // 2)
    assert found.sha256 == read_pictures(folder, SIZE).sha256
    assert found.notes == (f"labels.csv: {FEWEST} of {FEWEST + 1} rows are taken, those of the split train",)
    assert (read_pictures(write("cat|dog", "cat"), SIZE, ("dog", "cat")).labels == UNLABELLED).all()
