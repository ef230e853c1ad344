"""Python's objects as the page's TypeScript is given them."""

from __future__ import annotations

import base64
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgedense.images import steps
from edgedense.images.preprocessing import Pixels, Preprocessing


def encoded(values: NDArray[Any] | bytes) -> str:
    """Base64 of bytes, or of an array's little-endian values."""
    content = values if isinstance(values, bytes) else values.astype(values.dtype.newbyteorder("<")).tobytes()
    return base64.b64encode(content).decode()


def picture(pixels: Pixels) -> dict[str, Any]:
    """uint8 [H, W, C]."""
    return {"shape": list(pixels.shape), "pixels": encoded(pixels)}


def pixels(answer: dict[str, Any]) -> Pixels:
    """The picture that TypeScript answers with."""
    return np.frombuffer(base64.b64decode(answer["pixels"]), np.uint8).reshape(answer["shape"])


def preprocessing(p: Preprocessing) -> dict[str, Any]:
    """With every entry there."""
    return {**asdict(p), "steps": steps.to_list(p.steps)}


def array(values: NDArray[Any] | None) -> dict[str, Any] | None:
    """A `StoredArray`."""
    if values is None:
        return None
    return {"dtype": values.dtype.name, "shape": list(values.shape), "data": encoded(values)}
