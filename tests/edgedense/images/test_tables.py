from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from edgedense.errors import EdgedenseError
from edgedense.images import tables
from edgedense.images.pictures import collect, find_classes
from edgedense.images.tables import Table

LABELS = ("cat", "dog", "fox")


def table(folder: Path, text: str, name: str = "labels.csv", files: str = "abcd") -> Path:
    """A table, and beside it the empty files a.png, b.png and so on: they are found and not read."""
    for file in files:
        (folder / f"{file}.png").touch()
    (folder / name).write_text(text, "utf-8")
    return folder / name


def shown(rows: tables.Rows) -> list[list[float | None]]:
    """The truth, with None for what nobody knows."""
    return [[None if np.isnan(value) else value for value in row] for row in rows.truth.tolist()]


def test_labels_in_one_cell(tmp_path: Path) -> None:
    path = table(tmp_path, "file,label\na.png,fox|cat\nb.png,No Finding\nc.png, dog \n")
    rows = tables.read(path, "several", LABELS)
    assert shown(rows) == [[1, 0, 1], [0, 0, 0], [0, 1, 0]]
    assert rows.image_names == ("a.png", "b.png", "c.png")
    assert rows.paths == tuple(tmp_path / name for name in rows.image_names)
    assert (rows.numbers, rows.splits, rows.patients, rows.notes) == ((2, 3, 4), (), (), ())


def test_no_finding_is_a_label_where_the_model_has_it(tmp_path: Path) -> None:
    path = table(tmp_path, "file,label\na.png,No Finding\nb.png,cat\n")
    assert shown(tables.read(path, "several", ("cat", "No Finding"))) == [[0, 1], [1, 0]]
    assert shown(tables.read(path, "classes", ("cat", "No Finding"))) == [[0, 1], [1, 0]]


def test_lists_as_padchest_writes_them(tmp_path: Path) -> None:
    path = table(tmp_path, "ImageID,Labels\na.png,\"['cat', ' fox']\"\nb.png,[dog]\n")
    with pytest.raises(EdgedenseError, match=r"row 3: unknown label '\[dog\]'"):
        tables.read(path, "classes", ("cat", "fox"))
    assert tables.read(path, "several").names == ("[dog]", "cat", "fox")


def test_chestxray14_with_pictures_in_sub_folders(tmp_path: Path) -> None:
    for place, name in (("images_001", "1_000.png"), ("images_012", "2_000.png")):
        (tmp_path / place / "images").mkdir(parents=True)
        (tmp_path / place / "images" / name).touch()
    text = "Image Index,Finding Labels,Follow-up #,Patient ID,\n1_000.png,Mass|Hernia,0,7,\n2_000.png,No Finding,0,9,\n"
    rows = tables.read(table(tmp_path, text, files=""), "several")
    assert rows.names == ("Hernia", "Mass")
    assert shown(rows) == [[1, 1], [0, 0]]
    assert rows.image_names == ("images_001/images/1_000.png", "images_012/images/2_000.png")
    assert rows.patients == ("7", "9")


@pytest.mark.parametrize(
    ("uncertain", "blank", "unsure"), [("ignore", None, None), ("zero", 0.0, 0.0), ("one", 0.0, 1.0)]
)
def test_a_column_for_each_class(tmp_path: Path, uncertain: str, blank: float | None, unsure: float | None) -> None:
    path = table(tmp_path, "Path,Sex,Dog,cat\na.png,F,1.0,0\nb.png,M,,-1.0\n")
    rows = tables.read(Table(path, uncertain=uncertain), "several", ("cat", "dog"))  # type: ignore[arg-type]
    assert shown(rows) == [[0, 1], [unsure, blank]]
    assert len(rows.notes) == 2
    assert f"labels.csv: 1 blank cells count as {'not known' if blank is None else 'not seen'}" in rows.notes[0]
    assert f"(--uncertain {uncertain})" in rows.notes[1]


def test_a_class_without_a_column_is_not_known(tmp_path: Path) -> None:
    rows = tables.read(table(tmp_path, "file,cat\na.png,1\n"), "several", ("cat", "dog"))
    assert shown(rows) == [[1, None]]
    assert rows.notes == ("labels.csv: no column for dog: nobody knows which pictures show them",)


def test_classes_that_exclude_each_other_in_columns(tmp_path: Path) -> None:
    path = table(tmp_path, "image,cat,dog,fox\na,0,0,1\nb,1,0,0\n")  # without suffixes, as ISIC's
    rows = tables.read(path, "classes", LABELS)
    assert rows.truth.argmax(axis=1).tolist() == [2, 0]
    assert rows.paths[0].name == "a.png"
    with pytest.raises(EdgedenseError, match="row 3: 2 classes are 1"):
        tables.read(table(tmp_path, "image,cat,dog,fox\na,0,0,1\nb,1,1,0\n"), "classes", LABELS)


