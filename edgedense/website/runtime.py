"""The files of LiteRT for browsers: the npm package @litertjs/core, by whose WebAssembly the page runs the model.

They are 28 MB, so that they are no part of edgedense. npm brings them once, and they stay in the user's cache folder.
Every file is compared with the SHA-256 that stands here, each time that it is used: a site never carries another one.
"""

from __future__ import annotations

import shutil
import subprocess
import tarfile
import tempfile
import zlib
from collections.abc import Mapping
from pathlib import Path

from edgedense.errors import EdgedenseError, first_line
from edgedense.files import sha256, write_atomically
from edgedense.notes import tell

NAME, VERSION = "@litertjs/core", "2.5.3"  # web/package.json names the same: the page is built with its JavaScript
ARCHIVE = f"litertjs-core-{VERSION}.tgz"  # what `npm pack` calls it
# One thread, one thread for browsers without relaxed SIMD (such as Safari), and several threads.
FILES = {
    "litert_wasm_internal.js": "68efb69f770e3f76aff36a377de629ca496c131b86ac0f0f4b592a1543a898eb",
    "litert_wasm_internal.wasm": "7280cf4471774867e385e6c3cd53e2b45e2975b80fea338fff4ef359b0865614",
    "litert_wasm_compat_internal.js": "4d8f894b7883654fd6e8439730aa41e79ceaab7d19184fc4f1f0b0f1a2a2c8a5",
    "litert_wasm_compat_internal.wasm": "5255c8ad06eabdbd2522cdebf6b22fc10faf74625c23a49b9e072570cd1fa41c",
    "litert_wasm_threaded_internal.js": "92fe7a720c6deedaa1194c011c79a005ea4f6fc98f533b661cf7900760ab4849",
    "litert_wasm_threaded_internal.wasm": "b5e54eca10f043497edf9a02186332707cae260c550d7ea22b2cae55669596cf",
}
_LONGEST = 32 * 2**20  # bytes of a file in the package that are read: three times those of the largest
_PATIENCE = 300  # seconds for npm, which downloads 12 MB
_ELSEWHERE = f"`npm pack {NAME}@{VERSION}` where there are npm and a network, and --runtime {ARCHIVE} here"


def read(archive: Path | str | None = None) -> dict[str, bytes]:
    """The content of each of FILES: out of `archive`, a package as `npm pack` writes it, or else out of the user's
    cache folder, into which npm brings the package when it is not there yet.

    Raises EdgedenseError when there is no npm or it fails, and for a file that is not the one whose SHA-256 is known.
    """
    if archive is not None:
        return _unpacked(Path(archive))
    folder = cache()
    try:
        if not all((folder / name).is_file() for name in FILES):
            contents = _fetched()
            folder.mkdir(parents=True, exist_ok=True)
            for name, content in contents.items():
                write_atomically(folder / name, content)
        kept = {name: (folder / name).read_bytes() for name in FILES}
    except OSError as error:
        raise EdgedenseError(
            f"a cache folder for {NAME} that can be read and written", f"{folder}: {error.strerror}", _ELSEWHERE
        ) from error
    return _checked(kept, str(folder), f"remove the folder {folder}")


def cache() -> Path:
    """Where the files are kept between calls, in the user's cache folder. Raises EdgedenseError without the library
    that knows where that is."""
    try:
        from platformdirs import user_cache_path
    except ImportError as error:
        raise missing_extra(error) from error
    return user_cache_path("edgedense", appauthor=False) / f"litertjs-core-{VERSION}"


def missing_extra(error: ImportError) -> EdgedenseError:
    """What to say where a library of the extra `web` is not installed."""
    return EdgedenseError("the libraries that edgedense web needs", str(error), "pip install 'edgedense[web]'")


def _fetched() -> dict[str, bytes]:
    """The files out of the package that npm brings."""
    npm = shutil.which("npm")
    if npm is None:
        raise EdgedenseError(
            f"npm, which brings {NAME} {VERSION}: it runs the model in the browser",
            "no npm on this machine",
            f"install Node.js (sudo apt-get install nodejs npm); or {_ELSEWHERE}",
        )
    tell([f"npm brings {NAME} {VERSION} (12 MB), which runs the model in the browser, into {cache()}"])
    with tempfile.TemporaryDirectory() as folder:  # npm takes no notice there of settings that a project has
        command = [npm, "pack", f"{NAME}@{VERSION}", "--ignore-scripts", "--silent"]
        try:
            done = subprocess.run(
                command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_PATIENCE,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise _failed(str(error)) from error
        found = list(Path(folder).glob("*.tgz"))
        if done.returncode != 0 or len(found) != 1:
            raise _failed(_last_words(done.stderr or done.stdout) or f"exit code {done.returncode}")
        return _unpacked(found[0])


def _failed(reason: str) -> EdgedenseError:
    return EdgedenseError(f"npm to bring {NAME} {VERSION}", reason, f"look for the network; or {_ELSEWHERE}")


def _last_words(text: str) -> str:
    """What npm said in the end, without the name that it puts before each line."""
    lines = [line.removeprefix("npm error").strip() for line in text.splitlines()]
    kept = [line for line in lines if line and "complete log of this run" not in line]
    return "; ".join(kept[-2:])


def _unpacked(archive: Path) -> dict[str, bytes]:
    """The files in a package. Nothing of it is written anywhere."""
    expected = f"the package {NAME} {VERSION}, as npm pack writes it"
    contents = {}
    try:
        with tarfile.open(archive) as package:
            for name in FILES:
                member = package.extractfile(f"package/wasm/{name}")
                contents[name] = b"" if member is None else member.read(_LONGEST)
    except KeyError as error:
        raise EdgedenseError(expected, f"{archive} without {name}", _ELSEWHERE) from error
    except (OSError, tarfile.TarError, EOFError, zlib.error) as error:
        raise EdgedenseError(expected, f"{archive}: {first_line(error)}", _ELSEWHERE) from error
    return _checked(contents, str(archive), _ELSEWHERE)


def _checked(contents: Mapping[str, bytes], place: str, hint: str) -> dict[str, bytes]:
    """The contents, if each is the one that it should be."""
    for name, content in contents.items():
        if (found := sha256(content)) != FILES[name]:
            raise EdgedenseError(
                f"{name} of {NAME} {VERSION}, with the SHA-256 {FILES[name]}",
                f"{found} in {place}: a changed or damaged file",
                hint,
            )
    return dict(contents)
