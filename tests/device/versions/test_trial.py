"""When a service goes back to the model from before, and when it does not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from edgedense.device.versions import guard, trial
from edgedense.device.versions.models import Models
from edgedense.device.versions.moments import Moment

CRASH = {"SERVICE_RESULT": "exit-code", "EXIT_CODE": "exited", "EXIT_STATUS": "70"}
SEGV = {"SERVICE_RESULT": "core-dump", "EXIT_CODE": "dumped", "EXIT_STATUS": "SEGV"}
STOP = {"SERVICE_RESULT": "success", "EXIT_CODE": "exited", "EXIT_STATUS": "0"}
NO_CAMERA = {"SERVICE_RESULT": "exit-code", "EXIT_CODE": "exited", "EXIT_STATUS": "3"}
NOT_AS_MADE = {"SERVICE_RESULT": "exit-code", "EXIT_CODE": "exited", "EXIT_STATUS": "1"}


def at(second: float, boot: str = "b") -> Moment:
    return Moment(boot, second, 0.0, False)


@pytest.fixture
def models(tmp_path: Path) -> Models:
    """The new model is on trial; the old one can be gone back to."""
    models = Models(tmp_path / "models" / "door")
    models.switch(models.keep({"new.tflite": b"new"}), models.keep({"old.tflite": b"old"}))
    assert models.current
    trial.begin(models, models.current.sha256)
    (tmp_path / "state").mkdir()
    return models


def ended(models: Models, how: dict[str, str], second: float, boot: str = "b") -> str | None:
    return trial.after_stop(models, models.folder.parent.parent / "state", how, at(second, boot))


def runs(models: Models) -> str:
    assert models.current
    return models.current.path.name


def test_three_failures_within_ten_minutes_are_too_many(models: Models) -> None:
    assert "failed 1 of 3 times: exit-code, 70" in (ended(models, CRASH, 0) or "")
    assert "failed 2 of 3 times: core-dump, SEGV" in (ended(models, SEGV, 300) or "")
    assert runs(models) == "new.tflite"
    said = ended(models, CRASH, 600)
    assert said is not None
    assert "new.tflite" in said
    assert "is taken back: it failed 3 times within 10 minutes, at last with exit-code, 70" in said
    assert runs(models) == "old.tflite"
    assert models.previous is None  # nobody goes back to what failed
    (change,) = models.changes
    assert (change.who, change.outcome, change.after) == ("edgedense", "rolled back", models.current.sha256)  # type: ignore[union-attr]
    assert trial.current(models) is None


def test_failures_that_are_far_apart_do_not_sum_up(models: Models) -> None:
    for second in (0, 300, 601, 1202, 1803):
        ended(models, CRASH, second)
    assert runs(models) == "new.tflite"
    ended(models, CRASH, 1804)
    ended(models, CRASH, 1805)
    assert runs(models) == "old.tflite"


def test_failures_of_another_boot_do_not_count(models: Models) -> None:
    for boot in "abc":
        ended(models, CRASH, 10, boot)
    assert runs(models) == "new.tflite"


@pytest.mark.parametrize("how", [STOP, NO_CAMERA, {}])
def test_what_is_not_the_models_fault(models: Models, how: dict[str, str]) -> None:
    for second in range(5):
        assert ended(models, how, second) is None
    assert runs(models) == "new.tflite"


def test_a_failed_replay_is_enough_also_after_the_trial(models: Models) -> None:
    trial.end(models)
    assert "golden samples" in (ended(models, NOT_AS_MADE, 0) or "")
    assert runs(models) == "old.tflite"
    assert ended(models, NOT_AS_MADE, 1) is None  # there is no other one
    assert runs(models) == "old.tflite"


def test_a_model_that_has_run_for_ten_minutes_is_not_taken_back(models: Models) -> None:
    assert models.current
    state = models.folder.parent.parent / "state"
    trial.note_steady(state, models.current.sha256)
    assert trial.is_steady(state, models.current.sha256)
    assert not trial.is_steady(state, "another")
    for second in range(5):
        ended(models, CRASH, second)
    assert runs(models) == "new.tflite"


def test_what_was_installed_by_a_person_is_not_on_trial(models: Models) -> None:
    trial.end(models)
    for second in range(5):
        ended(models, CRASH, second)
    assert runs(models) == "new.tflite"


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"model": 1, "failures": [{}]}'])
def test_a_damaged_record_is_no_trial(models: Models, content: str) -> None:
    (models.folder / "trial.json").write_text(content)
    assert trial.current(models) is None


def test_root_follows_no_link_of_the_services_user(models: Models) -> None:
    assert models.current
    state = models.folder.parent.parent / "state"
    secret = state.parent / "secret"
    secret.write_text(json.dumps({"model": models.current.sha256}))
    (state / "steady.json").symlink_to(secret)
    assert not trial.is_steady(state, models.current.sha256)
    (state / "steady.json").unlink()
    os.mkfifo(state / "steady.json")
    assert not trial.is_steady(state, models.current.sha256)  # and does not wait for a writer


def test_the_guard_says_what_it_does(
    models: Models, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["guard", str(models.folder), str(models.folder.parent.parent / "state")])
    for name in ("SERVICE_RESULT", "EXIT_STATUS"):
        monkeypatch.delenv(name, raising=False)
    assert guard.main() == 0
    assert capsys.readouterr().out == ""
    monkeypatch.setenv("SERVICE_RESULT", "exit-code")
    monkeypatch.setenv("EXIT_STATUS", "1")
    assert guard.main() == 0
    assert "old.tflite" in capsys.readouterr().out
    (models.folder / "history.jsonl").unlink()
    (models.folder / "history.jsonl").mkdir()
    models.switch(models.keep({"new.tflite": b"new"}), models.keep({"old.tflite": b"old"}))
    assert guard.main() == 2
    assert "could not be taken back" in capsys.readouterr().err


def test_the_guard_loads_no_library() -> None:
    """systemd waits ten seconds for it, on the slowest boards too."""
    program = "import sys, edgedense.device.versions.guard; print({'numpy', 'PIL', 'typer'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
