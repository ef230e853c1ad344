"""LiteRT for browsers: it comes from npm, from the cache or from a package, and is always the one that is known."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from edgedense.errors import EdgedenseError
from edgedense.files import sha256
from edgedense.website import runtime
from tests.edgedense.website.conftest import LITERT, packed

ROOT = Path(__file__).parents[3]
NPM = """#!/bin/sh
echo "$@" >> {log}
{action}
"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of the test's own. Nothing else is on the PATH than what `npm` puts there."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'programs'}:/usr/bin:/bin")
    monkeypatch.setattr(
        runtime.shutil, "which", lambda name: str(found) if (found := program(tmp_path)).exists() else None
    )
    return runtime.cache()


def program(folder: Path) -> Path:
    return folder / "programs" / "npm"


def npm(folder: Path, action: str) -> Path:
    """A program in the place of npm that does `action` and writes down what it was asked for; gives that file."""
    log = folder / "asked.txt"
    program(folder).parent.mkdir(exist_ok=True)
    program(folder).write_text(NPM.format(log=log, action=action))
    program(folder).chmod(0o755)
    return log


def test_npm_brings_it_once(package: Path, cache: Path, tmp_path: Path) -> None:
    log = npm(tmp_path, f"cp {package} litertjs-core-2.5.3.tgz")
    assert runtime.read() == LITERT
    assert runtime.read() == LITERT
    assert log.read_text() == "pack @litertjs/core@2.5.3 --ignore-scripts --silent\n"
    assert sorted(path.name for path in cache.iterdir()) == sorted(LITERT)


def test_a_cache_with_a_part_of_it_is_filled(package: Path, cache: Path, tmp_path: Path) -> None:
    """As when somebody pressed Ctrl+C."""
    npm(tmp_path, f"cp {package} litertjs-core-2.5.3.tgz")
    runtime.read()
    (cache / "litert_wasm_internal.wasm").unlink()
    assert runtime.read() == LITERT


def test_a_changed_file_in_the_cache_is_refused(package: Path, cache: Path, tmp_path: Path) -> None:
    npm(tmp_path, f"cp {package} litertjs-core-2.5.3.tgz")
    runtime.read()
    (cache / "litert_wasm_internal.js").write_bytes(b"alert(1)")
    with pytest.raises(
        EdgedenseError, match=r"found [0-9a-f]{64} in .*changed or damaged file. Try: remove the folder"
    ):
        runtime.read()


def test_a_package_with_a_changed_file_is_refused(package: Path, cache: Path, tmp_path: Path) -> None:
    """Whoever brings it: npm, whose registry may be anybody's, or a person. Nothing of it is kept."""
    package.write_bytes(packed({**LITERT, "litert_wasm_internal.wasm": b"another"}))
    with pytest.raises(EdgedenseError, match=r"litert_wasm_internal\.wasm of @litertjs/core 2\.5\.3, with the SHA-256"):
        runtime.read(package)
    npm(tmp_path, f"cp {package} litertjs-core-2.5.3.tgz")
    with pytest.raises(EdgedenseError, match="changed or damaged file"):
        runtime.read()
    assert not cache.exists()


def test_without_npm(cache: Path, package: Path) -> None:
    with pytest.raises(EdgedenseError, match=r"no npm on this machine.*apt-get install nodejs npm.*--runtime litertjs"):
        runtime.read()
    assert runtime.read(package) == LITERT


def test_npm_without_a_network(tmp_path: Path) -> None:
    said = ("code ENOTFOUND", "network request failed", "A complete log of this run can be found in /root/.npm/_logs")
    npm(tmp_path, "".join(f"echo 'npm error {line}' >&2\n" for line in said) + "exit 1")
    with pytest.raises(EdgedenseError, match=r"found code ENOTFOUND; network request failed\. Try: look"):
        runtime.read()


def test_npm_that_says_and_brings_nothing(tmp_path: Path) -> None:
    npm(tmp_path, "exit 0")
    with pytest.raises(EdgedenseError, match="found exit code 0"):
        runtime.read()


@pytest.mark.parametrize(
    ("content", "found"),
    [(None, "No such file"), (b"no archive", "p.tgz: "), (packed({}), "p.tgz without litert_wasm_internal.js")],
    # An archive has the time in it, which would give the test another name in each process.
    ids=["missing", "no archive", "empty"],
)
def test_what_is_no_such_package(tmp_path: Path, content: bytes | None, found: str) -> None:
    path = tmp_path / "p.tgz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(EdgedenseError, match=found):
        runtime.read(path)


def test_a_cut_package(tmp_path: Path) -> None:
    path = tmp_path / "p.tgz"
    path.write_bytes(packed({name: os.urandom(4000) for name in LITERT})[:9000])
    with pytest.raises(EdgedenseError, match="as npm pack writes it"):
        runtime.read(path)


def test_a_cache_folder_that_cannot_be_made(package: Path, tmp_path: Path) -> None:
    npm(tmp_path, f"cp {package} litertjs-core-2.5.3.tgz")
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(EdgedenseError, match="a cache folder for @litertjs/core that can be read and written"):
        runtime.read()


def test_the_page_is_built_with_the_same_release() -> None:
    """Its JavaScript in worker.js and its WebAssembly belong together."""
    assert json.loads((ROOT / "web/package.json").read_text())["dependencies"][runtime.NAME] == runtime.VERSION
    locked = json.loads((ROOT / "web/package-lock.json").read_text())["packages"][f"node_modules/{runtime.NAME}"]
    assert locked["version"] == runtime.VERSION


def test_the_lock_file_names_no_registry() -> None:
    """npm asks the one that it is set up with, as for the runtime."""
    assert '"resolved"' not in (ROOT / "web/package-lock.json").read_text()


@pytest.mark.slow
def test_the_real_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a user gets it: from npm, or from this machine's cache."""
    monkeypatch.undo()
    found = runtime.read()
    assert {name: sha256(data) for name, data in found.items()} == runtime.FILES
    assert all(data[:4] == b"\0asm" for name, data in found.items() if name.endswith(".wasm"))
