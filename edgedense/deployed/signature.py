"""The signature of a deployed file: an entry of its archive that vouches for every other byte of the file.

The signature is Ed25519 (RFC 8032). It is kept in the entry `signature.json`, JSON of a fixed length that names the
algorithm, and in hexadecimal the public key and the signature. What is signed is the file in which zero bytes stand for
what cannot be known yet: for the content of the entry, and for the checksum of that content at the two places where a
zip archive keeps it, in the entry's local header and in the central directory. The signed message is PREFIX and behind
it the SHA-512 of that file. So nothing can be added, taken away or moved: the network, the labels, the recipe and the
archive's own structure are all covered.

The public key in the entry says who signed; it proves nothing, since anybody can write it. A file is verified with a
public key that one has from elsewhere.
"""

from __future__ import annotations

import hashlib
import io
import json
import struct
import zipfile
from typing import TYPE_CHECKING

from edgedense.deployed import bundle
from edgedense.deployed.bundle import Bundle
from edgedense.errors import EdgedenseError, GateError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

ENTRY = "signature.json"  # in the archive of the deployed file
PREFIX = b"edgedense deployed file 1\n"  # what is signed can be taken for nothing else that the key may sign
_ALGORITHM = "Ed25519"
_NONE = bytes(32), bytes(64)  # stands where key and signature will be
_SIGN = "edgedense sign MODEL.tflite --key FILE"


def _content(key: bytes, signature: bytes) -> bytes:
    """The entry, which is always as long."""
    return json.dumps({"algorithm": _ALGORITHM, "public_key": key.hex(), "signature": signature.hex()}).encode()


_LENGTH = len(_content(*_NONE))


def signed(data: bytes, private: Ed25519PrivateKey) -> bytes:
    """The deployed file `data` with a signature, in place of one that it may have.

    The same file and key give the same bytes. Raises EdgedenseError when it is no whole deployed file.
    """
    content = bundle.parse(data)
    bare = _with_entry(content, _content(*_NONE))
    public = private.public_key().public_bytes_raw()
    return _with_entry(content, _content(public, private.sign(_message(bare))))


def verify(data: bytes, public: Ed25519PublicKey, name: str = "the file") -> None:
    """Raise GateError unless the deployed file `data` was signed with the private key that belongs to `public`,
    and not a byte of it has changed since. Raises EdgedenseError when it is no whole deployed file."""
    from cryptography.exceptions import InvalidSignature

    content = bundle.parse(data, name)
    entry = _entry(content, name)
    if entry is None:
        raise GateError(
            f"a file signed with the key {key_id(public.public_bytes_raw())}", f"{name}, which is not signed", _SIGN
        )
    key, signature = entry
    if key != public.public_bytes_raw():
        raise GateError(
            f"a file signed with the key {key_id(public.public_bytes_raw())}",
            f"{name}, signed with the key {key_id(key)}",
            "sign it with the other key, or verify it with the public key of this one",
        )
    try:
        public.verify(signature, _message(data, name))
    except InvalidSignature:
        raise GateError(
            f"the file that was signed with the key {key_id(key)}",
            f"{name}, which was changed since",
            "copy it again, or sign it again if you changed it",
        ) from None


def signer(content: Bundle, name: str = "the file") -> str | None:
    """By which key the file says that it was signed, as `key_id` names it; None without a signature. That is no proof.

    Raises EdgedenseError for an entry that is none of ours.
    """
    entry = _entry(content, name)
    return None if entry is None else key_id(entry[0])


def key_id(public: bytes) -> str:
    """A short name for a public key of 32 bytes: the first 16 digits of its SHA-256 in hexadecimal."""
    return hashlib.sha256(public).hexdigest()[:16]


def _entry(content: Bundle, name: str) -> tuple[bytes, bytes] | None:
    """(public key, signature) as the file has them."""
    data = content.entries.get(ENTRY)
    if data is None:
        return None
    try:
        entry = json.loads(data)
        key, signature = bytes.fromhex(entry["public_key"]), bytes.fromhex(entry["signature"])
        if data != _content(key, signature):
            raise ValueError("it is written in another way")
    except (KeyError, TypeError, ValueError) as error:
        raise EdgedenseError(
            f"a signature as edgedense sign writes it in {ENTRY}", f"{name} with another one ({error})", _SIGN
        ) from error
    return key, signature


def _with_entry(content: Bundle, entry: bytes) -> bytes:
    return bundle.with_archive(bundle.without_archive(content.model), {**content.entries, ENTRY: entry})


def _message(data: bytes, name: str = "the file") -> bytes:
    """What is signed of a deployed file that has the entry."""
    blank = bytearray(data)
    for start, length in _places(data, name):
        blank[start : start + length] = bytes(length)
    return PREFIX + hashlib.sha512(blank).digest()


def _places(data: bytes, name: str) -> list[tuple[int, int]]:
    """(start, length) of what the signature does not cover: the entry's content and its two checksums. The offsets are
    those of the zip format (PKWARE, APPNOTE.TXT 6.3, sections 4.3.7 and 4.3.12)."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        infos, directory = archive.infolist(), archive.start_dir
    found = [info for info in infos if info.filename == ENTRY]
    if len(found) != 1 or found[0].compress_type != zipfile.ZIP_STORED or found[0].file_size != _LENGTH:
        raise EdgedenseError(
            f"one entry {ENTRY} of {_LENGTH} bytes, stored as it is", f"{name} with another one", _SIGN
        )
    for info in infos:
        if info is found[0]:
            break
        directory += 46 + sum(struct.unpack_from("<HHH", data, directory + 28))  # name, extra field, comment
    header = found[0].header_offset
    if data[header + 14 : header + 18] != data[directory + 16 : directory + 20]:  # only the second one is read, and so
        raise GateError(
            "the same checksum twice", f"{name} with two, for {ENTRY}", _SIGN
        )  # the first could be anything
    start = header + 30 + sum(struct.unpack_from("<HH", data, header + 26))  # name, extra field
    return [(header + 14, 4), (directory + 16, 4), (start, _LENGTH)]
