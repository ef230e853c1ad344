"""Train a model like the digits example's: a DenseNet121 from nothing, by the function behind `edgedense train`.

    python examples/digits/train.py FOLDER [--epochs N] [--size PIXELS] [--per-class N]

makes training pictures from the training digits in FOLDER/images/train and the held-out pictures in FOLDER/images/test,
trains, judges on the held-out ones and writes FOLDER/digits.keras, its .sha256 and FOLDER/report.html. Called again
after a kill it goes on. The committed digits.keras was made by an earlier form of this file, which README.md describes.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

import images

from edgedense.converters.training import train, training_page
from edgedense.converters.training.augmentation import Augmentation
from edgedense.files import sha256, write_atomically

TRAIN_SEED = 3  # of the pictures; calibration and test have their own


def main() -> None:
    parser = argparse.ArgumentParser(description="Train a model like the digits example's.")
    parser.add_argument("folder", type=Path, help="where images, digits.keras and report.html go")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--per-class", type=int, default=400, help="training pictures of each digit, at most 400")
    given = parser.parse_args()
    data = given.folder / "images"
    if not (data / "train").exists():
        pictures(data, given.per_class)
    # Warm digits are the label and cool ones are not, so nothing may touch the colours; nor may a digit be mirrored.
    options = train.Options(
        weights="none",
        size=given.size,
        epochs=given.epochs,
        schedule="cosine",
        augmentation=Augmentation("none", rotation=5, shift=0.05, zoom=0.1, brightness=0.1),
    )
    result = train.train(
        data,
        given.folder / "work",
        options,
        name="digits.keras",
        say=lambda line: print(line, file=sys.stderr, flush=True),
    )
    write_atomically(given.folder / "digits.keras", result.data)
    write_atomically(given.folder / "digits.keras.sha256", f"{sha256(result.data)}  digits.keras\n".encode())
    write_atomically(given.folder / "report.html", training_page.to_html(result).encode())
    train.clear(given.folder / "work")
    print(training_page.summary(result))
    print(f"{result.evaluation.accuracy:.1%} of {result.evaluation.images} held-out pictures")


def pictures(data: Path, per_class: int) -> None:
    """The held-out pictures of the example as test, and training pictures of the other digits as train."""
    images.write(data)
    shutil.rmtree(data / "partial", ignore_errors=True)
    images.write_part(data / "partial", images.pictures(held_out=False, per_class=per_class, seed=TRAIN_SEED))
    (data / "partial").rename(data / "train")


if __name__ == "__main__":
    main()
