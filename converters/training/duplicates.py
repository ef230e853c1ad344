"""The same picture twice: equal files, and near-equal ones by a difference hash."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from PIL import Image

from edgedense.images.preprocessing import Pixels

GRID = 16  # the hash compares neighbours on 16 rows of 17 cells: 256 bits
BITS = GRID * GRID
# On 3,264 MRI slices and 5,000 photographs: up to 16 of 256 bits pairs are the same picture saved again, from 24 on
# they are neighbouring slices, from 32 on chains of pictures that only share their outline.
NEAR_BITS = 16
# Mean difference of the cells, in levels of 255, brightness aside. Pictures on a plain ground share most bits.
NEAR_LEVELS = 6.0
BLOCK = 1024  # rows compared at once

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]


def cells(image: Pixels) -> Floats:
    """A picture uint8 [h, w, 3] -> mean grey levels [GRID, GRID + 1], less their mean."""
    small = Image.fromarray(image).convert("L").resize((GRID + 1, GRID), Image.Resampling.BOX)
    grey = np.asarray(small, np.float32)
    return grey - grey.mean()


def difference_hash(cell: Floats) -> npt.NDArray[np.bool_]:
    """Which cell is brighter than its left neighbour: [BITS] (Krawetz, "Kind of like that", 2013: dHash)."""
    return (cell[:, 1:] > cell[:, :-1]).ravel()


def near_pairs(grids: Floats) -> Integers:
    """Pairs [P, 2], i < j, of `cells` [N, GRID, GRID + 1] that show the same picture.

    At most NEAR_BITS of the hash differ, and the cells by at most NEAR_LEVELS in the mean.
    """
    if not len(grids):
        return np.zeros((0, 2), np.int64)
    signs = np.stack([difference_hash(grid) for grid in grids]).astype(np.float32) * 2 - 1
    found = []
    for start in range(0, len(signs), BLOCK):
        # The product of two rows of signs is BITS less twice the bits that differ.
        alike = signs[start : start + BLOCK] @ signs[start:].T >= BITS - 2 * NEAR_BITS
        first, second = np.nonzero(np.triu(alike, 1))
        pairs = np.stack([first, second], axis=1) + start
        apart = np.abs(grids[pairs[:, 0]] - grids[pairs[:, 1]]).mean(axis=(1, 2))
        found.append(pairs[apart <= NEAR_LEVELS])
    return np.concatenate(found).astype(np.int64)


def equal_pairs(keys: Iterable[object]) -> Integers:
    """Pairs [P, 2] of positions with equal keys, each later position with the first of its kind."""
    first: dict[object, int] = {}
    pairs = [(first.setdefault(key, i), i) for i, key in enumerate(keys)]
    return np.array([pair for pair in pairs if pair[0] != pair[1]], np.int64).reshape(-1, 2)


def joined(count: int, pairs: Iterable[npt.ArrayLike]) -> Integers:
    """The group of each of `count` items, [count]: items that pairs connect, also over others, share one.

    Groups are numbered in the order of their first items.
    """
    parent = list(range(count))

    def root(item: int) -> int:
        while parent[item] != item:
            parent[item] = parent[parent[item]]
            item = parent[item]
        return item

    for some in pairs:
        for first, second in np.asarray(some, np.int64).reshape(-1, 2):
            low, high = sorted((root(int(first)), root(int(second))))
            parent[high] = low
    return np.unique([root(item) for item in range(count)], return_inverse=True)[1].astype(np.int64)
