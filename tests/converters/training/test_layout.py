"""Which pictures are found, and on which side: in folders, and by tables."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgedense.converters.training.layout import check_known, find, of_folder, of_table
from edgedense.errors import EdgedenseError
from edgedense.images.tables import Table
from tests.converters.training.conftest import fill_classes


class TestFolder:
    def test_a_folder_per_class(self, data: Path) -> None:
        found = of_folder(data)
        assert found.names == ("c0", "c1")
        assert (found.validation, found.test) == (None, None)
        assert found.train.labels.tolist() == [0] * 12 + [1] * 12

    @pytest.mark.parametrize("name", ["val", "validation", "valid"])
    def test_parts(self, parts: Path, name: str) -> None:
        assert of_folder(parts).validation is None
        fill_classes(parts / name, count=3, seed=3)
        found = of_folder(parts)
        assert [len(part.paths) for part in found.parts] == [24, 6, 8]
        assert found.test is not None
        assert found.test.source == parts / "test"

    def test_parts_with_other_classes_are_refused(self, parts: Path) -> None:
        (parts / "test" / "c1").rename(parts / "test" / "d1")
        with pytest.raises(EdgedenseError, match=r"train \(c0, c1\); found c0, d1"):
            of_folder(parts)

    def test_one_class_is_refused(self, data: Path) -> None:
        shutil.rmtree(data / "c1")
        with pytest.raises(EdgedenseError, match="two classes or more"):
            of_folder(data)

    def test_a_class_of_one_picture_is_refused(self, data: Path) -> None:
        for path in sorted((data / "c1").iterdir())[1:]:
            path.unlink()
        with pytest.raises(EdgedenseError, match="c1: 1"):
            of_folder(data)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Where a test writes its table. Beside it is the folder xrays, with a.png to h.png."""
    (tmp_path / "xrays").mkdir()
    for name in "abcdefgh":
        Image.new("RGB", (2, 2)).save(tmp_path / "xrays" / f"{name}.png")
    return tmp_path / "labels.csv"


def write(table: Path, header: str, *rows: str) -> Table:
    table.write_text("\n".join([header, *(f"{name}.png,{row}" for name, row in zip("abcdefgh", rows, strict=False))]))
    return Table(table, table.parent / "xrays")


SEVERAL = ("1,0,1", "0,1,1", "0,,2", "1,-1,3", "0,0,3")


class TestTable:
    def test_a_class_for_each_label_that_occurs(self, table: Path) -> None:
        found = of_table(write(table, "file,label", "well", "ill", "ill", "well"), False)
        assert found.names == ("ill", "well")
        assert found.train.labels.tolist() == [1, 0, 0, 1]
        assert found.train.paths[0] == table.parent / "xrays" / "a.png"
        assert found.train.names[0] == "a.png"
        assert (found.validation, found.test, found.train.patients) == (None, None, ())
        assert found.train.source == Table(table, table.parent / "xrays")

    def test_a_column_for_each_class(self, table: Path) -> None:
        found = of_table(write(table, "file,well,ill", "1,0", "0,1", "0,1"), False)
        assert found.names == ("well", "ill")
        assert found.train.labels.tolist() == [0, 1, 1]

    def test_several_findings_and_patients(self, table: Path) -> None:
        found = of_table(write(table, "file,nodule,hernia,patient", *SEVERAL), True)
        assert found.names == ("nodule", "hernia")
        np.testing.assert_array_equal(found.train.labels, [[1, 0], [0, 1], [0, np.nan], [1, np.nan], [0, 0]])
        assert found.train.patients == ("1", "1", "2", "3", "3")
        assert any("--uncertain ignore" in note for note in found.notes)

    def test_what_is_uncertain_is_as_a_person_says(self, table: Path) -> None:
        chosen = write(table, "file,nodule,hernia,patient", *SEVERAL)
        found = of_table(Table(chosen.file, chosen.images, uncertain="one"), True)
        assert found.train.labels[:, 1].tolist() == [0, 1, 0, 1, 0]
        assert isinstance(found.train.source, Table)
        assert found.train.source.uncertain == "one"

    def test_no_finding_is_none_of_them(self, table: Path) -> None:
        found = of_table(write(table, "Image Index,Finding Labels", "A|B", "No Finding", "B"), True)
        assert found.names == ("A", "B")
        assert found.train.labels.tolist() == [[1, 1], [0, 0], [0, 1]]

    @pytest.mark.parametrize("word", ["val", "Valid", "validation"])
    def test_splits(self, table: Path, word: str) -> None:
        rows = (*("x,train,1", "y,train,2"), f"x,{word},3", *("y,test,1", "x,test,4"))
        found = of_table(write(table, "file,label,split,patient", *rows), False)
        assert [part.names for part in found.parts] == [("a.png", "b.png"), ("c.png",), ("d.png", "e.png")]
        assert [part.patients for part in found.parts] == [("1", "2"), ("3",), ("1", "4")]
        assert [part.labels.tolist() for part in found.parts] == [[0, 1], [0], [1, 0]]
        assert [part.source.split for part in found.parts] == ["train", word, "test"]  # type: ignore[union-attr]

    @pytest.mark.parametrize(
        ("header", "rows", "message"),
        [
            ("file,label", ("x", "x|y", "y"), r"2 in row 3. Try: --multi-label"),
            ("file,x,y", ("1,0", "0,0", "0,1"), r"0 in row 3. Try: --multi-label"),
            ("file,x", ("1", "0"), r"one for every picture; found 0 in row 3. Try: --multi-label"),
            ("file,label", ("x", "x"), r"only x. Try: --multi-label"),
            ("file,age", ("7", "8"), r"a column of 0 and 1 for each class; found none"),
            (
                "file,label,split",
                ("x,train", "y,train", "x,dev", "y,"),
                r"test in the column split.*blank \(1 rows\), dev",
            ),
            ("file,label,split", ("x,test", "y,test"), "none of the split train"),
            ("file,label,split", ("x,train", "x,train", "y,test"), "training pictures with y; found none"),
        ],
    )
    def test_what_is_refused(self, table: Path, header: str, rows: tuple[str, ...], message: str) -> None:
        with pytest.raises(EdgedenseError, match=message):
            of_table(write(table, header, *rows), False)

    def test_a_class_that_every_training_picture_shows_is_refused(self, table: Path) -> None:
        rows = ("1,1,train", "1,0,train", "0,1,test")
        with pytest.raises(EdgedenseError, match=r"training pictures without x; found none. Try: leave the class out"):
            of_table(write(table, "file,x,y,split", *rows), True)

    def test_all_splits_are_used(self, table: Path) -> None:
        with pytest.raises(EdgedenseError, match="without a split"):
            of_table(Table(table, split="train"), False)


class TestFind:
    def test_folders_and_tables(self, table: Path, data: Path) -> None:
        write(table, "path,label", "x", "y")
        shutil.copytree(table.parent / "xrays", table.parent, dirs_exist_ok=True)  # names begin beside the table
        assert find(table, False).names == ("x", "y")
        assert find(str(data), False).names == ("c0", "c1")

    def test_folders_do_not_say_what_else_a_picture_shows(self, data: Path) -> None:
        with pytest.raises(EdgedenseError, match=r"a table .* for --multi-label; found .*data: of a picture"):
            find(data, True)


def test_what_nobody_knows_is_no_picture_without_it() -> None:
    with pytest.raises(EdgedenseError, match=r"training pictures without b; found none\. Try: more"):
        check_known(np.array([[1, np.nan], [0, 1]]), ("a", "b"), "more")
    check_known(np.array([[1, 0], [0, 1]]), ("a", "b"), "more")
