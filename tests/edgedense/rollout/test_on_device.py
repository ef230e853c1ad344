"""The program that is sent to a device, step by step, in a folder here."""

from __future__ import annotations

import ast
import fcntl
import hashlib
import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edgedense.rollout import on_device
from edgedense.rollout.on_device import StepError

DATA = b"a model"
SHA256 = hashlib.sha256(DATA).hexdigest()
PACKAGE = {"version": "1.0", "sha256": None, "file": None, "extras": None, "usual": ["device"]}
MODEL = {"sha256": SHA256, "file": "m.tflite"}


def receive(place: Path, data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data)))
    on_device.receive(str(place), "models", "m.tflite", SHA256, len(DATA))


def version(place: Path, key: str, whole: bool = True, when: float = 0) -> Path:
    folder = place / "versions" / key
    folder.mkdir(parents=True)
    if whole:
        path = folder / on_device.PACKAGE
        path.write_text(json.dumps({"version": "1.0", "sha256": None, "extras": ["device", "preview"]}))
        os.utime(path, (when, when))
    return folder


@pytest.fixture
def no_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_device, "_systemctl", lambda *words: "LoadState=not-found\n")


def test_it_needs_nothing_but_the_standard_library_and_starts_on_old_pythons() -> None:
    tree = ast.parse(Path(on_device.__file__).read_text("utf-8"), feature_version=(3, 7))
    names = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    names += [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    assert {name.split(".")[0] for name in names} <= set(sys.stdlib_module_names)


def test_what_is_received_is_whole_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for wrong in (DATA[:3], DATA + b"!", b""):
        with pytest.raises(StepError, match=f"'7 bytes of m.tflite.*'{len(wrong)} other bytes'"):
            receive(tmp_path, wrong, monkeypatch)
        assert not list((tmp_path / "models").iterdir())
    receive(tmp_path, DATA, monkeypatch)
    (path,) = (tmp_path / "models").rglob("*.tflite")
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (DATA, 0o644)


def test_what_a_cut_of_the_power_left_goes_after_a_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "models" / SHA256[:16]
    folder.mkdir(parents=True)
    for name, age in ((".old.part", 2), (".new.part", 0.1)):
        (folder / name).touch()
        os.utime(folder / name, (time.time() - age * 86400,) * 2)
    receive(tmp_path, DATA, monkeypatch)
    assert sorted(path.name for path in folder.iterdir()) == [".new.part", "m.tflite"]


def test_the_extras_that_are_there_stay_where_none_are_named(tmp_path: Path, no_service: None) -> None:
    assert on_device.look(str(tmp_path), "a", PACKAGE, MODEL)["extras"] == ["device"]
    key = on_device._key(PACKAGE, ["device", "preview"])
    version(tmp_path, key)
    on_device._link(tmp_path, key)
    found = on_device.look(str(tmp_path), "a", PACKAGE, MODEL)
    assert (found["extras"], found["key"], found["has_package"]) == (["device", "preview"], key, True)
    other = on_device.look(str(tmp_path), "a", {**PACKAGE, "extras": ["device"]}, MODEL)
    assert (other["key"] != key, other["has_package"], other["has_model"]) == (True, False, False)


def test_another_wheel_of_the_same_version_is_another_package() -> None:
    keys = {on_device._key({"version": "1.0", "sha256": sha256}, ["device"]) for sha256 in (None, "aa", "bb")}
    assert len(keys) == 3
    assert on_device._key(PACKAGE, ["a", "b"]) == on_device._key(PACKAGE, ["b", "a"])


def test_the_version_in_use_and_the_one_before_it_are_kept(tmp_path: Path) -> None:
    for number in range(4):
        version(tmp_path, f"whole-{number}", when=number + 1)
    version(tmp_path, "half", whole=False)
    on_device._link(tmp_path, "whole-1")
    on_device._remove_versions(tmp_path)
    assert sorted(path.name for path in (tmp_path / "versions").iterdir()) == ["whole-1", "whole-3"]


def test_an_old_python_and_a_service_of_others_are_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_service: None
) -> None:
    show = (
        "LoadState=loaded\nActiveState=active\nSubState=running\nExecStart={ path=/home/pi/bin/python ; argv[]=x ; }\n"
    )
    with monkeypatch.context() as patch:
        patch.setattr(on_device, "_systemctl", lambda *words: show)
        with pytest.raises(StepError, match=r"a service a that runs .*/current/bin/python.*/home/pi/bin/python"):
            on_device.look(str(tmp_path), "a", PACKAGE, MODEL)
    monkeypatch.setattr(on_device, "PYTHON", (4, 0))
    with pytest.raises(StepError, match=r"Python 4\.0 or newer"):
        on_device.look(str(tmp_path), "a", PACKAGE, MODEL)


def test_two_deployments_do_not_work_on_a_device_at_the_same_time(tmp_path: Path) -> None:
    with (tmp_path / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(StepError, match="no other deployment at work"):
            on_device.install(str(tmp_path), "key", PACKAGE, ["device"])


def test_an_installation_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ended: dict[str, Any] = {"stdout": "", "stderr": "first\n\nsecond\nthird\nfourth\n", "returncode": 1}
    monkeypatch.setattr(subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, **ended))
    (tmp_path / "versions" / "key").mkdir(parents=True)
    with pytest.raises(StepError, match="'venv to work', 'second / third / fourth'"):
        on_device.install(str(tmp_path), "key", PACKAGE, ["device"])
    assert not list((tmp_path / "versions").iterdir())


def test_the_answer_is_one_line(tmp_path: Path) -> None:
    """As it is sent: the file's text behind -c."""
    text = Path(on_device.__file__).read_text("utf-8")
    (tmp_path / "file").touch()
    given = {"place": str(tmp_path / "file"), "key": "k", "package": PACKAGE, "extras": []}
    command = [sys.executable, "-c", text, "install", json.dumps(given)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    (line,) = done.stdout.splitlines()
    found = json.loads(line)["problem"]
    assert found["expected"] == "room and permission on the device"
    assert "File exists" in found["found"] or "Not a directory" in found["found"]
