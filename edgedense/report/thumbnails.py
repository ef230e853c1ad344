"""Small pictures for a page: of the images whose label changed."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence

from PIL import Image

from edgedense.images.depth import Depth
from edgedense.images.in_memory import Picture
from edgedense.images.preprocessing import open_picture
from edgedense.measures.drift import Changed
from edgedense.measures.findings import ChangedFindings
from edgedense.measures.values import Pictured

SHOWN = 60  # changed images on a page; at some 3 kB each the file stays easy to mail


def changed(
    changes: Sequence[Changed] | Sequence[ChangedFindings] | Sequence[Pictured],
    place: Callable[[str], Picture],
    depth: Depth = 8,
) -> dict[str, bytes]:
    """A small JPEG of each image that the page shows of `changes`, by its name; `place` says where it lies, and `depth`
    how the file under test reads grey pictures of 16 bits."""
    return {change.image: thumbnail(place(change.image), depth) for change in changes[:SHOWN]}


def thumbnail(path: Picture, depth: Depth = 8, size: int = 96) -> bytes:
    """A JPEG of an image, at most `size` pixels on either side."""
    with open_picture(path, depth=depth, smaller_than=2 * size) as decoded:
        small = Image.fromarray(decoded.shown(8 * size))
    small.thumbnail((size, size))
    return jpeg(small)


def jpeg(image: Image.Image) -> bytes:
    """The image as a file, at a quality that is good enough to look at."""
    target = io.BytesIO()
    image.save(target, "JPEG", quality=80)
    return target.getvalue()
