"""Files of weights, and what becomes of damaged ones. Those that torch.save wrote are read in tests/sources."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from edgedense.converters.readers.state_dicts.files import open_weights
from edgedense.errors import EdgedenseError
from tests.state_dicts import state_dict, write


def test_arrays_of_any_precision_become_float64(tmp_path: Path) -> None:
    values = np.array([[0.1, -2.5], [1e-3, 3.0]])
    half = values.astype(np.float16)
    save_file({"half": half, "single": values.astype(np.float32), "double": values}, tmp_path / "x.safetensors")
    found = open_weights(tmp_path / "x.safetensors")
    assert {array.dtype for array in found.arrays.values()} == {np.dtype(np.float64)}
    assert found.arrays["half"].tolist() == half.astype(np.float64).tolist()
    assert found.arrays["single"].tolist() == values.astype(np.float32).astype(np.float64).tolist()
    assert found.arrays["double"].tolist() == values.tolist()
    assert found.name == "x.safetensors"
    assert found.sha256 == hashlib.sha256((tmp_path / "x.safetensors").read_bytes()).hexdigest()


def test_bfloat16(tmp_path: Path) -> None:
    values = np.array([0.1, -2.5, 3e38]).astype(ml_dtypes.bfloat16)
    header = json.dumps({"a": {"dtype": "BF16", "shape": [3], "data_offsets": [0, 6]}}).encode()
    (tmp_path / "x.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + values.tobytes())
    assert open_weights(tmp_path / "x.safetensors").arrays["a"].tolist() == values.astype(np.float64).tolist()


def test_the_counter_of_batches_is_left_out(tmp_path: Path) -> None:
    path = write(tmp_path / "x.safetensors", state_dict())
    assert not [name for name in open_weights(path).arrays if "num_batches" in name]


def test_whole_numbers_are_no_weights(tmp_path: Path) -> None:
    save_file({"a.weight": np.ones(3, np.int8)}, tmp_path / "x.safetensors")
    with pytest.raises(
        EdgedenseError, match=r"float16 or bfloat16; found I8 in 'a\.weight'.*before they are quantized"
    ):
        open_weights(tmp_path / "x.safetensors")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(EdgedenseError, match=r"a file of PyTorch weights; found .*: No such file"):
        open_weights(tmp_path / "x.pth")


def test_without_pytorch_it_is_said_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    (tmp_path / "x.ckpt").write_bytes(b"PK")
    with pytest.raises(
        EdgedenseError, match=r"PyTorch, which opens \.ckpt files.*pip install 'edgedense\[torch\]'; or"
    ):
        open_weights(tmp_path / "x.ckpt")


def test_without_safetensors_it_is_said_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "safetensors", None)
    (tmp_path / "x.safetensors").write_bytes(b"")
    with pytest.raises(EdgedenseError, match=r"pip install 'edgedense\[convert\]'"):
        open_weights(tmp_path / "x.safetensors")


def test_damaged_files_are_refused_or_read_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut off, and with bytes changed: in the header, which tells shapes and places, and anywhere. The format has no
    checksum, so that a changed weight is a weight."""
    whole = write(tmp_path / "whole.safetensors", state_dict()).read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little")
    random = np.random.default_rng(0)
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    path, refused = folder / "x.safetensors", 0
    for trial in range(150):
        data = bytearray(whole)
        if trial % 3 == 0:
            del data[random.integers(0, len(data)) :]
        else:
            for place in random.integers(0, header if trial % 3 == 1 else len(data), 1 + trial % 5):
                data[place] = random.integers(0, 256)
        path.write_bytes(data)
        try:
            open_weights(path)
        except EdgedenseError:
            refused += 1
    assert refused > 90
    assert os.listdir(folder) == ["x.safetensors"]
