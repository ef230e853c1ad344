"""Does `edgedense run --monitor` keep quiet where nothing changes, and speak up where something does?

    python benchmarks/monitor.py MODEL.tflite --data DIR [--threads N]

DIR holds photographs in one sub-folder per class, or is a table (.csv) of file names and labels. They are
halved: everything in the monitor (window, bins, rates) was fixed by looking at the first half, the figures of
the second half are the result. Each half is halved again: one part to learn from, the other for the field.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from edgedense.cli.bars import bars
from edgedense.device import Classifier
from edgedense.device.monitor.drift import Monitor
from edgedense.images.pictures import find_classes
from edgedense.images.preprocessing import load_image
from edgedense.progress import progress

Stream = Iterator[tuple[np.ndarray, np.ndarray, float | None]]  # scores, picture, time in seconds
SPACING = 6.0  # seconds between photographs where they come with a time


def darken(factor: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda image: np.rint(image * factor).astype(np.uint8)


def blur(sigma: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda image: np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(sigma)))


def feed(monitor: Monitor, stream: Stream) -> list[tuple[int, str]]:
    """(after how many images, what) of each alert."""
    alerts = []
    for number, (scores, image, time) in enumerate(stream, start=1):
        if alert := monitor.update(scores, image, time):
            alerts.append((number, alert.message))
    return alerts


class Field:
    """Photographs of one half, scored on demand."""

    def __init__(self, classifier: Classifier, images: np.ndarray, labels: np.ndarray, scores: np.ndarray) -> None:
        self.classifier, self.images, self.labels, self.scores = classifier, images, labels, scores

    def photos(self, order: np.ndarray, change: Callable[[np.ndarray], np.ndarray] | None = None) -> Stream:
        for i in order:
            image = self.images[i] if change is None else change(self.images[i])
            yield self.scores[i] if change is None else self.classifier.classify(image), image, None

    def day_and_night(self, order: np.ndarray, cycle: int, start: float) -> Stream:
        """Photographs under light that goes from full to 15 % and back once per `cycle` photographs."""
        for number, i in enumerate(order):
            light = 0.575 + 0.425 * np.cos(2 * np.pi * number / cycle)
            image = darken(light)(self.images[i])
            yield self.classifier.classify(image), image, start + number * SPACING

    def still_day(self, index: int, days: float, rng: np.random.Generator, start: float) -> Stream:
        """One scene with sensor noise, a frame each minute, under light that goes from full to 15 % and
        back each day."""
        for number in range(int(days * 1440)):
            light = 0.575 + 0.425 * np.cos(2 * np.pi * number / 1440)
            noisy = self.images[index] * light + rng.normal(0, 6, self.images[index].shape)
            frame = np.clip(np.rint(noisy), 0, 255).astype(np.uint8)
            yield self.classifier.classify(frame), frame, start + 60.0 * number

    def static(self, index: int, seconds: float, rng: np.random.Generator, start: float, noise: float = 6.0) -> Stream:
        """One picture ten times a second, with sensor noise of `noise` levels. Scored once a second: what
        comes between is never sampled."""
        for number in range(int(seconds * 10)):
            image = np.clip(np.rint(self.images[index] + rng.normal(0, noise, self.images[index].shape)), 0, 255)
            frame = image.astype(np.uint8)
            if number % 10 == 0:
                scores = self.classifier.classify(frame)
            yield scores, frame, start + number / 10


def learned(classifier: Classifier, stream: Stream, **options: float) -> Monitor:
    monitor = Monitor(classifier.labels, **options)
    feed(monitor, stream)
    if monitor.learning:
        monitor.finish_learning()
    return monitor


def trial(name: str, half: Field, rng: np.random.Generator, orders: int) -> None:
    count = len(half.images)
    shuffled = rng.permutation(count)
    home, field = shuffled[: count // 5], shuffled[count // 5 :][:2000]
    quiet = [
        feed(learned(half.classifier, half.photos(home)), half.photos(rng.permutation(field))) for _ in range(orders)
    ]
    alerts = list(chain.from_iterable(quiet))
    said(name, f"{len(field)} photographs as learned, {orders} random orders", alerts, expected=False)

    monitor = learned(half.classifier, half.photos(home))
    start = 0.0
    said(
        name,
        "10 minutes of a static scene, learned on photographs",
        feed(monitor, half.static(int(field[0]), 600, rng, start)),
        expected=False,
    )
    monitor = learned(
        half.classifier, half.static(int(field[0]), 7200, rng, start), learn_seconds=0, learn_samples=200, interval=1.0
    )
    said(
        name,
        "10 minutes of a static scene, learned on itself, sampled each second",
        feed(monitor, half.static(int(field[0]), 600, rng, 7200)),
        expected=False,
    )

    cycle = 800
    monitor = learned(
        half.classifier,
        half.day_and_night(rng.choice(shuffled, 2 * cycle), cycle, 0),
        learn_seconds=0,
        learn_samples=2 * cycle,
    )
    said(
        name,
        "two days and nights, two others learned",
        feed(monitor, half.day_and_night(rng.choice(shuffled, 2 * cycle), cycle, 2 * cycle * SPACING)),
        expected=False,
    )
    said(
        name, "the same, then a blurred lens (sigma 3)", feed(monitor, half.photos(field[:200], blur(3))), expected=True
    )

    for index in field[:3]:
        monitor = learned(half.classifier, half.still_day(int(index), 2, rng, 0))
        said(
            name,
            "one scene for two days and nights, two others learned",
            feed(monitor, half.still_day(int(index), 2, rng, 2 * 86400)),
            expected=False,
        )

    one = np.flatnonzero(half.labels == half.labels[field[0]])
    mostly = np.where(rng.random(200) < 0.8, rng.choice(one, 200), rng.choice(field, 200))
    for what, stream in {
        "brightness falls by half": lambda: half.photos(field[500:700], darken(0.5)),
        "the lens blurs (sigma 3)": lambda: half.photos(field[500:700], blur(3)),
        "80 % of images from one class": lambda: half.photos(mostly),
    }.items():
        monitor = learned(half.classifier, half.photos(home))
        before = feed(monitor, half.photos(field[:500]))
        said(name, f"{what}, after 500 as learned", feed(monitor, stream()), expected=True)
        said(name, "  (the 500 before)", before, expected=False)


def said(half: str, what: str, alerts: list[tuple[int, str]], *, expected: bool) -> None:
    verdict = "ok   " if bool(alerts) is expected else "WRONG"
    print(
        f"{verdict} {half}: {what}: "
        + (f"alert after {alerts[0][0]} images: {alerts[0][1]}" if alerts else "no alert"),
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--orders", type=int, default=20)
    parser.add_argument("--half", choices=("first", "second", "both"), default="both")
    arguments = parser.parse_args()
    paths, labels, _ = find_classes(arguments.data)
    with Classifier(arguments.model, threads=arguments.threads) as classifier, progress("scoring", len(paths)) as tick:
        images, scores = [], []
        for path in paths:
            images.append(load_image(path, classifier.preprocessing))
            scores.append(classifier.classify(images[-1]))
            tick(1)
        halves = np.random.default_rng(0).permutation(len(paths)) % 2
        for number, name in enumerate(("first", "second")):
            if arguments.half in (name, "both"):
                mine = halves == number
                half = Field(classifier, np.stack(images)[mine], labels[mine], np.stack(scores)[mine])
                trial(name, half, np.random.default_rng(number), arguments.orders)


if __name__ == "__main__":
    with bars():
        main()
