"""Opens files of PyTorch weights as data: names and arrays.

Nothing in a file is executed. `.safetensors` holds no code. Everything else is a pickle, which PyTorch's own
`weights_only` loader reads: it makes tensors, containers and numbers, and stops at whatever else the file asks for.
"""

from __future__ import annotations

import io
import pickle
import re
import textwrap
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgedense.converters.network.graph import Array
from edgedense.deployed.bundle import ZIP_DAMAGE
from edgedense.errors import EdgedenseError
from edgedense.files import sha256

SAFETENSORS = ".safetensors"
SUFFIXES = (SAFETENSORS, ".pth", ".pt", ".bin", ".ckpt", ".tar")  # .pth.tar is a pickle too, and no archive of tar
STEM = "conv0.weight"  # what each of the libraries calls the kernel of the first convolution
_COUNTER = "num_batches_tracked"  # whole numbers that only training needs
_DEPTH = 3  # dictionaries in each other, in which weights are looked for
_FLOATS = "weights in float64, float32, float16 or bfloat16"
_UNQUANTIZED = "save the weights before they are quantized"


@dataclass(frozen=True)
class Opened:
    """The parameters and buffers of a network, float64 by name; `name` and `sha256` are the file's."""

    arrays: dict[str, Array]
    name: str
    sha256: str


def open_weights(path: Path) -> Opened:
    """Opens a file of weights. EdgedenseError when it is damaged, holds something else, or needs code to be opened."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise EdgedenseError("a file of PyTorch weights", f"{path}: {error.strerror}", "check the path") from error
    arrays = _of_safetensors(path, data) if path.suffix == SAFETENSORS else _of_torch(path, data)
    return Opened(arrays, path.name, sha256(data))


def _of_safetensors(path: Path, data: bytes) -> dict[str, Array]:
    try:
        import ml_dtypes
        import safetensors
    except ImportError as error:
        raise EdgedenseError("safetensors", str(error), "pip install 'edgedense[convert]'") from error
    kinds = {"F64": np.float64, "F32": np.float32, "F16": np.float16, "BF16": ml_dtypes.bfloat16}
    try:
        entries = safetensors.deserialize(data)
    except safetensors.SafetensorError as error:
        raise _damaged(path, error) from error
    arrays = {}
    for name, entry in entries:
        if name.endswith(_COUNTER):
            continue
        if entry["dtype"] not in kinds:
            raise EdgedenseError(_FLOATS, f"{entry['dtype']} in '{name}' of '{path}'", _UNQUANTIZED)
        values = np.frombuffer(entry["data"], kinds[entry["dtype"]])
        arrays[name] = values.astype(np.float64).reshape(entry["shape"])
    return arrays


def _of_torch(path: Path, data: bytes) -> dict[str, Array]:
    try:
        import torch
    except ImportError as error:
        raise EdgedenseError(
            f"PyTorch, which opens {path.suffix} files",
            str(error),
            f"pip install 'edgedense[torch]'; or save the weights as {SAFETENSORS}, which needs no PyTorch",
        ) from error
    if data.startswith(b"PK"):
        _check_archive(path, data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of old formats, which are no matter of the user's
            content = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        tensors = _weights(content, path)
        return {
            name: _array(torch, name, tensor, path, len(data))
            for name, tensor in tensors.items()
            if not name.endswith(_COUNTER)
        }
    except EdgedenseError:
        raise
    except pickle.UnpicklingError as error:
        raise _needs_code(path, error) from error
    except Exception as error:  # whatever reading damaged bytes raises: RuntimeError, KeyError, UnicodeDecodeError ...
        raise _damaged(path, error) from error


def _check_archive(path: Path, data: bytes) -> None:
    """EdgedenseError for an archive that torch.save did not write, or whose checksums are wrong: PyTorch itself would
    read on."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            names = [entry.filename.split("/")[-1] for entry in entries]
            if "constants.pkl" in names:
                lines = _lines(path, "torch.jit.load({name!r}, map_location='cpu')", "found.state_dict()")
                raise EdgedenseError("weights alone", f"'{path}', a TorchScript archive, which is a program", lines)
            if "data.pkl" not in names:
                raise EdgedenseError("a file that torch.save wrote", f"'{path}', another kind of zip archive", _SAVE)
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
                raise EdgedenseError("a file that torch.save wrote", f"'{path}', a compressed archive", _SAVE)
            wrong = archive.testzip()
    except ZIP_DAMAGE as error:
        raise _damaged(path, error) from error
    if wrong is not None:
        raise _damaged(path, ValueError(f"a wrong checksum of the entry {wrong}"))


