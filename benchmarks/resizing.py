"""How far is each way of resizing from its original, and what does it cost?

    python benchmarks/resizing.py [--json FILE]

The originals are TensorFlow's `tf.image.resize` and `tf.image.resize_with_pad`, Keras' `load_img` and `smart_resize`
(`crop_to_aspect_ratio`), and Pillow with the arithmetic of torchvision's `Resize` and `CenterCrop`. The pictures are
scikit-learn's two photographs, parts of them of odd sizes, and random pixels. Prints of each way

- the largest difference in levels, on photographs and on random pixels, and the share of pixels that are one level off;
- the milliseconds of one photograph of 640x480 to 224x224 as a ratio to `--resize bilinear`, in turns with it: from
  pixels, as a camera gives them, and from a decoded file. It is processor time, which other programs change little.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # as a script, only its own folder is on the path

import numpy as np
from PIL import Image, ImageOps
from sklearn.datasets import load_sample_images

from benchmarks import processor
from edgedense.images.decoding import Pixels, opened
from edgedense.images.preprocessing import Preprocessing, prepare

KERNELS = {
    "pil-bilinear": Image.Resampling.BILINEAR,
    "pil-bicubic": Image.Resampling.BICUBIC,
    "pil-lanczos": Image.Resampling.LANCZOS,
    "nearest": Image.Resampling.NEAREST,
}
ODD = ((427, 640), (401, 333), (97, 131), (225, 427), (50, 400), (224, 224))
TURNS = 60


def ways() -> Iterator[Preprocessing]:
    """Each that has an original. The first is what the others are timed against."""
    for method in ("bilinear", "nearest", "bicubic", "area", "lanczos3", "lanczos5"):
        for fit in ("stretch", "crop", "pad"):
            if (method, fit) != ("nearest", "pad"):
                yield Preprocessing(224, 224, "none", method, fit=fit)  # type: ignore[arg-type]
    for method in ("gaussian", "mitchellcubic"):
        yield Preprocessing(224, 224, "none", method)  # type: ignore[arg-type]
    for method in KERNELS:
        yield Preprocessing(224, 224, "none", method, fit="crop", shorter_side=256)  # type: ignore[arg-type]
        if method != "nearest":
            for fit in ("stretch", "crop", "pad"):
                yield Preprocessing(224, 224, "none", method, fit=fit)  # type: ignore[arg-type]


def original(image: Pixels, p: Preprocessing) -> np.ndarray:
    """What training code computes, float or uint8 [224, 224, 3], cut off at black and white."""
    if p.resize in KERNELS:
        return np.asarray(_by_pillow(Image.fromarray(image), p, KERNELS[p.resize]))
    import tensorflow as tf
    from keras.preprocessing.image import smart_resize

    found = {
        "stretch": lambda: tf.image.resize(image, (224, 224), p.resize),
        "crop": lambda: smart_resize(image, (224, 224), p.resize),
        "pad": lambda: tf.image.resize_with_pad(image, 224, 224, p.resize),
    }[p.fit]()
    return np.clip(found, 0, 255)


def _by_pillow(image: Image.Image, p: Preprocessing, kernel: Image.Resampling) -> Image.Image:
    from keras.utils import load_img

    if p.shorter_side is not None:
        shorter = min(image.size)
        width, height = (int(p.shorter_side * side / shorter) for side in image.size)
        left, top = round((width - 224) / 2.0), round((height - 224) / 2.0)
        return image.resize((width, height), kernel).crop((left, top, left + 224, top + 224))
    if p.fit == "pad":
        return ImageOps.pad(image, (224, 224), kernel)
    file = io.BytesIO()
    image.save(file, "PNG")
    name = p.resize.removeprefix("pil-")
    return load_img(file, target_size=(224, 224), interpolation=name, keep_aspect_ratio=p.fit == "crop")


def differences(p: Preprocessing, images: list[Pixels]) -> tuple[float, float]:
    """(the largest in levels, the share of values that are more than half a level off)."""
    apart = [np.abs(prepare(image, p).astype(float) - original(image, p)).ravel() for image in images]
    every = np.concatenate(apart)
    return float(every.max()), float((every > 0.51).mean())


def milliseconds(calls: list[Callable[[], Any]]) -> list[float]:
    """The median of each, in turns, in processor time of this thread."""
    taken: list[list[float]] = [[] for _ in calls]
    for turn in range(TURNS + 3):
        for call, times in zip(calls, taken, strict=True):
            start = time.thread_time()
            call()
            if turn >= 3:
                times.append(1e3 * (time.thread_time() - start))
    return [float(np.median(times)) for times in taken]


def options(p: Preprocessing) -> str:
    """As they are typed."""
    cut = f" --shorter-side {p.shorter_side}" if p.shorter_side else f" --fit {p.fit}" if p.fit != "stretch" else ""
    return f"--resize {p.resize}{cut}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    china, flower = load_sample_images().images
    photographs = [image[:height, :width] for image in (china, flower) for height, width in ODD]
    random = np.random.default_rng(0)
    noise = [random.integers(0, 256, (height, width, 3), np.uint8) for height, width in ODD]
    photograph = np.asarray(Image.fromarray(china).resize((640, 480)))
    file = io.BytesIO()
    Image.fromarray(photograph).save(file, "JPEG", quality=90)
    chosen = list(ways())
    with opened(file.getvalue()) as decoded:
        pixels = milliseconds([lambda p=p: prepare(photograph, p) for p in chosen])  # type: ignore[misc]
        from_file = milliseconds([lambda p=p: prepare(decoded, p) for p in chosen])  # type: ignore[misc]
    here = processor.here()
    print(f"measured on {here}")
    print(f"bilinear: {pixels[0]:.2f} ms from pixels, {from_file[0]:.2f} ms from a decoded file\n")
    print("| options | photographs: levels | random pixels: levels | a level off | time, pixels | time, file |")
    print("| --- | --- | --- | --- | --- | --- |")
    rows = []
    for p, by_pixels, by_file in zip(chosen, pixels, from_file, strict=True):
        (on_photographs, share), (on_noise, _) = differences(p, photographs), differences(p, noise)
        rows.append((options(p), on_photographs, on_noise, share, by_pixels / pixels[0], by_file / from_file[0]))
        print("| `{}` | {:.2g} | {:.2g} | {:.3%} | {:.2f} | {:.2f} |".format(*rows[-1]))
    if arguments.json:
        arguments.json.write_text(json.dumps({processor.ENTRY: here.to_dict(), "rows": rows}))


if __name__ == "__main__":
    main()
