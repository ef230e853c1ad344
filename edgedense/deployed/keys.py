"""The pair of keys that deployed files are signed with, in two files that other programs read as well.

The private key signs and stays on the workstation: PEM in the format PKCS #8 (RFC 5958), encrypted where there is a
passphrase. The public key verifies and may be given to anybody: PEM in the format SubjectPublicKeyInfo (RFC 8410).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgedense.errors import DeviceError, EdgedenseError
from edgedense.files import write_atomically

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

_LONGEST = 100_000  # bytes; a key takes a few hundred


def make(path: Path, passphrase: bytes | None = None) -> Path:
    """Write a new private key to `path`, which only its owner can read, and the public one beside it. Returns the
    public key's path: `path` with .pub behind it.

    Raises EdgedenseError when one of the files is there or cannot be written, DeviceError without `cryptography`.
    """
    serialization = _serialization()
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    public_path = path.with_name(f"{path.name}.pub")
    for there in (path, public_path):
        if there.exists():
            raise EdgedenseError(
                "a new file for a key", f"{there}, which exists", "another name: a key is never overwritten"
            )
    private = Ed25519PrivateKey.generate()
    kept = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    form = serialization.PrivateFormat.PKCS8
    secret = private.private_bytes(serialization.Encoding.PEM, form, kept)
    shown = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    _write_secret(path, secret)
    write_atomically(public_path, shown)
    return public_path


def _write_secret(path: Path, data: bytes) -> None:
    """No other user may read the file, at no time."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise EdgedenseError("a folder to write the private key in", f"{path}: {error.strerror}") from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        path.unlink(missing_ok=True)
        raise EdgedenseError(f"room to write {path}", str(error.strerror)) from error


def read_private(path: Path, passphrase: bytes | None = None) -> Ed25519PrivateKey:
    """The private key at `path`. Raises EdgedenseError when it is none or the passphrase is wrong, missing or too many,
    DeviceError without `cryptography`."""
    serialization = _serialization()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    try:
        key = serialization.load_pem_private_key(_data(path), passphrase)
    except TypeError:  # what the library raises for a passphrase that is missing, or that is not needed
        raise EdgedenseError(
            f"the passphrase of {path}" if passphrase is None else f"no passphrase, which {path} does not have",
            "none" if passphrase is None else "one",
            "--passphrase-file FILE" if passphrase is None else "leave --passphrase-file out",
        ) from None
    except (ValueError, UnsupportedAlgorithm) as error:
        raise EdgedenseError(
            f"a private key in PEM{' and its passphrase' if passphrase else ''}",
            f"{path}: {_said(error)}",
            "make one with edgedense sign --new-key FILE",
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise EdgedenseError("a private key of Ed25519", f"{path} with another kind", "edgedense sign --new-key FILE")
    return key


def read_public(path: Path) -> Ed25519PublicKey:
    """The public key at `path`. Raises EdgedenseError when it is none, DeviceError without `cryptography`."""
    serialization = _serialization()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    data = _data(path)
    if b"PRIVATE KEY" in data:
        raise EdgedenseError(
            "a public key", f"{path}, which is a private one", f"{path}.pub; keep the private one to yourself"
        )
    try:
        key = serialization.load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise EdgedenseError(
            "a public key in PEM", f"{path}: {_said(error)}", "the file .pub that edgedense sign --new-key wrote"
        ) from error
    if not isinstance(key, Ed25519PublicKey):
        raise EdgedenseError("a public key of Ed25519", f"{path} with another kind", "edgedense sign --new-key FILE")
    return key


def read_passphrase(path: Path) -> bytes:
    """The first line of a file. Raises EdgedenseError when it cannot be read or is empty."""
    line = _data(path).split(b"\n")[0].rstrip(b"\r")
    if not line:
        raise EdgedenseError("a passphrase in the first line of the file", f"{path} with an empty one")
    return line


def _serialization() -> Any:
    try:
        from cryptography.hazmat.primitives import serialization
    except ImportError as error:
        raise DeviceError(
            "the package cryptography, for signatures", str(error), "pip install 'edgedense[fleet]'"
        ) from error
    return serialization


def _data(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_LONGEST)
    except OSError as error:
        raise EdgedenseError("a file that can be read", f"{path}: {error.strerror}", "check the path") from error


def _said(error: Exception) -> str:
    """The library's words, without its long advice."""
    return str(error).split(".")[0] or type(error).__name__
