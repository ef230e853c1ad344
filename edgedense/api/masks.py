"""Pictures with masks through the models that `validate` is given: do they look at what people have marked?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from edgedense.errors import EdgedenseError
from edgedense.explanations import colormap
from edgedense.explanations.explanation import Loaded, pictures
from edgedense.images import depth as depths
from edgedense.images.in_memory import Picture
from edgedense.images.masks import Mask, find_masks
from edgedense.images.preprocessing import Floats, Pixels, Preprocessing
from edgedense.measures.labelled import LabelledImages, listed
from edgedense.measures.masks import Case, Focus, Seen, correlation, peak_inside, share_inside, summarized
from edgedense.notes import tell
from edgedense.progress import progress as step
from edgedense.report.thumbnails import jpeg
from edgedense.workers import in_order

if TYPE_CHECKING:
    from edgedense.converters.readers.source import Source
    from edgedense.device.classifier import Classifier
    from edgedense.device.classifiers import Classifiers

# Uint8 pixels [B, height, width, C], and the classes to look for in each -> heatmaps [B, K, h, w], where K is the most
# that one picture has.
Explain = Callable[[Pixels, Sequence[Sequence[int]]], Floats]
BATCH = 8  # pictures that a reference gets at once
SHOWN, SIDE = 12, 240  # cases that a page shows, and pixels of a picture's longer side there
FAULTS = 20  # masks that are named


@dataclass(frozen=True)
class Marked:
    """A picture with a mask, the numbers of the classes that it shows, and whose it is, if that is known."""

    picture: Picture
    mask: Path
    name: str
    classes: tuple[int, ...]
    patient: str


@dataclass(frozen=True)
class _Looked:
    """What one core found: the picture and its mask as the network sees them, and the file's heatmaps [K, h, w]."""

    marked: Marked
    pixels: Pixels
    mask: Mask
    heats: Floats


@dataclass(frozen=True)
class _Explained:
    """A case with its picture, and the heatmaps [h, w] of the reference, if there is one, and of the file."""

    case: Case
    marked: Marked
    heats: tuple[Floats, ...]


def focus(
    folder: Path | str, images: LabelledImages, classifiers: Classifiers, models: Sequence[str], before: Explain | None
) -> Focus:
    """Where a deployed file looks on the pictures that have a mask below `folder`, and where `before` does.

    In each it is the heatmap of the class that the picture shows, or of each where it shows several. `models` are the
    names of the reference, if there is one, and of the file. Raises EdgedenseError for what is wrong with `folder`, and
    for all masks that do not fit their pictures.
    """
    marked = _marked(folder, images)
    seen = in_order(marked, [partial(_look, one) for one in classifiers.each])
    found: list[_Explained] = []
    faults: list[EdgedenseError] = []
    with step("looking at what is marked", len(marked)) as tick:
        while some := list(islice(seen, BATCH)):
            faults += [one for one in some if isinstance(one, EdgedenseError)]
            if not faults:
                found += _explained([one for one in some if isinstance(one, _Looked)], images.names, before)
            tick(len(some))
    _refuse(faults)
    patients = [one.marked.patient for one in found] if images.patients else ()
    result = summarized([one.case for one in found], models, patients)
    places = {one.case: one for one in found}
    shown = [_with_pictures(places[case], classifiers.preprocessing) for case in result.cases[:SHOWN]]
    return replace(result, cases=(*shown, *result.cases[SHOWN:]))


def reference(source: Source, preprocessing: Preprocessing, labels: Sequence[str]) -> Explain:
    """The heatmaps of a trained model, which was read from `source`, for the pixels that a deployed file gets;
    `preprocessing` and `labels` are the file's. Raises EdgedenseError when the model takes pictures of another size."""
    from edgedense.converters import explain as trained
    from edgedense.converters.options import Resizing

    p = preprocessing
    resizing = Resizing(p.resize, p.fit, p.shorter_side, exif=p.exif, depth=depths.named(p.depth))
    opened = trained.prepared(source, None, p.normalize, resizing, p.channels)
    if opened.preprocessing.shape != p.shape:
        raise EdgedenseError(
            f"a reference that looks at {' x '.join(map(str, p.shape))} numbers, as the file does",
            " x ".join(map(str, opened.preprocessing.shape)),
            "the model that the file was made from",
        )

    def heatmaps(pixels: Pixels, classes: Sequence[Sequence[int]]) -> Floats:
        most = max(map(len, classes))
        numbers = [np.array([own[min(place, len(own) - 1)] for own in classes]) for place in range(most)]
        if len(labels) == 1:  # a single output is the logit of class 1 there
            numbers = [np.ones_like(column) for column in numbers]
        return trained.heatmaps(opened, pixels, numbers)[1]

    return heatmaps


