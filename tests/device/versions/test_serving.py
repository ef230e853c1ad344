"""What the running service does for its models: it proves the current one, and says when that has held."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgedense.device.versions import serving, trial
from edgedense.device.versions.models import Models
from edgedense.device.versions.serving import Serving
from edgedense.errors import EdgedenseError, GateError
from tests.device.conftest import HEIGHT, WIDTH
from tests.edgedense.test_cli import edgedense

BLACK = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
SCORES = np.float32([1, 0, 0])


@pytest.fixture
def models(tmp_path: Path) -> Models:
    return Models(tmp_path / "models" / "door")


def serve(models: Models, path: Path, before: Path | None = None) -> Serving:
    """A run of the unit, in its environment."""
    old = None if before is None else models.keep({before.name: before.read_bytes()})
    models.switch(models.keep({path.name: path.read_bytes()}), old)
    state = models.folder.parent.parent / "state"
    state.mkdir(exist_ok=True)
    environment = {"EDGEDENSE_MODELS": str(models.folder), "STATE_DIRECTORY": f"{state}:/var/lib/more"}
    found = Serving.of(models.link, environment)
    assert found is not None
    return found


def test_only_the_units_own_run_is_a_services(models: Models, proved: Callable[..., Path]) -> None:
    run = serve(models, proved("m.tflite"))
    assert run.model == models.current
    environment = {"EDGEDENSE_MODELS": str(models.folder), "STATE_DIRECTORY": str(run.state)}
    assert Serving.of(Path("m.tflite"), environment) is None
    assert Serving.of(models.link, {}) is None
    assert Serving.of(models.link, {"EDGEDENSE_MODELS": str(models.folder)}) is None


def test_a_model_that_computes_what_it_should_is_proved(models: Models, proved: Callable[..., Path]) -> None:
    serve(models, proved("m.tflite"), proved("old.tflite", "old")).prove("cpu", None)


def test_a_model_that_does_not_ends_the_run_where_there_is_another(models: Models, proved: Callable[..., Path]) -> None:
    run = serve(models, proved("m.tflite", is_wrong=True), proved("old.tflite"))
    with pytest.raises(GateError, match="golden samples off by up to"):
        run.prove("cpu", None)


def test_a_damaged_file_ends_the_run_where_there_is_another(models: Models, proved: Callable[..., Path]) -> None:
    run = serve(models, proved("m.tflite"), proved("old.tflite", "old"))
    data = bytearray(run.model.path.read_bytes())
    data[-1] ^= 1
    run.model.path.write_bytes(data)
    with pytest.raises(GateError, match="the file is damaged"):
        run.prove("cpu", None)


def test_the_run_ends_with_the_exit_code_that_the_guard_knows(
    models: Models, proved: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the camera is opened: there is none at that address."""
    run = serve(models, proved("m.tflite", is_wrong=True), proved("old.tflite"))
    monkeypatch.setenv("EDGEDENSE_MODELS", str(models.folder))
    monkeypatch.setenv("STATE_DIRECTORY", str(run.state))
    ended = edgedense("run", models.link, "http://127.0.0.1:9/", "--json")
    assert (ended.code, "golden samples off by" in ended.err) == (trial.NOT_AS_MADE, True)


def test_the_only_model_runs_on_and_is_told_of(
    models: Models, proved: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    serve(models, proved("m.tflite", is_wrong=True)).prove("cpu", None)
    assert "there is no model to go back to" in caplog.text


def test_a_file_without_golden_samples_is_not_asked_for_any(models: Models, colours: Path, findings: Path) -> None:
    serve(models, colours, findings).prove("cpu", None)


def test_after_ten_minutes_a_model_has_held(
    models: Models, proved: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = serve(models, proved("m.tflite"))
    now = time.monotonic()
    run.tick()
    monkeypatch.setattr(time, "monotonic", lambda: now + 10_000)  # a camera that was long in coming does not count
    run.tick()
    assert not trial.is_steady(run.state, run.model.sha256)
    run.look(BLACK, BLACK, SCORES)
    monkeypatch.setattr(time, "monotonic", lambda: now + 10_000 + trial.WINDOW - 1)
    run.tick()
    assert not trial.is_steady(run.state, run.model.sha256)
    monkeypatch.setattr(time, "monotonic", lambda: now + 10_000 + trial.WINDOW + 1)
    run.tick()
    assert trial.is_steady(run.state, run.model.sha256)


def test_a_full_disk_is_told_once_a_minute(
    models: Models, proved: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    run = serve(models, proved("m.tflite"))
    run.look(BLACK, BLACK, SCORES)

    def full(*_: object) -> None:
        raise EdgedenseError("room", "none")

    monkeypatch.setattr(serving.trial, "note_steady", full)
    now = time.monotonic()
    for second in (601, 602, 630, 700):
        monkeypatch.setattr(time, "monotonic", lambda second=second: now + second)
        run.tick()
    assert caplog.text.count("was not written") == 2


class TestTheMonitorsState:
    def write(self, path: Path, model: str | None) -> None:
        path.write_text(json.dumps({} if model is None else {"model": model}))

    def test_each_model_has_its_own(self, models: Models, proved: Callable[..., Path]) -> None:
        old, new = proved("m.tflite", "old"), proved("m.tflite", "new")
        run = serve(models, old)
        state = run.state / "state.json"
        run.own(state)
        assert not state.exists()
        self.write(state, run.model.sha256)
        run.own(state)
        assert state.exists()
        later = serve(models, new, old)
        later.own(state)
        assert not state.exists()  # it learns anew
        self.write(state, later.model.sha256)
        again = serve(models, old, new)
        again.own(state)
        assert json.loads(state.read_text()) == {"model": run.model.sha256}
        assert sorted(path.name for path in run.state.iterdir()) == [
            "state.json",
            f"state.json.{later.model.sha256[:12]}",
        ]

    def test_one_of_an_earlier_version_is_the_model_from_befores(
        self, models: Models, proved: Callable[..., Path]
    ) -> None:
        alone = serve(models, proved("m.tflite", "old"))
        state = alone.state / "state.json"
        self.write(state, None)
        alone.own(state)
        assert state.exists()
        serve(models, proved("m.tflite", "new"), proved("m.tflite", "old")).own(state)
        assert [path.name for path in alone.state.iterdir()] == [f"state.json.{alone.model.sha256[:12]}"]
