"""`edgedense sign` makes keys, signs with them, and says who signed."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("cryptography")

from edgedense.deployed import bundle
from tests.edgedense.test_cli import edgedense, succeeded


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "m.tflite"
    path.write_bytes(bundle.pack(b"\x1c\0\0\0TFL3", ["red", "green"], {}))
    return path


def test_from_new_keys_to_a_verified_file(model: Path, tmp_path: Path) -> None:
    (tmp_path / "words").write_text("open sesame\n")
    locked = ("--passphrase-file", str(tmp_path / "words"))
    made = succeeded("sign", "--new-key", tmp_path / "key", *locked).out
    assert f"{tmp_path / 'key.pub'}, for edgedense service install" in made
    before = model.read_bytes()
    refused = edgedense("sign", str(model), "--verify", str(tmp_path / "key.pub"))
    assert (refused.code, "not signed" in refused.err) == (1, True)
    succeeded("sign", str(model), "--key", str(tmp_path / "key"), *locked, "--out", str(tmp_path / "s.tflite"))
    assert model.read_bytes() == before
    succeeded("sign", str(model), "--key", str(tmp_path / "key"), *locked)
    assert model.read_bytes() == (tmp_path / "s.tflite").read_bytes() != before
    assert "not changed since" in succeeded("sign", model, "--verify", tmp_path / "key.pub").out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "--new-key"),
        (["m.tflite"], "--new-key"),
        (["m.tflite", "--key", "a", "--verify", "b"], "--new-key"),
        (["m.tflite", "--new-key", "a"], "--new-key alone"),
        (["--key", "a"], "a deployed file"),
        (["m.tflite", "--verify", "a", "--out", "b.tflite"], "--key with --out"),
        (["m.tflite", "--key", "none"], "No such file"),
        (["m.tflite", "--key", "m.tflite", "--out", "m.keras"], "--out FILE.tflite"),
    ],
)
def test_wrong_words(model: Path, words: list[str], message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(model.parent)
    ended = edgedense("sign", *words)
    assert ended.code == 2
    assert message in ended.err
    assert [path.name for path in model.parent.iterdir()] == ["m.tflite"]
