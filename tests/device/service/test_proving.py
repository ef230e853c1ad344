"""A new model is tried on this machine, in a process of its own: what it may not do there, and what is told of it."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from edgedense.device.service import proving
from edgedense.device.service.outcome import Check
from edgedense.device.service.units import Unit
from edgedense.device.versions.models import Model


@pytest.fixture
def same_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`runuser` lets everything pass."""
    program = tmp_path / "bin" / "runuser"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\nshift 3\nexec "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """The child's work in this process: a new one takes seconds to import everything."""

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        monkeypatch.setattr(sys, "argv", ["-c", command[-1]])
        with contextlib.redirect_stdout(io.StringIO()) as out:
            proving.main()
        return subprocess.CompletedProcess(command, 0, out.getvalue(), "")

    monkeypatch.setattr(proving.subprocess, "run", run)


def prove(path: Path, old: Path | None, max_slower: float = 1000.0, *options: str) -> tuple[Check, Check]:
    unit = Unit("door", "daemon", ("python", "-m", "edgedense.cli", "run", "m.tflite", *options), "")
    return proving.prove(Model("n", path), None if old is None else Model("o", old), unit, max_slower)


@pytest.mark.usefixtures("same_user")
def test_a_good_file_passes(proved: Callable[..., Path], colours: Path) -> None:
    replay, latency = prove(proved("new.tflite"), colours)
    limit = "no value differs by a step, no label changes whose margin was above 0.1"
    assert replay == Check("replay", True, f"2 golden samples, the same to the bit ({limit})")
    assert latency.passed
    assert latency.detail.endswith("limit 1000 times")


@pytest.mark.usefixtures("in_process")
class TestWhatIsFound:
    def test_one_that_is_too_slow(self, proved: Callable[..., Path], colours: Path) -> None:
        assert not prove(proved("new.tflite"), colours, 1e-9)[1].passed

    def test_one_that_computes_something_else(self, proved: Callable[..., Path]) -> None:
        replay, latency = prove(proved("new.tflite", is_wrong=True), None)
        assert (replay.passed, latency) == (False, Check("latency", False, "it was not measured"))
        assert "off by up to" in replay.detail

    def test_one_that_cannot_be_read(self, tmp_path: Path) -> None:
        replay, _ = prove(tmp_path / "none.tflite", None)
        assert (replay.passed, "No such file" in replay.detail) == (False, True)

    def test_one_without_golden_samples(self, colours: Path) -> None:
        replay, _ = prove(colours, None)
        assert (replay.passed, "convert it with edgedense" in replay.detail) == (False, True)

    def test_one_for_an_edge_tpu_has_none(self, colours: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(proving, "is_compiled", lambda model: True)
        passed, detail = proving.replayed(colours, "cpu", 1)
        assert (passed, "Edge TPU" in detail) == (True, True)

    def test_one_that_does_not_suit_the_services_labels(self, proved: Callable[..., Path], tmp_path: Path) -> None:
        (tmp_path / "labels.txt").write_text("one\ntwo\n")
        replay, latency = prove(proved("new.tflite"), None, 1.5, "--labels", str(tmp_path / "labels.txt"))
        assert (replay.passed, latency.passed) == (True, False)
        assert "3 labels" in latency.detail

    def test_one_without_the_heatmaps_that_the_service_shows(self, proved: Callable[..., Path]) -> None:
        _, latency = prove(proved("new.tflite"), None, 1.5, "--preview", "--explain")
        assert (latency.passed, "last feature map" in latency.detail) == (False, True)

    def test_an_old_one_that_does_not_run_is_no_measure(self, proved: Callable[..., Path], tmp_path: Path) -> None:
        _, latency = prove(proved("new.tflite"), tmp_path / "gone.tflite")
        assert latency.passed
        assert latency.detail.endswith("the current model does not run here, to compare with")


@pytest.mark.usefixtures("same_user")
@pytest.mark.parametrize(
    ("child", "found"),
    [
        ("import os; os.kill(os.getpid(), 11)", "signal 11"),
        ("raise SystemExit(5)", "exit code 5"),
        ("print('hello')", "exit code 0"),
    ],
)
def test_a_file_that_ends_the_process_has_not_passed(
    colours: Path, monkeypatch: pytest.MonkeyPatch, child: str, found: str
) -> None:
    monkeypatch.setattr(proving, "_CHILD", child)
    replay, latency = prove(colours, None)
    assert (replay.passed, latency.passed) == (False, False)
    assert found in replay.detail


@pytest.mark.usefixtures("same_user")
def test_one_that_never_ends_has_not_passed(colours: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proving, "_CHILD", "import time; time.sleep(60)")
    monkeypatch.setattr(proving, "PATIENCE", 0.2)
    assert "no end" in prove(colours, None)[0].detail
