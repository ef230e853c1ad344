"""Image -> uint8 model input: the one definition that the converter and the device share.

The reference is what a model was trained with: TensorFlow's decoders, then TensorFlow's resizing or Pillow's
(`resizing`), of a picture that is stretched, cut or put on black (`fitting`).
Normalization is not done here: it is part of the deployed graph, which takes these pixels as they are.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from edgedense.errors import EdgedenseError
from edgedense.images import dicom, fitting, resizing
from edgedense.images import steps as further
from edgedense.images.decoding import Decoded, Exif, Pixels, grey_levels, opened
from edgedense.images.depth import Depth
from edgedense.images.fitting import Fit, Placement
from edgedense.images.in_memory import PictureInMemory, as_file
from edgedense.images.places import files_below, matching, place, subfolders
from edgedense.images.resizing import Resize
from edgedense.images.steps import Colour, Pad, Size, Step, Window

Normalization = Literal["densenet", "rescale", "symmetric", "xrayvision", "none"]
Channels = Literal[1, 3]
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
# Those that a model of one channel can have had: one mean and one std, whatever the colour.
ONE_CHANNEL = tuple(name for name, (mean, std) in NORMALIZATIONS.items() if len({*mean}) == len({*std}) == 1)
IMAGE_SUFFIXES = tuple(
    sorted((".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp", *dicom.SUFFIXES))
)


@dataclass(frozen=True)
class Preprocessing:
    """How an image becomes the input of one model. It is recorded in the deployed file.

    An image is resized to `height` x `width` pixels, which is what the trained model takes. Then come `steps`: what
    that model does with the picture's size before its first convolution, if anything. `size` is what is left, and what
    the deployed file takes. `normalize` names an entry of NORMALIZATIONS, which the graph applies.

    `fit` says what becomes of an image of another shape: "stretch" distorts it, "crop" cuts its middle out before it is
    resized, and "pad" puts it on black. With "crop" and a `shorter_side` it is first resized as a whole until its
    shorter side has so many pixels, and its middle is cut out then.

    `channels` are those of the deployed file's input: 3 for RGB, or 1, for which an image is made grey before anything
    else is done to it (`decoding.grey_levels`). `depth` says which value is white in grey pictures of 16 bits
    (`depth.levels`).
    """

    height: int
    width: int
    normalize: Normalization
    resize: Resize = "bilinear"
    exif: Exif = "ignore"
    steps: tuple[Step, ...] = ()
    fit: Fit = "stretch"
    shorter_side: int | None = None
    channels: Channels = 3
    depth: Depth = 8

    @property
    def size(self) -> Size:
        """The height and width of the deployed file's input."""
        return further.size_behind((self.height, self.width), self.steps)

    @property
    def shape(self) -> tuple[int, int, int]:
        """The height, width and channels of the deployed file's input."""
        return (*self.size, self.channels)

    def placement(self, size: Size) -> Placement:
        """How a picture of `size` gets into `height` x `width`."""
        target = self.height, self.width
        if self.shorter_side is not None:
            return fitting.centred(size, target, self.shorter_side)
        if self.fit == "crop":
            return fitting.cropped(size, target)
        if self.fit == "pad":
            return (fitting.padded_by_pillow if resizing.is_pillows(self.resize) else fitting.padded)(size, target)
        return fitting.stretched(size, target)

    def window(self, size: Size) -> Window:
        """The part of a picture of `size` that gets into the input."""
        return self.placement(size).window(further.window((self.height, self.width), self.steps))

    @property
    def background(self) -> Colour:
        """What lies around a picture that does not fill its window."""
        return next((step.fill for step in self.steps if isinstance(step, Pad)), (0.0, 0.0, 0.0))

    def to_dict(self) -> dict[str, Any]:
        """The entry "preprocessing" of a recipe. What is as earlier versions had it is left out, as they did."""
        return {name: value for name, value in self.entries().items() if name not in _LATER or value != _LATER[name]}

    def entries(self) -> dict[str, Any]:
        """As `to_dict`, with nothing left out."""
        return {**asdict(self), "steps": further.to_list(self.steps)}

    @classmethod
    def from_dict(cls, entry: Mapping[str, Any]) -> Preprocessing:
        """Read what `to_dict` wrote. Raises EdgedenseError on a missing, unknown or impossible entry."""
        choices = {"normalize": get_args(Normalization), "resize": get_args(Resize), "exif": get_args(Exif)}
        known = {"height", "width", *choices}
        if set(entry) - set(_LATER) != known:
            raise EdgedenseError(
                f"the preprocessing entries {', '.join(sorted(known))}",
                ", ".join(sorted(map(str, entry))) or "none",
                "convert the model again",
            )
        for name in ("height", "width"):
            if type(entry[name]) is not int or entry[name] < 1:
                raise EdgedenseError(f"a {name} of 1 pixel or more", repr(entry[name]), "convert the model again")
        entry = {**_LATER, **entry}
        for name, allowed in {
            **choices,
            "fit": get_args(Fit),
            "channels": get_args(Channels),
            "depth": get_args(Depth),
        }.items():
            if entry[name] not in allowed or type(entry[name]) is not type(allowed[0]):
                raise EdgedenseError(
                    f"{name} to be one of {', '.join(map(str, allowed))}",
                    repr(entry[name]),
                    "convert the model again, or update edgedense",
                )
        if (side := entry["shorter_side"]) is not None and (
            type(side) is not int or entry["fit"] != "crop" or side < max(entry["height"], entry["width"])
        ):
            raise EdgedenseError(
                "a shorter side that the input can be cut from, with the fit crop",
                f"{side!r} with {entry['fit']}",
                "convert the model again",
            )
        steps = further.from_list(entry["steps"], (entry["height"], entry["width"]))
        return cls(**{**entry, "steps": steps})


