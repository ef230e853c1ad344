"""The state of a training in one file: variables of model and optimizer, and the epochs so far."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgedense.errors import EdgedenseError
from edgedense.files import write_atomically


@dataclass(frozen=True)
class Epoch:
    """One epoch: losses are mean cross-entropies in nats, `rate` is the learning rate, and figures are those of the
    goal, 0 to 1: the accuracy, or the mean AUROC, which is None on training pictures."""

    phase: str
    rate: float
    loss: float
    figure: float | None
    validation_loss: float
    validation_figure: float | None
    seconds: float


@dataclass(frozen=True)
class State:
    """What a file holds: epochs so far, and values in the order in which Keras lists its variables."""

    history: tuple[Epoch, ...]
    model: list[np.ndarray]
    optimizer: list[np.ndarray]


def write(path: Path, settings: str, history: Sequence[Epoch], model: Any, optimizer: Any | None = None) -> None:
    """Keep the present state; `settings` stands for all that decides the training."""
    arrays = {f"model{i}": np.asarray(v) for i, v in enumerate(model.variables)}
    if optimizer is not None:
        arrays |= {f"optimizer{i}": np.asarray(v) for i, v in enumerate(optimizer.variables)}
    text = json.dumps({"settings": settings, "history": [asdict(epoch) for epoch in history]})
    data = io.BytesIO()
    np.savez(data, text=np.frombuffer(text.encode(), np.uint8), **arrays)  # type: ignore[arg-type]
    write_atomically(path, data.getvalue())


def read(path: Path, settings: str) -> State | None:
    """The state in a file; None without one. EdgedenseError when another training wrote it."""
    if not path.exists():
        return None
    try:
        with path.open("rb") as stored, np.load(stored) as file:  # np.load itself leaves a damaged one open
            text = json.loads(file["text"].tobytes())
            parts = [
                [file[f"{kind}{i}"] for i in range(sum(name.startswith(kind) for name in file.files))]
                for kind in ("model", "optimizer")
            ]
    except Exception as error:  # whatever numpy says of a damaged zip
        raise EdgedenseError(
            "a checkpoint of edgedense train", f"{path}: {error}", f"delete {path.parent} to start anew"
        ) from error
    if text["settings"] != settings:
        raise EdgedenseError(
            "a checkpoint of this training",
            f"one with other pictures or options in {path.parent}",
            f"the same options as then, another --work, or delete {path.parent} to start anew",
        )
    return State(tuple(Epoch(**epoch) for epoch in text["history"]), *parts)


def restore(target: Any, values: Sequence[np.ndarray]) -> None:
    """Put values into the variables of a model or an optimizer."""
    for variable, value in zip(target.variables, values, strict=True):
        variable.assign(value)
