"""How good the scores of a file are: on this machine with the same engine, and a few on the emulated boards."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgedense.converters.calibration.normalization import normalized
from edgedense.images.pictures import find_classes
from edgedense.images.preprocessing import load_image
from tests.arm64.counting import HERE, Core, Entry, start
from tests.arm64.peers import PREPROCESSING


@dataclass(frozen=True)
class Quality:
    """`accuracy` on so many `pictures`, scored on this machine; `apart` is the largest difference of a score on any of
    the emulated processors, on the first few."""

    pictures: int
    accuracy: float
    apart: float


def judged(entry: Entry, work: Path, roots: Mapping[Core, Path], images: Path, pictures: int, emulated: int) -> Quality:
    """Scores the pictures here, and the first of them on every emulated processor."""
    pixels, labels = read(images, pictures)
    values = pixels if entry.takes_pixels else normalized(pixels, PREPROCESSING.normalize)

    def here(file: Path, given: Path, found: Path) -> None:
        program = [entry.program, "score"] if entry.program else [sys.executable, HERE / "score.py", entry.engine.name]
        subprocess.run([*program, file, given, found], check=True, capture_output=True)

    scores = scored(here, entry.file, values)
    apart = 0.0
    for core, root in roots.items():

        def there(file: Path, given: Path, found: Path, core: Core = core, root: Path = root) -> None:
            start(work, root, core, entry.engine, [], "score", file, given, found)

        apart = max(apart, float(np.abs(scored(there, entry.file, values[:emulated]) - scores[:emulated]).max()))
    return Quality(len(labels), float((scores.argmax(axis=1) == labels).mean()), apart)


@cache
def read(images: Path, count: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Pixels [N, height, width, 3] and the classes' numbers of so many pictures, evenly from the folder."""
    paths, labels, _ = find_classes(images)
    chosen = np.linspace(0, len(paths) - 1, min(count, len(paths))).round().astype(int)
    return np.stack([load_image(paths[i], PREPROCESSING) for i in chosen]), labels[chosen]


def scored(run: Callable[[Path, Path, Path], None], file: Path, values: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Scores [N, classes] that `run` writes for `file` and the values."""
    with tempfile.TemporaryDirectory() as folder:
        given, found = Path(folder) / "values", Path(folder) / "scores"
        given.write_bytes(values.astype(np.float32).tobytes())
        run(file, given, found)
        return np.fromfile(found, np.float32).reshape(len(values), -1)
