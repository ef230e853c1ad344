"""Small pictures of the images whose label changed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from edgedense.measures import drift
from edgedense.report import thumbnails


def test_they_are_small_jpegs(tmp_path: Path) -> None:
    Image.new("RGBA", (400, 100)).save(tmp_path / "wide.png")
    data = thumbnails.thumbnail(tmp_path / "wide.png")
    assert data.startswith(b"\xff\xd8")
    assert len(data) < 2000


def test_only_changed_images_have_one(tmp_path: Path) -> None:
    for name in ("same.png", "other.png"):
        Image.new("RGB", (9, 9)).save(tmp_path / name)
    before, after = np.array([[0.9, 0.1], [0.9, 0.1]]), np.array([[0.9, 0.1], [0.2, 0.8]])
    both = drift.compare(before, after, [0, 0], ("a", "b"), images=("same.png", "other.png"), models=("float", "int8"))
    assert list(thumbnails.changed(both.changed, tmp_path.joinpath)) == ["other.png"]
    assert thumbnails.changed((), tmp_path.joinpath) == {}
