"""Labelled images through one model or two: pictures are read once, and each model gets its own pixels."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from edgedense.errors import EdgedenseError
from edgedense.images.preprocessing import Preprocessing, find_labelled, load_image
from edgedense.measures import drift
from edgedense.measures.metrics import Floats, Integers
from edgedense.measures.result import Gate, Report

Predict = Callable[[npt.NDArray[np.uint8]], npt.ArrayLike]  # pixels [B, height, width, 3] -> scores [B, classes]
BATCH = 32


@dataclass(frozen=True)
class LabelledImages:
    """Images below `root` and the class of each, as an index into the model's labels `names`.

    `missing` are labels without a folder: they are part of the model but not of these images.
    """

    root: Path
    paths: tuple[Path, ...]
    labels: Integers
    names: tuple[str, ...]
    missing: tuple[str, ...]

    @property
    def image_names(self) -> tuple[str, ...]:
        """Each path below the root, with forward slashes on every system."""
        return tuple(path.relative_to(self.root).as_posix() for path in self.paths)


@dataclass(frozen=True)
class Model:
    """A model under test: its name in the report, the pixels it wants, and how it scores a batch of them."""

    name: str
    preprocessing: Preprocessing
    predict: Predict


class _Classifier(Protocol):
    """What is used of `edgedense.device.Classifier`, which this side of the package does not import."""

    @property
    def preprocessing(self) -> Preprocessing: ...

    def classify(self, image: npt.NDArray[np.uint8], /) -> npt.NDArray[np.float32]: ...


def deployed(name: str, classifier: _Classifier) -> Model:
    """The model of an open classifier, which takes one image at a time."""
    return Model(
        name, classifier.preprocessing, lambda pixels: np.stack([classifier.classify(image) for image in pixels])
    )


def judge(
    images: LabelledImages,
    models: Sequence[Model],
    tick: Callable[[int], None],
    *,
    activation: str = "softmax",
    max_drop: float | None = None,
    recipe: Mapping[str, Any] | None = None,
) -> Report:
    """Score one model, or a reference and then the model under test, and report on the last of them.

    `max_drop` is the gate in points of 100 and needs a reference. Raises EdgedenseError when a model does not score as
    many classes as there are labels.
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
    )
    gate = None if max_drop is None else Gate(max_drop, both.drop)
    return Report(title, both.after, both, gate, recipe or {})


def read_labelled(folder: Path | str, names: Sequence[str]) -> LabelledImages:
    """The images in `folder`, one sub-folder per class, with folders matched to the model's labels by name.

    By name and not by order: a folder that lacks a class would shift every class behind it. Raises
    EdgedenseError when a folder's name is no label.
    """
    paths, indices, folders = find_labelled(folder)
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
    return LabelledImages(Path(folder), tuple(paths), places[indices], tuple(names), missing)


def score(
    images: Sequence[Path], models: Sequence[Model], tick: Callable[[int], None], batch: int = BATCH
) -> list[Floats]:
    """The scores [N, classes] of each model on all images, in their order. `tick(n)` is called after every n.

    Models with equal preprocessing get the very same array, so that a difference is the models' own.
    """
    found: list[list[Floats]] = [[] for _ in models]
    for start in range(0, len(images), batch):
        paths = images[start : start + batch]
        wanted = {model.preprocessing for model in models}
        pixels = {p: np.stack([load_image(path, p) for path in paths]) for p in wanted}
        for scores, model in zip(found, models, strict=True):
            scores.append(np.asarray(model.predict(pixels[model.preprocessing]), np.float64))
        tick(len(paths))
    return [np.concatenate(parts) for parts in found]


def _listed(names: Iterable[str], limit: int = 6) -> str:
    names = list(names)
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")
