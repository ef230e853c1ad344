"""The border around the picture becomes whole pixels: the one step that is not exact."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgedense.converters.network.graph import DenseNet


def round_border(network: DenseNet) -> DenseNet:
    """Round the border's pixel values, by at most half a level of 255, so that it joins the uint8 picture."""
    border = network.stem.border
    if border is None:
        return network
    return replace(network, stem=replace(network.stem, border=np.round(border)))
