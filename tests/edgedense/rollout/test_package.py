"""The package that hosts get."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from edgedense.errors import EdgedenseError
from edgedense.files import sha256
from edgedense.rollout import package

PROJECT = """\
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "edgedense"
version = "1.2"
"""


def write(path: Path, name: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}-1.0.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    return path


def test_a_wheel_says_its_version(tmp_path: Path) -> None:
    path = write(tmp_path / "edgedense-1.0-py3-none-any.whl", "edgedense")
    assert package.of_wheel(path) == package.Package("1.0", path, sha256(path.read_bytes()))


def test_what_is_no_wheel_of_edgedense(tmp_path: Path) -> None:
    (tmp_path / "text.whl").write_text("text")
    with zipfile.ZipFile(tmp_path / "empty.whl", "w"):
        pass
    for path, told in (
        (tmp_path / "none.whl", "No such file"),
        (tmp_path / "text.whl", "which is none"),
        (tmp_path / "empty.whl", "which is none"),
        (write(tmp_path / "other-1.0.whl", "other"), "one of other"),
    ):
        with pytest.raises(EdgedenseError, match=told):
            package.of_wheel(path)


def installed_as(origin: object, monkeypatch: pytest.MonkeyPatch) -> None:
    text = None if origin is None else json.dumps(origin)
    monkeypatch.setattr(package, "distribution", lambda name: SimpleNamespace(version="1.2", read_text=lambda _: text))


def test_a_released_version_comes_from_the_hosts_own_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed_as(None, monkeypatch)
    assert package.of_this_installation(tmp_path) == package.Package("1.2")


@pytest.mark.parametrize(
    ("origin", "source"),
    [
        ({"url": "file:///src", "dir_info": {"editable": True}}, "file:///src"),
        ({"url": "https://a/b.git", "vcs_info": {"vcs": "git", "commit_id": "c0ffee"}}, "git+https://a/b.git@c0ffee"),
    ],
)
def test_what_a_wheel_is_built_of(origin: object, source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def build(source: str, folder: Path) -> Path:
        asked.append(source)
        return write(folder / "edgedense-1.0-py3-none-any.whl", "edgedense")

    installed_as(origin, monkeypatch)
    monkeypatch.setattr(package, "build", build)
    assert package.of_this_installation(tmp_path).version == "1.0"
    assert asked == [source]


@pytest.mark.slow
def test_the_same_checkout_gives_the_same_wheel_and_is_left_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_BUILD_ISOLATION", "0")  # so that no package index is needed
    monkeypatch.setenv("PYTHONWARNINGS", "default")
    source = tmp_path / "source"
    (source / "edgedense").mkdir(parents=True)
    (source / "edgedense" / "__init__.py").write_text("")
    (source / "pyproject.toml").write_text(PROJECT)
    # What an earlier build left of a module that is gone.
    left = source / "build" / "lib" / "edgedense" / "gone.py"
    left.parent.mkdir(parents=True)
    left.write_text("")
    before = sorted(source.rglob("*"))
    wheels = []
    for name in "ab":
        (tmp_path / name).mkdir()
        wheels.append(package.of_wheel(package.build(source.as_uri(), tmp_path / name)))
    assert wheels[0].sha256 == wheels[1].sha256
    assert sorted(source.rglob("*")) == before
    with zipfile.ZipFile(str(wheels[0].wheel)) as archive:
        assert "edgedense/__init__.py" in archive.namelist()
        assert "edgedense/gone.py" not in archive.namelist()


@pytest.mark.slow
def test_a_build_that_fails(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    with pytest.raises(EdgedenseError, match=r"pip to build a wheel of .*pip wheel --no-deps"):
        package.build((tmp_path / "source").as_uri(), tmp_path)
