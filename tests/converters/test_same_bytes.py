"""The same model, pictures and options give the same bytes: in one process, in two, with 1 and with 2 threads."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import models

keras = pytest.importorskip("keras")

PROGRAM = """
import hashlib, os, sys
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(sys.argv[1])])
from edgedense.converters import pipeline
for path in sys.argv[3:]:
    print(hashlib.sha256(pipeline.convert(path, sys.argv[2]).data).hexdigest())
"""


def converted(threads: int, pictures: Path, *paths: Path) -> list[str]:
    """The digests of conversions in a process with so many threads in TensorFlow and NumPy."""
    names = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(threads), str(pictures), *map(str, paths)],
        capture_output=True,
        text=True,
        env={**os.environ, **dict.fromkeys(names, str(threads))},
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.split()


@pytest.mark.slow
def test_same_bytes(pictures: Path, tmp_path: Path) -> None:
    models.densenet(size=(96, 112)).save(tmp_path / "one.keras")  # large enough for TensorFlow to share the work out
    models.hostile().save(tmp_path / "two.keras")
    first = converted(1, pictures, tmp_path / "one.keras", tmp_path / "two.keras", tmp_path / "one.keras")
    assert first[0] == first[2]
    assert first[0] != first[1]
    assert converted(2, pictures, tmp_path / "one.keras", tmp_path / "two.keras") == first[:2]
