"""What is kept in the work folder, so that a search that was killed does nothing twice."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from edgedense.converters.pruning.importance import Importance
from edgedense.deployed.bundle import ZIP_DAMAGE
from edgedense.files import write_atomically
from edgedense.searching.choice import Choice
from edgedense.searching.trial import Outcome

_DAMAGED = (*ZIP_DAMAGE, KeyError, TypeError)  # of a file that is not whole, or that another version wrote


class Store:
    """A folder of small files. One that is damaged counts as one that is not there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def outcome(self, name: str) -> Outcome | None:
        """An outcome that was kept."""

        return self._read(self._folder / f"{name}.json", lambda data: _outcome(json.loads(data)))

    def round(self, number: int) -> list[Outcome] | None:
        """The last outcome of each trial of a round, where the round is over."""
        return self._read(
            self._folder / f"round-{number}.json", lambda data: [_outcome(one) for one in json.loads(data)]
        )

    def keep_round(self, number: int, outcomes: Sequence[Outcome]) -> None:
        """Keep them, without files."""
        content = [asdict(replace(outcome, file=b"")) | {"file": ""} for outcome in outcomes]
        write_atomically(self._folder / f"round-{number}.json", json.dumps(content).encode())

    def keep_outcome(self, name: str, outcome: Outcome) -> None:
        """Keep it, without its file."""
        content = asdict(replace(outcome, file=b"")) | {"file": ""}
        write_atomically(self._folder / f"{name}.json", json.dumps(content).encode())

    def importance(self, name: str) -> Importance | None:
        """How much each channel matters, where it was kept."""

        def read(data: bytes) -> Importance:
            with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
                parts: dict[str, dict[str, np.ndarray]] = {kind: {} for kind in ("bottleneck", "growth")}
                for entry in arrays:
                    kind, _, layer = entry.partition("|")
                    parts[kind][layer.replace("|", "/")] = arrays[entry]
            return Importance(**parts)

        return self._read(self._folder / f"{name}.npz", read)

    def keep_importance(self, name: str, importance: Importance) -> None:
        """Keep it."""
        arrays = {
            f"{kind}|{layer.replace('/', '|')}": array
            for kind, layers in (("bottleneck", importance.bottleneck), ("growth", importance.growth))
            for layer, array in layers.items()
        }
        data = io.BytesIO()
        np.savez(data, **arrays)  # type: ignore[arg-type]
        write_atomically(self._folder / f"{name}.npz", data.getvalue())

    def _read(self, path: Path, read: Callable[[bytes], Any]) -> Any:
        try:
            return read(path.read_bytes())
        except _DAMAGED:
            return None


def _outcome(found: Mapping[str, Any]) -> Outcome:
    choice = found["choice"]
    return Outcome(**{**found, "choice": None if choice is None else Choice.from_dict(choice), "file": b""})
