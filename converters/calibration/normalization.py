"""Which preprocessing the model was trained with: composed into the network, and checked against labelled pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import get_args

import numpy as np

from edgedense.converters.network.graph import Affine, DenseNet
from edgedense.converters.options import Resizing
from edgedense.errors import EdgedenseError
from edgedense.images import fitting
from edgedense.images.depth import chosen as chosen_depth
from edgedense.images.fitting import Fit
from edgedense.images.in_memory import Picture
from edgedense.images.preprocessing import NORMALIZATIONS, Channels, Normalization, Pixels, Preprocessing, load_image
from edgedense.images.resizing import Resize
from edgedense.images.steps import Pad, Size, Step
from edgedense.measures.metrics import binomial_sign_test, predicted

GREY_BORDER = 0.5  # levels by which the colours of a border may differ and still be one grey level
SIGNIFICANT = 0.01  # McNemar's p below which another choice is better by more than chance

Score = Callable[[Pixels, Normalization], np.ndarray]  # pixels [B, H, W, C] -> scores [B, classes]


def compose(network: DenseNet, normalize: Normalization) -> DenseNet:
    """`network` on raw pixels: (pixel - mean) / std outside, then what the model itself does.

    Where the trained model takes one channel, `normalize` is one of ONE_CHANNEL, with the same numbers for all.
    """
    count = network.entering
    mean, std = (np.resize(values, count) for values in NORMALIZATIONS[normalize])
    inside = network.normalization or Affine(np.ones(count), np.zeros(count))
    return replace(network, normalization=Affine(inside.scale / std, inside.shift - inside.scale * mean / std))


def preprocessing(
    size: Size,
    steps: Sequence[Step],
    normalize: Normalization,
    resizing: Resizing,
    trained: Size | None = None,
    channels: Channels = 3,
) -> Preprocessing:
    """How a picture becomes the input of a deployed file: to the `size` that the model takes, then through the `steps`
    that the model itself takes, whose borders are in the units of the model's input. `channels` are those of the file's
    input.

    `trained` is the size that the model was trained with, where that is another: `resizing` speaks of that one, and of
    a shorter side the same share is cut out. The depth "auto" becomes 8 here, until pictures are looked at
    (`depth.chosen`). Raises EdgedenseError where the model puts a border around pictures that
    no pixel can have, or what `resizing` says does not go together.
    """
    fit, shorter_side = fitting.chosen(trained or size, resizing.fit, resizing.shorter_side, resizing.crop_fraction)
    if trained is not None and shorter_side is not None:
        shorter_side = max(*size, round(shorter_side * max(size) / max(trained)))
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
        if channels == 1 and np.ptp(fill) > GREY_BORDER:
            raise EdgedenseError(
                "a border of one grey level for --input-channels 1",
                f"the model's own, of {', '.join(f'{value:.4g}' for value in fill)} with --preprocess {normalize}",
                "leave --input-channels out: the file then takes RGB pictures, grey ones too",
            )
        red, green, blue = fill.clip(0, 255).tolist()
        return replace(step, fill=(red, green, blue))

    inner = tuple(as_pixels(step) for step in steps)
    depth, _ = chosen_depth(resizing.depth, ())
    return Preprocessing(*size, normalize, resizing.resize, resizing.exif, inner, fit, shorter_side, channels, depth)


def normalized(pixels: Pixels, normalize: Normalization) -> np.ndarray:
    """What the trained model's reference is given: float32 [B, H, W, 3], of grey `pixels` [B, H, W, 1] three times the
    channel. (`readers.grey` makes one channel of it again.)"""
    mean, std = (np.array(values, np.float32) for values in NORMALIZATIONS[normalize])
    return (pixels.astype(np.float32) - mean) / std


@dataclass(frozen=True)
class BetterChoice:
    """Another preprocessing that the float model does better with, on the same labelled pictures."""

    preprocessing: Preprocessing
    accuracy: float
    accuracy_in_force: float
    p_value: float

    @property
    def options(self) -> str:
        """What to type for it."""
        p = self.preprocessing
        fit = f"--fit {p.fit}" if p.shorter_side is None else f"--shorter-side {p.shorter_side}"
        return f"--preprocess {p.normalize} --resize {p.resize} {fit}"

    def describe(self) -> str:
        """One clause for the user."""
        return (
            f"{self.options} scores {100 * self.accuracy:.1f} % where the choice "
            f"in force scores {100 * self.accuracy_in_force:.1f} % (McNemar p = {self.p_value:.1g})"
        )


def better_choice(
    in_force: Preprocessing,
    scores: np.ndarray,
    paths: tuple[Picture, ...],
    labels: np.ndarray,
    score: Score,
    normalizations: Sequence[Normalization] = get_args(Normalization),
) -> BetterChoice | None:
    """The best of the other choices that beats the one in force by more than chance, or None.

    `scores` [N, classes] are those of the choice in force, and `normalizations` those that the model can have had. A
    choice can only win pictures that the one in force gets wrong, so those are scored first, and the others only when
    enough were won for significance.
    """
    right = predicted(scores) == labels
    wrong, held = np.flatnonzero(~right), np.flatnonzero(right)
    best = None
    if binomial_sign_test(0, len(wrong)) >= SIGNIFICANT:
        return None
    for others in (_normalizations(normalizations), _geometries):
        for other in others(in_force if best is None else best.preprocessing):
            if other in (in_force, best and best.preprocessing):
                continue
            won = _right(other, wrong, paths, labels, score)
            if binomial_sign_test(0, int(won.sum())) >= SIGNIFICANT:
                continue
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
        f"{choice.options}, or --force to go on as you said",
    )


def _normalizations(possible: Sequence[Normalization]) -> Callable[[Preprocessing], list[Preprocessing]]:
    return lambda chosen: [replace(chosen, normalize=normalize) for normalize in possible]


def _geometries(chosen: Preprocessing) -> list[Preprocessing]:
    """What training code does most often with a picture's size: Keras' two loaders, torchvision's Resize with and
    without CenterCrop, and Keras' two options that keep the shape."""
    # Each costs the reading and scoring of the pictures that are wrong. So they are tried with one normalization, the
    # best that was found before: a wrong one costs far more than any of these, and shows with all of them. Left out is
    # what is so near to another that 300 pictures do not tell them apart: the bicubic kernel, or a fraction of 0.95.
    tried: list[tuple[Resize, Fit, int | None]] = [
        ("bilinear", "stretch", None),
        ("nearest", "stretch", None),
        ("pil-bilinear", "crop", fitting.fraction_of((chosen.height, chosen.width), 0.875)),
        ("pil-bilinear", "stretch", None),
        ("bilinear", "crop", None),
        ("bilinear", "pad", None),
    ]
    return [replace(chosen, resize=resize, fit=fit, shorter_side=side) for resize, fit, side in tried]


def _right(
    preprocessing: Preprocessing, indices: np.ndarray, paths: tuple[Picture, ...], labels: np.ndarray, score: Score
) -> np.ndarray:
    if not indices.size:
        return np.zeros(0, bool)
    pixels = np.stack([load_image(paths[i], preprocessing) for i in indices])
    return predicted(score(pixels, preprocessing.normalize)) == labels[indices]
