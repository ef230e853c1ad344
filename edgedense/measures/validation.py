"""Labelled images through one model or two: pictures are read once, and each model gets its own pixels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from edgedense.errors import EdgedenseError
from edgedense.images.in_memory import Picture
from edgedense.images.pictures import names as image_names
from edgedense.images.preprocessing import Preprocessing, load_image
from edgedense.measures import drift, findings, metrics, stored_points
from edgedense.measures.labelled import LabelledImages, listed
from edgedense.measures.metrics import Floats
from edgedense.measures.result import Gate, Report
from edgedense.measures.scores import HALF
from edgedense.measures.values import Comparison, differences
from edgedense.workers import cores, in_order

Predict = Callable[[npt.NDArray[np.uint8]], npt.ArrayLike]  # pixels [B, height, width, 3] -> scores [B, classes]
PredictOne = Callable[[npt.NDArray[np.uint8]], npt.ArrayLike]  # pixels [height, width, 3] -> scores [classes]
BATCH = 32


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

    What is reported follows from `images.kind`: an evaluation of classes that exclude each other, or findings.
    `thresholds` are as for `drift.compare` or `findings.measure`. `max_drop` is the gate in points of 100 and needs a
    reference. Raises EdgedenseError when a model does not score as many classes as there are labels.
    """
    scores = score(images.paths, models, tick)
    several = images.kind == "several"
    for model, found in zip(models, scores, strict=True):
        classes = found.shape[1] if several else max(2, found.shape[1])
        if classes != len(images.names):
            raise EdgedenseError(
                f"{len(images.names)} classes, as many as there are labels", f"{classes} in {model.name}"
            )
    names = tuple(model.name for model in models)
    result = (
        _findings(images, scores, names, thresholds)
        if several
        else _classes(images, scores, names, activation, thresholds)
    )
    gate = None
    if max_drop is not None:
        gate = Gate(max_drop, drop(scores[0], scores[1], images, thresholds), measured(images))
    return replace(
        result,
        gate=gate,
        recipe=recipe or {},
        patients=len(set(images.patients)),
        operating_points=stored_points.kept(recipe or {}, scores[-1], images.truth, images.names),
    )


def measured(images: LabelledImages) -> str:
    """What `points` gives, in words."""
    return "mean AUROC" if images.kind == "several" else "accuracy"


def points(scores: npt.ArrayLike, images: LabelledImages, thresholds: Sequence[float] = ()) -> float:
    """How good scores [N, C] are, in points of 100, as gates count it: the accuracy, or where a picture shows any
    number of classes the mean over these of the area under the ROC curve (AUROC).

    `thresholds` are infinite for classes that the file never reports, which do not count. Raises EdgedenseError where
    no class has pictures with it and without it.
    """
    if images.kind == "classes":
        return 100 * metrics.accuracy(scores, images.labels)
    mean = findings.mean_auroc(scores, images.truth, thresholds)
    if mean is None:
        raise EdgedenseError("pictures with a finding, and pictures without it", "no class that has both")
    return 100 * mean


def drop(
    before: npt.ArrayLike, after: npt.ArrayLike, images: LabelledImages, thresholds: Sequence[float] = ()
) -> float:
    """By how many `points` the second model's scores are worse than the first's: what a gate limits."""
    return points(before, images, thresholds) - points(after, images, thresholds)


def _classes(
    images: LabelledImages,
    scores: Sequence[Floats],
    models: tuple[str, ...],
    activation: str,
    thresholds: Sequence[float],
) -> Report:
    if len(models) == 1:
        alone = drift.evaluate(scores[0], images.labels, images.names, model=models[0], activation=activation)
        return Report(models[0], alone)
    both = drift.compare(
        scores[0],
        scores[1],
        images.labels,
        images.names,
        images=images.image_names,
        models=(models[0], models[1]),
        activation=activation,
        thresholds=thresholds,
    )
    return Report(models[1], both.after, both)


def _findings(
    images: LabelledImages, scores: Sequence[Floats], models: tuple[str, ...], thresholds: Sequence[float]
) -> Report:
    found = findings.measure(
        scores,
        images.truth,
        thresholds or (HALF,) * len(images.names),
        images.names,
        models=models,
        images=images.image_names,
        patients=images.patients,
    )
    return Report(models[-1], None, findings=found)


def differ(
    pictures: Sequence[Picture], models: Sequence[Model], names: Sequence[str], tick: Callable[[int], None]
) -> Comparison:
    """Two models that give values, a reference and the one under test, on pictures that need no labels. `names` are the
    values'. Raises EdgedenseError when a model gives more or fewer of them."""
    before, after = models
    first, second = given(pictures, models, names, tick)
    return Comparison(before.name, after.name, len(pictures), differences(first, second, names, image_names(pictures)))


def given(
    pictures: Sequence[Picture], models: Sequence[Model], names: Sequence[str], tick: Callable[[int], None]
) -> list[Floats]:
    """The values [N, K] that each model gives, K of which `names` are. Raises EdgedenseError for another number."""
    found = score(pictures, models, tick)
    for model, values in zip(models, found, strict=True):
        if values.shape[1] != len(names):
            raise EdgedenseError(f"{len(names)} values ({listed(names)})", f"{values.shape[1]} in {model.name}")
    return found


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
