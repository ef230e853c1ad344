"""A site in a folder: whole or not at all, and never in the place of anything else."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from edgedense.errors import EdgedenseError
from edgedense.website.folder import check, write


def site(*names: str) -> dict[str, bytes]:
    told = {"files": [{"path": name} for name in names]}
    return {**{name: name.encode() for name in names}, "site.json": json.dumps(told).encode()}


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_new_folder_an_empty_one_and_a_site(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write(out, site("index.html", "runtime/a.wasm"))
    assert contents(out) == site("index.html", "runtime/a.wasm")
    write(out, site("index.html"))
    assert contents(out) == site("index.html")
    (tmp_path / "empty").mkdir()
    write(tmp_path / "empty", site("a"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "out"]


def test_a_web_server_may_read_it(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        write(tmp_path / "out", site("runtime/a"))
    finally:
        os.umask(before)
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "out/runtime/a").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("other", ["thesis.doc", "runtime/thesis.doc", ".git/config"])
def test_a_folder_with_anything_else_is_left_alone(tmp_path: Path, other: str) -> None:
    out = tmp_path / "out"
    write(out, site("index.html"))
    (out / other).parent.mkdir(exist_ok=True)
    (out / other).write_text("years")
    before = contents(out)
    with pytest.raises(EdgedenseError, match=f"which holds {other}"):
        write(out, site("index.html"))
    assert contents(out) == before


def test_files_that_a_site_could_have_but_no_site(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("mine")
    with pytest.raises(EdgedenseError, match=r"which holds index\.html"):
        check(tmp_path)
    (tmp_path / "site.json").write_text("[]")
    with pytest.raises(EdgedenseError, match=r"which holds index\.html and 1 more|index\.html, site\.json"):
        check(tmp_path)


def test_where_no_folder_can_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(EdgedenseError, match="which is no folder"):
        check(tmp_path / "file")
    (tmp_path / "elsewhere").mkdir()
    with pytest.raises(EdgedenseError, match="which is no folder"):
        check(tmp_path / "link")
    with pytest.raises(EdgedenseError, match="mkdir -p"):
        check(tmp_path / "missing" / "out")


@pytest.mark.parametrize("fails", [("write_bytes", "b"), ("rename", ".out")])
def test_what_was_there_is_there_when_writing_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: tuple[str, str]
) -> None:
    """A file in the middle is not written, or the new folder is not put into the place of the old one."""
    out = tmp_path / "out"
    write(out, site("old"))
    name, start = fails
    real = getattr(Path, name)

    def fail(path: Path, *given: object) -> object:
        if path.name.startswith(start):
            raise OSError(28, "No space left on device")
        return real(path, *given)

    monkeypatch.setattr(Path, name, fail)
    with pytest.raises(EdgedenseError, match="No space left on device"):
        write(out, site("a", "b", "c"))
    monkeypatch.undo()
    assert contents(out) == site("old")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
