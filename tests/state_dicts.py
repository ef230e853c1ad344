"""State dicts of small DenseNets as PyTorch's libraries name them, without PyTorch: arrays by name, seeded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save_file

Arrays = dict[str, npt.NDArray[Any]]


def state_dict(
    blocks: Sequence[int] = (2, 1),
    growth: int = 4,
    first: int = 6,
    channels: int = 3,
    bottleneck: int = 5,
    head: Sequence[int] = (3,),
    seed: int = 0,
) -> Arrays:
    """torchvision's names, float32. `head` are the outputs of its Linear layers: one is `classifier`, several are
    `classifier.0`, `classifier.3` and so on, with room for ReLU and Dropout between them."""
    random, arrays = np.random.default_rng(seed), Arrays()

    def conv(name: str, inputs: int, outputs: int, size: int) -> None:
        kernel = random.normal(0, np.sqrt(2 / (size * size * inputs)), (outputs, inputs, size, size))
        arrays[f"{name}.weight"] = kernel.astype(np.float32)

    def norm(name: str, size: int) -> None:
        arrays[f"{name}.weight"] = random.uniform(0.5, 1.5, size).astype(np.float32)
        for part in ("bias", "running_mean"):
            arrays[f"{name}.{part}"] = random.normal(0, 0.3, size).astype(np.float32)
        arrays[f"{name}.running_var"] = random.uniform(0.5, 1.5, size).astype(np.float32)
        arrays[f"{name}.num_batches_tracked"] = np.array(7, np.int64)

    conv("features.conv0", channels, first, 7)
    norm("features.norm0", first)
    width = first
    for number, layers in enumerate(blocks, 1):
        for layer in range(1, layers + 1):
            name = f"features.denseblock{number}.denselayer{layer}"
            norm(f"{name}.norm1", width)
            conv(f"{name}.conv1", width, bottleneck, 1)
            norm(f"{name}.norm2", bottleneck)
            conv(f"{name}.conv2", bottleneck, growth, 3)
            width += growth
        if number < len(blocks):
            norm(f"features.transition{number}.norm", width)
            conv(f"features.transition{number}.conv", width, width // 2, 1)
            width //= 2
    norm("features.norm5", width)
    for number, outputs in enumerate(head):
        name = "classifier" if len(head) == 1 else f"classifier.{3 * number}"
        arrays[f"{name}.weight"] = random.normal(0, 0.3, (outputs, width)).astype(np.float32)
        arrays[f"{name}.bias"] = random.normal(0, 0.1, outputs).astype(np.float32)
        width = outputs
    return arrays


def renamed(arrays: Mapping[str, npt.NDArray[Any]], *changes: tuple[str, str]) -> Arrays:
    """The same arrays, each text of `changes` replaced in their names."""
    result = {}
    for name, array in arrays.items():
        for before, after in changes:
            name = name.replace(before, after)
        result[name] = array
    return result


def prefixed(arrays: Mapping[str, npt.NDArray[Any]], prefix: str) -> Arrays:
    """The same arrays, with `prefix` in front of every name."""
    return {prefix + name: array for name, array in arrays.items()}


def write(path: Path, arrays: Mapping[str, npt.NDArray[Any]]) -> Path:
    """As a .safetensors file."""
    save_file(dict(arrays), path)
    return path
