"""Labelled images through one model or two: pictures are read once, and each model gets its own pixels."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from edgedense.errors import EdgedenseError
from edgedense.images.in_memory import Picture
from edgedense.images.pictures import LabelledLike, one, pairs
from edgedense.images.pictures import names as image_names
from edgedense.images.preprocessing import Preprocessing, find_labelled, load_image
from edgedense.measures import drift
from edgedense.measures.metrics import Floats, Integers
from edgedense.measures.result import Gate, Report
from edgedense.measures.values import Comparison, differences
from edgedense.workers import cores, in_order

Predict = Callable[[npt.NDArray[np.uint8]], npt.ArrayLike]  # pixels [B, height, width, 3] -> scores [B, classes]
PredictOne = Callable[[npt.NDArray[np.uint8]], npt.ArrayLike]  # pixels [height, width, 3] -> scores [classes]
BATCH = 32


@dataclass(frozen=True)
class LabelledImages:
    """Images and the class of each, as an index into the model's labels `names`.

    `image_names` are their paths below the folder that holds them, with forward slashes on every system. `missing` are
    labels without an image: they are part of the model but not of these images.
    """

    paths: tuple[Picture, ...]
    image_names: tuple[str, ...]
    labels: Integers
    names: tuple[str, ...]
    missing: tuple[str, ...]


@dataclass(frozen=True)
class Model:
    """A model under test: its name in the report, the pixels it wants, and how it scores them.

    Either `predict` scores a batch, on all cores by means of its own, or each of `workers` scores one picture at a
    time on a core of its own.
    """

    name: str
    preprocessing: Preprocessing
    predict: Predict | None = None
    workers: tuple[PredictOne, ...] = ()


class _Classifier(Protocol):
    """What is used of `edgedense.device.Classifier`, which this side of the package does not import."""

    @property
    def preprocessing(self) -> Preprocessing: ...

    def classify(self, image: npt.NDArray[np.uint8], /) -> npt.NDArray[np.float32]: ...


def deployed(name: str, classifiers: Sequence[_Classifier]) -> Model:
    """The model of open classifiers of one file, each of which gets a thread of its own."""
    return Model(name, classifiers[0].preprocessing, workers=tuple(one.classify for one in classifiers))


def judge(
    images: LabelledImages,
    models: Sequence[Model],
    tick: Callable[[int], None],
    *,
    activation: str = "softmax",
    thresholds: Sequence[float] = (),
    max_drop: float | None = None,
    recipe: Mapping[str, Any] | None = None,
) -> Report:
    """Score one model, or a reference and then the model under test, and report on the last of them.

    `thresholds` are as for `drift.compare`. `max_drop` is the gate in points of 100 and needs a reference. Raises
    EdgedenseError when a model does not score as many classes as there are labels.
    """
    scores = score(images.paths, models, tick)
    for model, found in zip(models, scores, strict=True):
        classes = max(2, found.shape[1])
        if classes != len(images.names):
            raise EdgedenseError(
                f"{len(images.names)} classes, as many as there are labels", f"{classes} in {model.name}"
            )
    title = models[-1].name
    if len(models) == 1:
        alone = drift.evaluate(scores[0], images.labels, images.names, model=title, activation=activation)
        return Report(title, alone, recipe=recipe or {})
    both = drift.compare(
        scores[0],
        scores[1],
        images.labels,
        images.names,
        images=images.image_names,
        models=(models[0].name, title),
        activation=activation,
        thresholds=thresholds,
    )
    gate = None if max_drop is None else Gate(max_drop, both.drop)
    return Report(title, both.after, both, gate, recipe or {})


def differ(
    pictures: Sequence[Picture], models: Sequence[Model], names: Sequence[str], tick: Callable[[int], None]
) -> Comparison:
    """Two models that give values, a reference and the one under test, on pictures that need no labels. `names` are the
    values'. Raises EdgedenseError when a model gives more or fewer of them."""
    before, after = models
    scores = score(pictures, models, tick)
    for model, given in zip(models, scores, strict=True):
        if given.shape[1] != len(names):
            raise EdgedenseError(f"{len(names)} values ({_listed(names)})", f"{given.shape[1]} in {model.name}")
    found = differences(scores[0], scores[1], names, image_names(pictures))
    return Comparison(before.name, after.name, len(pictures), found)


