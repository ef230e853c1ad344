"""Opens a trained model: `.keras`, `.h5`, a Keras-made SavedModel folder, or the weights that Keras itself
offers.

Nothing of the file's is executed: its description is read before Keras loads it, and Lambda layers, custom
classes and functions are refused there. Keras 3 loads what Keras 3 wrote, tf_keras what Keras 2 wrote.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import sys
import textwrap
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from edgedense.converters.network.quiet import silent
from edgedense.errors import EdgedenseError

FORMATS = "a .keras file, an .h5 file, a Keras SavedModel folder, or densenet121:imagenet"
_OWN_LAYERS = "rebuild the model with Keras' own layers and load its weights"
_SAVE = "save it with model.save('NAME.keras')"
_OFFERED = {f"densenet{depth}:imagenet": f"DenseNet{depth}" for depth in (121, 169, 201)}
_OFFERED_SIZE = 224


@dataclass(frozen=True)
class Opened:
    """A Keras model in memory, `keras.Model` or `tf_keras.Model`; `name` and `sha256` are its source's.

    `hashed` says whether that was a file, or a model in memory, of which the weights are hashed.
    """

    model: Any
    name: str
    sha256: str
    hashed: Literal["file", "weights"] = "file"


def open_model(source: Any) -> Opened:
    """Opens `source`, a path or the name of weights that Keras offers; a Keras model is open already. EdgedenseError
    when that cannot be done.
    """
    if not isinstance(source, str | Path):
        return _in_memory(source)
    path = Path(source)
    if str(source) in _OFFERED and not path.exists():
        return _download(str(source))
    if not path.exists():
        raise EdgedenseError(FORMATS, f"no file '{source}'", f"known weights: {', '.join(_OFFERED)}")
    description, version = _describe(path)
    _refuse_code(description, path)
    if path.suffix == ".keras" and not zipfile.is_zipfile(path):
        version = "2"  # before TensorFlow 2.12, Keras 2 wrote HDF5 under this name
    keras = load_keras() if version.startswith("3") else _tf_keras()
    try:
        with _quiet():
            model = keras.models.load_model(path, compile=False, **_safe(path))
    except Exception as error:
        raise _unreadable(path, error) from error
    return Opened(model, path.name, _sha256(path))


def rebuild(model: Any, free_size: bool) -> Any:
    """The same model in float32, for any batch and, where `free_size`, any image size; the weights are
    copied.

    EdgedenseError when Keras cannot build it so.
    """
    config = _rewritten(model.get_config(), free_size)
    try:
        copy = type(model).from_config(config)
        copy.set_weights(model.get_weights())
    except Exception as error:
        raise EdgedenseError(
            "a model that Keras can build again from its description", _first_line(error), "save it at the size wanted"
        ) from error
    return copy


def load_keras() -> Any:
    """Keras, imported without TensorFlow's greeting. EdgedenseError when it is missing or has no TensorFlow."""
    try:
        with silent():
            import keras
    except ImportError as error:
        raise EdgedenseError("Keras", str(error), "pip install 'edgedense[convert]'") from error
    if keras.backend.backend() != "tensorflow":
        raise EdgedenseError(
            "Keras on TensorFlow", f"Keras on {keras.backend.backend()}", "set KERAS_BACKEND=tensorflow"
        )
    return keras


def _tf_keras() -> Any:
    try:
        with silent():
            import tf_keras
    except ImportError as error:
        raise EdgedenseError("tf_keras", str(error), "pip install 'edgedense[convert]'") from error
    return tf_keras


