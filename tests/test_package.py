"""What is built and installed is what is in the checkout, and its parts depend on each other one way."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = ("edgedense", "converters", "device")
# Modules that import nothing heavy: `edgedense --help` reads those of options, and what a device answers is read here.
OPTIONS = {"options", "opening", "outcome"}


def tracked() -> list[str]:
    """The project's files, relative to its root: what git has or would take."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return [name for name in dict.fromkeys(found) if (ROOT / name).exists()]


def expected() -> set[str]:
    """The files of the three folders, by the place that they are installed at."""
    files = [name for name in tracked() if name.split("/")[0] in FOLDERS and (ROOT / name).is_file()]
    return {name if name.startswith("edgedense/") else f"edgedense/{name}" for name in files}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist, and with the wheel that is built from it."""
    source = tmp_path_factory.mktemp("source") / "edgedense"
    for name in tracked():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, source / name, follow_symlinks=False)
    out = tmp_path_factory.mktemp("dist")
    result = subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(source)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return out


def test_the_wheel_holds_the_three_folders_and_nothing_else(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        found = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert found == expected()


def test_the_wheel_says_how_it_is_run_and_under_which_license(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        info = {
            name.split(".dist-info/")[1]: archive.read(name).decode()
            for name in archive.namelist()
            if ".dist-info/" in name
        }
    assert "edgedense = edgedense.cli:main" in info["entry_points.txt"]
    assert "Apache License" in info["licenses/LICENSE"]
    assert "License-Expression: Apache-2.0" in info["METADATA"]


def test_the_source_distribution_can_be_built_and_holds_no_model(built: Path) -> None:
    """That the wheel came out of it says that it is complete."""
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"LICENSE", "README.md", "pyproject.toml"} <= names
    assert not [name for name in names if name.endswith((".keras", ".tflite", ".h5"))]
    assert sdist.stat().st_size < 1 << 20


def imports(folder: str) -> Iterator[tuple[str, str]]:
    """(file, module) of every import in a folder, those inside of functions too."""
    for path in sorted((ROOT / folder).rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                yield from ((name, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{name} imports relatively"
                yield name, str(node.module)
                yield from ((name, f"{node.module}.{alias.name}") for alias in node.names)


@pytest.mark.parametrize(("folder", "other"), [("device", "converters"), ("converters", "device")])
def test_device_and_converters_do_not_import_each_other(folder: str, other: str) -> None:
    found = list(imports(folder))
    assert len(found) > 100
    assert [place for place, module in found if f"edgedense.{other}" in module] == []


def test_the_folders_are_imported_under_one_name() -> None:
    """`import converters` works in a checkout and not when installed."""
    for folder in FOLDERS:
        assert [place for place, module in imports(folder) if module.split(".")[0] in ("converters", "device")] == []


def test_the_shared_part_imports_the_others_only_where_a_command_runs() -> None:
    """In edgedense/ converter and device are imported inside of functions, but for the dataclasses that carry options,
    or what became of an update. A search works with the converter throughout; the command line reads three modules of
    it.

    Imports for types only do not count.
    """
    links, searching = {"converters", "device"}, ROOT / "edgedense" / "searching"
    shared = [path for path in sorted((ROOT / "edgedense").rglob("*.py")) if not links & set(path.parts)]
    light = {searching / name for name in ("__init__.py", "result.py", "options.py", "limits.py")}
    assert light < set(shared)
    shared = [path for path in shared if path in light or path.parent != searching]
    assert len(shared) > 30
    for path in shared:
        tree = ast.parse(path.read_text("utf-8"))
        top = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
        names = [alias.name for node in top for alias in node.names]
        names += [str(node.module) for node in top if isinstance(node, ast.ImportFrom)]
        others = [name for name in names if name.startswith(("edgedense.converters", "edgedense.device"))]
        assert not [name for name in others if name.split(".")[-1] not in OPTIONS], path
        heavy = {"tensorflow", "keras", "tf_keras", "cv2", "ai_edge_litert", "sklearn", "starlette"}
        assert not [name for name in names if name.split(".")[0] in heavy], path


def test_no_module_has_the_name_of_a_public_function() -> None:
    """Once it is imported, Python puts a module in the place of what `edgedense` has by that name."""
    import edgedense

    modules = {path.stem for path in (ROOT / "edgedense").iterdir()}
    assert "searching" in modules
    assert modules & set(edgedense.__all__) == set()


def test_the_links_are_there_and_relative() -> None:
    for name in ("converters", "device"):
        link = ROOT / "edgedense" / name
        assert link.is_symlink()
        assert link.readlink() == Path("..") / name
