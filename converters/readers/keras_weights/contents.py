"""What stands in a Keras file of weights, as kernels, norms and Dense layers in the order of the model's layers.

Keras 3 writes a tree of groups that are called as the layers' classes: layers/conv2d_1/vars/0. Keras 1 and 2 wrote
a list of layers by name, with a list of weights for each. Both list layers without weights too, so that what a
person put between them is seen, as far as its class or its own name says it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np

from edgedense.converters.network.graph import Array
from edgedense.errors import EdgedenseError

LARGEST = 1 << 30  # bytes of one array; those of a DenseNet264 are below 2^25
_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_KINDS: dict[str, Literal["conv", "norm", "dense"]] = {
    "conv2d": "conv",
    "batch_normalization": "norm",
    "sync_batch_normalization": "norm",
    "dense": "dense",
}
# What Keras and keras-hub write beside the layers, or inside of layers that do nothing at inference.
_BESIDE = ("vars", "optimizer", "preprocessor", "seed_generator", "metrics", "loss_tracker")
_ROLES = {
    "W": "kernel",
    "b": "bias",
    "moving_mean": "mean",
    "running_mean": "mean",
    "moving_variance": "variance",
    "running_std": "variance",  # what Keras 1 called so is the variance
}
_NAMED = re.compile(  # Keras 2 wrote conv1/bn/gamma:0, Keras 1 bn_conv1_gamma
    r"(?P<owner>.+)(/(?P<role>kernel|bias|gamma|beta|moving_mean|moving_variance)"
    r"|_(?P<old>W|b|gamma|beta|running_mean|running_std))(_\d+)?(:\d+)?"
)
# keras.applications' names: conv1/bn, conv2_block1_0_bn, pool2_conv, bn; "/" was "_" in other releases.
_APPLICATIONS = re.compile(r"(?:(conv1)[/_]|conv(\d+)_block(\d+)_(\d)_|pool(\d+)_)(?:bn|conv)|bn")
_OF_NORM = ("gamma", "beta", "mean", "variance")


@dataclass(frozen=True)
class Stored:
    """The arrays of one layer, float64: [kernel] or [kernel, bias] of a convolution or Dense, gamma, beta, mean and
    variance of a norm. `place` is where the model that the layer belongs to stands in the file.
    """

    kind: Literal["conv", "norm", "dense"]
    name: str
    arrays: tuple[Array, ...]
    place: str = ""


@dataclass(frozen=True)
class Contents:
    """All layers with weights, those of a kind in the order of the model; `plain` are the names of those without,
    which of Keras 3 are those of their classes, and `titles` their own. `version` is that of the Keras that wrote the
    file, as far as it says so.
    """

    name: str
    layers: tuple[Stored, ...]
    plain: tuple[str, ...]
    titles: tuple[str, ...] = ()
    version: str = ""

    def of(self, kind: Literal["conv", "norm", "dense"]) -> tuple[Stored, ...]:
        """The layers of a kind, in order."""
        return tuple(layer for layer in self.layers if layer.kind == kind)


def holds_weights_alone(path: Path) -> bool:
    """Whether this is an HDF5 file without a description of layers; False for one that cannot be opened."""
    if not path.is_file():
        return False
    with path.open("rb") as start:
        if start.read(8) != _SIGNATURE:
            return False
    import h5py

    try:
        with h5py.File(path, "r") as file:
            return "model_config" not in file.attrs
    except OSError:
        return False  # the reader of Keras models says what is wrong with it


def read(source: Path | BinaryIO, name: str) -> Contents:
    """What the file, called `name` in errors, holds. EdgedenseError when it is damaged, or holds other layers."""
    import h5py

    try:
        with h5py.File(source, "r") as file:
            plain: list[tuple[str, str]] = []
            found = _listed(file, plain, name) if "layer_names" in file.attrs or "layer_names0" in file.attrs else ()
            layers = tuple(found) or tuple(_walked(file, "", plain, name))
            version = file.attrs.get("keras_version", b"")
    except EdgedenseError:
        raise
    except Exception as error:  # what h5py raises for a damaged file is of many kinds
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise EdgedenseError(
            "a file of weights that Keras wrote", f"'{name}': {lines[0][:200]}", "copy it again"
        ) from error
    text = version.decode("utf-8", "replace") if isinstance(version, bytes) else str(version)
    return Contents(name, layers, tuple(kind for kind, _ in plain), tuple(title for _, title in plain), text)


def _walked(group: Any, place: str, plain: list[tuple[str, str]], name: str) -> Iterator[Stored]:
    """The layers below a group of a file of Keras 3."""
    for called in sorted(group, key=_natural):
        inner = None if called in _BESIDE else _own(group, called, name)
        if inner is None or not hasattr(inner, "keys"):
            continue
        kind = re.sub(r"_\d+$", "", called)
        arrays = (
            [_own(inner["vars"], key, name) for key in sorted(inner["vars"], key=_natural)] if "vars" in inner else []
        )
        if arrays:
            title = str(inner["vars"].attrs.get("name", f"{place}/{called}".strip("/")))
            yield _stored(kind, title, [_values(array, title, name) for array in arrays], place, name)
        elif "vars" in inner and not any(key not in _BESIDE for key in inner):
            plain.append((kind, str(inner["vars"].attrs.get("name", ""))))
        yield from _walked(inner, f"{place}/{called}".strip("/"), plain, name)


def _listed(file: Any, plain: list[tuple[str, str]], name: str) -> Iterator[Stored]:
    """The layers of a file of Keras 1 or 2. A model inside of the model is one layer with the weights of all its own,
    of which those that were trained come first: where some were not, the names of keras.applications tell the order."""
    for layer in _strings(file, "layer_names"):
        group = _own(file, layer, name)
        owners: dict[str, dict[str, Any]] = {}
        for weight in _strings(group, "weight_names"):
            match = _NAMED.fullmatch(weight)
            if match is None:
                raise _unknown(f"'{weight}'", name)
            role = _ROLES.get(match["role"] or match["old"], match["role"] or match["old"])
            owners.setdefault(match["owner"], {})[role] = _values(_own(group, weight, name), weight, name)
        if not owners:
            plain.append((re.sub(r"_\d+$", "", layer), layer))
        place = layer if len(owners) > 1 else ""
        for owner, roles in sorted(owners.items(), key=_order_of(owners)):
            names = _OF_NORM if "gamma" in roles or "mean" in roles else ("kernel", "bias")
            if not set(names[:1]) <= set(roles) <= set(names) or (names == _OF_NORM and len(roles) < 4):
                raise _unknown(f"'{owner}' with {' and '.join(roles)}", name)
            kind = "batch_normalization" if names == _OF_NORM else "conv2d" if roles["kernel"].ndim == 4 else "dense"
            yield _stored(kind, owner, [roles[role] for role in names if role in roles], place, name)


def _order_of(owners: Iterable[str]) -> Callable[[Any], tuple[float, ...]]:
    """What sorts (owner, weights): by the place that its name tells if all tell one, else as they stand."""
    matches = {owner: _APPLICATIONS.fullmatch(owner) for owner in owners}
    if not all(matches.values()):
        return lambda item: ()

    def place(item: Any) -> tuple[float, ...]:
        match = matches[item[0]]
        stem, stage, block, step, pool = match.groups("0") if match else ("0",) * 5
        if stem != "0":
            return (0,)
        if pool != "0":
            return (int(pool), float("inf"))
        return (int(stage), int(block), int(step)) if stage != "0" else (float("inf"),)

    return place


def _stored(kind: str, title: str, arrays: list[Array], place: str, name: str) -> Stored:
    """The layer, if the shapes of its arrays are those of its kind."""
    known = _KINDS.get(kind)
    ranks = tuple(array.ndim for array in arrays)
    allowed = {"conv": ((4,), (4, 1)), "norm": ((1, 1, 1, 1),), "dense": ((2,), (2, 1))}
    if known is None or ranks not in allowed[known]:
        shapes = " and ".join(str(list(array.shape)) for array in arrays)
        raise _unknown(f"'{title}' ({kind}) with arrays of {shapes}", name)
    return Stored(known, title, tuple(arrays), place)


def _own(group: Any, key: str, name: str) -> Any:
    """What a group holds itself: a link out of the file is not followed."""
    import h5py

    if not isinstance(group.get(key, getlink=True), h5py.HardLink):
        raise EdgedenseError("weights in the file itself", f"'{key}' in '{name}', a link", "save the weights again")
    return group[key]


def _values(dataset: Any, title: str, name: str) -> Array:
    """A dataset's numbers in float64."""
    if dataset.external is not None or dataset.is_virtual or dataset.nbytes > LARGEST:
        raise EdgedenseError(
            "weights in the file itself", f"'{title}' of {dataset.shape} in '{name}'", "save the weights again"
        )
    values = dataset[()]
    if dataset.dtype.kind == "V" and dataset.dtype.itemsize == 2:
        values = _from_bfloat16(values)
    if values.dtype.kind != "f":
        raise EdgedenseError(
            "weights that are floating-point numbers",
            f"{dataset.dtype} in '{title}' of '{name}'",
            "save them unquantized",
        )
    if not np.isfinite(values).all():
        raise EdgedenseError(
            "finite weights", f"NaN or infinity in '{title}' of '{name}'", "retrain, or take an earlier checkpoint"
        )
    return np.asarray(values, np.float64)


def _from_bfloat16(values: Any) -> Any:
    """HDF5 has no name for bfloat16, which is the upper half of a float32."""
    return (np.asarray(values).view(np.uint16).astype(np.uint32) << 16).view(np.float32)


def _strings(group: Any, key: str) -> list[str]:
    """A list of names among the attributes, which Keras cuts into KEY0, KEY1 and so on where it is long."""
    parts = [group.attrs[key]] if key in group.attrs else []
    while f"{key}{len(parts)}" in group.attrs:
        parts.append(group.attrs[f"{key}{len(parts)}"])
    return [value.decode() if isinstance(value, bytes) else str(value) for part in parts for value in part]


def _natural(name: str) -> tuple[str, int]:
    """conv2d, conv2d_1, conv2d_2, ... conv2d_10: in the order in which Keras counted."""
    match = re.fullmatch(r"(.*?)_?(\d+)", name)
    return (match[1], int(match[2])) if match else (name, 0)


def _unknown(what: str, name: str) -> EdgedenseError:
    return EdgedenseError(
        "convolutions, batch norms and Dense layers, of which a DenseNet is made",
        f"{what} in '{name}'",
        "load the weights into the model and save it whole, with model.save('NAME.keras')",
    )
