"""Train the digits example's model: a stock Keras DenseNet121, from nothing, on one CPU in under an hour.

    python examples/digits/train.py FOLDER

makes the example's images in FOLDER/images, trains, keeps one weights file per stage in FOLDER, measures the
accuracy on the 1,000 held-out images at 224x224 and writes FOLDER/digits.keras and its .sha256. A fixed seed
decides the starting weights and every training picture; a processor that sums in another order still ends
with slightly different weights.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import time
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path

import images
import keras
import numpy as np
import tensorflow as tf
from PIL import Image

SEED = 20
SIZE = 224
SETTLING_BATCHES = 30


@dataclass(frozen=True)
class Stage:
    """`steps` batches of `batch` pictures, seen through a window of size x size around the labelled digit."""

    size: int
    steps: int
    batch: int
    rate: float


# A DenseNet has no fixed size before its pooling, and a 64x64 window costs a twelfth of the whole picture.
# Windows are cut out of the 224x224 picture, so a digit is as large in every stage, and the last has little
# to unlearn.
STAGES = (
    Stage(size=64, steps=1200, batch=32, rate=1e-3),
    Stage(size=112, steps=250, batch=32, rate=5e-4),
    Stage(size=224, steps=180, batch=20, rate=4e-4),
)


def resized(pixels: np.ndarray) -> np.ndarray:
    """Pictures (n, h, w, 3) uint8 -> (n, 224, 224, 3) uint8, as the deployed model's input is made."""
    return tf.cast(tf.round(tf.image.resize(pixels, (SIZE, SIZE), method="bilinear")), tf.uint8).numpy()


def as_stored(pixels: np.ndarray) -> np.ndarray:
    """A picture (h, w, 3) uint8 with the marks that JPEG leaves."""
    stored = io.BytesIO()
    Image.fromarray(pixels).save(stored, "JPEG", quality=images.JPEG_QUALITY)
    return np.asarray(Image.open(stored))


