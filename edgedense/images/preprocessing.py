"""Image -> uint8 model input: the one definition that the converter and the device share.

The reference is what a Keras user trained with: TensorFlow's decoders, then either `tf.image.resize`
(bilinear without antialiasing, as in `image_dataset_from_directory`) or Keras' `load_img` (nearest).
Normalization is not done here: it is part of the deployed graph, which takes these pixels as they are.
"""

from __future__ import annotations

import contextlib
import glob
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edgedense.errors import EdgedenseError
from edgedense.images import steps as further
from edgedense.images.decoding import Decoded, Exif, Pixels, opened
from edgedense.images.in_memory import PictureInMemory, as_file
from edgedense.images.steps import Colour, Pad, Size, Step, Window

Normalization = Literal["densenet", "rescale", "symmetric", "xrayvision", "none"]
Resize = Literal["bilinear", "nearest"]
Floats = NDArray[np.float32]
Triple = tuple[float, float, float]

# (mean, std) per RGB channel in pixel units: x = (pixel - mean) / std. "densenet" is what
# keras.applications.densenet.preprocess_input computes (its mode "torch"), with ImageNet's statistics. "symmetric" is
# -1 to 1, and "xrayvision" what torchxrayvision.datasets.normalize makes of 8 bits: -1024 to 1024.
NORMALIZATIONS: dict[Normalization, tuple[Triple, Triple]] = {
    "densenet": ((255 * 0.485, 255 * 0.456, 255 * 0.406), (255 * 0.229, 255 * 0.224, 255 * 0.225)),
    "rescale": ((0.0, 0.0, 0.0), (255.0, 255.0, 255.0)),
    "symmetric": ((127.5, 127.5, 127.5), (127.5, 127.5, 127.5)),
    "xrayvision": ((127.5, 127.5, 127.5), (127.5 / 1024, 127.5 / 1024, 127.5 / 1024)),
    "none": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
}
IMAGE_SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")


@dataclass(frozen=True)
class Preprocessing:
    """How an image becomes the input of one model. It is recorded in the deployed file.

    An image is resized to `height` x `width` pixels, which is what the trained model takes. Then come `steps`: what
    that model does with the picture's size before its first convolution, if anything. `size` is what is left, and what
    the deployed file takes. `normalize` names an entry of NORMALIZATIONS, which the graph applies.
    """

    height: int
    width: int
    normalize: Normalization
    resize: Resize = "bilinear"
    exif: Exif = "ignore"
    steps: tuple[Step, ...] = ()

    @property
    def size(self) -> Size:
        """The height and width of the deployed file's input."""
        return further.size_behind((self.height, self.width), self.steps)

    @property
    def window(self) -> Window:
        """The part of a picture that gets into the input."""
        return further.window((self.height, self.width), self.steps)

    @property
    def background(self) -> Colour:
        """What lies around a picture that does not fill its window."""
        return next((step.fill for step in self.steps if isinstance(step, Pad)), (0.0, 0.0, 0.0))

    def to_dict(self) -> dict[str, Any]:
        """The entry "preprocessing" of a recipe. Without steps it is what earlier versions wrote."""
        entry = asdict(self)
        del entry["steps"]
        return {**entry, "steps": further.to_list(self.steps)} if self.steps else entry

    @classmethod
    def from_dict(cls, entry: Mapping[str, Any]) -> Preprocessing:
        """Read what `to_dict` wrote. Raises EdgedenseError on a missing, unknown or impossible entry."""
        choices = {"normalize": get_args(Normalization), "resize": get_args(Resize), "exif": get_args(Exif)}
        known = {"height", "width", *choices}
        if set(entry) - {"steps"} != known:
            raise EdgedenseError(
                f"the preprocessing entries {', '.join(sorted(known))}",
                ", ".join(sorted(map(str, entry))) or "none",
                "convert the model again",
            )
        for name in ("height", "width"):
            if type(entry[name]) is not int or entry[name] < 1:
                raise EdgedenseError(f"a {name} of 1 pixel or more", repr(entry[name]), "convert the model again")
        for name, allowed in choices.items():
            if entry[name] not in allowed:
                raise EdgedenseError(
                    f"{name} to be one of {', '.join(allowed)}",
                    repr(entry[name]),
                    "convert the model again, or update edgedense",
                )
        steps = further.from_list(entry.get("steps", ()), (entry["height"], entry["width"]))
        return cls(**{**entry, "steps": steps})


