"""Which preprocessing the model was trained with: composed into the network, and checked against labelled pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import get_args

import numpy as np

from edgedense.converters.network.graph import Affine, DenseNet
from edgedense.errors import EdgedenseError
from edgedense.images.in_memory import Picture
from edgedense.images.preprocessing import (
    NORMALIZATIONS,
    Exif,
    Normalization,
    Pixels,
    Preprocessing,
    Resize,
    load_image,
)
from edgedense.images.steps import Pad, Size, Step
from edgedense.measures.metrics import binomial_sign_test, predicted

SIGNIFICANT = 0.01  # McNemar's p below which another choice is better by more than chance

Score = Callable[[Pixels, Normalization], np.ndarray]  # pixels [B, H, W, 3] -> scores [B, classes]


def compose(network: DenseNet, normalize: Normalization) -> DenseNet:
    """`network` on raw pixels: (pixel - mean) / std outside, then what the model itself does."""
    mean, std = (np.array(values) for values in NORMALIZATIONS[normalize])
    inside = network.normalization or Affine(np.ones(3), np.zeros(3))
    return replace(network, normalization=Affine(inside.scale / std, inside.shift - inside.scale * mean / std))


def preprocessing(
    size: Size, steps: Sequence[Step], normalize: Normalization, resize: Resize, exif: Exif
) -> Preprocessing:
    """How a picture becomes the input of a deployed file: to the `size` that the trained model takes, then through the
    `steps` that the model itself takes, whose borders are in the units of the model's input.

    Raises EdgedenseError where the model puts a border around pictures that no pixel can have.
    """
    mean, std = NORMALIZATIONS[normalize]

    def as_pixels(step: Step) -> Step:
        if not isinstance(step, Pad):
            return step
        fill = np.array(step.fill) * std + mean
        if (np.rint(fill) < 0).any() or (np.rint(fill) > 255).any():
            raise EdgedenseError(
                "a border within black and white (0 to 255)",
                f"the model's own, of {', '.join(f'{value:.4g}' for value in fill)} with --preprocess {normalize}",
                "the --preprocess that the model was trained with, or another fill_value",
            )
        red, green, blue = fill.clip(0, 255).tolist()
        return replace(step, fill=(red, green, blue))

    return Preprocessing(*size, normalize, resize, exif, tuple(as_pixels(step) for step in steps))


def normalized(pixels: Pixels, normalize: Normalization) -> np.ndarray:
    """What the Keras model is given: float32 [B, H, W, 3]."""
    mean, std = (np.array(values, np.float32) for values in NORMALIZATIONS[normalize])
    return (pixels.astype(np.float32) - mean) / std


@dataclass(frozen=True)
class BetterChoice:
    """Another preprocessing that the float model does better with, on the same labelled pictures."""

    preprocessing: Preprocessing
    accuracy: float
    accuracy_in_force: float
    p_value: float

    def describe(self) -> str:
        """One clause for the user."""
        p = self.preprocessing
        return (
            f"--preprocess {p.normalize} --resize {p.resize} scores {100 * self.accuracy:.1f} % where the choice "
            f"in force scores {100 * self.accuracy_in_force:.1f} % (McNemar p = {self.p_value:.1g})"
        )


def better_choice(
    in_force: Preprocessing, scores: np.ndarray, paths: tuple[Picture, ...], labels: np.ndarray, score: Score
) -> BetterChoice | None:
    """The best of the other choices that beats the one in force by more than chance, or None.

    `scores` [N, classes] are those of the choice in force. A choice can only win pictures that the one in force gets
    wrong, so those are scored first, and the others only when enough were won for significance.
    """
    right = predicted(scores) == labels
    wrong = np.flatnonzero(~right)
    best = None
    for other in _others(in_force):
        if binomial_sign_test(0, len(wrong)) >= SIGNIFICANT:
            break
        won = _right(other, wrong, paths, labels, score)
        if binomial_sign_test(0, int(won.sum())) >= SIGNIFICANT:
            continue
        held = np.flatnonzero(right)
        lost = ~_right(other, held, paths, labels, score)
        p = binomial_sign_test(int(lost.sum()), int(won.sum()))
        accuracy = (right.sum() + won.sum() - lost.sum()) / len(labels)
        if p < SIGNIFICANT and won.sum() > lost.sum() and (best is None or accuracy > best.accuracy):
            best = BetterChoice(other, float(accuracy), float(right.mean()), p)
    return best


def refuse(choice: BetterChoice) -> EdgedenseError:
    """The error that stops a conversion whose preprocessing is not the training's."""
    return EdgedenseError(
        "the preprocessing that the model was trained with",
        choice.describe(),
        f"--preprocess {choice.preprocessing.normalize} --resize {choice.preprocessing.resize}, "
        "or --force to go on as you said",
    )


def _others(in_force: Preprocessing) -> Iterator[Preprocessing]:
    for normalize in get_args(Normalization):
        for resize in get_args(Resize):
            other = replace(in_force, normalize=normalize, resize=resize)
            if other != in_force:
                yield other


def _right(
    preprocessing: Preprocessing, indices: np.ndarray, paths: tuple[Picture, ...], labels: np.ndarray, score: Score
) -> np.ndarray:
    if not indices.size:
        return np.zeros(0, bool)
    pixels = np.stack([load_image(paths[i], preprocessing) for i in indices])
    return predicted(score(pixels, preprocessing.normalize)) == labels[indices]