def recoloured(photographs: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
    """Each photograph as it is and in 11 false colours: five are too few to learn what a background is."""
    orders = list(permutations(range(3)))
    versions = [photo[:, :, order] for photo in photographs for order in orders]
    return tuple(versions + [255 - version for version in versions])


class Batches(keras.utils.PyDataset):
    """Endlessly fresh training pictures; batch number i is the same in every run."""

    def __init__(self, made_of: images.Source, stage: Stage, seed: tuple[int, ...]) -> None:
        super().__init__(workers=1, use_multiprocessing=False, max_queue_size=16)
        self.made_of, self.stage, self.seed = made_of, stage, seed

    def __len__(self) -> int:
        return self.stage.steps

    def __getitem__(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """(batch, size, size, 3) float32 preprocessed, (batch,) labels."""
        rng = np.random.default_rng((*self.seed, number))
        chosen = rng.integers(len(self.made_of.labels), size=self.stage.batch)
        made = [images.compose(self.made_of, int(index), rng) for index in chosen]
        pixels = resized(np.stack([as_stored(picture.pixels) for picture in made]))
        seen = [self.window(one, picture.centre, rng) for one, picture in zip(pixels, made, strict=True)]
        return preprocess(np.stack(seen)), np.array([picture.label for picture in made])

    def window(self, pixels: np.ndarray, centre: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
        """A window (size, size, 3) of a picture (224, 224, 3) with the labelled digit somewhere inside it."""
        size = self.stage.size
        slack = max(6, size // 2 - 32)
        middle = (centre[0] * SIZE // images.WIDTH, centre[1] * SIZE // images.HEIGHT)
        left, top = (
            int(np.clip(at - size // 2 + rng.integers(-slack, slack + 1), 0, SIZE - size)) for at in middle
        )
        return pixels[top : top + size, left : left + size]


def preprocess(pixels: np.ndarray) -> np.ndarray:
    """uint8 pixels -> float32 as Keras' DenseNets expect them."""
    return keras.applications.densenet.preprocess_input(pixels.astype(np.float32))


def densenet(size: int) -> keras.Model:
    """The stock network with fresh weights."""
    return keras.applications.DenseNet121(
        weights=None, input_shape=(size, size, 3), classes=len(images.LABELS), classifier_activation="softmax"
    )


def train(stage: Stage, number: int, weights: list[np.ndarray], made_of: images.Source) -> list[np.ndarray]:
    """Run one stage from the weights of the one before it."""
    model = densenet(stage.size)
    if weights:
        model.set_weights(weights)
    rate = keras.optimizers.schedules.CosineDecay(
        stage.rate / 20, stage.steps, warmup_target=stage.rate, warmup_steps=stage.steps // 20, alpha=0.01
    )
    optimizer = keras.optimizers.AdamW(rate, weight_decay=0.01)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(Batches(made_of, stage, (SEED, number)), verbose=2, callbacks=[Progress(stage)])
    return model.get_weights()


class Progress(keras.callbacks.Callback):
    """A line every 50 steps: the metrics since the line before it, and the time taken."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self.stage, self.started = stage, time.monotonic()

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        if (batch + 1) % 50 == 0 and logs:
            figures = f"loss {logs['loss']:.3f} accuracy {logs['accuracy']:.3f}"
            place = f"{self.stage.size}x{self.stage.size} step {batch + 1}/{self.stage.steps}"
            print(f"{place} {figures} {time.monotonic() - self.started:.0f} s", flush=True)
            self.model.reset_metrics()


def settle(model: keras.Model, made_of: images.Source) -> None:
    """Replace the batch norms' moving statistics by means over whole pictures.

    With Keras' momentum of 0.99 they still remember the smaller windows after the few steps at 224x224.
    """
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    for norm in norms:
        norm.momentum = 0.0  # each pass leaves its own batch's statistics
    forward = tf.function(lambda x: model(x, training=True))
    batches = Batches(made_of, Stage(SIZE, SETTLING_BATCHES, 32, 0.0), (SEED, 99))
    seen = []
    for number in range(SETTLING_BATCHES):
        forward(tf.constant(batches[number][0]))
        seen.append([(norm.moving_mean.numpy(), norm.moving_variance.numpy()) for norm in norms])
    for norm, statistics in zip(norms, zip(*seen, strict=True), strict=True):
        norm.moving_mean.assign(np.mean([mean for mean, _ in statistics], axis=0))
        norm.moving_variance.assign(np.mean([variance for _, variance in statistics], axis=0))


def stored_test_set(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """The 1,000 held-out files: (1000, 224, 224, 3) uint8, (1000,) labels."""
    files = sorted(folder.glob("*/*.jpg"))
    pixels = np.stack([np.asarray(Image.open(file)) for file in files])
    return resized(pixels), np.array([images.LABELS.index(file.parent.name) for file in files])


def accuracy(model: keras.Model, pixels: np.ndarray, labels: np.ndarray) -> float:
    """The share of pictures (n, 224, 224, 3) uint8 whose likeliest class is their label (n,)."""
    parts = [preprocess(pixels[start : start + 50]) for start in range(0, len(pixels), 50)]
    scores = np.concatenate([model.predict_on_batch(part) for part in parts])
    return float(np.mean(scores.argmax(axis=1) == labels))


def finished(weights: list[np.ndarray], made_of: images.Source) -> keras.Model:
    """The model to keep: stock, float32, without a trace of the training."""
    settled = densenet(SIZE)
    settled.set_weights(weights)
    settle(settled, made_of)
    model = densenet(SIZE)
    model.set_weights(settled.get_weights())
    return model


def stage_weights(folder: Path, made_of: images.Source) -> list[np.ndarray]:
    """Train every stage that left no weights in the folder, and return the last one's."""
    weights: list[np.ndarray] = []
    for number, stage in enumerate(STAGES):
        kept = folder / f"stage-{number}.npz"
        if kept.exists():
            with np.load(kept) as arrays:
                weights = list(arrays.values())
            continue
        weights = train(stage, number, weights, made_of)
        np.savez(kept, *weights)
    return weights


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the digits example's DenseNet121.")
    parser.add_argument("folder", type=Path, help="where images, stages and digits.keras go")
    folder = parser.parse_args().folder
    started = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(SEED)
    images.write(folder / "images")
    made_of = images.source(held_out=False)
    made_of = images.Source(made_of.digits, made_of.labels, recoloured(made_of.photographs))
    model = finished(stage_weights(folder, made_of), made_of)
    model.save(folder / "digits.keras")
    digest = hashlib.sha256((folder / "digits.keras").read_bytes()).hexdigest()
    (folder / "digits.keras.sha256").write_text(f"{digest}  digits.keras\n")
    score = accuracy(model, *stored_test_set(folder / "images" / "test"))
    minutes = (time.monotonic() - started) / 60
    print(f"{score:.1%} of 1,000 held-out images at 224x224, after {minutes:.0f} minutes")


if __name__ == "__main__":
    main()
