from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgedense.errors import EdgedenseError
from edgedense.images import tables
from edgedense.images.pictures import collect, names
from edgedense.images.places import Remote, file_names, files_below, matching, place, state, subfolders
from edgedense.images.preprocessing import Preprocessing, find_images, find_labelled, load_image
from edgedense.measures.labelled import read_labelled

FILES = ("cat/b.png", "cat/a.png", "cat/old/c.png", "dog/d.png", "dog/notes.txt", "empty/.keep", ".hidden/e.png")


@pytest.fixture
def bucket(tmp_path: Path) -> Iterator[Path]:
    """The same files on the disk, which is returned, and behind memory://bucket."""
    fsspec = pytest.importorskip("fsspec")
    system = fsspec.filesystem("memory")
    for number, name in enumerate(FILES):
        path = tmp_path / "bucket" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 4, 3), 10 * number, np.uint8)).save(path, "PNG")
    (tmp_path / "bucket" / "rows.csv").write_text("file,label\nb.png,cat\ndog/d.png,dog\n")
    system.put(str(tmp_path / "bucket"), "/bucket", recursive=True)
    yield tmp_path / "bucket"
    system.rm("/bucket", recursive=True)


@pytest.mark.parametrize("given", ["s3://bucket/a/b.png", Path("s3://bucket/a/b.png"), "s3:/bucket/a/b.png"])
def test_an_address_is_told_from_a_path_also_where_a_path_has_lost_a_slash(given: Path | str) -> None:
    found = place(given)
    assert isinstance(found, Remote)
    assert str(found) == "s3://bucket/a/b.png"
    assert (found.name, found.suffix, str(found.parent)) == ("b.png", ".png", "s3://bucket/a")
    assert found.relative_to(place("s3://bucket")).as_posix() == "a/b.png"
    assert str(found.parent / "c.png") == "s3://bucket/a/c.png"
    again = pickle.loads(pickle.dumps(found))
    assert (type(again), str(again)) == (Remote, "s3://bucket/a/b.png")
    assert place(found) is found


@pytest.mark.parametrize("given", ["a/b.png", "/a/b.png", "C:/a/b.png", "a:/b", "folder s3://bucket"])
def test_everything_else_is_a_path(given: str) -> None:
    assert place(given) == Path(given)
    assert not isinstance(place(given), Remote)


def test_an_address_of_a_file_on_the_disk_is_its_path() -> None:
    assert place("file:///a/b.png") == place(Path("file:///a/b.png")) == Path("/a/b.png")
    assert not isinstance(place("file:///a/b.png"), Remote)


def test_folders_are_listed_as_on_the_disk(bucket: Path) -> None:
    there = place("memory://bucket")
    assert subfolders(there) == subfolders(bucket) == ["cat", "dog", "empty"]
    assert sorted(file_names(there / "cat")) == sorted(file_names(bucket / "cat")) == ["a.png", "b.png"]
    found = {str(path) for path in files_below(there)}
    assert found == {f"memory://bucket/{path.relative_to(bucket).as_posix()}" for path in files_below(bucket)}
    assert [str(path) for path in sorted(matching("memory://bucket/*/[ab].png"))] == [
        "memory://bucket/cat/a.png",
        "memory://bucket/cat/b.png",
    ]
    assert [(there / name).is_dir() for name in ("cat", "cat/a.png", "no")] == [True, False, False]
    assert [(there / name).is_file() for name in ("cat", "cat/a.png", "no")] == [False, True, False]
    assert [(there / name).exists() for name in ("cat", "cat/a.png", "no")] == [True, True, False]