def test_one_column_says_all_of_two_classes(tmp_path: Path) -> None:
    path = table(tmp_path, "file,ill\na.png,1\nb.png,0\n")
    assert tables.read(path, "classes", ("healthy", "ill")).truth.argmax(axis=1).tolist() == [1, 0]
    with pytest.raises(EdgedenseError, match="row 3: 0 classes are 1"):
        tables.read(path, "classes", ("healthy", "ill", "other"))


def test_values(tmp_path: Path) -> None:
    path = table(tmp_path, "file,Months\na.png,12.5\nb.png,\n")
    rows = tables.read(path, "values", ("months",))
    assert shown(rows) == [[12.5], [None]]
    assert rows.notes == ("labels.csv: 1 values are blank: nobody knows them",)
    for column in ("value", "label"):
        assert shown(tables.read(table(tmp_path, f"file,{column}\na.png,3\n"), "values", ("months",))) == [[3]]
    path = table(tmp_path, "file,value\na.png,3\n")
    assert tables.read(path, "values").names == ("value",)
    with pytest.raises(EdgedenseError, match=r"a column of numbers in .* for width"):
        tables.read(path, "values", ("value", "width"))


def test_classes_are_found_where_nobody_names_them(tmp_path: Path) -> None:
    path = table(tmp_path, "file,fox,age,cat,sex,patient\na.png,1,61,0,F,1\nb.png,,0,1,M,1\n")
    rows = tables.read(path, "several")
    assert rows.names == ("fox", "cat")
    assert shown(rows) == [[1, 0], [None, 1]]
    assert tables.exclusive(rows) is not None
    assert tables.read(table(tmp_path, "file,age\na.png,61\n")).names == ()
    with pytest.raises(EdgedenseError, match="a column label, or a column of 0 and 1 for each class"):
        tables.read(path.with_name("labels.csv"), "several")


def test_exclusive_needs_one_label_in_each_row(tmp_path: Path) -> None:
    one = tables.exclusive(tables.read(table(tmp_path, "file,label\na.png,fox\nb.png,cat\n")))
    assert one is not None
    assert one.tolist() == [1, 0]
    for text in ("a.png,fox|cat", "a.png,", "a.png"):
        assert tables.exclusive(tables.read(table(tmp_path, f"file,label\n{text}\nb.png,cat\n"))) is None


def test_a_label_that_the_model_lacks_is_told_once(tmp_path: Path) -> None:
    path = table(tmp_path, "file,label\na.png,cat|owl\nb.png,owl\nc.png,\n")
    rows = tables.read(path, "several", LABELS)
    assert shown(rows) == [[1, 0, 0], [0, 0, 0], [None, None, None]]
    assert rows.notes == (
        "labels.csv: labels that the model does not have are left out: owl (2 rows)",
        "labels.csv: 1 rows have no label: not known (--uncertain ignore)",
    )
    with pytest.raises(EdgedenseError, match=r"labels of the model \(hen\).*found cat, owl|owl, cat"):
        tables.read(path, "several", ("hen",))


SPLITS = "file,label,split\na.png,cat,train\nb.png,dog,Test\nc.png,dog,val\nd.png,fox,\n"


def test_the_usual_split_is_taken_and_told(tmp_path: Path) -> None:
    path = table(tmp_path, SPLITS)
    rows = tables.read(path, "classes", LABELS, tables.TEST)
    assert (rows.image_names, rows.numbers, rows.splits) == (("b.png",), (3,), ("Test",))
    assert rows.notes == ("labels.csv: 1 of 4 rows are taken, those of the split Test",)
    assert tables.read(path, "classes", LABELS, tables.VALIDATION).image_names == ("c.png",)
    assert tables.read(Table(path, split="TRAIN"), "classes", LABELS, tables.TEST).image_names == ("a.png",)
    assert len(tables.read(path, "classes", LABELS).paths) == 4


def test_a_split_that_is_not_there(tmp_path: Path) -> None:
    path = table(tmp_path, SPLITS)
    with pytest.raises(EdgedenseError, match=r"split fold3 .*found blank \(1\), Test \(1\), train \(1\), val \(1\)"):
        tables.read(Table(path, split="fold3"))
    with pytest.raises(EdgedenseError, match="a column split"):
        tables.read(Table(table(tmp_path, "file\na.png\n"), split="test"))


def test_faults_are_listed_with_their_rows(tmp_path: Path) -> None:
    text = (
        "file,label,patient\n\na.png,cat,1\nno.png,dog,1\n,dog,1\nb.png,cow,1\na.png,cat,\nc.png,cat|dog,1\nd.png,,2\n"
    )
    with pytest.raises(EdgedenseError) as raised:
        tables.read(table(tmp_path, text), "classes", LABELS)
    assert raised.value.found.splitlines() == [
        "7 faults:",
        f"  row 4: no file no.png in {tmp_path}",
        "  row 5: no file name",
        "  row 6: unknown label 'cow'",
        "  row 7: a.png again, which row 3 has",
        "  row 7: no patient",
        "  row 8: 2 labels, cat|dog, of classes that exclude each other",
        "  row 9: no label",
    ]