def prepare(picture: Pixels | Decoded, preprocessing: Preprocessing) -> Pixels:
    """A picture of any size, uint8 [H, W, 3] or just decoded -> the deployed file's input, uint8 [height, width, 3].

    Where there are steps, they work on whole levels and in float32, as the Keras model's layers do on such a picture;
    their result is rounded once, by at most half a level.
    """
    p = preprocessing
    if isinstance(picture, Decoded):
        resized = _resized(picture, p.height, p.width, p.resize)
    else:
        resized = resize(picture, p.height, p.width, p.resize)
    return further.levels(further.apply(resized, p.steps)) if p.steps else resized


def resize(image: Pixels, height: int, width: int, method: Resize = "bilinear") -> Pixels:
    """uint8 [H, W, 3] -> uint8 [height, width, 3].

    "bilinear" is `tf.image.resize` (half-pixel centres, no antialiasing), rounded to the nearest level;
    "nearest" is Pillow's, which Keras' `load_img` uses.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise EdgedenseError("a uint8 image [height, width, 3]", f"{image.dtype} {list(image.shape)}")
    if image.shape[:2] == (height, width):
        return np.ascontiguousarray(image)
    if method == "nearest":
        return np.array(Image.fromarray(image).resize((width, height), Image.Resampling.NEAREST))
    return _bilinear(np.ascontiguousarray(image), height, width)


_SMALL = 1 << 20  # pixels that are faster taken all at once


def _resized(decoded: Decoded, height: int, width: int, method: Resize) -> Pixels:
    """As `resize`. Of a large picture only those rows and columns are taken that the method reads."""
    if decoded.height * decoded.width <= _SMALL or (decoded.height, decoded.width) == (height, width):
        return resize(decoded.whole(), height, width, method)
    if method == "nearest":
        return decoded.at(_nearest(decoded.height, height), _nearest(decoded.width, width))
    rows, columns = _taps(decoded.height, height, 1), _taps(decoded.width, width, 1)
    row_numbers, rows = _compact(rows)
    column_numbers, columns = _compact(columns)
    return _mixed(decoded.at(row_numbers, column_numbers), rows, _interleaved(columns, 3))


def _nearest(size: int, new_size: int) -> NDArray[np.intp]:
    """Which positions Pillow's nearest takes: it is asked to resize their numbers."""
    numbers = Image.fromarray(np.arange(size, dtype=np.int32)[None])
    return np.asarray(numbers.resize((new_size, 1), Image.Resampling.NEAREST))[0].astype(np.intp)


class _Taps(NamedTuple):
    """For every output position the two input positions that it mixes, and the share of the second."""

    low: NDArray[np.intp]
    high: NDArray[np.intp]
    share: Floats


@lru_cache(maxsize=32)
def _taps(size: int, new_size: int, channels: int) -> _Taps:
    """The taps along one axis, spread over interleaved channels, in float32 as in TensorFlow's kernel."""
    scale = np.float32(size) / np.float32(new_size)
    position = (np.arange(new_size, dtype=np.float32) + np.float32(0.5)) * scale - np.float32(0.5)
    floor = np.floor(position)
    low = np.maximum(floor, 0).astype(np.intp)
    high = np.minimum(np.ceil(position), size - 1).astype(np.intp)
    return _interleaved(_Taps(low, high, position - floor), channels)


def _interleaved(taps: _Taps, channels: int) -> _Taps:
    """Taps of pixels -> taps of their channels, which stand side by side."""
    channel = np.arange(channels)
    low, high = ((index[:, None] * channels + channel).ravel() for index in (taps.low, taps.high))
    return _Taps(low, high, np.repeat(taps.share, channels))


def _compact(taps: _Taps) -> tuple[NDArray[np.intp], _Taps]:
    """The positions that are read, and the taps among those alone."""
    used, places = np.unique(np.concatenate([taps.low, taps.high]), return_inverse=True)
    low, high = np.split(places, 2)
    return used, _Taps(low, high, taps.share)


# Rows at a time: their intermediate values stay in the level-2 cache, which is worth a quarter of the time.
_STRIP = 32


def _bilinear(image: Pixels, height: int, width: int) -> Pixels:
    return _mixed(image, _taps(image.shape[0], height, 1), _taps(image.shape[1], width, 3))


