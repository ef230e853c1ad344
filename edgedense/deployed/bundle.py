"""The deployed file: one `.tflite` that carries its labels, its preprocessing and the recipe it was made by.

A `.tflite` may have a zip archive behind its end: TFLite Model Metadata keeps its label file there, and so do we. The
archive holds `labels.txt` (one label a line) and `edgedense.json` (the recipe), and on request more entries.
"""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgedense.errors import EdgedenseError
from edgedense.images.preprocessing import Preprocessing

LABELS, RECIPE = "labels.txt", "edgedense.json"
IDENTIFIER = b"TFL3"  # bytes 4 to 8 of every TFLite flatbuffer
# What zipfile raises on damaged bytes: a wrong checksum, an end too early, a method or flag that there is not.
ZIP_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    OSError,
    RuntimeError,
    ValueError,
    struct.error,
)
EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time a zip can hold: the same content gives the same bytes


@dataclass(frozen=True)
class Bundle:
    """A deployed file that was read. `model` is the whole file; runtimes ignore the archive behind it."""

    model: bytes
    labels: tuple[str, ...] = ()
    recipe: Mapping[str, Any] = field(default_factory=dict)
    entries: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def preprocessing(self) -> Preprocessing | None:
        """How an image becomes the input, or None where the file does not say."""
        entry = self.recipe.get("preprocessing")
        return None if entry is None else Preprocessing.from_dict(entry)

    @property
    def thresholds(self) -> tuple[float | None, ...]:
        """What the score of each output must reach for its class to count as seen, None where none does; empty where
        the recipe names no thresholds. Raises EdgedenseError for anything else."""
        entry = self.recipe.get("thresholds", [])
        if not isinstance(entry, list) or not all(map(_is_threshold, entry)):
            raise EdgedenseError("thresholds between 0 and 1 in the recipe", repr(entry), "convert the model again")
        return tuple(entry)

    @property
    def unit(self) -> str:
        """What values are measured in, such as months; empty where the recipe does not say. Raises EdgedenseError for
        anything but text."""
        entry = self.recipe.get("unit", "")
        if not isinstance(entry, str):
            raise EdgedenseError("the name of a unit in the recipe", repr(entry), "convert the model again")
        return entry


def _is_threshold(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1)


def pack(
    model: bytes, labels: Sequence[str], recipe: Mapping[str, Any], entries: Mapping[str, bytes] | None = None
) -> bytes:
    """`model` with an archive behind it that holds the labels, the recipe and `entries` (name to content)."""
    contents = {RECIPE: (json.dumps(recipe, indent=1, sort_keys=True) + "\n").encode(), **(entries or {})}
    if labels:
        contents[LABELS] = ("\n".join(labels) + "\n").encode()
    return with_archive(model, contents)


def with_archive(model: bytes, contents: Mapping[str, bytes]) -> bytes:
    """The flatbuffer `model` with an archive of these entries (name to content) behind it. The same entries give the
    same bytes."""
    file = io.BytesIO(model)
    file.seek(0, io.SEEK_END)
    with zipfile.ZipFile(file, "a", zipfile.ZIP_STORED) as archive:  # readers of the metadata want it uncompressed
        for name in sorted(contents):
            info = zipfile.ZipInfo(name, EPOCH)
            info.external_attr = 0o644 << 16
            archive.writestr(info, contents[name])
    return file.getvalue()


def without_archive(model: bytes) -> bytes:
    """The flatbuffer alone."""
    try:
        with zipfile.ZipFile(io.BytesIO(model)) as archive:
            starts = [info.header_offset for info in archive.infolist()]
    except ZIP_DAMAGE:
        return model
    return model[: min(starts)] if starts else model


def require_name(path: Path | str) -> None:
    """Raise EdgedenseError for a name that is none of a deployed file: a slip must not overwrite the trained model."""
    if Path(path).suffix != ".tflite":
        raise EdgedenseError("--out FILE.tflite", str(path), f"--out {Path(path).with_suffix('.tflite')}")


def read(path: Path | str) -> Bundle:
    """Read a `.tflite` with or without an archive behind it.

    Raises EdgedenseError when the file cannot be read, is no TFLite model, or has a damaged archive.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise EdgedenseError("a .tflite file", f"{path}: {error.strerror}", "check the path") from error
    return parse(data, str(path))


def parse(data: bytes, name: str = "the file") -> Bundle:
    """As `read`, from bytes."""
    if data[4:8] != IDENTIFIER:
        kind = "a Keras file" if name.endswith((".keras", ".h5")) else "another kind of file"
        raise EdgedenseError("a .tflite file", f"{name}, which is {kind}", "make one with edgedense convert")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = {info.filename: archive.read(info) for info in archive.infolist()}
    except ZIP_DAMAGE as error:
        if b"PK\x05\x06" not in data[-66000:] and b"PK\x03\x04" not in data[-66000:]:
            return Bundle(data)  # no archive: a model of another tool
        raise EdgedenseError(
            "a whole .tflite file", f"{name} with a damaged archive at its end", "copy the file again"
        ) from error
    return Bundle(data, _labels(entries, name), _recipe(entries, name), entries)


def _labels(entries: Mapping[str, bytes], name: str) -> tuple[str, ...]:
    try:
        lines = entries.get(LABELS, b"").decode().split("\n")
    except UnicodeDecodeError as error:
        raise EdgedenseError(
            f"UTF-8 text in the entry {LABELS}", f"{name}: {error}", "convert the model again"
        ) from error
    return tuple(line.strip() for line in lines if line.strip())


def _recipe(entries: Mapping[str, bytes], name: str) -> Mapping[str, Any]:
    if RECIPE not in entries:
        return {}
    try:
        recipe = json.loads(entries[RECIPE])
    except ValueError as error:
        raise EdgedenseError(f"JSON in the entry {RECIPE}", f"{name}: {error}", "convert the model again") from error
    return recipe if isinstance(recipe, dict) else {}
