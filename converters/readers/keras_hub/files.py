"""Opens what keras-hub and keras-cv wrote: a `.keras` file, or the folder of `save_to_preset`."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any

from edgedense.converters.readers.keras_weights import contents as stored
from edgedense.converters.readers.keras_weights.contents import Contents
from edgedense.errors import EdgedenseError
from edgedense.files import sha256

LIBRARIES = ("keras_hub", "keras_cv", "keras_nlp")
LARGEST_DESCRIPTION, LARGEST_WEIGHTS = 1 << 24, 1 << 31  # bytes; of a DenseNet264 they are some 2^13 and 2^28
_TASK, _CONFIG, _WEIGHTS = "task.json", "config.json", "model.weights.h5"


@dataclass(frozen=True)
class Opened:
    """The description of the model, as its class wrote it, and its weights. `sha256` is that of the file, or of a
    folder's weights and description."""

    name: str
    description: dict[str, Any]
    contents: Contents
    sha256: str


def reads(model: Any) -> bool:
    """Whether `model` is the path of a file or folder that says it is of one of the libraries."""
    if not isinstance(model, str | Path):
        return False
    try:
        return library(_described(Path(model))) is not None
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return False  # whoever reads other files says what is wrong with it


def library(description: Any) -> str | None:
    """The library that the described class is of; None for another."""
    root = str(description.get("module")).split(".")[0] if isinstance(description, dict) else ""
    return root if root in LIBRARIES else None


def open_model(path: Path) -> Opened:
    """Reads description and weights. EdgedenseError when they are damaged or missing."""
    try:
        description = _described(path)
        if path.is_dir():
            data = {name: (path / name).read_bytes() for name in _files(path)}
            digest = sha256(b"".join(data.values()))
            parts = [data[name] for name in data if name.endswith(".h5")]
        else:
            parts, digest = [_member(path, _WEIGHTS, LARGEST_WEIGHTS)], sha256(path.read_bytes())
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise EdgedenseError("a model that keras-hub saved", f"'{path}': {error}"[:300], "copy it again") from error
    read = [stored.read(BytesIO(part), path.name) for part in parts]
    layers = tuple(layer for one in read for layer in one.layers)
    whole = replace(read[0], layers=layers, plain=tuple(name for one in read for name in one.plain))
    return Opened(path.name, description, whole, digest)


def _described(path: Path) -> dict[str, Any]:
    read: Callable[[str], bytes] = (
        (lambda name: (path / name).read_bytes())
        if path.is_dir()
        else lambda name: _member(path, name, LARGEST_DESCRIPTION)
    )
    found = json.loads(read(_TASK if (path / _TASK).is_file() else _CONFIG))
    if not isinstance(found, dict):
        raise ValueError("a description that is none")
    return found


def _files(path: Path) -> list[str]:
    """What of a preset is read: the backbone and, where there is one, what stands behind it."""
    task = [_TASK, "task.weights.h5"] if (path / _TASK).is_file() else []
    return [_CONFIG, _WEIGHTS, *task]


def _member(path: Path, name: str, largest: int) -> bytes:
    with zipfile.ZipFile(path) as archive:
        if archive.getinfo(name).file_size > largest:
            raise ValueError(f"{name} is larger than any DenseNet's")
        return archive.read(name)
