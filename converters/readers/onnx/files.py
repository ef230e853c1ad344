"""Loads an ONNX file, and the weights that lie beside it. Nothing in it is trusted: no path leaves its folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from edgedense.errors import EdgedenseError
from edgedense.files import sha256, sha256_of_files

HINT = "export it again with torch.onnx.export, tf2onnx or model.export(format='onnx'), and copy it again"
LIMIT = 2**31  # bytes of a file, which is what a protobuf message may have, and of the weights beside it
DEPTH = 8  # graphs within graphs, as branches and loops hold them


@dataclass(frozen=True)
class Loaded:
    """An `onnx.ModelProto` with all its weights, without functions of its own; `sha256` is that of the file, or where
    weights lie beside it that of the sorted names and contents of all."""

    model: Any
    name: str
    sha256: str


def library() -> ModuleType:
    """The package `onnx`. EdgedenseError, saying what to install, where it is missing."""
    try:
        import onnx
        import onnx.checker
        import onnx.inliner
        import onnx.reference
        import onnx.shape_inference
    except ImportError as error:
        raise EdgedenseError(
            "the package onnx, which reads such files", str(error), "pip install 'edgedense[onnx]'"
        ) from error
    return onnx


def load(path: Path) -> Loaded:
    """The model at `path`. EdgedenseError when it is damaged or too large, or names weights outside its folder."""
    onnx = library()
    if not path.is_file():
        raise EdgedenseError("an ONNX file", f"no file '{path}'", HINT)
    if path.stat().st_size > LIMIT:
        raise _unreadable(path, f"{path.stat().st_size} bytes, more than the {LIMIT} of an ONNX file")
    data = path.read_bytes()
    digest = sha256(data)
    try:
        model = onnx.ModelProto.FromString(data)
    except Exception as error:  # DecodeError is defined anew by each implementation of protobuf
        raise _unreadable(path, f"{type(error).__name__}: {error}") from error
    if not model.graph.node or not model.graph.output:
        raise _unreadable(path, "no graph of operators")
    _refuse_unknown(model, path)
    beside = _with_data_beside(model, path)
    if beside:
        digest = sha256_of_files([file.resolve() for file in (path, *beside)], path.parent.resolve())
    try:
        onnx.checker.check_model(model)
        if model.functions:
            model = onnx.inliner.inline_local_functions(model)
    except Exception as error:  # ValidationError, and what the native code raises on damaged content
        raise _unreadable(path, str(error)) from error
    return Loaded(model, path.name, digest)


def _unreadable(path: Path, found: str) -> EdgedenseError:
    first = "".join(found.strip().splitlines()[:1])[:200].rstrip(".") or "a damaged file"
    return EdgedenseError("an ONNX model", f"'{path}': {first}", HINT)


def _refuse_unknown(model: Any, path: Path) -> None:
    """EdgedenseError for operators that are named as ONNX' own, and are none: tf2onnx writes such for what it does not
    know.
    """
    onnx = library()
    versions = [entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    functions = {function.name for function in model.functions}
    for node in model.graph.node:
        if node.domain in ("", "ai.onnx") and node.op_type not in functions and versions:
            try:
                onnx.defs.get_schema(node.op_type, versions[0], "")
            except Exception:  # SchemaError, whose module is private
                raise EdgedenseError(
                    f"operators that ONNX defines, in version {versions[0]}",
                    f"operator '{node.name}' ({node.op_type}) in '{path}'",
                    "export the model again, with another opset; or convert the Keras model that it was made of",
                ) from None


def _with_data_beside(model: Any, path: Path) -> list[Path]:
    """Puts the weights that lie in other files into the model; those files."""
    onnx = library()
    found: dict[Path, int] = {}
    for tensor in _tensors(model.graph, path):
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        entries = {entry.key: entry.value for entry in tensor.external_data}
        file = _beside(entries.get("location", ""), path)
        found[file] = file.stat().st_size
        if sum(found.values()) > LIMIT:
            raise _unreadable(path, f"more than {LIMIT} bytes of weights beside it")
        tensor.raw_data = _part(file, entries, path)
        tensor.data_location = onnx.TensorProto.DEFAULT
        del tensor.external_data[:]
    if model.ByteSize() > LIMIT:
        raise _unreadable(path, f"more than {LIMIT} bytes of weights")
    return sorted(found)


def _beside(location: str, path: Path) -> Path:
    """The file that a tensor names. Only one inside of the model's own folder is opened, also behind links."""
    folder = path.parent.resolve()
    named = Path(location.replace("\\", "/"))
    outside = not location or "\0" in location or named.is_absolute() or ".." in named.parts
    file = folder if outside else Path(os.path.realpath(folder / named))
    if outside or not file.is_relative_to(folder):
        raise EdgedenseError(
            f"weights in the folder of '{path}'",
            f"the path {location!r} in it, which leads elsewhere",
            "export the model again, with its weights beside it",
        )
    if not file.is_file():
        raise EdgedenseError(
            f"the weights '{location}' beside '{path}'", "no such file", "copy both files into the same folder"
        )
    return file


def _part(file: Path, entries: dict[str, str], path: Path) -> bytes:
    """The bytes of one tensor."""
    size = file.stat().st_size
    try:
        offset = int(entries.get("offset") or 0)
        length = int(entries.get("length") or size - offset)
    except ValueError:
        raise _unreadable(path, f"a place in '{file.name}' that is no number") from None
    if offset < 0 or length < 0 or offset + length > size:
        raise _unreadable(path, f"bytes {offset} to {offset + length} of '{file.name}', which has {size}")
    with file.open("rb") as opened:
        opened.seek(offset)
        return opened.read(length)


def _tensors(graph: Any, path: Path, depth: int = 0) -> Iterator[Any]:
    """Every constant of a graph and of those within it."""
    if depth > DEPTH:
        raise _unreadable(path, f"graphs within graphs, more than {DEPTH} deep")
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            for inner in [*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs]:
                yield from _tensors(inner, path, depth + 1)
