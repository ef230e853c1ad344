from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from edgedense.errors import EdgedenseError
from edgedense.images.tables import Table
from edgedense.measures import labelled


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


def test_a_folder_says_one_class_of_each_picture_for_several_findings_too(folder: Path) -> None:
    found = labelled.read_labelled(folder, ("fox", "cat"), "several")
    assert (found.kind, found.labels.tolist()) == ("classes", [1, 1, 0])


def test_a_folder_says_nothing_of_values(folder: Path) -> None:
    with pytest.raises(EdgedenseError, match="a table"):
        labelled.read_labelled(folder, ("months",), "values")


def test_a_table_of_classes(folder: Path) -> None:
    (folder / "labels.csv").write_text("file,label,patient\ncat/10.png,fox,1\nfox/30.png,cat,2\n")
    found = labelled.read_labelled(folder / "labels.csv", ("cat", "dog", "fox"))
    assert (found.kind, found.labels.tolist(), found.missing) == ("classes", [2, 0], ("dog",))
    assert found.truth.tolist() == [[0, 0, 1], [1, 0, 0]]
    assert (found.image_names, found.patients) == (("cat/10.png", "fox/30.png"), ("1", "2"))


def test_a_table_of_several_findings_and_of_values(folder: Path) -> None:
    (folder / "labels.csv").write_text(
        "file,label,split,months\ncat/10.png,fox|cat,test,7\ncat/20.png,,test,\nfox/30.png,dog,train,9\n"
    )
    found = labelled.read_labelled(str(folder / "labels.csv"), ("cat", "dog", "fox"), "several")
    assert (found.kind, len(found.labels), found.missing) == ("several", 0, ("dog",))
    assert np.array_equal(found.truth, [[1, 0, 1], [np.nan] * 3], equal_nan=True)
    assert labelled.missing_notes(found)[0] == "labels.csv: 2 of 3 rows are taken, those of the split test"
    table = Table(folder / "labels.csv", split="train")
    values = labelled.read_labelled(table, ("months",), "values")
    assert (values.kind, values.truth.tolist(), values.missing) == ("values", [[9]], ())


def test_pairs_with_several_labels_or_values(folder: Path) -> None:
    first, second = folder / "cat/10.png", folder / "fox/30.png"
    names = ("cat", "dog", "fox")
    found = labelled.read_labelled([(first, ["cat", "fox"]), (second, [])], names, "several")
    assert (found.kind, found.truth.tolist()) == ("several", [[1, 0, 1], [0, 0, 0]])
    assert labelled.read_labelled([(first, "cat"), (second, 2)], names, "several").kind == "classes"
    values = labelled.read_labelled([(first, 7.5), (second, None)], ("months",), "values")
    assert np.array_equal(values.truth, [[7.5], [np.nan]], equal_nan=True)
    for label in ("seven", [1.0, 2.0], float("inf")):
        with pytest.raises(EdgedenseError, match="1 numbers with each picture"):
            labelled.read_labelled([(first, label)], ("months",), "values")


def test_the_fingerprint_is_of_names_contents_and_truth(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    def of(place: Path, *names: str) -> str:
        return labelled.fingerprint(labelled.read_labelled(place, names))

    before = of(folder, "cat", "fox")
    moved = Path(shutil.copytree(folder, tmp_path_factory.mktemp("moved") / "elsewhere"))
    assert of(moved, "cat", "fox") == before
    assert of(moved, "fox", "cat") != before
    (moved / "cat" / "10.png").rename(moved / "fox" / "10.png")
    assert of(moved, "cat", "fox") != before
    (folder / "cat" / "10.png").write_bytes((folder / "cat" / "20.png").read_bytes())
    assert of(folder, "cat", "fox") != before


def test_the_fingerprint_of_pairs_does_not_depend_on_their_order(folder: Path) -> None:
    pictures = [(folder / "cat" / "10.png", "cat"), (folder / "fox" / "30.png", "fox")]
    one, other = (labelled.read_labelled(some, ("cat", "fox")) for some in (pictures, pictures[::-1]))
    assert labelled.fingerprint(one) == labelled.fingerprint(other)
    (folder / "cat" / "10.png").unlink()
    with pytest.raises(EdgedenseError, match=r"a readable image; found cat/10\.png"):
        labelled.fingerprint(one)


def test_some_of_the_images(folder: Path) -> None:
    images = labelled.read_labelled(folder, ("cat", "fox"))
    some = images.only(np.array([0, 2]))
    assert (some.image_names, some.labels.tolist()) == (("cat/10.png", "fox/30.png"), [0, 1])
    assert some.truth.tolist() == [[1, 0], [0, 1]]
    assert [path.name for path in some.paths] == ["10.png", "30.png"]
    assert images.only(np.arange(3)) is images
