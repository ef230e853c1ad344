"""Keys in files: nobody else reads the private one, and other programs read both."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

pytest.importorskip("cryptography")
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from edgedense.deployed import keys
from edgedense.errors import EdgedenseError


@pytest.mark.parametrize("passphrase", [None, b"open sesame"])
def test_a_pair_belongs_together(tmp_path: Path, passphrase: bytes | None) -> None:
    public = keys.make(tmp_path / "key", passphrase)
    assert public == tmp_path / "key.pub"
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    private = keys.read_private(tmp_path / "key", passphrase)
    assert private.public_key() == keys.read_public(public)
    assert (b"ENCRYPTED" in (tmp_path / "key").read_bytes()) is (passphrase is not None)


def test_openssl_reads_both(tmp_path: Path) -> None:
    """The formats are those of other programs."""
    if not shutil.which("openssl"):
        pytest.skip("needs the system package openssl")
    public = keys.make(tmp_path / "key")
    for words in (["-in", tmp_path / "key", "-pubout"], ["-pubin", "-in", public]):
        shown = subprocess.run(["openssl", "pkey", *words], capture_output=True, check=True).stdout
        assert shown == public.read_bytes()


def test_no_key_is_overwritten(tmp_path: Path) -> None:
    keys.make(tmp_path / "key")
    before = (tmp_path / "key").read_bytes()
    with pytest.raises(EdgedenseError, match="never overwritten"):
        keys.make(tmp_path / "key")
    (tmp_path / "key").unlink()
    with pytest.raises(EdgedenseError, match=r"key\.pub, which exists"):  # it may be the key of many devices
        keys.make(tmp_path / "key")
    assert before
    assert not (tmp_path / "key").exists()
    with pytest.raises(EdgedenseError, match="a folder"):
        keys.make(tmp_path / "none" / "key")


def test_wrong_passphrases_are_told_apart(tmp_path: Path) -> None:
    keys.make(tmp_path / "plain")
    keys.make(tmp_path / "locked", b"open sesame")
    for name, given, message in (
        ("locked", None, "--passphrase-file"),
        ("plain", b"open sesame", "leave --passphrase-file out"),
        ("locked", b"open barley", "its passphrase"),
    ):
        with pytest.raises(EdgedenseError, match=message):
            keys.read_private(tmp_path / name, given)


def test_other_files_are_no_keys(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")
    other = ec.generate_private_key(ec.SECP256R1())
    form = serialization.PrivateFormat.PKCS8
    (tmp_path / "ec").write_bytes(other.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    shown = serialization.PublicFormat.SubjectPublicKeyInfo
    (tmp_path / "ec.pub").write_bytes(other.public_key().public_bytes(serialization.Encoding.PEM, shown))
    keys.make(tmp_path / "key")
    for name, message in (("text", "in PEM"), ("ec", "Ed25519"), ("none", "No such file"), ("key.pub", "in PEM")):
        with pytest.raises(EdgedenseError, match=message):
            keys.read_private(tmp_path / name)
    for name, message in (("text", "in PEM"), ("ec.pub", "Ed25519"), ("none", "No such file"), ("key", "private one")):
        with pytest.raises(EdgedenseError, match=message):
            keys.read_public(tmp_path / name)


def test_a_passphrase_is_the_first_line(tmp_path: Path) -> None:
    (tmp_path / "words").write_bytes(b"open sesame \r\nmore\n")
    assert keys.read_passphrase(tmp_path / "words") == b"open sesame "
    (tmp_path / "empty").write_bytes(b"\nmore\n")
    with pytest.raises(EdgedenseError, match="empty"):
        keys.read_passphrase(tmp_path / "empty")