def test_pictures_are_found_named_and_read_as_on_the_disk(bucket: Path) -> None:
    here, there = find_labelled(bucket), find_labelled("memory://bucket")
    assert here[2] == there[2] == ["cat", "dog", "empty"]
    assert here[1].tolist() == there[1].tolist() == [0, 0, 0, 1]
    assert names(here[0]) == names(there[0]) == ("cat/a.png", "cat/b.png", "cat/old/c.png", "dog/d.png")
    assert [path.name for path in find_images(Path("memory://bucket/cat"))] == ["a.png", "b.png", "c.png"]
    assert [str(path) for path in collect("memory://bucket/cat/*.png")] == [
        "memory://bucket/cat/a.png",
        "memory://bucket/cat/b.png",
    ]
    preprocessing = Preprocessing(2, 2, "densenet")
    for path, other in zip(here[0], there[0], strict=True):
        assert np.array_equal(load_image(path, preprocessing), load_image(other, preprocessing))
    assert read_labelled("memory://bucket", ["cat", "dog", "empty"]).image_names[0] == "cat/a.png"


def test_a_table_may_lie_beside_its_pictures_or_elsewhere(bucket: Path) -> None:
    here, there = tables.read(bucket / "rows.csv"), tables.read("memory://bucket/rows.csv")
    assert here.image_names == there.image_names == ("cat/b.png", "dog/d.png")  # b.png is looked for below the folder
    assert [str(path) for path in there.paths] == ["memory://bucket/cat/b.png", "memory://bucket/dog/d.png"]
    both = tables.read(tables.Table(bucket / "rows.csv", images="memory://bucket"))
    assert both.paths == there.paths
    assert np.array_equal(here.truth, there.truth)


def test_what_is_missing_is_told_with_its_address(bucket: Path) -> None:
    with pytest.raises(EdgedenseError, match=r"found memory://bucket/no\.png: No such file"):
        load_image("memory://bucket/no.png", Preprocessing(2, 2, "densenet"))
    with pytest.raises(EdgedenseError, match="found memory://nothing, which is no folder"):
        find_labelled("memory://nothing")


def test_a_kind_of_address_that_nobody_knows_is_refused() -> None:
    pytest.importorskip("fsspec")
    with pytest.raises(EdgedenseError, match="an address that fsspec can read: nonsense://bucket/a"):
        find_images("nonsense://bucket/a")


def test_a_server_that_refuses_is_told(bucket: Path) -> None:
    memory = type(pytest.importorskip("fsspec").filesystem("memory"))

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError("Access Denied")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory, "info", refuse)
        patch.setattr(memory, "cat_file", refuse)
        with pytest.raises(EdgedenseError, match="the server of memory://bucket; found PermissionError: Access Denied"):
            find_images("memory://bucket")
        with pytest.raises(EdgedenseError, match=r"found memory://bucket/cat/a\.png: PermissionError: Access Denied"):
            load_image("memory://bucket/cat/a.png", Preprocessing(2, 2, "densenet"))


def test_fsspec_is_loaded_for_addresses_alone_and_named_where_it_is_missing(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    program = (
        "import sys; sys.modules['fsspec'] = None\n"  # an import of it fails
        "from edgedense.images.preprocessing import find_images, load_image, Preprocessing\n"
        "[path] = find_images(sys.argv[1]); load_image(path, Preprocessing(2, 2, 'densenet'))\n"
        "try: find_images('s3://bucket')\n"
        "except Exception as error: print(error)\n"
    )
    said = subprocess.run([sys.executable, "-c", program, tmp_path], capture_output=True, text=True, check=True).stdout
    assert "expected fsspec, which reads s3://" in said
    assert "Try: pip install 'edgedense[scale]'" in said


def test_the_state_of_a_file_changes_with_it(bucket: Path) -> None:
    for base in (bucket, place("memory://bucket")):
        before = state(base / "cat" / "a.png")
        assert state(base / "cat" / "a.png") == before
        assert state(base / "cat" / "b.png") != before
        with pytest.raises(OSError, match="No such file"):
            state(base / "cat" / "none.png")


def test_an_address_is_absolute() -> None:
    there = place("s3://bucket/a.png")
    assert there.absolute() == there
