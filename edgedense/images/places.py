"""Where pictures and tables lie: on a disk, or behind an address such as s3://bucket/folder, which fsspec reads.

fsspec is loaded for addresses alone. Its file systems are packages of their own: s3fs for s3://, gcsfs for gs://.
"""

from __future__ import annotations

import errno
import glob
import io
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, TypeVar

from edgedense.errors import EdgedenseError, first_line

Answer = TypeVar("Answer")

# A Path has one of the slashes left. Two letters or more: C:/ is a drive of Windows.
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/+(.*)", re.DOTALL)
_PACKAGES = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "az": "adlfs", "abfs": "adlfs"}


def place(source: Path | str) -> Path:
    """The path of a file or folder. Of an address it is a `Remote`, and of file:///folder a plain path."""
    if isinstance(source, Remote):
        return source
    found = _ADDRESS.fullmatch(str(source))
    if found is None:
        return Path(source)
    return Path("/", found[2]) if found[1].lower() == "file" else Remote(source)


def subfolders(folder: Path) -> list[str]:
    """The names of the folders in a folder, sorted; hidden ones are passed over."""
    if isinstance(folder, Remote):
        found = [path.rpartition("/")[2] for path, kind in folder.entries() if kind == "directory"]
    else:
        found = [item.name for item in folder.iterdir() if item.is_dir()]
    return sorted(name for name in found if name and not name.startswith("."))


def file_names(folder: Path) -> list[str]:
    """The names of the files in a folder. Raises OSError where it is none."""
    if isinstance(folder, Remote):
        return [path.rpartition("/")[2] for path, kind in folder.entries() if kind == "file"]
    with os.scandir(folder) as entries:
        return [entry.name for entry in entries if entry.is_file()]


def files_below(folder: Path) -> Iterator[Path]:
    """All files in a folder and its sub-folders. Links to folders are followed."""
    if isinstance(folder, Remote):
        yield from folder.below()
        return
    for root, _, names in os.walk(folder, followlinks=True):
        yield from (Path(root) / name for name in names)


def state(path: Path) -> str:
    """What changes with a file's content: its size, and the time of the last change or what the server of an address
    calls it by. Raises OSError where there is none."""
    if isinstance(path, Remote):
        return path.state()
    found = path.stat()
    return f"{found.st_size} {found.st_mtime_ns}"


def matching(pattern: Path | str) -> list[Path]:
    """What fits a pattern with the wildcards * ? [ ], and ** for any folders."""
    found = place(pattern)
    if isinstance(found, Remote):
        return found.matching()
    return [Path(match) for match in glob.glob(str(pattern), recursive=True)]


class Remote(type(Path())):  # type: ignore[misc]  # PosixPath: which it is, Python decides when it runs
    """The address of a file or folder, such as s3://bucket/folder/picture.png, as a path whose content fsspec reads.

    It can be taken apart, joined, sorted and pickled as any path. Only what is defined here asks for the content; it
    raises EdgedenseError when fsspec or the package for this kind of address is not installed, and when the server
    refuses or does not answer.
    """

    def __str__(self) -> str:
        found = _ADDRESS.fullmatch(super().__str__())
        return super().__str__() if found is None else f"{found[1]}://{found[2]}"

    def is_file(self) -> bool:
        """Whether there is a file."""
        return self._kind() == "file"

    def is_dir(self) -> bool:
        """Whether there is a folder: one is there as soon as an object's name goes on behind it."""
        return self._kind() == "directory"

    def exists(self) -> bool:
        """Whether there is either."""
        return self._kind() is not None

    def read_bytes(self) -> bytes:
        """The content. Raises OSError when there is none, or the server refuses."""
        try:
            return bytes(self._ask(lambda system, path: system.cat_file(path)))
        except FileNotFoundError:
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT), str(self)) from None
        except EdgedenseError as error:
            raise OSError(errno.EIO, error.found, str(self)) from error

    def open(self, mode: str = "rb", *_: Any, **__: Any) -> IO[bytes]:
        """The content as an open file, for reading bytes; it is fetched at once. Raises what `read_bytes` raises."""
        return io.BytesIO(self.read_bytes())

    def absolute(self) -> Remote:
        """An address is the same wherever one is."""
        return self

    def state(self) -> str:
        """As `state`: what servers call a file's version by, of which each has one or two."""
        names = ("size", "ETag", "etag", "md5Hash", "LastModified", "last_modified", "mtime", "created")
        try:
            found = self._ask(lambda system, path: system.info(path))
        except FileNotFoundError:
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT), str(self)) from None
        return " ".join(str(found[name]) for name in names if name in found)

    def entries(self) -> list[tuple[str, str]]:
        """(path, "file" or "directory") of each entry of a folder. Raises OSError where there is none."""

        def found(system: Any, path: str) -> list[tuple[str, str]]:
            listed = [(entry["name"].rstrip("/"), entry["type"]) for entry in system.ls(path, detail=True)]
            return [entry for entry in listed if entry[0] != path.rstrip("/")]  # an empty object may mark the folder

        return self._ask(found)

    def below(self) -> Iterator[Path]:
        """All files below a folder."""

        def found(system: Any, path: str) -> list[str]:
            return [name[len(path) :].lstrip("/") for name in system.find(path)]

        yield from (self / name for name in self._ask(found))

    def matching(self) -> list[Path]:
        """What fits, where the address has wildcards."""
        found = self._ask(lambda system, path: [system.unstrip_protocol(name) for name in system.glob(path)])
        return [Remote(name) for name in found]

    def _kind(self) -> str | None:
        try:
            return str(self._ask(lambda system, path: system.info(path)["type"]))
        except FileNotFoundError:
            return None

    def _ask(self, question: Callable[[Any, str], Answer]) -> Answer:
        """What the file system of this address answers about its path there."""
        scheme = str(self).partition(":")[0]
        try:
            import fsspec
        except ImportError as error:
            raise EdgedenseError(
                f"fsspec, which reads {scheme}://", first_line(error), "pip install 'edgedense[scale]'"
            ) from error
        try:
            system, path = fsspec.core.url_to_fs(str(self))
        except (ImportError, ValueError) as error:  # the package for it is missing; or nobody knows such addresses
            package = _PACKAGES.get(scheme.lower())
            hint = f"pip install {package}" if package else "s3://BUCKET/FOLDER, gs://BUCKET/FOLDER, or a path"
            raise EdgedenseError(f"an address that fsspec can read: {self}", first_line(error), hint) from error
        try:
            return question(system, path)
        except FileNotFoundError:
            raise
        except Exception as error:  # each package has its own, and those of the libraries below it
            raise EdgedenseError(
                f"an answer from the server of {self}", first_line(error), "look at the address and the credentials"
            ) from error
