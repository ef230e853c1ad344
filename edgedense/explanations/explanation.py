"""What a model looked at in one picture, and the files that show it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from edgedense.errors import EdgedenseError
from edgedense.explanations import colormap
from edgedense.explanations.contact_sheet import Row, sheet
from edgedense.files import write_atomically
from edgedense.images.in_memory import Picture
from edgedense.images.masks import Mask, read_mask
from edgedense.images.pictures import names as picture_names
from edgedense.images.preprocessing import Floats, Pixels, Preprocessing, open_picture, prepare
from edgedense.measures.masks import share_inside

_SMALLEST, _LARGEST = 224, 1024  # pixels of a shown picture's longer side
_DETAILED = 4 * _LARGEST  # pixels from which on a picture is thinned out before it is made smaller
_SCALE = "from no evidence for the class to its peak, which is in units of the logit"


@dataclass(frozen=True)
class Heat:
    """Where the evidence for one class is: `values` float32 [h, w] >= 0, over the whole picture; the class's score.

    `is_value`: the score is no probability, and the evidence is what raises it.
    """

    label: str
    score: float
    values: Floats
    is_value: bool = False

    @property
    def said(self) -> str:
        """The score for people."""
        return f"{self.score:.4g}" if self.is_value else f"{self.score:.1%}"


@dataclass(frozen=True)
class Loaded:
    """A picture for people, uint8 [H, W, 3], which is the part that the model sees; and as the model sees it, with its
    mask in the same place, bool [height, width], where it has one."""

    path: Picture
    picture: Pixels
    pixels: Pixels
    mask: Mask | None = None


@dataclass(frozen=True)
class Explanation:
    """What a model saw of a picture, uint8 [H, W, 3] at the picture's own size unless that is more than anybody looks
    at, and a heatmap for each class that was asked for.

    `path` is where it came from; `name` is a file name without a suffix, different for different pictures. `mask`, bool
    [h, w] over the whole picture, is what people have marked in it.
    """

    path: Picture
    picture: Pixels
    heats: tuple[Heat, ...]
    name: str = ""
    mask: Mask | None = None

    def beside_mask(self, heat: Heat) -> str:
        """How much of one of the heatmaps is inside the mask, in words; nothing without a mask."""
        if self.mask is None:
            return ""
        share = share_inside(colormap.enlarged(heat.values, *self.mask.shape), self.mask)
        return f"{share:.0%} inside the mask, which covers {self.mask.mean():.1%}"

    def save(self, folder: Path | str) -> list[Path]:
        """Write PNG files below `folder`, and return their paths: of each class NAME-LABEL-heatmap.png and
        NAME-LABEL-overlay.png, and at last NAME-explained.png with everything side by side. The mask's outline is drawn
        on each.

        Raises EdgedenseError when they cannot be written.
        """
        return write(files(self, self.name), Path(folder))


def class_numbers(wanted: Sequence[str], labels: Sequence[str]) -> tuple[int, ...]:
    """The numbers of the classes called `wanted`. EdgedenseError where a label is unknown."""
    unknown = [name for name in wanted if name not in labels]
    if unknown:
        shown = ", ".join(labels[:12]) + (f" and {len(labels) - 12} more" if len(labels) > 12 else "")
        raise EdgedenseError(f"a class of the model: {shown}", unknown[0], "--class LABEL as the model has it")
    return tuple(labels.index(name) for name in dict.fromkeys(wanted))


def pictures(
    paths: Sequence[Picture],
    preprocessing: Preprocessing,
    unreadable: Callable[[EdgedenseError], None] | None,
    masks: Mapping[Picture, Path] | None = None,
) -> Iterator[Loaded]:
    """Each picture, decoded once, with its mask among `masks`. `unreadable` is called for one that cannot be read;
    without it that raises."""
    p = preprocessing
    for path in paths:
        try:
            with open_picture(path, p.exif, p.depth) as decoded:
                size = decoded.height, decoded.width
                mask = read_mask(masks[path], size, p) if masks else None
                shown = decoded.shown(_DETAILED, p.window(size), p.background)
                loaded = Loaded(path, shown, prepare(decoded, p), mask)
        except EdgedenseError as error:
            if unreadable is None:
                raise
            unreadable(error)
            continue
        yield loaded


def files(explanation: Explanation, name: str) -> Iterator[tuple[str, bytes]]:
    """(file name, PNG) of each picture to write: NAME-explained.png with everything side by side, and of each class
    NAME-LABEL-heatmap.png and NAME-LABEL-overlay.png. None is called NAME.png, which may be the picture itself."""
    picture, mask = shown(explanation.picture), explanation.mask
    rows = []
    slugs = _slugs([heat.label for heat in explanation.heats])
    for heat, slug in zip(explanation.heats, slugs, strict=True):
        share = colormap.relative(heat.values)
        coloured = colormap.colours(colormap.enlarged(share, *picture.shape[:2]))
        laid_over = colormap.overlay(picture, share)
        panels = tuple(
            panel if mask is None else colormap.outlined(panel, mask) for panel in (picture, coloured, laid_over)
        )
        yield f"{name}-{slug}-heatmap.png", colormap.png(panels[1])
        yield f"{name}-{slug}-overlay.png", colormap.png(panels[2])
        peak = f"peak {heat.values.max():.2g}" if share.any() else "no evidence"
        said = ", ".join(filter(None, (heat.said, peak, explanation.beside_mask(heat))))
        rows.append(Row(f"{heat.label}  {said}", panels))
    yield f"{name}-explained.png", colormap.png(sheet(rows, _SCALE))


def shown(picture: Pixels) -> Pixels:
    """The picture at a size to look at: its longer side between 224 and 1024 pixels."""
    longer = max(picture.shape[:2])
    wanted = min(max(longer, _SMALLEST), _LARGEST)
    if wanted == longer:
        return picture
    height, width = (max(1, round(side * wanted / longer)) for side in picture.shape[:2])
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BILINEAR))


def write(contents: Iterator[tuple[str, bytes]], folder: Path) -> list[Path]:
    """Write files named by `contents` below `folder`, making folders where needed; the paths, in order."""
    written = []
    for name, data in contents:
        path = folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise EdgedenseError(
                f"a folder to write {path.name} in", f"{path.parent}: {error.strerror}", "--out DIR"
            ) from error
        write_atomically(path, data)
        written.append(path)
    return written


def names(paths: Sequence[Picture]) -> list[str]:
    """A file name for each picture, without a suffix, with the folders below the one that all have in common, and
    different for different pictures."""
    whole = picture_names(paths)
    stems = [Path(name).with_suffix("").as_posix() for name in whole]
    counts = Counter(stems)
    return [name if counts[stem] > 1 else stem for name, stem in zip(whole, stems, strict=True)]


def _slugs(labels: Sequence[str]) -> list[str]:
    """Labels as parts of file names; numbered where two would be the same."""
    plain = [re.sub(r"[^\w.+-]+", "_", label).strip("_.") or "class" for label in labels]
    return [f"{slug}-{i}" if plain.count(slug) > 1 else slug for i, slug in enumerate(plain)]