# Entries that recipes have had from later versions on, and what they are where they are missing.
_LATER: dict[str, Any] = {"steps": [], "fit": "stretch", "shorter_side": None, "channels": 3, "depth": 8}


def prepare(picture: Pixels | Decoded, preprocessing: Preprocessing) -> Pixels:
    """A picture of any size, uint8 [H, W, 3] or just decoded -> the deployed file's input, uint8 [height, width, C].

    With one channel the picture is made grey first, as Keras' loaders do with `color_mode="grayscale"`; uint8 [H, W, 1]
    is grey already.

    Where there are steps, they work on whole levels and in float32, as the Keras model's layers do on such a picture;
    their result is rounded once, by at most half a level.
    """
    p = preprocessing
    if isinstance(picture, Decoded):
        picture, size = picture.grey() if p.channels == 1 else picture, (picture.height, picture.width)
    else:
        picture, size = _with_channels(_checked(picture), p.channels), picture.shape[:2]
    resized = resizing.resized(picture, p.placement(size), p.resize)
    return further.levels(further.apply(resized, p.steps)) if p.steps else resized


def resize(image: Pixels, height: int, width: int, method: Resize = "bilinear") -> Pixels:
    """uint8 [H, W, C] -> uint8 [height, width, C], where C is 3 or 1.

    "bilinear", "bicubic", "area" and so on are those of `tf.image.resize` (half-pixel centres, no antialiasing),
    rounded to the nearest level; "nearest" is Pillow's, which Keras' `load_img` uses; "pil-bilinear" and so on are
    Pillow's that antialias.
    """
    return resizing.resized(image, fitting.stretched(_checked(image).shape[:2], (height, width)), method)


def _checked(image: Pixels) -> Pixels:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] not in (1, 3) or 0 in image.shape:
        raise EdgedenseError("a uint8 image [height, width, 3]", f"{image.dtype} {list(image.shape)}")
    return image


def _with_channels(image: Pixels, channels: Channels) -> Pixels:
    """RGB or grey, made of the other where it is not that."""
    if image.shape[2] == channels:
        return image
    return grey_levels(image) if channels == 1 else np.repeat(image, 3, axis=2)


def load_image(path: Path | str | PictureInMemory, preprocessing: Preprocessing) -> Pixels:
    """An image file -> uint8 [height, width, C] as the deployed file wants it.

    Of a large image only the pixels that the resizing reads are taken out of the decoder's own memory. Raises
    EdgedenseError, naming the file, when it cannot be read, is no image, or is too large for the memory that is free.
    """
    with open_picture(path, preprocessing.exif, preprocessing.depth) as decoded:
        return prepare(decoded, preprocessing)


def load_bytes(data: bytes, preprocessing: Preprocessing) -> Pixels:
    """As `load_image`, from the content of an image file."""
    with opened(data, preprocessing.exif, preprocessing.depth) as decoded:
        return prepare(decoded, preprocessing)


@contextlib.contextmanager
def open_picture(
    path: Path | str | PictureInMemory,
    exif: Exif = "ignore",
    depth: Depth = 8,
    *,
    whole: bool = False,
    smaller_than: int | None = None,
) -> Iterator[Decoded]:
    """An image file, decoded. Options as those of `decoding.opened`, errors as those of `load_image`."""
    with contextlib.ExitStack() as stack:
        try:
            file: IO[bytes] = as_file(path).open("rb")
            decoded = stack.enter_context(
                opened(stack.enter_context(file), exif, depth, whole=whole, smaller_than=smaller_than)
            )
        except OSError as error:
            raise EdgedenseError("an image file that can be read", f"{path}: {error.strerror}") from error
        except EdgedenseError as error:
            raise EdgedenseError(error.expected, f"{path}: {error.found}", error.hint) from error
        yield decoded


def find_images(source: Path | str) -> list[Path]:
    """The image files of a file, a folder (with its sub-folders) or a glob pattern, sorted by path; each may also be
    an address (see `places`).

    A file that is named outright is taken whatever its suffix; hidden files are passed over. Raises
    EdgedenseError when there is no image.
    """
    path = place(source)
    if path.is_file():
        return [path]
    if path.is_dir():
        found = _images_below(path)
        if not found:
            raise EdgedenseError(
                f"images ({' '.join(IMAGE_SUFFIXES)}) in {path}", "none", "name the folder that holds them"
            )
        return found
    matches = matching(source)
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
    folder = place(folder)
    if not folder.is_dir():
        raise EdgedenseError("a folder with one sub-folder per class", f"{folder}, which is no folder")
    names = subfolders(folder)
    per_class = [_images_below(folder / name) for name in names]
    paths = [path for images in per_class for path in images]
    if not paths:
        raise EdgedenseError(
            f"one sub-folder per class with images in {folder}", f"{len(names)} sub-folders and no image in them"
        )
    return paths, np.repeat(np.arange(len(names)), [len(images) for images in per_class]), names


def _images_below(folder: Path) -> list[Path]:
    return sorted(path for path in files_below(folder) if _is_image_name(path.name))


def _is_image_name(name: str) -> bool:
    return name.lower().endswith(IMAGE_SUFFIXES) and not name.startswith(".")
