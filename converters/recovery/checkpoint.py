"""What a recovery needs to go on after it was killed, in one file that is whole or not there."""

from __future__ import annotations

import io
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgedense.deployed.bundle import ZIP_DAMAGE
from edgedense.errors import EdgedenseError
from edgedense.files import check_writable, write_atomically


@dataclass(frozen=True)
class Epoch:
    """One pass over the pictures: its number from 1, the mean loss of its steps, how far behind it the scores of
    held-out pictures are from the teacher's (`distill.score_loss`), and whether the gate was met."""

    number: int
    loss: float
    held: float
    met: bool = False


@dataclass(frozen=True)
class Checkpoint:
    """`state`: variables and the optimizer's, in a fixed order; `best`: the variables with the closest scores
    so far; `start`: their distance before the first epoch; `done`: nothing is left to train."""

    state: tuple[np.ndarray, ...]
    best: tuple[np.ndarray, ...]
    start: float
    history: tuple[Epoch, ...]
    done: bool


def make_folder(folder: Path) -> None:
    """Make the work folder where it is missing. EdgedenseError, before any work is done, where that cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EdgedenseError(
            "a folder for checkpoints", f"{folder}: {error.strerror}", "another --work folder"
        ) from error
    check_writable(folder / "checkpoint")


def save(path: Path, fingerprint: str, checkpoint: Checkpoint) -> None:
    """Write it in place of an older one. EdgedenseError where that is not possible."""
    about = {
        "fingerprint": fingerprint,
        "start": checkpoint.start,
        "done": checkpoint.done,
        "history": [asdict(epoch) for epoch in checkpoint.history],
    }
    arrays: dict[str, Any] = {f"state{i}": part for i, part in enumerate(checkpoint.state)}
    arrays |= {f"best{i}": part for i, part in enumerate(checkpoint.best)}
    data = io.BytesIO()
    np.savez(data, about=np.array(json.dumps(about)), **arrays)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EdgedenseError("a folder for checkpoints", f"{path.parent}: {error.strerror}", "--work FOLDER") from error
    write_atomically(path, data.getvalue())


def load(path: Path, fingerprint: str) -> Checkpoint | None:
    """The checkpoint at `path`, or None where there is none.

    Raises EdgedenseError when it is damaged, or belongs to another network, other pictures or other options.
    """
    hint = f"another --work folder, or delete {path}"
    if not path.exists():
        return None
    try:
        with (
            path.open("rb") as stored,
            np.load(stored, allow_pickle=False) as file,
        ):  # np.load leaves a damaged one open
            about = json.loads(str(file["about"]))
            state, best = (
                tuple(file[f"{kind}{i}"] for i in range(sum(name.startswith(kind) for name in file.files)))
                for kind in ("state", "best")
            )
    except (*ZIP_DAMAGE, KeyError) as error:
        raise EdgedenseError("a checkpoint that can be read", f"{path}: {error}", hint) from error
    if about["fingerprint"] != fingerprint:
        raise EdgedenseError(
            "a checkpoint of this network, these pictures and these options", f"{path}, which is of another run", hint
        )
    history = tuple(Epoch(**epoch) for epoch in about["history"])
    return Checkpoint(state, best, about["start"], history, about["done"])
