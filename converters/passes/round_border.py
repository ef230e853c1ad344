"""The border around the picture becomes whole pixels: the one step that is not exact."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgedense.converters.network.graph import DenseNet


def round_border(network: DenseNet) -> DenseNet:
    """Round the border's pixel values, by at most half a level of 255, so that it joins the uint8 picture."""
    border = network.first.border
    if border is None:
        return network
    return network.with_first(replace(network.first, border=np.round(border)))
