"""Which files a service may take: where there is a public key, only what was signed with its private key."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import edgedense
from edgedense.deployed import keys, signature
from edgedense.device.versions import history, trial
from edgedense.device.versions.models import Model, Models
from edgedense.errors import EdgedenseError
from edgedense.files import write_atomically
from edgedense.notes import LOG

_COMPILED = "_edgetpu.tflite"


def files_of(model: Path, device: str) -> dict[str, bytes]:
    """What belongs to a model, by name: the file itself first. For the device auto, which decides at each start, it is
    also the one compiled for an Edge TPU or the plain one, where that lies beside it.

    Raises EdgedenseError when one cannot be read.
    """
    paths = [model]
    if device == "auto":
        plain = model.with_name(model.name.replace(_COMPILED, ".tflite"))
        paths += [path for path in (plain, plain.with_name(plain.stem + _COMPILED)) if path != model and path.exists()]
    return {path.name: _content(path) for path in paths}


def _content(path: Path) -> bytes:
    if path.suffix != ".tflite":
        raise EdgedenseError("a deployed .tflite file", str(path), "make one with edgedense convert")
    try:
        return path.read_bytes()
    except OSError as error:
        raise EdgedenseError(
            "a .tflite file that can be read", f"{path}: {error.strerror}", "check the path"
        ) from error


def require_signed(files: Mapping[str, bytes], key: Path) -> str:
    """Raise EdgedenseError unless each file is signed with the private key that belongs to the public one in the file
    `key`, where there is such a file. What was found out, in a clause."""
    if not key.is_file():
        return "no public key is installed, so that nobody need have signed it"
    public = keys.read_public(key)
    for name, data in files.items():
        signature.verify(data, public, name)
    return f"signed with the key {signature.key_id(public.public_bytes_raw())}"


def keep_key(given: Path, kept: Path) -> None:
    """Store a public key where everybody may read it, and say where it is of little use."""
    keys.read_public(given)
    kept.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    write_atomically(kept, given.read_bytes())
    kept.chmod(0o644)
    for path in dict.fromkeys((Path(sys.executable).resolve(), Path(edgedense.__file__).resolve())):
        if path.stat().st_uid != 0:
            LOG.warning(
                f"{path} belongs to {path.owner()}, who could change the program that verifies signatures: where that "
                "matters, install edgedense as root"
            )


def install(models: Models, files: Mapping[str, bytes], key: Path) -> Model:
    """Make a model the service's own because a person said so: it is not on trial. The one from before can be gone back
    to, unless there is a public key, which it was not signed for."""
    with models.changing():
        before, model = models.current, models.keep(files)
        if before == model:
            return model
        models.switch(model, before if before is not None and _may_come_back(before, key) else None)
        trial.end(models)
        models.note(who=history.asking(), before=before, after=model, outcome="installed", why="service install")
        models.forget_others()
    return model


def _may_come_back(model: Model, key: Path) -> bool:
    try:
        require_signed({model.path.name: model.path.read_bytes()}, key)
    except (EdgedenseError, OSError):
        return False
    return True