def read_labelled(data: LabelledLike, names: Sequence[str]) -> LabelledImages:
    """The images in the folder `data`, one sub-folder per class, with folders matched to the model's labels by name.

    By name and not by order: a folder that lacks a class would shift every class behind it. `data` may be pairs
    (picture, label) too, each label one of `names` or its number. Raises EdgedenseError when a folder's name or a
    label is none of the model's.
    """
    if not isinstance(data, str | Path):
        return _from_pairs(data, names)
    paths, indices, folders = find_labelled(data)
    unknown = [name for name in folders if name not in names]
    if unknown:
        close = difflib.get_close_matches(unknown[0], names, n=1)
        raise EdgedenseError(
            f"class folders named like the model's labels ({_listed(names)})",
            _listed(unknown),
            f"rename {unknown[0]} to {close[0]}" if close else "rename the folders, or name labels with --labels",
        )
    places = np.array([names.index(name) for name in folders], np.int64)
    missing = tuple(name for name in names if name not in folders)
    called = tuple(path.relative_to(data).as_posix() for path in paths)
    return LabelledImages(tuple(paths), called, places[indices], tuple(names), missing)


def missing_notes(images: LabelledImages) -> list[str]:
    """What to tell of labels without an image."""
    count = len(images.missing)
    return [f"no folder for {count} of the model's classes: {_listed(images.missing)}"] if count else []


def _from_pairs(data: Iterable[Any], names: Sequence[str]) -> LabelledImages:
    items, labels = pairs(data)
    if not items:
        raise EdgedenseError("labelled images", "none: the list is empty", "pairs (picture, label), or a folder")
    pictures = [one(item, number) for number, item in enumerate(items)]
    numbers = np.array([_number(label, names) for label in labels], np.int64)
    missing = tuple(name for number, name in enumerate(names) if number not in numbers)
    return LabelledImages(tuple(pictures), image_names(pictures), numbers, tuple(names), missing)


def _number(label: Any, names: Sequence[str]) -> int:
    """A label's place in `names`: it is one of them, or that place itself."""
    if isinstance(label, str) and label in names:
        return names.index(label)
    if isinstance(label, int | np.integer) and 0 <= label < len(names):
        return int(label)
    raise EdgedenseError(
        f"labels of the model ({_listed(names)}), or their numbers from 0 to {len(names) - 1}", repr(label)
    )


def score(
    images: Sequence[Picture], models: Sequence[Model], tick: Callable[[int], None], batch: int = BATCH
) -> list[Floats]:
    """The scores [N, classes] of each model on all images, in their order. `tick(n)` is called after every n.

    Every core decodes pictures and scores them with the models that take one at a time, each core with a worker of its
    own; the other models get batches. The scores do not depend on how many cores there are. Models with equal
    preprocessing get the very same array, so that a difference is the models' own.
    """
    count = min((len(model.workers) for model in models if model.workers), default=cores())
    seen = in_order(images, [partial(_look, models, number) for number in range(count)])
    found: list[list[npt.ArrayLike]] = [[] for _ in models]
    while some := list(islice(seen, batch)):
        batched = {model.preprocessing for model in models if model.predict}
        pixels = {wanted: np.stack([one.pixels[wanted] for one in some]) for wanted in batched}
        for number, model in enumerate(models):
            if model.predict:
                found[number].append(model.predict(pixels[model.preprocessing]))
            else:
                found[number].append(np.stack([one.scores[number] for one in some]))
        tick(len(some))
    return [np.concatenate([np.asarray(part, np.float64) for part in parts]) for parts in found]


@dataclass(frozen=True)
class _Seen:
    """One picture as the models want it, and the scores of those that take one at a time, by their number."""

    pixels: dict[Preprocessing, npt.NDArray[np.uint8]]
    scores: dict[int, npt.ArrayLike]


def _look(models: Sequence[Model], worker: int, picture: Picture) -> _Seen:
    """What one core does with a picture: decode it, and score it with its own worker of each model."""
    pixels = {wanted: load_image(picture, wanted) for wanted in {model.preprocessing for model in models}}
    scores = {
        number: model.workers[worker](pixels[model.preprocessing])
        for number, model in enumerate(models)
        if model.workers
    }
    return _Seen(pixels, scores)


def _listed(names: Iterable[str], limit: int = 6) -> str:
    names = list(names)
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")
