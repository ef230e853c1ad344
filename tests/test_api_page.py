"""docs/api.md is what the docstrings say, and the library itself prints nothing."""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import edgedense

ROOT = Path(__file__).parent.parent
# Modules outside the command line that may print, with the reason.
PRINTS = {
    "converters/pruning/sparse_worker.py": "a child process, whose parent reads the lines",
    "device/board/benchmark.py": "a child process, whose parent reads the line",
    "device/engines/edgetpu.py": "a child process, whose parent reads the line",
    "device/images.py": "puts the rows of `run` on standard output",
    "device/live/output.py": "puts alerts between the rows of `run` on standard output",
    "device/live/run.py": "puts the rows of `run` on standard output",
    "device/service/proving.py": "a child process, whose parent reads the line",
    "device/versions/guard.py": "a process that systemd runs; what it says goes to the journal",
    "edgedense/rollout/on_device.py": "a process on another machine, whose caller reads the line",
}


@pytest.fixture(scope="module")
def write_api() -> ModuleType:
    spec = importlib.util.spec_from_file_location("write_api", ROOT / "docs" / "write_api.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_up_to_date(write_api: ModuleType) -> None:
    assert write_api.page() == (ROOT / "docs" / "api.md").read_text("utf-8"), "make docs"


def test_the_page_has_every_public_name_once(write_api: ModuleType) -> None:
    lines = write_api.page().splitlines()
    assert [line.removeprefix("## ") for line in lines if line.startswith("## ")][:-2] == edgedense.__all__


def test_every_type_in_a_signature_is_explained(write_api: ModuleType) -> None:
    lines = write_api.page().splitlines()
    titles = {line.lstrip("# ") for line in lines if line.startswith("#")}
    blocks = "\n".join(lines).split("```")[1::2]
    used = {name for block in blocks for name in re.findall(r"(?:: |-> |\[|\| )([A-Z]\w+)", block)}
    python = {"Any", "Callable", "Iterator", "Iterable", "Literal", "Mapping", "NDArray", "None", "Path", "Sequence"}
    assert used - titles - set(write_api.TYPES) - python - {"Image", "False", "True"} == set()


def test_a_changed_docstring_is_noticed(write_api: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edgedense.Gate, "__doc__", "Something else.")
    assert write_api.page() != (ROOT / "docs" / "api.md").read_text("utf-8")
    assert "## Gate\n\nSomething else.\n" in write_api.page()


def prints(tree: ast.AST) -> Iterator[int]:
    """The lines that call print, or use standard output for more than a check."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
            yield node.lineno
        elif isinstance(node, ast.Call):
            given = [*node.args, *(keyword.value for keyword in node.keywords)]
            yield from (argument.lineno for argument in given if ast.unparse(argument) == "sys.stdout")


def test_only_the_command_line_prints() -> None:
    found = {
        path.relative_to(ROOT).as_posix()
        for top in ("edgedense", "converters", "device")
        for path in (ROOT / top).rglob("*.py")
        if list(prints(ast.parse(path.read_text("utf-8"))))
    }
    links = ("edgedense/converters/", "edgedense/device/")
    assert {name for name in found if not name.startswith(("edgedense/cli/", *links))} == set(PRINTS)


@pytest.mark.parametrize("line", ["print(1)", "print(1, file=sys.stderr)", "Output(sys.stdout)", "f(to=sys.stdout)"])
def test_a_print_is_seen(line: str) -> None:
    assert list(prints(ast.parse(line))) == [1]
    assert list(prints(ast.parse("sys.stdout.isatty(); console.print(1)"))) == []
