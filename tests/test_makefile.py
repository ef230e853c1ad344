"""What the Makefile offers is run in CI, whatever was run before it."""

from __future__ import annotations

import argparse
import re
import subprocess
from pathlib import Path

import pytest

from benchmarks import peers

ROOT = Path(__file__).parent.parent
MAKEFILE = (ROOT / "Makefile").read_text()


def targets() -> set[str]:
    """The targets that are no files."""
    return set(re.findall(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)[0].split())


def test_every_target_that_is_no_file_says_so() -> None:
    ruled = set(re.findall(r"^([a-z][a-z0-9-]*):", MAKEFILE, re.MULTILINE))
    assert ruled == targets()


def test_ci_runs_every_target() -> None:
    """In a short form where the whole takes long. lint and test are parts of check."""
    scripts = "".join((ROOT / ".ci" / name).read_text() for name in ("run", "boards"))
    commands = "\n".join(line for line in scripts.splitlines() if not line.lstrip().startswith(("#", "echo")))
    run = set(re.findall(r"\bmake (?:-C \S+ )?([a-z][a-z0-9-]*)", commands))
    assert re.search(r"^check: lint test$", MAKEFILE, re.MULTILINE)
    assert targets() - {"lint", "test"} == run


def test_the_benchmark_takes_the_pictures_of_the_demo_from_where_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After `make demo` its folder holds a model and a report too."""
    asked: list[list[str]] = []

    def made(command: list[str], check: bool) -> subprocess.CompletedProcess[str]:
        asked.append(command)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(peers.subprocess, "run", made)
    monkeypatch.chdir(tmp_path)
    _, calibration, data = peers._inputs(argparse.Namespace(model=None))
    images = tmp_path / "out" / "digits" / "images"
    assert (calibration, data) == (images / "calibration", images / "test")
    assert asked[0][-1] == str(images)
    assert "examples/digits/images.py $(OUT)/digits/images\n" in MAKEFILE
    assert "demo.py $(OUT)/digits $(DEMO)\n" in MAKEFILE