def test_faults_in_numbers(tmp_path: Path) -> None:
    with pytest.raises(EdgedenseError, match=r"row 2: cat is '2', and not 1, 0, -1 or blank"):
        tables.read(table(tmp_path, "file,cat\na.png,2\n"), "several", LABELS)
    for text in ("twelve", "inf", "1|2"):
        with pytest.raises(EdgedenseError, match="which is no number"):
            tables.read(table(tmp_path, f"file,value\na.png,{text}\n"), "values")


def test_twenty_faults_are_listed_and_the_others_counted(tmp_path: Path) -> None:
    text = "file\n" + "".join(f"no{number}.png\n" for number in range(23))
    with pytest.raises(EdgedenseError) as raised:
        tables.read(table(tmp_path, text))
    lines = raised.value.found.splitlines()
    assert (len(lines), lines[0], lines[-1]) == (22, "23 faults:", "  and 3 more")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "an empty file"),
        ("file,label\n", "found none"),
        ("name,label\na.png,cat\n", "called file or path or filename"),
        ("file,label,label\na.png,cat,dog\n", "label more than once"),
        ("file,path,label\na.png,a.png,cat\n", "one column file"),
        ("file,label\na.png,cat\nb.png,cat,dog\n", "Expected 2 fields in line 3, saw 3"),
        ("file,colour\na.png,red\n", "a column label, or a column of 0 and 1"),
    ],
)
def test_tables_that_cannot_be_used(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(EdgedenseError, match=said):
        tables.read(table(tmp_path, text), "classes", LABELS)


def test_a_table_that_is_no_text_or_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_bytes("file\nK\xe4tzchen.png\n".encode("latin-1"))
    with pytest.raises(EdgedenseError, match="UTF-8"):
        tables.read(tmp_path / "labels.csv")
    with pytest.raises(EdgedenseError, match="No such file"):
        tables.read(tmp_path / "other.csv")
    with pytest.raises(EdgedenseError, match="uncertain to be one of"):
        tables.read(Table(tmp_path / "labels.csv", uncertain="maybe"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("labels.tsv", "file\tlabel\na.png\tcat\n"),
        ("labels.csv", "file;label\na.png;cat\n"),
        ("labels.CSV", "\ufeffFile,Label\na.png,cat\n"),
        ("labels.csv", 'file,label\n"a.png","cat"\n'),
    ],
)
def test_what_may_stand_between_cells(tmp_path: Path, name: str, text: str) -> None:
    rows = tables.read(table(tmp_path, text, name), "classes", LABELS)
    assert rows.truth.tolist() == [[1, 0, 0]]


def test_a_device_without_pandas_is_told_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(EdgedenseError, match=r"pip install 'edgedense\[tables\]'"):
        tables.read(table(tmp_path, "file,label\na.png,cat\n"), "classes", LABELS)


def test_a_table_is_known_by_its_suffix(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    assert tables.is_table("labels.csv")
    assert tables.is_table(Table(Path("labels.tsv")))
    assert not any(map(tables.is_table, (tmp_path / "folder.csv", "test", [("a.png", "cat")])))


def test_find_classes_of_a_table_and_of_a_folder(tmp_path: Path) -> None:
    path = table(tmp_path, "file,label,split\na.png,fox,test\nb.png,cat,test\nc.png,dog,train\n")
    paths, labels, names = find_classes(path)
    assert ([one.name for one in paths], labels.tolist(), names) == (["a.png", "b.png"], [1, 0], ["cat", "fox"])
    (tmp_path / "pictures" / "fox").mkdir(parents=True)
    (tmp_path / "pictures" / "fox" / "a.png").touch()
    assert find_classes(tmp_path / "pictures")[2] == ["fox"]


def test_collect_takes_the_pictures_of_a_table(tmp_path: Path) -> None:
    path = table(tmp_path, SPLITS)
    assert collect(path) == [tmp_path / "b.png"]
    assert collect(Table(path, split="val")) == [tmp_path / "c.png"]


def test_a_path_is_recognized_as_a_table_by_its_ending(tmp_path: Path) -> None:
    table = Table("./labels.csv", split="val")
    assert tables.recognized(table) is table
    assert tables.recognized("./labels.TSV") == Table("./labels.TSV")  # and stays as it was typed
    assert tables.recognized(tmp_path) is tmp_path
    assert tables.recognized(pairs := [("a.png", "ant")]) is pairs
    (tmp_path / "folder.csv").mkdir()
    assert tables.recognized(tmp_path / "folder.csv") == tmp_path / "folder.csv"
