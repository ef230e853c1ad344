"""A signature holds for every byte of a deployed file."""

from __future__ import annotations

import hashlib
import io
import logging
import zipfile

import pytest

pytest.importorskip("cryptography")
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edgedense.deployed import bundle, signature
from edgedense.errors import EdgedenseError, GateError

FLATBUFFER = b"\x1c\0\0\0TFL3" + bytes(range(64))
KEY, OTHER = (Ed25519PrivateKey.from_private_bytes(bytes([i]) * 32) for i in (1, 2))
PLAIN = bundle.pack(FLATBUFFER, ["red", "green"], {"edgedense": "0.1.0"})
SIGNED = signature.signed(PLAIN, KEY)


def test_a_signed_file_is_the_same_file_with_an_entry_more() -> None:
    before, after = bundle.parse(PLAIN), bundle.parse(SIGNED)
    assert {**before.entries, signature.ENTRY: after.entries[signature.ENTRY]} == after.entries
    assert bundle.without_archive(after.model) == FLATBUFFER
    assert after.labels == ("red", "green")
    signature.verify(SIGNED, KEY.public_key())


def test_the_signed_message_is_what_the_module_says() -> None:
    """Worked out without the module: zero bytes for the content and for its checksum, which is there twice."""
    content = bundle.parse(SIGNED).entries[signature.ENTRY]
    with zipfile.ZipFile(io.BytesIO(SIGNED)) as archive:
        checksum = archive.getinfo(signature.ENTRY).CRC.to_bytes(4, "little")
    assert SIGNED.count(content) == 1
    assert SIGNED.count(checksum) == 2
    blank = SIGNED.replace(content, bytes(len(content))).replace(checksum, bytes(4))
    made = KEY.sign(b"edgedense deployed file 1\n" + hashlib.sha512(blank).digest())
    assert f'"signature": "{made.hex()}"'.encode() in content


def test_any_byte_that_is_changed_is_seen() -> None:
    for place in range(len(SIGNED)):
        changed = bytearray(SIGNED)
        changed[place] ^= 0x20  # 0x20 turns small letters into capitals, and hexadecimal digits with them
        with pytest.raises(EdgedenseError):
            signature.verify(bytes(changed), KEY.public_key())


@pytest.mark.parametrize("more", [b"\0", b"PK\x05\x06" + bytes(18)])
def test_what_is_added_at_the_end_or_the_beginning_is_seen(more: bytes) -> None:
    for changed in (SIGNED + more, SIGNED[:8] + more + SIGNED[8:]):
        with pytest.raises(EdgedenseError):
            signature.verify(changed, KEY.public_key())


def test_an_entry_that_is_added_is_seen() -> None:
    file = io.BytesIO(SIGNED)
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(file, "a") as archive:
        archive.writestr("labels.txt", "green\nred\n")
    with pytest.raises(GateError, match="changed since"):
        signature.verify(file.getvalue(), KEY.public_key())
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(file := io.BytesIO(SIGNED), "a") as archive:
        archive.writestr(signature.ENTRY, bundle.parse(SIGNED).entries[signature.ENTRY])
    with pytest.raises(EdgedenseError, match="one entry"):
        signature.verify(file.getvalue(), KEY.public_key())


def test_another_key_and_no_signature_are_told_apart() -> None:
    named = signature.key_id(KEY.public_key().public_bytes_raw())
    other = signature.key_id(OTHER.public_key().public_bytes_raw())
    with pytest.raises(GateError, match=f"the key {other}; found m.tflite, signed with the key {named}"):
        signature.verify(SIGNED, OTHER.public_key(), "m.tflite")
    with pytest.raises(GateError, match="which is not signed"):
        signature.verify(PLAIN, KEY.public_key())
    assert signature.signer(bundle.parse(SIGNED)) == named
    assert signature.signer(bundle.parse(PLAIN)) is None


def test_a_key_that_is_only_claimed_is_no_proof() -> None:
    """The other one's signature with this one's public key in the entry."""
    content = bundle.parse(signature.signed(PLAIN, OTHER))
    mine, others = (key.public_key().public_bytes_raw().hex().encode() for key in (KEY, OTHER))
    claimed = content.entries[signature.ENTRY].replace(others, mine)
    forged = bundle.with_archive(FLATBUFFER, {**content.entries, signature.ENTRY: claimed})
    with pytest.raises(GateError, match="changed since"):
        signature.verify(forged, KEY.public_key())


def test_signing_again_takes_the_place_of_the_signature() -> None:
    assert signature.signed(SIGNED, KEY) == SIGNED
    again = signature.signed(SIGNED, OTHER)
    assert len(again) == len(SIGNED)
    signature.verify(again, OTHER.public_key())


def test_a_file_of_another_tool_can_be_signed() -> None:
    data = signature.signed(FLATBUFFER, KEY)
    signature.verify(data, KEY.public_key())
    assert list(bundle.parse(data).entries) == [signature.ENTRY]


@pytest.mark.parametrize("entry", [b"", b"[]", b"{}", b'{"public_key": "zz", "signature": ""}'])
def test_an_entry_of_another_kind_is_an_error(entry: bytes) -> None:
    with pytest.raises(EdgedenseError, match=r"signature\.json"):
        signature.signer(bundle.parse(bundle.with_archive(FLATBUFFER, {signature.ENTRY: entry})))


def test_other_thresholds_take_the_signature_away(caplog: pytest.LogCaptureFixture) -> None:
    from edgedense.deployed.thresholds import with_thresholds
    from edgedense.measures.stored_points import Stored

    with caplog.at_level(logging.WARNING, "edgedense"):
        made = with_thresholds(bundle.parse(SIGNED), Stored("youden", 4, "0" * 64, (None, None)), 2)
    assert signature.ENTRY not in bundle.parse(made.data).entries
    assert "not signed" in caplog.text