def _mixed(image: Pixels, rows: _Taps, columns: _Taps) -> Pixels:
    """Mix rows first (contiguous, fast), then gather columns of the few rows that are left."""
    height, width = len(rows.low), len(columns.low) // 3
    flat = image.reshape(image.shape[0], -1)
    out = np.empty((height, width * 3), np.uint8)
    for start in range(0, height, _STRIP):
        strip = slice(start, start + _STRIP)
        mixed = _mix(
            _take(flat, rows.low[strip], 0).astype(np.float32),
            _take(flat, rows.high[strip], 0).astype(np.float32),
            rows.share[strip, None],
        )
        mixed = _mix(_take(mixed, columns.low, 1), _take(mixed, columns.high, 1), columns.share)
        mixed += 0.5  # the assignment truncates
        out[strip] = mixed
    return out.reshape(height, width, 3)


def _take(values: NDArray[Any], indices: NDArray[np.intp], axis: int) -> NDArray[Any]:
    """The indices are known to be in range; "clip" leaves out the check, and its time."""
    return values.take(indices, axis, mode="clip")


def _mix(low: Floats, high: Floats, share: Floats) -> Floats:
    """low + (high - low) * share, in place in both arguments."""
    high -= low
    high *= share
    low += high
    return low


def load_image(path: Path | str | PictureInMemory, preprocessing: Preprocessing) -> Pixels:
    """An image file -> uint8 [height, width, 3] as the deployed file wants it.

    Of a large image only the pixels that the resizing reads are taken out of the decoder's own memory. Raises
    EdgedenseError, naming the file, when it cannot be read, is no image, or is too large for the memory that is free.
    """
    with open_picture(path, preprocessing.exif) as decoded:
        return prepare(decoded, preprocessing)


def load_bytes(data: bytes, preprocessing: Preprocessing) -> Pixels:
    """As `load_image`, from the content of an image file."""
    with opened(data, preprocessing.exif) as decoded:
        return prepare(decoded, preprocessing)


@contextlib.contextmanager
def open_picture(
    path: Path | str | PictureInMemory, exif: Exif = "ignore", *, whole: bool = False, smaller_than: int | None = None
) -> Iterator[Decoded]:
    """An image file, decoded. Options as those of `decoding.opened`, errors as those of `load_image`."""
    with contextlib.ExitStack() as stack:
        try:
            file: IO[bytes] = as_file(path).open("rb")
            decoded = stack.enter_context(
                opened(stack.enter_context(file), exif, whole=whole, smaller_than=smaller_than)
            )
        except OSError as error:
            raise EdgedenseError("an image file that can be read", f"{path}: {error.strerror}") from error
        except EdgedenseError as error:
            raise EdgedenseError(error.expected, f"{path}: {error.found}", error.hint) from error
        yield decoded


def find_images(source: Path | str) -> list[Path]:
    """The image files of a file, a folder (with its sub-folders) or a glob pattern, sorted by path.

    A file that is named outright is taken whatever its suffix; hidden files are passed over. Raises
    EdgedenseError when there is no image.
    """
    path = Path(source)
    if path.is_file():
        return [path]
    if path.is_dir():
        found = _images_below(path)
        if not found:
            raise EdgedenseError(
                f"images ({' '.join(IMAGE_SUFFIXES)}) in {path}", "none", "name the folder that holds them"
            )
        return found
    matches = [Path(match) for match in glob.glob(str(source), recursive=True)]
    found = sorted(match for match in matches if _is_image_name(match.name) and match.is_file())
    if not found:
        why = f"matches {len(matches)} paths but no image" if matches else "does not exist"
        raise EdgedenseError("an image, a folder of images or a pattern that matches images", f"{source}, which {why}")
    return found


def find_labelled(folder: Path | str) -> tuple[list[Path], NDArray[np.int64], list[str]]:
    """(images, class index of each, class names) of a folder with one sub-folder per class.

    Classes are sorted by name, as `image_dataset_from_directory` numbers them; images are sorted within their
    class. A class without images keeps its number. Raises EdgedenseError when there is no class or no image.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise EdgedenseError("a folder with one sub-folder per class", f"{folder}, which is no folder")
    names = sorted(item.name for item in folder.iterdir() if item.is_dir() and not item.name.startswith("."))
    per_class = [_images_below(folder / name) for name in names]
    paths = [path for images in per_class for path in images]
    if not paths:
        raise EdgedenseError(
            f"one sub-folder per class with images in {folder}", f"{len(names)} sub-folders and no image in them"
        )
    return paths, np.repeat(np.arange(len(names)), [len(images) for images in per_class]), names


def _images_below(folder: Path) -> list[Path]:
    return sorted(
        Path(root) / name
        for root, _, names in os.walk(folder, followlinks=True)
        for name in names
        if _is_image_name(name)
    )


def _is_image_name(name: str) -> bool:
    return name.lower().endswith(IMAGE_SUFFIXES) and not name.startswith(".")
