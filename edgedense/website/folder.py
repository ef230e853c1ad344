"""A site as a folder: it is there as a whole, or not at all."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from edgedense.errors import EdgedenseError, listed
from edgedense.website.site import SITE


def check(folder: Path) -> None:
    """Raise EdgedenseError where `folder` cannot be written, or is anything but a site, an empty folder or nothing."""
    if not folder.parent.is_dir():
        raise EdgedenseError(
            f"a folder to make {folder.name} in", f"{folder.parent}, which does not exist", f"mkdir -p {folder.parent}"
        )
    if not os.access(folder.parent, os.W_OK):
        raise EdgedenseError(f"permission to write in {folder.parent}", "none", "another folder")
    if not folder.exists():
        return
    if folder.is_symlink() or not folder.is_dir():
        raise EdgedenseError("the name of a folder for the site", f"{folder}, which is no folder", "another name")
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
    if others := sorted(found - _own(folder)):
        raise EdgedenseError(
            "a new folder, an empty one, or a site that edgedense web made",
            f"{folder}, which holds {listed(others)}",
            "another folder: all that is in this one would be lost",
        )


def write(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write `files`, content by path, as `folder`. A site that stands there is replaced. Raises what `check` does."""
    folder = Path(os.path.abspath(folder))
    check(folder)
    try:
        made = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            for path, data in files.items():
                (made / path).parent.mkdir(parents=True, exist_ok=True)
                (made / path).write_bytes(data)
            _make_public(made)
            _replace(folder, made)
        finally:
            shutil.rmtree(made, ignore_errors=True)
    except OSError as error:
        raise EdgedenseError(f"room and permission to write {folder}", str(error.strerror)) from error


def _own(folder: Path) -> set[str]:
    """The files that a site in `folder` says it has; none where there is no site."""
    try:
        told = json.loads((folder / SITE).read_bytes())
        return {SITE, *(entry["path"] for entry in told["files"])}
    except (OSError, ValueError, KeyError, TypeError):
        return set()


def _make_public(folder: Path) -> None:
    """mkdtemp makes folders that only their owner may enter; a web server is another user."""
    umask = os.umask(0)
    os.umask(umask)
    folder.chmod(0o777 & ~umask)


def _replace(folder: Path, made: Path) -> None:
    """Put `made` in the place of `folder`. Where that fails, what was there is there again."""
    if not folder.exists():
        made.rename(folder)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    folder.rename(old / folder.name)
    try:
        made.rename(folder)
    except OSError:
        (old / folder.name).rename(folder)
        old.rmdir()
        raise
    shutil.rmtree(old, ignore_errors=True)
