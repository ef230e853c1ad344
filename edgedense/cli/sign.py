"""`edgedense sign`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from edgedense.errors import EdgedenseError
from edgedense.flags import Flag

SignedFile = Annotated[Path | None, Flag("A deployed .tflite file.", argument=True, metavar="MODEL", reads="file")]
PrivateKey = Annotated[Path | None, Flag("Sign MODEL with the private key in this file.", reads="file")]
SignedCopy = Annotated[
    Path | None,
    Flag(
        "Write the signed file here, and leave MODEL as it is.", metavar="FILE.tflite", writes="file", needs=("--key",)
    ),
]
NewKey = Annotated[
    Path | None,
    Flag(
        "Make a new pair of keys: the private one in this file, which only you can read, and the public one in "
        "FILE.pub. Files that are there are never overwritten.",
        writes="file",
    ),
]
PublicKey = Annotated[
    Path | None,
    Flag("Say whether MODEL was signed with the private key that belongs to this public one.", reads="file"),
]
PassphraseFile = Annotated[
    Path | None,
    Flag(
        "A file whose first line is the passphrase of the private key. With --new-key the key is encrypted with it.",
        reads="file",
        needs=("--key", "--new-key"),
    ),
]


def sign(
    model: SignedFile = None,
    *,
    key: PrivateKey = None,
    out: SignedCopy = None,
    verify: PublicKey = None,
    new_key: NewKey = None,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Sign a deployed file, so that devices take updates from you alone.

    The signature is kept in the file, and holds for every byte of it: labels, recipe and golden samples as well as the
    network. A service that was installed with --public-key takes no other file than one that was signed with its
    private key.
    """
    from edgedense.deployed import keys

    if [new_key is not None, key is not None, verify is not None].count(True) != 1:
        raise EdgedenseError(
            "one of --key, --verify and --new-key", "none or several", "edgedense sign MODEL --key FILE"
        )
    passphrase = None if passphrase_file is None else keys.read_passphrase(passphrase_file)
    if new_key is not None:
        if model is not None:
            raise EdgedenseError(
                "--new-key alone", f"a MODEL too, {model}", "make the keys first, then sign with --key"
            )
        public = keys.make(new_key, passphrase)
        print(f"private key: {new_key}, which stays here")
        print(f"public key:  {public}, for edgedense service install --public-key")
        return
    if model is None:
        raise EdgedenseError("a deployed file", "none", "edgedense sign MODEL.tflite --key FILE")
    if verify is not None:
        _verify(model, verify)
    elif key is not None:
        _sign(model, key, passphrase, out or model)


def _sign(model: Path, key: Path, passphrase: bytes | None, out: Path) -> None:
    from edgedense.deployed import bundle, keys, signature
    from edgedense.files import write_atomically

    bundle.require_name(out)
    private = keys.read_private(key, passphrase)
    write_atomically(out, signature.signed(bundle.read(model).model, private))
    print(f"{out}: signed with the key {signature.key_id(private.public_key().public_bytes_raw())}")


def _verify(model: Path, public: Path) -> None:
    """Raises GateError, exit code 1, where it was not signed with the key."""
    from edgedense.deployed import bundle, keys, signature

    key = keys.read_public(public)
    signature.verify(bundle.read(model).model, key, str(model))
    print(f"{model}: signed with the key {signature.key_id(key.public_bytes_raw())}, and not changed since")
