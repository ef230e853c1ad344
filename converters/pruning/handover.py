"""What parent and child of `--sparsity` hand each other: a folder of JSON and NumPy files, and no code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgedense.converters.network.graph import Activation, FloatHead
from edgedense.converters.network.program import Op, Program

Weights = dict[str, tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]]  # operator name -> (kernel, bias)
TASK, ARRAYS, PIXELS, LOGITS, WEIGHTS = "task.json", "arrays.npz", "pixels.npy", "logits.npy", "weights.npz"
ARRAY_FIELDS = ("kernel", "bias", "constant")


@dataclass(frozen=True)
class Task:
    """What the child does: train `program` towards `logits` [N, outputs] on uint8 `pixels` [N, h, w, 3].

    `pruned` tells which fraction of an operator's kernel becomes zero; `trained` names the operators whose kernel and
    bias may change.
    """

    program: Program
    pruned: Mapping[str, float]
    trained: tuple[str, ...]
    spec: Mapping[str, Any]
    pixels: npt.NDArray[np.uint8]
    logits: npt.NDArray[np.float32]


def write_task(folder: Path, task: Task) -> None:
    """The task as files in `folder`."""
    arrays, ops = {}, []
    for index, op in enumerate(task.program.ops):
        plain = {field.name: getattr(op, field.name) for field in fields(op)}
        for name in ARRAY_FIELDS:
            if (array := plain.pop(name)) is not None:
                arrays[f"{index}.{name}"] = array
        plain["function"] = None if op.function is None else asdict(op.function)
        if op.head is not None:
            plain["head"] = asdict(replace(op.head, graph=b""))
            arrays[f"{index}.graph"] = np.frombuffer(op.head.graph, np.uint8)
            del plain["head"]["graph"]
        ops.append(plain)
    document = {
        "ops": ops,
        "shapes": task.program.shapes,
        "pruned": dict(task.pruned),
        "trained": task.trained,
        "spec": dict(task.spec),
    }
    (folder / TASK).write_text(json.dumps(document))
    np.savez(folder / ARRAYS, **arrays)
    np.save(folder / PIXELS, task.pixels)
    np.save(folder / LOGITS, task.logits.astype(np.float32))


def read_task(folder: Path) -> Task:
    """The task that `write_task` wrote; pictures stay on disk until they are read."""
    document = json.loads((folder / TASK).read_text())
    with np.load(folder / ARRAYS, allow_pickle=False) as arrays:
        ops = tuple(_op(plain, index, arrays) for index, plain in enumerate(document["ops"]))
    shapes = {name: tuple(shape) for name, shape in document["shapes"].items()}
    return Task(
        Program(ops, shapes),
        document["pruned"],
        tuple(document["trained"]),
        document["spec"],
        np.load(folder / PIXELS, mmap_mode="r"),
        np.load(folder / LOGITS),
    )


def _op(plain: dict[str, Any], index: int, arrays: Any) -> Op:
    """An operator from JSON, where tuples have become lists."""
    for name in ARRAY_FIELDS:
        plain[name] = arrays.get(f"{index}.{name}")
    if plain["function"] is not None:
        plain["function"] = Activation(**plain["function"])
    if (head := plain["head"]) is not None:
        lists = {name: tuple(head[name]) for name in ("shape", "layers")}
        plain["head"] = FloatHead(graph=arrays[f"{index}.graph"].tobytes(), **head | lists)
    (top, bottom), (left, right) = plain["padding"]
    plain["padding"] = ((top, bottom), (left, right))
    for name in ("inputs", "size", "strides"):
        plain[name] = tuple(plain[name])
    return Op(**plain)


def write_weights(folder: Path, weights: Weights) -> None:
    """The child's answer."""
    arrays = {
        f"{part}.{name}": array
        for name, pair in weights.items()
        for part, array in zip(("kernel", "bias"), pair, strict=True)
    }
    np.savez(folder / WEIGHTS, **arrays)  # type: ignore[arg-type]


def read_weights(folder: Path) -> Weights:
    """The child's answer; FileNotFoundError when there is none."""
    with np.load(folder / WEIGHTS, allow_pickle=False) as arrays:
        names = [key.removeprefix("kernel.") for key in arrays.files if key.startswith("kernel.")]
        return {name: (arrays[f"kernel.{name}"], arrays[f"bias.{name}"]) for name in names}
