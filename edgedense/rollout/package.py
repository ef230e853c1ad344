"""The package that hosts get: a wheel, or a released version from their own package index."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from email.parser import HeaderParser
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from edgedense.errors import EdgedenseError
from edgedense.files import sha256

NAME = "edgedense"
EPOCH = "315532800"  # 1980-01-01, the earliest time that a zip can hold: the same sources give the same wheel
_BY_HAND = "pip wheel --no-deps -w dist . in a checkout, and --wheel dist/edgedense-VERSION.whl"


@dataclass(frozen=True)
class Package:
    """A version, and the wheel that holds it with its SHA-256; without a wheel it is a released one."""

    version: str
    wheel: Path | None = None
    sha256: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """As `on_device` takes it."""
        file = None if self.wheel is None else self.wheel.name
        return {"version": self.version, "sha256": self.sha256, "file": file}


def of_wheel(path: Path) -> Package:
    """The package of a wheel. Raises EdgedenseError where it is none of edgedense."""
    try:
        with zipfile.ZipFile(path) as archive:
            (entry,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
            entries = HeaderParser().parsestr(archive.read(entry).decode())
        data = path.read_bytes()
    except OSError as error:
        raise EdgedenseError("a wheel", f"{path}: {error.strerror}", _BY_HAND) from error
    except (zipfile.BadZipFile, ValueError) as error:
        raise EdgedenseError("a wheel", f"{path}, which is none", _BY_HAND) from error
    if entries["Name"] != NAME or not path.name.endswith(".whl"):
        raise EdgedenseError(f"a wheel of {NAME}", f"{path}, one of {entries['Name']}", _BY_HAND)
    return Package(str(entries["Version"]), path, sha256(data))


def of_this_installation(folder: Path) -> Package:
    """The package that runs here.

    Where it was installed from a package index, it is that version. Where it comes from a checkout, a wheel is built of
    it in `folder`. What it comes from stands in direct_url.json (PEP 610).

    Raises EdgedenseError where no wheel can be built.
    """
    here = distribution(NAME)
    origin = here.read_text("direct_url.json")
    if origin is None:
        return Package(here.version)
    entry = json.loads(origin)
    vcs = entry.get("vcs_info")
    built = build(f"{vcs['vcs']}+{entry['url']}@{vcs['commit_id']}" if vcs else entry["url"], folder)
    return of_wheel(built)


def build(source: str, folder: Path) -> Path:
    """The wheel of `source`, a URL as pip takes it, in `folder`. The same source gives the same bytes.

    Raises EdgedenseError where pip is missing or fails.
    """
    # What earlier builds left in a checkout would go into the wheel as well.
    settings = folder / "distutils.cfg"
    settings.write_text(f"[build]\nbuild_base={folder / 'build'}\n[egg_info]\negg_base={folder}\n")
    environment = {**os.environ, "SOURCE_DATE_EPOCH": EPOCH, "DIST_EXTRA_CONFIG": str(settings)}
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--quiet", "--disable-pip-version-check"]
    command += ["--wheel-dir", str(folder), source]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    found = sorted(folder.glob("*.whl"))
    if done.returncode or not found:
        lines = (done.stderr.strip() or done.stdout.strip() or "no wheel").splitlines()
        raise EdgedenseError(f"pip to build a wheel of {source}", lines[-1], _BY_HAND)
    return found[-1]
