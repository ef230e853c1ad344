"""What a model's file says of its layers, read as data before Keras loads anything.

What only training needs is left out: compile configurations, and regularizers, constraints and initializers of the
user's own. What else is not Keras' own is refused, because its code would have to be run.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgedense.errors import EdgedenseError

FORMATS = (
    "a .keras file, an .h5 file, a Keras SavedModel folder, an .onnx file, PyTorch weights (.safetensors, .pth, .pt, "
    ".bin, .ckpt), or densenet121:imagenet"
)
SAVE = "save it with model.save('NAME.keras')"
OWN_LAYERS = "rebuild the model with Keras' own layers and load its weights"
_CONFIG, _METADATA = "config.json", "keras_metadata.pb"
_METRIC = "_tf_keras_metric"  # what Keras 2 calls the metrics among a SavedModel's objects
# Where a layer names something that only training needs, by the end of the key: Keras' module of these, and what
# stands for one that is not Keras' own. Initializers are needed no more once the weights are loaded.
_OF_TRAINING = {
    "_initializer": ("initializers", "zeros"),
    "_regularizer": ("regularizers", None),
    "_constraint": ("constraints", None),
}


@dataclass(frozen=True)
class Description:
    """`layers` is the description of the layers as Keras wrote it, `compiled` the compile configuration (None where
    there is none), `version` that of the Keras that wrote the file."""

    layers: Any
    compiled: Any
    version: str


def describe(path: Path, unreadable: Callable[[Path, Exception], EdgedenseError]) -> Description:
    """Reads the description. `unreadable` makes the error for a file that is damaged."""
    if path.is_dir():
        return _of_saved_model(path, unreadable)
    with path.open("rb") as file:
        start = file.read(8)
    if start.startswith(b"PK\x03\x04"):
        return _of_zip(path, unreadable)
    if start == b"\x89HDF\r\n\x1a\n":
        return _of_hdf5(path, unreadable)
    raise EdgedenseError(FORMATS, f"'{path}', which is neither a zip nor an HDF5 file", f"{SAVE} and copy it again")


def refuse_code(layers: Any, path: Path, trust: bool = False) -> None:
    """EdgedenseError when the description, as `without_training` leaves it, names something that is not Keras' own.

    `trust`: Lambda layers pass whose code the file holds.
    """
    if isinstance(layers, list):
        for value in layers:
            refuse_code(value, path, trust)
    if not isinstance(layers, dict):
        return
    kind, config = layers.get("class_name"), layers.get("config")
    name = config.get("name") if isinstance(config, dict) else config
    if kind == "Lambda":
        _refuse_lambda(config if isinstance(config, dict) else {}, path, trust)
        return
    if kind == "function" or _is_foreign(layers):
        what = layers.get("registered_name") if kind != "function" else name
        raise EdgedenseError(
            "Keras' own layers and functions",
            f"custom object '{what or kind}' ('{name}') in '{path}', which is not executed",
            _hint(kind, config),
        )
    for value in layers.values():
        refuse_code(value, path, trust)


def _refuse_lambda(config: dict[str, Any], path: Path, trust: bool) -> None:
    """EdgedenseError for a Lambda layer, unless it is trusted and the file holds its code."""
    name = config.get("name")
    if not trust:
        raise EdgedenseError(
            "layers that run without the model's own code",
            f"Lambda layer '{name}' in '{path}'",
            "--trust-model, which runs the code in the file, if you know where the file comes from; or replace the "
            "layer by Rescaling, Normalization or keras.ops; or take it out and use --preprocess",
        )
    function = config.get("function")
    named = function.get("config") if isinstance(function, dict) else function
    if config.get("function_type") == "function" or (
        isinstance(function, dict) and function.get("class_name") == "function"
    ):
        raise EdgedenseError(
            "a Lambda layer whose code is in the file",
            f"Lambda layer '{name}' in '{path}', of which the file holds the name '{named}' alone",
            "write the function as a lambda, or replace the layer by Rescaling, Normalization or keras.ops",
        )


def _is_foreign(entry: dict[str, Any]) -> bool:
    """Keras writes no module for a class that is not its own, in the formats where it writes modules at all."""
    module = entry.get("module")
    return str(module).split(".")[0] not in ("keras", "tf_keras", "None") or (
        module is None and entry.get("registered_name") is not None
    )


def _hint(kind: Any, config: Any) -> str:
    if kind == "DenseNetBackbone":  # of keras-hub or keras-cv, as one layer of the user's model
        return "model.save_weights('NAME.weights.h5'), and convert that with --architecture"
    if isinstance(config, dict) and "output_layers" in config:  # a class of the user's around Keras' layers
        return "save keras.Model(model.inputs, model.outputs), which is the same network without the class"
    return OWN_LAYERS


def without_training(layers: Any, keras: Any) -> Any:
    """The description less what only training needs; the very same object where there is nothing to leave out.

    `keras` is the module that will load the model: what it knows by name is Keras' own.
    """
    if isinstance(layers, list):
        values = [without_training(value, keras) for value in layers]
        return values if any(a is not b for a, b in zip(values, layers, strict=True)) else layers
    if not isinstance(layers, dict):
        return layers
    result = {
        key: _kept(key, value, keras)
        for key, value in layers.items()
        if not ("class_name" in layers and key == "compile_config" and value is not None)
    }
    same = len(result) == len(layers) and all(result[key] is layers[key] for key in result)
    return layers if same else result


def _kept(key: str, value: Any, keras: Any) -> Any:
    for ending, (module, instead) in _OF_TRAINING.items():
        if key.endswith(ending) and not _is_known(value, getattr(keras, module)):
            return instead
    return without_training(value, keras)


def _is_known(value: Any, module: Any) -> bool:
    """Whether `value` is nothing, or the description or the name of something in Keras' `module`."""
    if value is None:
        return True
    name = value.get("class_name") if isinstance(value, dict) else value
    return hasattr(module, str(name)) and not (isinstance(value, dict) and _is_foreign(value))


