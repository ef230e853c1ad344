"""Files that are whole or not there at all."""

from __future__ import annotations

import hashlib
import os
import stat
import time
from pathlib import Path

import pytest

from edgedense.errors import EdgedenseError
from edgedense.files import check_writable, remove_leftovers, sha256, sha256_of_files, write_atomically


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


class TestWrite:
    def test_a_new_file_and_an_old_one(self, tmp_path: Path) -> None:
        write_atomically(tmp_path / "a", b"one")
        assert (tmp_path / "a").read_bytes() == b"one"
        write_atomically(str(tmp_path / "a"), b"two")
        assert (tmp_path / "a").read_bytes() == b"two"
        assert names(tmp_path) == ["a"]

    def test_others_may_read_it_as_far_as_the_umask_allows(self, tmp_path: Path) -> None:
        before = os.umask(0o027)
        try:
            write_atomically(tmp_path / "a", b"")
        finally:
            os.umask(before)
        assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640

    def test_a_missing_folder(self, tmp_path: Path) -> None:
        with pytest.raises(EdgedenseError, match=r"missing: No such file or directory"):
            write_atomically(tmp_path / "missing" / "a", b"")

    def test_a_folder_or_a_device_in_its_place(self, tmp_path: Path) -> None:
        (tmp_path / "a").mkdir()
        with pytest.raises(EdgedenseError, match="which is a folder"):
            write_atomically(tmp_path / "a", b"")
        assert names(tmp_path) == ["a"]
        with pytest.raises(EdgedenseError, match="no file"):
            write_atomically("/dev/null", b"")

    @pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
    def test_what_was_there_is_kept_when_writing_fails(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
    ) -> None:
        (tmp_path / "a").write_bytes(b"old")

        def fail(*_: object) -> None:
            raise error

        monkeypatch.setattr(os, "replace", fail)
        with pytest.raises(EdgedenseError if isinstance(error, OSError) else KeyboardInterrupt):
            write_atomically(tmp_path / "a", b"new")
        assert (tmp_path / "a").read_bytes() == b"old"
        assert names(tmp_path) == ["a"]

    def test_the_data_are_on_the_disk_before_they_get_the_name(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Otherwise a power cut leaves an empty file of that name. The folder comes last: it holds the name."""
        done: list[str] = []
        sync, replace = os.fsync, os.replace

        def synced(descriptor: int) -> None:
            is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
            done.append("folder synced" if is_folder else f"{os.fstat(descriptor).st_size} bytes synced")
            sync(descriptor)

        def replaced(old: str, new: Path) -> None:
            done.append("renamed")
            replace(old, new)

        monkeypatch.setattr(os, "fsync", synced)
        monkeypatch.setattr(os, "replace", replaced)
        write_atomically(tmp_path / "a", b"three")
        assert done == ["5 bytes synced", "renamed", "folder synced"]

    def test_a_file_system_that_cannot_sync_folders(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        sync = os.fsync

        def refused(descriptor: int) -> None:
            if stat.S_ISDIR(os.fstat(descriptor).st_mode):
                raise OSError(22, "Invalid argument")
            sync(descriptor)

        monkeypatch.setattr(os, "fsync", refused)
        write_atomically(tmp_path / "a", b"one")
        assert (tmp_path / "a").read_bytes() == b"one"


class TestLeftovers:
    """Of a write that the power ended: the temporary file, with the name that mkstemp gave it."""

    @pytest.fixture
    def cut_short(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """What is left of state.json when nothing after the writing happens."""

        def end(*_: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            patched.setattr(os, "replace", end)
            patched.setattr(Path, "unlink", lambda *_, **__: None)
            with pytest.raises(KeyboardInterrupt):
                write_atomically(tmp_path / "state.json", b"new")
        (left,) = tmp_path.iterdir()
        return left

    @pytest.mark.parametrize(("age", "stays"), [(59, True), (61, False), (-3600, False)])
    def test_only_what_another_process_may_be_writing_stays(self, cut_short: Path, age: int, stays: bool) -> None:
        then = time.time() - age
        os.utime(cut_short, (then, then))
        remove_leftovers(cut_short.parent, r"state\.json")
        assert cut_short.exists() == stays

    def test_other_names_stay(self, cut_short: Path) -> None:
        os.utime(cut_short, (0, 0))
        others = [cut_short.parent / name for name in ("state.json", ".state.json", ".state.json.backup", "b.json")]
        for other in others:
            other.write_bytes(b"")
            os.utime(other, (0, 0))
        remove_leftovers(cut_short.parent, r"other\.json")
        assert cut_short.exists()
        remove_leftovers(cut_short.parent, r"state\.json")
        assert sorted(cut_short.parent.iterdir()) == sorted(others)

    def test_a_folder_that_is_not_there(self, tmp_path: Path) -> None:
        remove_leftovers(tmp_path / "missing", ".*")


class TestCheck:
    def test_what_can_be_written(self, tmp_path: Path) -> None:
        check_writable(tmp_path / "new")
        (tmp_path / "old").write_bytes(b"")
        check_writable(tmp_path / "old")
        check_writable(Path("in-the-current-folder"))
        assert names(tmp_path) == ["old"]

    def test_a_folder(self, tmp_path: Path) -> None:
        with pytest.raises(EdgedenseError, match="which is a folder"):
            check_writable(tmp_path)

    def test_a_missing_folder(self, tmp_path: Path) -> None:
        with pytest.raises(EdgedenseError, match="mkdir -p"):
            check_writable(tmp_path / "missing" / "a")

    def test_a_device(self) -> None:
        """Renaming a file to /dev/null would replace it for the whole machine."""
        with pytest.raises(EdgedenseError, match="/dev/null, which is no file"):
            check_writable("/dev/null")

    def test_without_permission(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everywhere
        with pytest.raises(EdgedenseError, match="permission to write in"):
            check_writable(tmp_path / "a")


def test_sha256() -> None:
    """FIPS 180-4's example."""
    assert sha256(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_several_files_are_hashed_by_sorted_names_and_contents(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    paths = [tmp_path / "b", tmp_path / "folder" / "a"]
    for path in paths:
        path.write_bytes(path.name.encode() * 2)
    expected = hashlib.sha256(b"b\0bb" + b"folder/a\0aa").hexdigest()
    assert sha256_of_files(paths, tmp_path) == sha256_of_files(paths[::-1], tmp_path) == expected
    assert sha256_of_files(paths, tmp_path / "folder") == hashlib.sha256(b"\0bb" + b"a\0aa").hexdigest()