def _weights(content: Any, path: Path) -> dict[str, Any]:
    """The state dict in what was loaded: itself, or within a checkpoint of a training."""
    found = list(_state_dicts(content, "", _DEPTH))
    if len(found) > 1:
        listed = " and ".join(where for where, _ in found)
        lines = _lines(path, _LOAD, f"found{found[0][0]}")
        raise EdgedenseError("weights of one network", f"several in '{path}': {listed}", lines)
    if not found:
        raise EdgedenseError(
            f"a state dict of a DenseNet, with a parameter named {STEM}",
            f"'{path}', which holds {_described(content)}",
            f"{_SAVE}; a network that names its parameters in another way is read as ONNX (torch.onnx.export)",
        )
    return found[0][1]


def _state_dicts(content: Any, where: str, depth: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each state dict of a DenseNet, and the keys that lead to it, as they are written in Python."""
    if not isinstance(content, Mapping):
        return
    tensors = {name: value for name, value in content.items() if isinstance(name, str) and hasattr(value, "numel")}
    if any(name.endswith(STEM) for name in tensors):
        yield where, tensors
    elif depth:
        for name, value in content.items():
            yield from _state_dicts(value, f"{where}[{name!r}]", depth - 1)


def _array(torch: Any, name: str, tensor: Any, path: Path, most: int) -> Array:
    kinds = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
    if tensor.dtype not in kinds or tensor.layout != torch.strided:
        raise EdgedenseError(_FLOATS, f"{tensor.dtype}, {tensor.layout} in '{name}' of '{path}'", _UNQUANTIZED)
    if tensor.numel() * tensor.element_size() > most:  # damaged strides read the same bytes again and again
        raise _damaged(path, ValueError(f"{name} of shape {list(tensor.shape)} is larger than the file"))
    return tensor.detach().to(torch.float64).contiguous().numpy()


_SAVE = "torch.save(model.state_dict(), 'weights.pth') where the network was trained"
_LOAD = "torch.load({name!r}, map_location='cpu', weights_only=False)"


def _lines(path: Path, load: str, weights: str) -> str:
    """The two lines of Python that save the weights alone."""
    return (
        "these two lines where it was trained, if you know where the file comes from, for they run its code:\n"
        f"  import torch; found = {load.format(name=path.name)}\n"
        f"  torch.save({weights}, {path.stem + '-weights.pth'!r})"
    )


def _needs_code(path: Path, error: Exception) -> EdgedenseError:
    """For a pickle that PyTorch's loader refuses: it names what it would have to run, or is damaged."""
    asked = re.search(r"GLOBAL (\S+)", str(error))
    if asked is None:
        return _damaged(path, error)
    weights = "found.state_dict() if hasattr(found, 'state_dict') else found['state_dict']"
    return EdgedenseError(
        "weights alone",
        f"'{path}', which needs the code of {asked[1]} to be opened, and that is not run",
        _lines(path, _LOAD, weights),
    )


def _damaged(path: Path, error: Exception) -> EdgedenseError:
    said = textwrap.shorten(re.split(r"[\r\n]+", str(error).strip())[0], 160) or type(error).__name__
    return EdgedenseError("a whole file of PyTorch weights", f"'{path}': {said}", f"copy the file again, or {_SAVE}")


def _described(content: Any) -> str:
    if isinstance(content, Mapping):
        names = [str(name) for name in list(content)[:4]]
        return f"{len(content)} entries: {', '.join(names)}{' and so on' if len(content) > 4 else ''}"
    return f"a {type(content).__name__}"
