"""Between the channels that a trained model takes and those of the pictures that the deployed file is to take.

A reader returns a network of one channel as it is. Here it becomes one for RGB pictures, which it makes grey, unless
one channel is wanted. A network for RGB pictures becomes one for a grey channel by repeating that, which is how a grey
picture looks in RGB.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from edgedense.converters.readers.source import Batch, Reference, Source
from edgedense.images.decoding import GREY_SHARES
from edgedense.images.preprocessing import ONE_CHANNEL, Channels

SHARES = np.array(GREY_SHARES)  # as Pillow's mode "L" and TensorFlow's decoders take them for one channel


def fitted(source: Source, channels: Channels = 3) -> Source:
    """`source` as a reader returned it, with a network for pictures of so many channels.

    Its reference takes images [B, height, width, 3] whatever there were: a picture of one channel has that three times.
    How pixels were normalized outside has to be asked where the model takes one channel, unless its kind says it.
    """
    network = source.network
    if network.channels == 3:
        return source if channels == 3 else replace(source, network=replace(network, repeats=3))
    if channels == 3:
        network = replace(network, grey=SHARES)
    outside = source.outside if source.outside in ONE_CHANNEL else None
    return replace(source, network=network, reference=_Grey(source.reference), one_channel=True, outside=outside)


class _Grey:
    """The reference of a model of one channel, for images of three."""

    def __init__(self, reference: Reference) -> None:
        self._reference = reference

    def predict(self, batch: npt.ArrayLike) -> Batch:
        return self._reference.predict(_grey(batch))

    def logits(self, batch: npt.ArrayLike) -> Batch:
        return self._reference.logits(_grey(batch))


def _grey(batch: npt.ArrayLike) -> Batch:
    """[B, h, w, 3] -> [B, h, w, 1], in float and without rounding to levels. Three equal channels are that channel."""
    images = np.asarray(batch, np.float32)
    mixed = images @ SHARES.astype(np.float32)
    same = (images[..., 0] == images[..., 1]) & (images[..., 1] == images[..., 2])
    return np.where(same, images[..., 0], mixed)[..., None]
