from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Grey pictures: cat 10 and 20, fox 30; no dog."""
    for name, levels in {"cat": (10, 20), "fox": (30,)}.items():
        (tmp_path / name).mkdir()
        for level in levels:
            Image.new("RGB", (8, 8), (level,) * 3).save(tmp_path / name / f"{level}.png")
    return tmp_path
