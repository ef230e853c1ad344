"""Opens a trained model: `.keras`, `.h5`, a Keras-made SavedModel folder, or the weights that Keras itself
offers.

Nothing of the file's is executed unless the file is trusted: its description is read before Keras loads it, and
Lambda layers, custom classes and functions are refused there. What only training needs is not looked at. Keras 3
loads what Keras 3 wrote, tf_keras what Keras 2 wrote.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from edgedense.converters.network.quiet import silent
from edgedense.converters.opening import Opening
from edgedense.converters.readers.keras import description as keras_description
from edgedense.converters.readers.keras import outputs as keras_outputs
from edgedense.converters.readers.keras.description import FORMATS, OWN_LAYERS, SAVE
from edgedense.converters.readers.keras.loss import Loss, loss_of
from edgedense.errors import EdgedenseError, first_line
from edgedense.files import sha256, sha256_of_files

_OFFERED = {f"densenet{depth}:imagenet": f"DenseNet{depth}" for depth in (121, 169, 201)}
_OFFERED_SIZE = 224


@dataclass(frozen=True)
class Opened:
    """A Keras model in memory, `keras.Model` or `tf_keras.Model`; `name` and `sha256` are its source's.

    `loss` is what it was trained with, None where nothing says it. `trusted`: it may hold code of its own, as a model
    in memory may, whose code is the caller's. `hashed` says whether the source was a file, or a model in memory, of
    which the weights are hashed.
    """

    model: Any
    name: str
    sha256: str
    loss: Loss | None = None
    trusted: bool = False
    hashed: Literal["file", "weights"] = "file"


def open_model(source: Any, opening: Opening | None = None) -> Opened:
    """Opens `source`, a path or the name of weights that Keras offers; a Keras model is open already. Of several
    outputs it is the one that `opening` names. EdgedenseError when that cannot be done.
    """
    opening = opening or Opening()
    if not isinstance(source, str | Path):
        return _in_memory(source, opening)
    path = Path(source)
    if str(source) in _OFFERED and not path.exists():
        return _download(str(source), opening)
    if not path.exists():
        raise EdgedenseError(FORMATS, f"no file '{source}'", f"known weights: {', '.join(_OFFERED)}")
    (_tf_keras if path.is_dir() else load_keras)()  # which brings what reads a file, or says what to install
    described = keras_description.describe(path, _unreadable)
    of_keras_2 = not described.version.startswith("3")
    if path.suffix == ".keras" and not zipfile.is_zipfile(path):
        of_keras_2 = True  # before TensorFlow 2.12, Keras 2 wrote HDF5 under this name
    keras = _tf_keras() if of_keras_2 else load_keras()
    layers = keras_description.without_training(described.layers, keras)
    keras_description.refuse_code(layers, path, opening.trust)
    with contextlib.ExitStack() as stack:
        needed = layers is not described.layers
        readable = stack.enter_context(keras_description.rewritten(path, layers)) if needed else path
        model = _load(keras, readable, path, opening.trust)
    chosen, names, number = keras_outputs.one(model, opening.output, path.name)
    return Opened(chosen, path.name, _sha256(path), loss_of(described.compiled, names, number), opening.trust)


def _load(keras: Any, readable: Path, path: Path, trust: bool) -> Any:
    try:
        with _quiet():
            return keras.models.load_model(readable, compile=False, **_safe(readable, trust))
    except Exception as error:
        raise _unreadable(path, error) from error


def rebuild(model: Any, free_size: bool, trust: bool = False) -> Any:
    """The same model in float32, for any batch and, where `free_size`, any image size; the weights are
    copied. `trust`: with Lambda layers, whose code was in the file.

    EdgedenseError when Keras cannot build it so.
    """
    try:
        copy = _built(model, free_size, trust)
        copy.set_weights(model.get_weights())
    except Exception as error:
        raise EdgedenseError(
            "a model that Keras can build again from its description", first_line(error), "save it at the size wanted"
        ) from error
    return copy


def _built(model: Any, free_size: bool, trust: bool) -> Any:
    if not trust or type(model).__module__.startswith("tf_keras"):
        return type(model).from_config(_rewritten(model.get_config(), free_size))
    saving = load_keras().saving
    return saving.deserialize_keras_object(_rewritten(saving.serialize_keras_object(model), free_size), safe_mode=False)


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


def _safe(path: Path, trust: bool) -> dict[str, bool]:
    """tf_keras knows safe mode for its zip files only; `refuse_code` stands before everything."""
    return {"safe_mode": not trust} if path.is_file() and path.suffix in (".keras", ".h5", ".hdf5") else {}


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Standard output belongs to results: what Keras prints goes to standard error."""
    with contextlib.redirect_stdout(sys.stderr):
        yield


def _download(source: str, opening: Opening) -> Opened:
    keras = load_keras()
    try:
        with _quiet():
            model = getattr(keras.applications, _OFFERED[source])(weights="imagenet")
    except Exception as error:
        raise EdgedenseError(
            f"the weights of {source} from Keras",
            first_line(error),
            "check the internet connection; Keras keeps what it has once loaded in ~/.keras/models",
        ) from error
    return Opened(keras_outputs.one(model, opening.output, source)[0], source, _sha256_of_weights(model))


def _in_memory(model: Any, opening: Opening) -> Opened:
    kinds = {f"{kind.__module__.split('.')[0]}.{kind.__name__}" for kind in type(model).__mro__}
    if not kinds & {"keras.Model", "tf_keras.Model"}:
        raise EdgedenseError(f"{FORMATS}, or a Keras model in memory", f"an object of the class {type(model).__name__}")
    if "keras.Model" in kinds:
        load_keras()  # which refuses another backend than TensorFlow
    name = str(model.name)
    chosen, names, number = keras_outputs.one(model, opening.output, name)
    loss = loss_of(_compiled(model), names, number)
    return Opened(chosen, name, _sha256_of_weights(chosen), loss, trusted=True, hashed="weights")


def _compiled(model: Any) -> Any:
    """The compile configuration as Keras would write it; None where there is none, or Keras cannot write it."""
    try:
        return model.get_compile_config()
    except Exception:  # whatever a loss of the user's own raises when it is described
        return None


def _sha256_of_weights(model: Any) -> str:
    digest = hashlib.sha256()
    for weight in model.get_weights():
        digest.update(np.ascontiguousarray(weight).tobytes())
    return digest.hexdigest()


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
    if path.is_file():
        return sha256(path.read_bytes())
    return sha256_of_files([file for file in path.rglob("*") if file.is_file()], path)


def _unreadable(path: Path, error: Exception) -> EdgedenseError:
    hint = OWN_LAYERS if "Unknown layer" in str(error) else f"copy the file again, or {SAVE}"
    return EdgedenseError("a model that Keras can load", f"'{path}': {first_line(error)}", hint)
