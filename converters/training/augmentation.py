"""What training does to its pictures, so that no two epochs see the same."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from edgedense.flags import Flag

Flip = Literal["none", "horizontal", "vertical", "both"]
VARIED = "How training pictures are varied at random"


@dataclass(frozen=True)
class Augmentation:
    """Largest changes; 0 leaves them out. `rotation` in degrees; `shift` and `zoom` as shares of the picture;
    `brightness` as a share of the pixel's value."""

    flip: Annotated[
        Flip,
        Flag("Mirror them. Choose a direction in which a mirrored picture is still of the same class.", panel=VARIED),
    ] = "none"
    rotation: Annotated[
        float, Flag("Turn them by up to this many degrees.", panel=VARIED, metavar="DEGREES", minimum=0, maximum=180)
    ] = 10.0
    shift: Annotated[
        float,
        Flag("Move them by up to this share of their size.", panel=VARIED, metavar="SHARE", minimum=0, maximum=0.5),
    ] = 0.05
    zoom: Annotated[
        float,
        Flag("Enlarge or shrink them by up to this share.", panel=VARIED, metavar="SHARE", minimum=0, maximum=0.9),
    ] = 0.1
    brightness: Annotated[
        float,
        Flag("Make them brighter or darker by up to this share.", panel=VARIED, metavar="SHARE", minimum=0, maximum=1),
    ] = 0.1


def augment(pixels: Any, seed: Any, options: Augmentation) -> Any:
    """uint8 [B, H, W, 3] -> float32 of the same shape, 0 to 255. The same seed [2] gives the same changes.

    What comes in from outside is the nearest pixel of the border, as in Keras' ImageDataGenerator.
    """
    import tensorflow as tf

    images = tf.cast(pixels, tf.float32)
    count = tf.shape(images)[0]
    draws = tf.random.stateless_uniform([7, count], seed, -1.0, 1.0)
    if options.flip in ("horizontal", "both"):
        images = tf.where((draws[0] > 0)[:, None, None, None], tf.reverse(images, [2]), images)
    if options.flip in ("vertical", "both"):
        images = tf.where((draws[1] > 0)[:, None, None, None], tf.reverse(images, [1]), images)
    if options.rotation or options.shift or options.zoom:
        height, width = images.shape[1], images.shape[2]
        images = tf.raw_ops.ImageProjectiveTransformV3(
            images=images,
            transforms=_transforms(draws[2:6], height, width, options),
            output_shape=tf.constant([height, width], tf.int32),
            fill_value=0.0,
            interpolation="BILINEAR",
            fill_mode="NEAREST",
        )
    if options.brightness:
        images *= (1 + options.brightness * draws[6])[:, None, None, None]
    return tf.clip_by_value(images, 0.0, 255.0)


def _transforms(draws: Any, height: int, width: int, options: Augmentation) -> Any:
    """[B, 8]: where each output pixel (x, y) is taken from, (a x + b y + c, d x + e y + f), around the middle."""
    import tensorflow as tf

    angle = draws[0] * math.radians(options.rotation)
    scale = 1 / (1 + options.zoom * draws[1])
    cos, sin = scale * tf.cos(angle), scale * tf.sin(angle)
    x, y = (width - 1) / 2, (height - 1) / 2
    across = x - cos * x + sin * y + draws[2] * options.shift * width
    down = y - sin * x - cos * y + draws[3] * options.shift * height
    nothing = tf.zeros_like(angle)
    return tf.stack([cos, -sin, across, sin, cos, down, nothing, nothing], axis=1)
