from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from edgedense.errors import EdgedenseError
from edgedense.measures import labelled


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Grey pictures: cat 10 and 20, fox 30; no dog."""
    for name, levels in {"cat": (10, 20), "fox": (30,)}.items():
        (tmp_path / name).mkdir()
        for level in levels:
            Image.new("RGB", (8, 8), (level,) * 3).save(tmp_path / name / f"{level}.png")
    return tmp_path


def test_folders_are_matched_by_name_and_not_by_order(folder: Path) -> None:
    found = labelled.read_labelled(folder, ("fox", "dog", "cat"))
    assert found.labels.tolist() == [2, 2, 0]
    assert found.missing == ("dog",)
    assert found.truth.tolist() == [[0, 0, 1], [0, 0, 1], [1, 0, 0]]
    assert found.image_names == ("cat/10.png", "cat/20.png", "fox/30.png")


def test_an_unknown_folder_is_an_error_that_names_the_likely_label(folder: Path) -> None:
    with pytest.raises(EdgedenseError, match="rename cat to cats"):
        labelled.read_labelled(folder, ("cats", "fox"))
    with pytest.raises(EdgedenseError, match="--labels"):
        labelled.read_labelled(folder, ("0", "1"))


def test_a_folder_without_pictures_is_a_label_without_an_image(folder: Path) -> None:
    (folder / "dog").mkdir()
    found = labelled.read_labelled(folder, ("fox", "dog", "cat"))
    assert found.missing == ("dog",)
    assert labelled.missing_notes(found) == ["no pictures of 1 of the model's classes: dog"]
