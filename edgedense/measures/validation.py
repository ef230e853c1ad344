"""Labelled images through one model or two: pictures are read once, and each model gets its own pixels."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from edgedense.errors import EdgedenseError
from edgedense.images.in_memory import Picture
from edgedense.images.preprocessing import Preprocessing, load_image
from edgedense.images.tables import Kind
from edgedense.measures import bootstrap, drift, findings, metrics, stored_points
from edgedense.measures.bootstrap import Estimate
from edgedense.measures.labelled import LabelledImages, listed
from edgedense.measures.metrics import Floats
from edgedense.measures.result import Gate, Report
from edgedense.measures.scores import HALF
from edgedense.workers import cores, in_order

Predict = Callable[[npt.NDArray[np.uint8]], npt.ArrayLike]  # pixels [B, height, width, 3] -> scores [B, classes]
PredictOne = Callable[[npt.NDArray[np.uint8]], npt.ArrayLike]  # pixels [height, width, 3] -> scores [classes]
# Pictures that a model with `predict` gets at once. Its last digits depend on that, so it is the same everywhere.
BATCH = 8


@dataclass(frozen=True)
class Model:
    """A model under test: its name in the report, the pixels it wants, and how it scores them.

    Either `predict` scores a batch, and may be called by several threads at the same time, or each of `workers` scores
    one picture at a time on a core of its own.
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
    models: Sequence[str],
    scores: Sequence[Floats],
    *,
    activation: str = "softmax",
    thresholds: Sequence[float] = (),
    max_drop: float | None = None,
    recipe: Mapping[str, Any] | None = None,
) -> Report:
    """Report on the last of one or two models, a reference and then the model under test: their names, and the scores
    [N, classes] of each, as `require_classes` wants them.

    What is reported follows from `images.kind`: an evaluation of classes that exclude each other, or findings.
    `thresholds` are as for `drift.compare` or `findings.measure`. `max_drop` is the gate in points of 100 and needs a
    reference.
    """
    names = tuple(models)
    result = (
        _findings(images, scores, names, thresholds)
        if images.kind == "several"
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


def require_classes(scores: npt.ArrayLike, model: str, names: Sequence[str], kind: Kind) -> None:
    """Raise EdgedenseError when a model does not give as many scores [N, K] as there are `names`: labels, or of the
    kind "values" values. One score alone may tell two classes apart."""
    found = np.shape(scores)[1]
    if kind == "values" and found != len(names):
        raise EdgedenseError(f"{len(names)} values ({listed(names)})", f"{found} in {model}")
    classes = max(2, found) if kind == "classes" else found
    if classes != len(names):
        raise EdgedenseError(f"{len(names)} classes, as many as there are labels", f"{classes} in {model}")


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


def estimated(scores: npt.ArrayLike, images: LabelledImages, thresholds: Sequence[float] = ()) -> Estimate:
    """`points` with its 95 % interval, by a bootstrap of the pictures, or of whole patients where these are known.

    Raises EdgedenseError as `points` does.
    """
    value = points(scores, images, thresholds)
    if images.kind == "classes":
        right = (metrics.predicted(scores) == images.labels).astype(np.float64)
        drawn = [right @ weights / weights.sum(axis=0) for weights in bootstrap.weights(len(right), images.patients)]
        return bootstrap.estimate(value, 100 * np.concatenate(drawn))
    found = findings.measure(
        [scores],
        images.truth,
        thresholds or (HALF,) * len(images.names),
        images.names,
        models=("",),
        images=images.image_names,
        patients=images.patients,
    )
    area = found.scored.macro.auroc
    ends = [None if end is None else 100 * end for end in (area.low, area.high)]
    return Estimate(value, ends[0], ends[1])


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


def score(
    images: Sequence[Picture], models: Sequence[Model], tick: Callable[[int], None] = lambda n: None, batch: int = BATCH
) -> list[Floats]:
    """The scores [N, classes] of each model on all images, in their order. `tick(n)` is called after every n."""
    found: list[list[Floats]] = [[] for _ in models]
    for some in batches([images[i : i + batch] for i in range(0, len(images), batch)], models):
        for parts, part in zip(found, some, strict=True):
            parts.append(part)
        tick(len(some[0]))
    return [np.concatenate(parts) for parts in found]


def batches(images: Iterable[Sequence[Picture]], models: Sequence[Model]) -> Generator[tuple[Floats, ...], None, None]:
    """The scores [n, classes] of each model for each batch of n pictures, in their order.

    Every core takes a batch, decodes its pictures and scores them, each core with a worker of its own where a model has
    workers. So the scores do not depend on how many cores there are. Models with equal preprocessing get the very same
    pixels, so that a difference is the models' own.
    """
    count = min((len(model.workers) for model in models if model.workers), default=cores())
    return in_order(images, [partial(_look, models, number) for number in range(count)])


def _look(models: Sequence[Model], worker: int, pictures: Sequence[Picture]) -> tuple[Floats, ...]:
    """What one core does with a batch."""
    wanted = {model.preprocessing for model in models}
    pixels = {each: np.stack([load_image(picture, each) for picture in pictures]) for each in wanted}
    found = []
    for model in models:
        own = pixels[model.preprocessing]
        rows = model.predict(own) if model.predict else [model.workers[worker](one) for one in own]
        found.append(np.asarray(rows, np.float64))
    return tuple(found)
