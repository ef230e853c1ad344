"""Where the models of a service lie, and the switch from one to the other."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edgedense.device.versions.models import Model, Models
from edgedense.errors import EdgedenseError
from edgedense.files import sha256


@pytest.fixture
def models(tmp_path: Path) -> Models:
    return Models(tmp_path / "models" / "door")


def test_a_model_lies_below_its_hash_and_everybody_may_read_it(models: Models) -> None:
    old = os.umask(0o077)
    try:
        kept = models.keep({"m.tflite": b"one"})
    finally:
        os.umask(old)
    assert kept == Model(sha256(b"one"), models.folder / sha256(b"one") / "m.tflite")
    assert kept.path.read_bytes() == b"one"
    assert kept.path.stat().st_mode & 0o777 == 0o644
    for folder in (kept.path.parent, models.folder, models.folder.parent):
        assert folder.stat().st_mode & 0o777 == 0o755
    assert models.current is None  # it is kept, and no more


def test_a_switch_names_both(models: Models) -> None:
    one, two = models.keep({"1.tflite": b"one"}), models.keep({"2.tflite": b"two"})
    models.switch(one, None)
    assert (models.current, models.previous) == (one, None)
    models.switch(two, one)
    assert (models.current, models.previous) == (two, one)
    assert models.link.read_bytes() == b"two"
    models.switch(one, None)
    assert (models.current, models.previous) == (one, None)


def test_a_power_cut_between_the_links_leaves_the_model_from_before(
    models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = models.keep({"1.tflite": b"one"}), models.keep({"2.tflite": b"two"})
    models.switch(one, None)
    real = os.replace

    def cut(source: Path, target: Path) -> None:
        if target == models.link:
            raise KeyboardInterrupt
        real(source, target)

    monkeypatch.setattr(os, "replace", cut)
    with pytest.raises(KeyboardInterrupt):
        models.switch(two, one)
    assert (models.current, models.previous) == (one, None)  # nothing to go back to from itself


def test_it_is_known_whether_the_service_has_a_file(models: Models) -> None:
    assert not models.has({"m.tflite": b"one"})
    kept = models.keep({"m.tflite": b"one", "m_edgetpu.tflite": b"compiled"})
    models.switch(kept, None)
    assert models.has({"m.tflite": b"one"})
    assert models.has({"renamed.tflite": b"one"})
    assert models.has({"m.tflite": b"one", "m_edgetpu.tflite": b"compiled"})
    assert not models.has({"m.tflite": b"one", "m_edgetpu.tflite": b"compiled anew"})
    kept.path.write_bytes(b"0ne")  # a byte of the card was lost
    assert not models.has({"m.tflite": b"one"})
    assert not kept.is_whole
    assert models.keep({"m.tflite": b"one"}).is_whole  # which mends it


def test_other_models_are_forgotten(models: Models) -> None:
    kept = [models.keep({"m.tflite": data}) for data in (b"one", b"two", b"three")]
    models.switch(kept[1], kept[0])
    models.note(who="anna", before=kept[0], after=kept[1], outcome="updated", why="so")
    models.forget_others()
    assert [model.path.is_file() for model in kept] == [True, True, False]
    assert len(models.changes) == 1


def test_two_updates_do_not_run_at_once(models: Models) -> None:
    with models.updating():
        with pytest.raises(EdgedenseError, match="one update at a time"), models.updating():
            pass
        with models.changing():  # the guard must get in
            pass
    with models.updating():
        pass


def test_no_room_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EdgedenseError, match="room and permission"):
        Models(tmp_path / "file" / "door").keep({"m.tflite": b"one"})
