"""A new model looks at the same frames: what the running service notes, and what its updater reads."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from edgedense.device.classifier import Classifier
from edgedense.device.versions import shadow
from edgedense.device.versions.models import Model, Models
from edgedense.device.versions.moments import Moment
from edgedense.device.versions.shadow import Agreement, Shadow
from edgedense.errors import EdgedenseError
from tests.device.conftest import CARDS, COLOURS, HEIGHT, WIDTH


@pytest.fixture
def state(tmp_path: Path) -> Path:
    (tmp_path / "state").mkdir()
    return tmp_path / "state"


@pytest.fixture
def models(tmp_path: Path) -> Models:
    return Models(tmp_path / "models" / "door")


@pytest.fixture
def running(colours: Path, models: Models, state: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shadow]:
    """A service that runs the colours, and looks for orders at every turn."""
    monkeypatch.setattr(shadow, "_LOOK_EVERY", 0.0)
    monkeypatch.setattr(shadow, "_WRITE_EVERY", 0.0)
    with Classifier(colours) as current:
        found = Shadow(models, state, current, None, Classifier)
        yield found
        found.close()


def show(running: Shadow, colour: str) -> None:
    """A frame of the loop: a card, the model's input, and its scores."""
    running.tick()
    picture = np.full((2 * HEIGHT, 2 * WIDTH, 3), CARDS[colour], np.uint8)
    pixels = picture[::2, ::2].copy()
    running.look(picture, pixels, running._current.classify(pixels))


def keep(models: Models, path: Path) -> Model:
    return models.keep({path.name: path.read_bytes()})


def test_two_files_of_one_network_agree(
    running: Shadow, models: Models, state: Path, proved: Callable[..., Path]
) -> None:
    new = keep(models, proved("new.tflite", "another file"))
    show(running, "red")
    assert shadow.report(state, new) == Agreement(new.sha256)  # nothing yet
    shadow.order(models, new, 60)
    for colour in ("red", "green", "blue"):
        show(running, colour)
    found = shadow.report(state, new)
    assert (found.frames, found.agreed, found.difference, found.error) == (3, 3, 0.0, "")
    assert found.old_ms > 0
    assert found.new_ms > 0
    assert str(found).startswith("the same answer to 3 of 3 frames (100.0%), the largest difference 0 in the mean; ")
    shadow.withdraw(models)
    show(running, "red")
    assert shadow.report(state, new).frames == 3


def test_what_is_not_the_same_is_counted(
    running: Shadow, models: Models, state: Path, proved: Callable[..., Path]
) -> None:
    """The new one calls green blue, and the reverse."""
    new = keep(models, proved("new.tflite", labels=("red", "blue", "green")))
    shadow.order(models, new, 60)
    for colour in ("red", "green", "blue", "red"):
        show(running, colour)
    found = shadow.report(state, new)
    assert (found.frames, found.agreed, found.difference) == (4, 2, None)  # other labels: no score belongs to another
    assert "2 of 4 frames (50.0%)" in str(found)


def test_a_candidate_of_another_size_gets_the_picture_and_not_the_input(
    running: Shadow, models: Models, state: Path, colour_model: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    from edgedense.deployed import bundle
    from tests.device import conftest

    monkeypatch.setattr(conftest, "HEIGHT", 24)
    monkeypatch.setattr(conftest, "WIDTH", 32)
    from edgedense.images.preprocessing import Preprocessing

    recipe = {"preprocessing": Preprocessing(24, 32, "none").to_dict()}
    new = models.keep({"small.tflite": bundle.pack(colour_model(), COLOURS, recipe)})
    shadow.order(models, new, 60)
    show(running, "green")
    assert shadow.report(state, new) == Agreement(
        new.sha256, 1, 1, 0.0, *(getattr(shadow.report(state, new), name) for name in ("old_ms", "new_ms"))
    )


def test_values_are_compared_by_their_difference(
    colours: Path, models: Models, state: Path, proved: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shadow, "_LOOK_EVERY", 0.0)
    path = proved("ages.tflite", activation="none")
    with Classifier(path) as current:
        running = Shadow(models, state, current, None, Classifier)
        new = keep(models, path)
        shadow.order(models, new, 60)
        show(running, "red")
        found = shadow.report(state, new)
        running.close()
    assert (found.frames, found.agreed, found.difference) == (1, None, 0.0)
    assert str(found).startswith("values for 1 frames, the largest difference 0")


def test_a_candidate_that_cannot_be_loaded_is_told_and_harms_nobody(
    running: Shadow, models: Models, state: Path
) -> None:
    new = models.keep({"bad.tflite": b"\0\0\0\0TFL3 no model"})
    shadow.order(models, new, 60)
    show(running, "red")
    show(running, "red")
    assert "a damaged file" in shadow.report(state, new).error
    assert shadow.report(state, new).frames == 0


def test_a_candidate_that_fails_on_a_frame_is_told(
    running: Shadow, models: Models, state: Path, proved: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    new = keep(models, proved("new.tflite"))
    shadow.order(models, new, 60)
    show(running, "red")

    def fail(*_: object) -> None:
        raise RuntimeError("node 3 failed to invoke")

    monkeypatch.setattr(running._candidate, "classify", fail)
    for _ in range(2):
        show(running, "red")
    found = shadow.report(state, new)
    assert (found.frames, found.error) == (1, "RuntimeError: node 3 failed to invoke")


def test_an_order_ends(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    new = models.keep({"m.tflite": b"model"})
    shadow.order(models, new, 60)
    found = shadow.ordered(models)
    assert found is not None
    assert found.model == new
    late = Moment("b", Moment.now().seconds + 61, 0.0, False)
    monkeypatch.setattr(Moment, "now", classmethod(lambda cls: late))
    assert shadow.ordered(models) is None


def test_an_order_that_is_older_than_the_run_is_not_followed(
    colours: Path, models: Models, state: Path, proved: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A candidate that ended the service must not do so again."""
    monkeypatch.setattr(shadow, "_LOOK_EVERY", 0.0)
    new = keep(models, proved("new.tflite"))
    shadow.order(models, new, 60)
    with Classifier(colours) as current:
        running = Shadow(models, state, current, None, Classifier)
        show(running, "red")
        running.close()
    assert shadow.report(state, new).frames == 0


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"model": 3}', '{"model": "x", "file": 1, "until": "soon"}'])
def test_anything_else_is_no_order_and_no_report(models: Models, state: Path, content: str) -> None:
    new = models.keep({"m.tflite": b"model"})
    (models.folder / "candidate.json").write_text(content)
    (state / shadow.REPORT).write_text(content)
    assert shadow.ordered(models) is None
    assert shadow.report(state, new) == Agreement(new.sha256)


def test_a_report_of_another_model_is_none_of_this_one(models: Models, state: Path) -> None:
    new = models.keep({"m.tflite": b"model"})
    (state / shadow.REPORT).write_text(json.dumps({**vars(Agreement("another", 5, 5)), "difference": None}))
    assert shadow.report(state, new).frames == 0


def test_a_full_disk_does_not_end_the_run(
    running: Shadow,
    models: Models,
    proved: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def full(*_: object) -> None:
        raise EdgedenseError("room", "none")

    monkeypatch.setattr(shadow, "write_atomically", full)
    new = keep(models, proved("new.tflite"))
    (models.folder / "candidate.json").write_text(
        json.dumps({"model": new.sha256, "file": str(new.path.relative_to(models.folder)), "until": 1e12})
    )
    show(running, "red")
    assert "was not written" in caplog.text