def _marked(folder: Path | str, images: LabelledImages) -> list[Marked]:
    """The pictures that have a mask and show a class that is known; of others it is told."""
    masks = find_masks(folder, images.paths, images.image_names)
    without = [name for name, mask in zip(images.image_names, masks, strict=True) if mask is None]
    found, empty = [], []
    for number, mask in enumerate(masks):
        classes = tuple(np.flatnonzero(images.truth[number] == 1).tolist())
        if mask is not None and classes:
            patient = images.patients[number] if images.patients else ""
            found.append(Marked(images.paths[number], mask, images.image_names[number], classes, patient))
        elif mask is not None:
            empty.append(images.image_names[number])
    for names, what in ((without, "without a mask"), (empty, "with a mask that show none of the classes")):
        if names:
            tell([f"{len(names)} of {len(masks)} pictures {what} are left out: {listed(names)}"], folder)
    if not found:
        raise EdgedenseError("pictures with a mask that show one of the classes", "none", "labels, or other masks")
    return found


def _look(classifier: Classifier, marked: Marked) -> _Looked | EdgedenseError:
    """What one core does with a picture: the error of a mask is kept, so that all of them can be named."""
    try:
        loaded = _load(marked, classifier.preprocessing)
    except EdgedenseError as error:
        return error
    assert loaded.mask is not None
    classifier.classify(loaded.pixels)
    return _Looked(marked, loaded.pixels, loaded.mask, classifier.heatmaps(marked.classes))


def _load(marked: Marked, preprocessing: Preprocessing) -> Loaded:
    return next(pictures([marked.picture], preprocessing, None, {marked.picture: marked.mask}))


def _explained(looked: Sequence[_Looked], names: Sequence[str], before: Explain | None) -> Iterator[_Explained]:
    """Each picture once for each class that it shows."""
    others = (
        before(np.stack([one.pixels for one in looked]), [one.marked.classes for one in looked]) if before else None
    )
    for number, one in enumerate(looked):
        for place, label in enumerate(one.marked.classes):
            heats = (one.heats[place],) if others is None else (others[number, place], one.heats[place])
            *reference, after = (_seen(heat, one.mask) for heat in heats)
            case = Case(one.marked.name, names[label], float(one.mask.mean()), after)
            if reference:
                case = replace(case, before=reference[0], correlation=correlation(*heats))
            yield _Explained(case, one.marked, heats)


def _seen(heat: Floats, mask: Mask) -> Seen:
    """One heatmap [h, w] beside the mask, enlarged as it is shown."""
    full = colormap.enlarged(heat, *mask.shape)
    return Seen(share_inside(full, mask), peak_inside(full, mask), bool(heat.any()))


def _refuse(faults: Sequence[EdgedenseError]) -> None:
    if len(faults) == 1:
        raise faults[0]
    if faults:
        named = "\n  ".join(fault.found for fault in faults[:FAULTS])
        more = f"\n  and {len(faults) - FAULTS} more" if len(faults) > FAULTS else ""
        raise EdgedenseError(
            "masks that mark a part of their pictures, and have their shape",
            f"{len(faults)} that do not:\n  {named}{more}",
            faults[0].hint,
        )


def _with_pictures(explained: _Explained, preprocessing: Preprocessing) -> Case:
    """The case with its picture under each heatmap, with the mask's outline."""
    loaded = _load(explained.marked, preprocessing)
    assert loaded.mask is not None
    small = Image.fromarray(loaded.picture)
    scale = SIDE / max(small.size)
    width, height = (max(1, round(side * scale)) for side in small.size)
    picture = np.asarray(small.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=2.0))
    shown = (
        colormap.outlined(colormap.overlay(picture, colormap.relative(heat)), loaded.mask) for heat in explained.heats
    )
    return replace(explained.case, pictures=tuple(jpeg(Image.fromarray(one)) for one in shown))
