"""What happens to a picture behind its first resizing: cut, put on a background, resized again.

These are the layers that some Keras models have before their first convolution (Resizing, CenterCrop). Their
sizes are known when the model is converted, so that every step is a plain rectangle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from edgedense.errors import EdgedenseError
from edgedense.images.resampling import OVERSHOOTING, Floats, Method, resample

Size = tuple[int, int]  # height, width
Colour = tuple[float, float, float]  # red, green and blue, 0 to 255
_AGAIN = "convert the model again, or update edgedense"


@dataclass(frozen=True)
class Crop:
    """Keeps `height` x `width` pixels, from row `top` and column `left` on."""

    top: int
    left: int
    height: int
    width: int


@dataclass(frozen=True)
class Pad:
    """Puts the picture at row `top` and column `left` of `height` x `width` pixels of the colour `fill`."""

    top: int
    left: int
    height: int
    width: int
    fill: Colour


@dataclass(frozen=True)
class Resample:
    """Resizes to `height` x `width` as `tf.image.resize` does."""

    height: int
    width: int
    method: Method
    antialias: bool = False


Step = Crop | Pad | Resample
_KINDS: dict[str, type[Step]] = {"crop": Crop, "pad": Pad, "resize": Resample}


class Window(NamedTuple):
    """A rectangle of a picture, in shares of its height and width; what lies outside of 0 to 1 is background."""

    top: float
    left: float
    bottom: float
    right: float


WHOLE = Window(0.0, 0.0, 1.0, 1.0)


def apply(pixels: NDArray[Any], steps: Sequence[Step]) -> Floats:
    """uint8 or float32 [H, W, C] -> float32 behind all steps, not rounded: what the Keras layers compute. Of one grey
    channel a border is as bright as its red, which is its green and blue too."""
    image = pixels.astype(np.float32)
    for step in steps:
        if isinstance(step, Crop):
            image = image[step.top : step.top + step.height, step.left : step.left + step.width]
        elif isinstance(step, Pad):
            image = _padded(image, step)
        else:
            image = resample(image, step.height, step.width, step.method, step.antialias)
    return np.ascontiguousarray(image)


def levels(image: Floats) -> NDArray[np.uint8]:
    """float32 -> uint8, at the nearest level. What a cubic or lanczos kernel puts beyond black and white is cut."""
    return (image + np.float32(0.5)).clip(0, 255).astype(np.uint8)


def size_behind(size: Size, steps: Sequence[Step]) -> Size:
    """The height and width of a picture of `size` behind all steps."""
    return (steps[-1].height, steps[-1].width) if steps else size


def window(size: Size, steps: Sequence[Step]) -> Window:
    """Which part of a picture of `size` is in the result of the steps."""
    sizes = [size, *((step.height, step.width) for step in steps)]
    box = np.array([[0.0, 0.0], sizes[-1]])
    for step, before in zip(reversed(steps), reversed(sizes[:-1]), strict=True):
        if isinstance(step, Resample):
            box = box * before / (step.height, step.width)
        else:
            corner = np.array([step.top, step.left], float)
            box = box + corner if isinstance(step, Crop) else box - corner
    (top, left), (bottom, right) = box / size
    return Window(float(top), float(left), float(bottom), float(right))


def described(steps: Sequence[Step]) -> str:
    """The steps in words, for the user."""
    words = {Crop: "cut to {}", Pad: "put on a background of {}", Resample: "resized to {} ({method})"}
    return ", ".join(words[type(step)].format(f"{step.height}x{step.width}", **vars(step)) for step in steps)


def goes_beyond(steps: Sequence[Step]) -> bool:
    """Whether a kernel with negative shares may give values beyond black and white, which a pixel cannot have."""
    return any(isinstance(step, Resample) and step.method in OVERSHOOTING for step in steps)


def to_list(steps: Sequence[Step]) -> list[dict[str, Any]]:
    """The steps for a recipe."""
    names = {kind: name for name, kind in _KINDS.items()}
    return [{"step": names[type(step)], **asdict(step)} for step in steps]


def from_list(entries: Any, size: Size) -> tuple[Step, ...]:
    """Read what `to_list` wrote, for a picture of `size`. Raises EdgedenseError on what cannot be done."""
    if not isinstance(entries, list | tuple):
        raise EdgedenseError("a list of preprocessing steps", repr(entries), _AGAIN)
    steps: list[Step] = []
    for entry in entries:
        steps.append(_from_dict(entry, size_behind(size, steps)))
    return tuple(steps)


def _from_dict(entry: Any, size: Size) -> Step:
    kind = _KINDS.get(str(entry.get("step"))) if isinstance(entry, Mapping) else None
    if kind is None or set(entry) != {"step", *(field.name for field in fields(kind))}:
        raise EdgedenseError(f"a preprocessing step ({', '.join(_KINDS)}) with its sizes", repr(entry), _AGAIN)
    values = {name: value for name, value in entry.items() if name != "step"}
    if "fill" in values:
        values["fill"] = tuple(values["fill"]) if isinstance(values["fill"], list | tuple) else ()
    step = kind(**values)
    if not _is_possible(step, size):
        raise EdgedenseError(f"a preprocessing step that fits a picture of {size[0]}x{size[1]}", repr(entry), _AGAIN)
    return step


def _is_possible(step: Step, size: Size) -> bool:
    whole = [value for name, value in vars(step).items() if name in ("top", "left", "height", "width")]
    if any(type(value) is not int or value < 0 for value in whole) or 0 in (step.height, step.width):
        return False
    if isinstance(step, Resample):
        return step.method in get_args(Method) and type(step.antialias) is bool
    inner, outer = ((step.height, step.width), size) if isinstance(step, Crop) else (size, (step.height, step.width))
    fits = step.top + inner[0] <= outer[0] and step.left + inner[1] <= outer[1]
    return fits and (isinstance(step, Crop) or _is_colour(step.fill))


def _is_colour(fill: tuple[Any, ...]) -> bool:
    return len(fill) == 3 and all(type(v) in (int, float) and 0 <= v <= 255 for v in fill)


def _padded(image: Floats, step: Pad) -> Floats:
    channels = image.shape[2]
    whole = np.empty((step.height, step.width, channels), np.float32)
    whole[:] = step.fill[:channels]
    whole[step.top : step.top + image.shape[0], step.left : step.left + image.shape[1]] = image
    return whole
