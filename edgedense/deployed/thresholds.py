"""A deployed file with other thresholds: its network, labels and all else that it carries stay as they are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgedense.deployed import bundle, signature
from edgedense.deployed.bundle import Bundle
from edgedense.files import write_atomically
from edgedense.measures.stored_points import Stored
from edgedense.notes import tell


@dataclass(frozen=True)
class ChosenThresholds:
    """A deployed file's bytes `data` with the thresholds that were chosen for it, and how these were chosen and what
    they do there: `points`."""

    data: bytes
    points: Stored

    def save(self, path: Path | str) -> None:
        """Write the file, whole or not at all; `path` may be the file that it was made of. Raises EdgedenseError when
        that fails or the name is no .tflite."""
        bundle.require_name(path)
        write_atomically(path, self.data)


def with_thresholds(content: Bundle, points: Stored, outputs: int) -> ChosenThresholds:
    """The same file with other thresholds; `outputs` are those of its network. It has no signature: that was of the
    file as it was."""
    replaced = (bundle.RECIPE, bundle.LABELS, signature.ENTRY)
    kept = {name: data for name, data in content.entries.items() if name not in replaced}
    if signature.ENTRY in content.entries:
        tell(["the file with other thresholds is not signed: sign it again with edgedense sign"])
    recipe = {**content.recipe, **points.entries(outputs)}
    return ChosenThresholds(bundle.pack(bundle.without_archive(content.model), content.labels, recipe, kept), points)
