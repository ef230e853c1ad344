"""Files that are whole or not there at all."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from edgedense.errors import EdgedenseError

_BEING_WRITTEN = 60.0  # seconds; a file that is younger may be another process's


def write_atomically(path: Path | str, data: bytes, mode: int = 0o666) -> None:
    """Write `data` beside `path` and rename it into place: a reader never sees half a file.

    That holds when the power fails too: the data are on the disk before they get the name, and the name is there when
    this returns. What a failure leaves beside `path`, `remove_leftovers` removes.

    `mode` are the permissions, as far as the umask allows them: 0o600 for a file that is nobody else's business.

    Raises EdgedenseError when the folder is missing or cannot be written, or `path` is no file.
    """
    path = Path(path)
    _require_file(path)
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise EdgedenseError(
            f"a folder to write {path.name} in",
            f"{path.parent}: {error.strerror}",
            "create the folder, or name another place",
        ) from error
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())  # a file system may store the name before the data: after a power cut it is empty
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, mode & ~umask)  # mkstemp makes files that only their owner reads
        os.replace(temporary, path)
        sync_folder(path.parent)
    except OSError as error:
        Path(temporary).unlink(missing_ok=True)
        raise EdgedenseError(f"room and permission to write {path}", str(error.strerror)) from error
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def sync_folder(folder: Path) -> None:
    """Have the disk store the folder's entries. Not every file system can (fsync(2)), and Windows opens no folders."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def remove_leftovers(folder: Path, names: str) -> None:
    """Delete what `write_atomically` left in `folder` when the power failed while it wrote.

    Only leftovers of files are deleted whose whole name the regular expression `names` matches. One that was written
    less than a minute ago stays: another process may be at it. A time in the future does not protect it, for without a
    network a Raspberry Pi starts with a clock that is late. What cannot be deleted stays.
    """
    pattern = re.compile(rf"\.(?:{names})\.[a-z0-9_]{{8}}")  # as tempfile.mkstemp names them
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            if pattern.fullmatch(path.name) and not 0 <= time.time() - path.lstat().st_mtime < _BEING_WRITTEN:
                path.unlink(missing_ok=True)


def check_writable(path: Path | str) -> None:
    """Raise EdgedenseError now rather than after minutes of work, when `path` cannot be written."""
    path = Path(path)
    _require_file(path)
    if not path.parent.is_dir():
        raise EdgedenseError(
            f"a folder to write {path.name} in", f"{path.parent}, which does not exist", f"mkdir -p {path.parent}"
        )
    if not os.access(path.parent, os.W_OK):
        raise EdgedenseError(f"permission to write in {path.parent}", "none", "another folder")


def _require_file(path: Path) -> None:
    if path.is_dir():
        raise EdgedenseError("the name of a file to write", f"{path}, which is a folder", f"{path}/NAME{path.suffix}")
    if path.exists() and not path.is_file():  # a rename would put a file in the place of /dev/null
        raise EdgedenseError("the name of a file to write", f"{path}, which is no file", "another name")


def sha256(data: bytes) -> str:
    """The SHA-256 of `data` in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def sha256_of_files(files: Iterable[Path], folder: Path) -> str:
    """The hexadecimal SHA-256 of several files: of their sorted names below `folder`, each followed by a zero byte, and
    their contents. A file that lies elsewhere counts without a name."""
    digest = hashlib.sha256()
    for file in sorted(files):
        name = file.relative_to(folder).as_posix() if file.is_relative_to(folder) else ""
        digest.update(name.encode() + b"\0")
        with file.open("rb") as opened:
            for block in iter(lambda: opened.read(2**20), b""):
                digest.update(block)
    return digest.hexdigest()