@contextlib.contextmanager
def rewritten(path: Path, layers: Any) -> Iterator[Path]:
    """A copy of the file at `path` whose description of layers is `layers`, for as long as the context lasts."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / path.name
        if path.is_dir():
            shutil.copytree(path, copy)
            _into_saved_model(copy, layers)
        elif zipfile.is_zipfile(path):
            _into_zip(path, copy, layers)
        else:
            import h5py

            shutil.copyfile(path, copy)
            with h5py.File(copy, "r+") as file:
                file.attrs["model_config"] = json.dumps(layers).encode()
        yield copy


def _into_zip(path: Path, copy: Path, layers: Any) -> None:
    with zipfile.ZipFile(path) as before, zipfile.ZipFile(copy, "w") as after:
        for name in before.namelist():
            if name == _CONFIG:
                after.writestr(name, json.dumps(layers))
            else:
                with before.open(name) as source, after.open(name, "w", force_zip64=True) as target:
                    shutil.copyfileobj(source, target)


def _of_zip(path: Path, unreadable: Callable[[Path, Exception], EdgedenseError]) -> Description:
    try:
        with zipfile.ZipFile(path) as archive:
            if _CONFIG not in archive.namelist():
                raise EdgedenseError(FORMATS, f"'{path}', a zip without config.json", SAVE)
            layers = json.loads(archive.read(_CONFIG))
            metadata = json.loads(archive.read("metadata.json")) if "metadata.json" in archive.namelist() else {}
    except (zipfile.BadZipFile, ValueError, OSError) as error:
        raise unreadable(path, error) from error
    if path.suffix != ".keras":
        raise EdgedenseError(FORMATS, f"a Keras file named '{path.name}'", f"rename it to {path.stem}.keras")
    compiled = layers.pop("compile_config", None) if isinstance(layers, dict) else None  # Keras will not look at it
    return Description(layers, compiled, str(metadata.get("keras_version", "3")))


def _of_hdf5(path: Path, unreadable: Callable[[Path, Exception], EdgedenseError]) -> Description:
    import h5py

    try:
        with h5py.File(path, "r") as file:
            text, version = file.attrs.get("model_config"), file.attrs.get("keras_version", "2")
            compiled = json.loads(file.attrs.get("training_config", "null"))
        layers = json.loads(text) if text is not None else None
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from error
    if layers is None:
        raise EdgedenseError(
            "a whole model", f"'{path}', which holds weights without layers", f"load them into the model and {SAVE}"
        )
    if path.suffix not in (".h5", ".hdf5", ".keras"):
        raise EdgedenseError(FORMATS, f"a Keras HDF5 file named '{path.name}'", f"rename it to {path.stem}.h5")
    return Description(layers, compiled, version.decode() if isinstance(version, bytes) else str(version))


def _of_saved_model(path: Path, unreadable: Callable[[Path, Exception], EdgedenseError]) -> Description:
    if not (path / "saved_model.pb").is_file():
        raise EdgedenseError(FORMATS, f"the folder '{path}' without saved_model.pb", SAVE)
    if not (path / _METADATA).is_file():
        raise EdgedenseError(
            f"a SavedModel that Keras 2 wrote with its layers ({_METADATA})",
            f"'{path}', a SavedModel of bare functions, as model.export and tf.saved_model.save write it: "
            "the layers cannot be told from it",
            f"go back to the model it was made from and {SAVE}",
        )
    try:
        nodes = _metadata(path).nodes
        layers = [json.loads(node.metadata) for node in nodes if node.identifier != _METRIC]
    except Exception as error:
        raise unreadable(path, error) from error
    compiled = [layer.pop("training_config", None) for layer in layers if isinstance(layer, dict)]
    return Description(layers, compiled[0] if compiled else None, "2")


def _into_saved_model(path: Path, layers: list[Any]) -> None:
    metadata, left = _metadata(path), iter(layers)
    for node in metadata.nodes:
        if node.identifier != _METRIC:
            node.metadata = json.dumps(next(left))
    (path / _METADATA).write_bytes(metadata.SerializeToString())


def _metadata(path: Path) -> Any:
    from tf_keras.protobuf import saved_metadata_pb2

    metadata = saved_metadata_pb2.SavedMetadata()
    metadata.ParseFromString((path / _METADATA).read_bytes())
    return metadata
