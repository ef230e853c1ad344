"""Which files a service may take, and which model it has when a person installs one."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from edgedense.device.service import admission
from edgedense.device.versions import trial
from edgedense.device.versions.models import Models
from edgedense.errors import EdgedenseError, GateError
from tests.edgedense.deployed.test_signature import KEY, OTHER, PLAIN, SIGNED, signature


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """The public key of KEY in a file."""
    from cryptography.hazmat.primitives import serialization

    form = serialization.PublicFormat.SubjectPublicKeyInfo
    (tmp_path / "fleet.pub").write_bytes(KEY.public_key().public_bytes(serialization.Encoding.PEM, form))
    return tmp_path / "fleet.pub"


def test_beside_a_model_belongs_its_other_half_where_the_device_is_chosen_at_each_start(tmp_path: Path) -> None:
    for name in ("m.tflite", "m_edgetpu.tflite", "other.tflite"):
        (tmp_path / name).write_bytes(name.encode())
    assert list(admission.files_of(tmp_path / "m.tflite", "cpu")) == ["m.tflite"]
    assert list(admission.files_of(tmp_path / "m.tflite", "auto")) == ["m.tflite", "m_edgetpu.tflite"]
    assert list(admission.files_of(tmp_path / "m_edgetpu.tflite", "auto")) == ["m_edgetpu.tflite", "m.tflite"]
    assert list(admission.files_of(tmp_path / "other.tflite", "auto")) == ["other.tflite"]


@pytest.mark.parametrize(("name", "message"), [("none.tflite", "No such file"), ("m.keras", "a deployed .tflite file")])
def test_what_cannot_be_a_model(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(EdgedenseError, match=message):
        admission.files_of(tmp_path / name, "cpu")


def test_every_file_must_be_signed_where_there_is_a_key(key: Path, tmp_path: Path) -> None:
    assert "no public key" in admission.require_signed({"m.tflite": PLAIN}, tmp_path / "none.pub")
    assert admission.require_signed({"m.tflite": SIGNED}, key).startswith("signed with the key")
    with pytest.raises(GateError, match=r"m_edgetpu\.tflite, which is not signed"):
        admission.require_signed({"m.tflite": SIGNED, "m_edgetpu.tflite": PLAIN}, key)
    with pytest.raises(GateError, match="signed with the key"):
        admission.require_signed({"m.tflite": signature.signed(PLAIN, OTHER)}, key)


def test_a_key_is_kept_where_everybody_reads_it(
    key: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "etc" / "door.pub"
    monkeypatch.setattr(admission.edgedense, "__file__", str(key))
    key.touch()
    with caplog.at_level(logging.WARNING, "edgedense"):
        admission.keep_key(key, kept)
    assert kept.read_bytes() == key.read_bytes()
    assert kept.stat().st_mode & 0o777 == 0o644
    assert ("could change the program" in caplog.text) is (key.stat().st_uid != 0 or _is_anothers())
    with pytest.raises(EdgedenseError):
        admission.keep_key(tmp_path / "none.pub", kept)


def _is_anothers() -> bool:
    import sys

    return Path(sys.executable).resolve().stat().st_uid != 0


def test_installing_another_model_leaves_a_way_back(tmp_path: Path) -> None:
    models, no_key = Models(tmp_path / "models" / "door"), tmp_path / "none.pub"
    one = admission.install(models, {"m.tflite": PLAIN}, no_key)
    assert (models.current, models.previous) == (one, None)
    assert admission.install(models, {"m.tflite": PLAIN}, no_key) == one
    assert len(models.changes) == 1
    trial.begin(models, one.sha256)
    two = admission.install(models, {"m.tflite": SIGNED}, no_key)
    assert (models.current, models.previous) == (two, one)
    assert trial.current(models) is None
    assert [change.outcome for change in models.changes] == ["installed", "installed"]


def test_nobody_goes_back_to_a_model_without_a_signature_where_there_is_a_key(key: Path, tmp_path: Path) -> None:
    models = Models(tmp_path / "models" / "door")
    admission.install(models, {"m.tflite": PLAIN}, tmp_path / "none.pub")
    admission.install(models, {"m.tflite": SIGNED}, key)
    assert models.previous is None
