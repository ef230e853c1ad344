"""Feature maps of a trained model as pictures: early layers show edges and colours, late ones parts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from edgedense.converters.explain import Model, batches, stages, tensor_of
from edgedense.converters.network.evaluate import evaluate
from edgedense.errors import EdgedenseError
from edgedense.explanations import colormap
from edgedense.explanations.contact_sheet import Row, sheet
from edgedense.explanations.explanation import shown, write
from edgedense.images.in_memory import Picture
from edgedense.images.preprocessing import Floats, Pixels

SHOWN, COLUMNS = 16, 8  # channels of each layer: those that vary most over the picture
_SIDE, _GAP = 96, 4  # pixels of a map's longer side, and between two maps


@dataclass(frozen=True)
class Features:
    """A picture and the feature maps [h, w, channels] that it has, by layer; `path` and `name` as in Explanation."""

    path: Picture
    picture: Pixels
    maps: tuple[tuple[str, Floats], ...]
    name: str = ""

    def save(self, folder: Path | str) -> list[Path]:
        """Write NAME-features.png below `folder`, and return its path. Raises EdgedenseError when that fails."""
        return write(files(self, self.name), Path(folder))


def feature_maps(
    model: Model,
    paths: Sequence[Picture],
    layers: Sequence[str] = (),
    unreadable: Callable[[EdgedenseError], None] | None = None,
) -> Iterator[Features]:
    """The feature maps of `layers` (names of `explain.tensor_of`), by default of the stem, each dense block, each
    transition and the last. `unreadable` as in `explain.explain`."""
    tensors = {name: tensor_of(model.program, name) for name in layers or stages(model.program)}
    last = max(tensors.values(), key=[op.output for op in model.program.ops].index)
    for batch in batches(model, paths, unreadable):
        values: dict[str, np.ndarray] = {}
        evaluate(model.program, np.stack([item.pixels for item in batch]), values.__setitem__, tensors.values(), last)
        for i, item in enumerate(batch):
            yield Features(item.path, item.picture, tuple((name, values[t][i]) for name, t in tensors.items()))


def files(features: Features, name: str) -> Iterator[tuple[str, bytes]]:
    """NAME-features.png: the picture, and below it of each layer the channels that vary most."""
    picture = shown(features.picture)
    rows = [Row(features.path.name, (picture,))]
    for layer, values in features.maps:
        height, width, channels = values.shape
        order = np.argsort(-values.std(axis=(0, 1)), kind="stable")[:SHOWN]
        title = f"{layer}: {len(order)} of {channels} channels, {height}x{width}"
        rows.append(Row(title, (_grid([_panel(values[..., c]) for c in order]),)))
    yield f"{name}-features.png", colormap.png(sheet(rows, "each map from its lowest value to its highest"))


def _panel(values: Floats) -> Pixels:
    """[h, w] -> uint8 [H, W, 3], cells as squares: a map is shown at its own resolution."""
    span = float(np.ptp(values))
    coloured = colormap.colours((values - values.min()) / span if span > 0 else np.zeros_like(values))
    scale = _SIDE / max(values.shape)
    size = (max(1, round(values.shape[1] * scale)), max(1, round(values.shape[0] * scale)))
    return np.asarray(Image.fromarray(coloured).resize(size, Image.Resampling.NEAREST))


def _grid(panels: Sequence[Pixels]) -> Pixels:
    """Panels of one size in rows of COLUMNS, on white."""
    height, width = panels[0].shape[:2]
    rows = -(-len(panels) // COLUMNS)
    columns = min(COLUMNS, len(panels))
    sheet_size = (rows * (height + _GAP) - _GAP, columns * (width + _GAP) - _GAP, 3)
    result = np.full(sheet_size, 255, np.uint8)
    for i, panel in enumerate(panels):
        top, left = i // COLUMNS * (height + _GAP), i % COLUMNS * (width + _GAP)
        result[top : top + height, left : left + width] = panel
    return result