def _safe(path: Path) -> dict[str, bool]:
    """tf_keras knows safe mode for its zip files only; `_refuse_code` stands before everything."""
    return {"safe_mode": True} if path.is_file() and path.suffix in (".keras", ".h5", ".hdf5") else {}


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Standard output belongs to results: what Keras prints goes to standard error."""
    with contextlib.redirect_stdout(sys.stderr):
        yield


def _download(source: str) -> Opened:
    keras = load_keras()
    try:
        with _quiet():
            model = getattr(keras.applications, _OFFERED[source])(weights="imagenet")
    except Exception as error:
        raise EdgedenseError(
            f"the weights of {source} from Keras",
            _first_line(error),
            "check the internet connection; Keras keeps what it has once loaded in ~/.keras/models",
        ) from error
    return Opened(model, source, _sha256_of_weights(model))


def _in_memory(model: Any) -> Opened:
    kinds = {f"{kind.__module__.split('.')[0]}.{kind.__name__}" for kind in type(model).__mro__}
    if not kinds & {"keras.Model", "tf_keras.Model"}:
        raise EdgedenseError(f"{FORMATS}, or a Keras model in memory", f"an object of the class {type(model).__name__}")
    if "keras.Model" in kinds:
        load_keras()  # which refuses another backend than TensorFlow
    return Opened(model, str(model.name), _sha256_of_weights(model), "weights")


def _sha256_of_weights(model: Any) -> str:
    digest = hashlib.sha256()
    for weight in model.get_weights():
        digest.update(np.ascontiguousarray(weight).tobytes())
    return digest.hexdigest()


def _describe(path: Path) -> tuple[Any, str]:
    """The description of the layers that the file holds, and the version of the Keras that wrote it."""
    if path.is_dir():
        return _describe_saved_model(path), "2"
    with path.open("rb") as file:
        start = file.read(8)
    if start.startswith(b"PK\x03\x04"):
        return _describe_zip(path)
    if start == b"\x89HDF\r\n\x1a\n":
        return _describe_hdf5(path)
    raise EdgedenseError(FORMATS, f"'{path}', which is neither a zip nor an HDF5 file", f"{_SAVE} and copy it again")


def _describe_zip(path: Path) -> tuple[Any, str]:
    try:
        with zipfile.ZipFile(path) as archive:
            if "config.json" not in archive.namelist():
                raise EdgedenseError(FORMATS, f"'{path}', a zip without config.json", _SAVE)
            description = json.loads(archive.read("config.json"))
            metadata = json.loads(archive.read("metadata.json")) if "metadata.json" in archive.namelist() else {}
    except (zipfile.BadZipFile, ValueError, OSError) as error:
        raise _unreadable(path, error) from error
    if path.suffix != ".keras":
        raise EdgedenseError(FORMATS, f"a Keras file named '{path.name}'", f"rename it to {path.stem}.keras")
    return description, str(metadata.get("keras_version", "3"))


def _describe_hdf5(path: Path) -> tuple[Any, str]:
    load_keras()  # which brings h5py, or says what to install
    import h5py

    try:
        with h5py.File(path, "r") as file:
            text, version = file.attrs.get("model_config"), file.attrs.get("keras_version", "2")
        description = json.loads(text) if text is not None else None
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    if description is None:
        raise EdgedenseError(
            "a whole model", f"'{path}', which holds weights without layers", f"load them into the model and {_SAVE}"
        )
    if path.suffix not in (".h5", ".hdf5", ".keras"):
        raise EdgedenseError(FORMATS, f"a Keras HDF5 file named '{path.name}'", f"rename it to {path.stem}.h5")
    return description, version.decode() if isinstance(version, bytes) else str(version)


def _describe_saved_model(path: Path) -> list[Any]:
    if not (path / "saved_model.pb").is_file():
        raise EdgedenseError(FORMATS, f"the folder '{path}' without saved_model.pb", _SAVE)
    if not (path / "keras_metadata.pb").is_file():
        raise EdgedenseError(
            "a SavedModel that Keras 2 wrote with its layers (keras_metadata.pb)",
            f"'{path}', a SavedModel of bare functions, as model.export and tf.saved_model.save write it: "
            "the layers cannot be told from it",
            f"go back to the model it was made from and {_SAVE}",
        )
    _tf_keras()
    from tf_keras.protobuf import saved_metadata_pb2

    metadata = saved_metadata_pb2.SavedMetadata()
    try:
        metadata.ParseFromString((path / "keras_metadata.pb").read_bytes())
        return [json.loads(node.metadata) for node in metadata.nodes]
    except Exception as error:
        raise _unreadable(path, error) from error


def _refuse_code(description: Any, path: Path) -> None:
    """EdgedenseError when the description names something that is not Keras' own."""
    if isinstance(description, list):
        for value in description:
            _refuse_code(value, path)
    if not isinstance(description, dict):
        return
    kind, module = description.get("class_name"), description.get("module")
    config = description.get("config")
    name = config.get("name") if isinstance(config, dict) else config
    if kind == "Lambda":
        raise EdgedenseError(
            "layers that run without the model's own code",
            f"Lambda layer '{name}' in '{path}'",
            "replace it by Rescaling, Normalization or keras.ops, or take it out and use --preprocess",
        )
    # Keras writes no module for a class that is not its own, in the formats where it writes modules at all.
    foreign = str(module).split(".")[0] not in ("keras", "tf_keras", "None") or (
        module is None and description.get("registered_name") is not None
    )
    if kind == "function" or foreign:
        what = description.get("registered_name") if kind != "function" else name
        raise EdgedenseError(
            "Keras' own layers and functions",
            f"custom object '{what or kind}' ('{name}') in '{path}', which is not executed",
            _OWN_LAYERS,
        )
    for value in description.values():
        _refuse_code(value, path)


def _rewritten(config: Any, free_size: bool) -> Any:
    """A model's description in float32, its image inputs freed from batch size and, where `free_size`, image
    size.
    """
    if isinstance(config, list | tuple):
        return type(config)(_rewritten(value, free_size) for value in config)
    if not isinstance(config, dict):
        return config
    result: dict[str, Any] = {}
    for key, value in config.items():
        if key in ("batch_shape", "batch_input_shape") and value is not None and len(value) == 4:
            result[key] = (None, None, None, value[3]) if free_size else (None, *value[1:])
        elif key in ("build_config", "build_input_shape"):
            continue  # Keras would build the layers for the old size
        elif key == "dtype" and "float16" in json.dumps(value, default=str):
            result[key] = "float32"
        else:
            result[key] = _rewritten(value, free_size)
    return result


def _sha256(path: Path) -> str:
    """Of a file its hash; of a folder that of its sorted paths and contents."""
    digest = hashlib.sha256()
    for file in [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file()):
        if file != path:
            digest.update(file.relative_to(path).as_posix().encode() + b"\0")
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _unreadable(path: Path, error: Exception) -> EdgedenseError:
    hint = _OWN_LAYERS if "Unknown layer" in str(error) else f"copy the file again, or {_SAVE}"
    return EdgedenseError("a model that Keras can load", f"'{path}': {_first_line(error)}", hint)


def _first_line(error: Exception) -> str:
    lines = re.split(r"[\r\n]+", str(error).strip())
    return f"{type(error).__name__}: {textwrap.shorten(lines[0], 200)}" if lines[0] else type(error).__name__
