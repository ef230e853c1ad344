"""Does a model look at what people have marked? How much of a heatmap lies inside a mask, for one model or for two.

A heatmap [h, w] has values >= 0 that say where the evidence for a class is, and a mask bool [h, w] says of each of its
places whether it is marked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from edgedense.measures import bootstrap
from edgedense.measures.bootstrap import Estimate
from edgedense.measures.metrics import Floats


def share_inside(heat: npt.ArrayLike, mask: npt.ArrayLike) -> float:
    """The share of the heatmap's energy that lies inside the mask, 0 to 1: the sum of `heat` [h, w] there over the sum
    everywhere; 0 where there is no evidence at all.

    The energy-based pointing game of Wang et al., "Score-CAM: Score-Weighted Visual Explanations for Convolutional
    Neural Networks", 2020. A heatmap that is the same everywhere gets the share of the area that the mask covers.
    """
    values, marked = _checked(heat, mask)
    total = values.sum()
    return float(values[marked].sum() / total) if total > 0 else 0.0


def peak_inside(heat: npt.ArrayLike, mask: npt.ArrayLike) -> bool:
    """Whether the largest value of `heat` [h, w] lies inside the mask; of equal ones the first by row and column. False
    where there is no evidence at all.

    The pointing game of Zhang et al., "Top-Down Neural Attention by Excitation Backprop", 2018, without its tolerance
    of 15 pixels.
    """
    values, marked = _checked(heat, mask)
    return bool(values.max() > 0 and marked.flat[values.argmax()])


def correlation(one: npt.ArrayLike, other: npt.ArrayLike) -> float | None:
    """Pearson's correlation of two maps of one shape, -1 to 1; None where one of them is the same everywhere."""
    x, y = (values - values.mean() for values in (np.asarray(one, np.float64), np.asarray(other, np.float64)))
    scale = np.sqrt((x**2).sum() * (y**2).sum())
    return float(np.clip((x * y).sum() / scale, -1, 1)) if scale > 0 else None


def _checked(heat: npt.ArrayLike, mask: npt.ArrayLike) -> tuple[Floats, npt.NDArray[np.bool_]]:
    values, marked = np.asarray(heat, np.float64), np.asarray(mask)
    if values.shape != marked.shape or values.ndim != 2 or marked.dtype != bool or not values.size:
        raise ValueError(f"a heatmap {values.shape} and a mask {marked.shape} of {marked.dtype} do not fit")
    return values, marked


@dataclass(frozen=True)
class Seen:
    """One model's heatmap beside a mask: the share of its energy `inside`, and whether its peak is there (`hit`).
    `evidence` is False where the heatmap is zero everywhere."""

    inside: float
    hit: bool
    evidence: bool = True


@dataclass(frozen=True)
class Case:
    """One class that is in an image with a mask: `area` is the share of the input that the mask covers, `after` what
    the model under test sees, `before` what its reference sees, and `correlation` how alike their heatmaps are, None
    where one is the same everywhere or there is no reference. `pictures` are JPEG files for a page: the picture with
    the mask's outline under the heatmap of the reference, if there is one, and under that of the model; only of the
    first cases."""

    image: str
    label: str
    area: float
    after: Seen
    before: Seen | None = None
    correlation: float | None = None
    pictures: tuple[bytes, ...] = field(default=(), repr=False, compare=False)

    @property
    def change(self) -> float:
        """How much more of the heatmap lies inside the mask than in the reference; without one, than by chance."""
        return self.after.inside - (self.before.inside if self.before else self.area)


@dataclass(frozen=True)
class ModelFocus:
    """What a model looks at on pictures with masks: the mean share `inside`, of peaks that are there (`hits`), and how
    many heatmaps are zero everywhere (`without_evidence`)."""

    model: str
    inside: Estimate
    hits: Estimate
    without_evidence: int


@dataclass(frozen=True)
class Focus:
    """Where a model looks on `images` pictures with masks, and how far that moved from its reference.

    `area` is the mean share of the input that the masks cover: what `inside` and `hits` would be by chance. `after` is
    the model under test and `before` its reference. `inside_change` and `hits_change` are paired differences, after
    less before, and below zero where the model looks less at what is marked. `correlation` is the mean of Pearson's
    over the pictures where there is one, and `least_correlation` the lowest. `cases` are in the order of what they
    lost, the most first; a picture that shows several classes has several.
    """

    images: int
    area: Estimate
    after: ModelFocus
    cases: tuple[Case, ...] = field(repr=False)
    before: ModelFocus | None = None
    inside_change: Estimate | None = None
    hits_change: Estimate | None = None
    correlation: Estimate | None = None
    least_correlation: float | None = None

    @property
    def models(self) -> tuple[ModelFocus, ...]:
        """The reference's, if there is one, and that of the model under test."""
        return (self.after,) if self.before is None else (self.before, self.after)

    def to_dict(self) -> dict[str, Any]:
        """Everything but the pictures as dictionaries, lists, numbers and text. Shares are 0 to 1."""
        entry = asdict(self)
        for case in entry["cases"]:
            del case["pictures"]
        return entry


def summarized(cases: Sequence[Case], models: Sequence[str], patients: Sequence[str] = ()) -> Focus:
    """The figures of all cases. `models` are the names of the reference, if there is one, and of the model under test;
    `patients` say whose image each case is, where that is known. Raises ValueError without a case."""
    if not cases:
        raise ValueError("no case")
    columns: dict[str, list[float]] = {"area": [case.area for case in cases]}
    for side in ("before", "after")[-len(models) :]:
        columns[f"{side} inside"] = [getattr(case, side).inside for case in cases]
        columns[f"{side} hits"] = [getattr(case, side).hit for case in cases]
    if len(models) == 2:
        for name in ("inside", "hits"):
            pairs = zip(columns[f"after {name}"], columns[f"before {name}"], strict=True)
            columns[f"{name} change"] = [after - before for after, before in pairs]
        columns["correlation"] = [np.nan if case.correlation is None else case.correlation for case in cases]
    table = np.array([*columns.values()], np.float64).T
    found = dict(zip(columns, means(table, patients or [case.image for case in cases]), strict=True))

    def focus(side: str, name: str) -> ModelFocus:
        zero = sum(not getattr(case, side).evidence for case in cases)
        return ModelFocus(name, found[f"{side} inside"], found[f"{side} hits"], zero)

    return Focus(
        images=len({case.image for case in cases}),
        area=found["area"],
        after=focus("after", models[-1]),
        cases=tuple(sorted(cases, key=lambda case: (case.change, case.image, case.label))),
        before=focus("before", models[0]) if len(models) == 2 else None,
        inside_change=found.get("inside change"),
        hits_change=found.get("hits change"),
        correlation=found.get("correlation"),
        least_correlation=min((case.correlation for case in cases if case.correlation is not None), default=None),
    )


def means(values: Floats, groups: Sequence[str]) -> tuple[Estimate, ...]:
    """The mean of each column of `values` [N, M], with its bootstrap interval; NaN is left out.

    Rows of one of the `groups` [N], such as those of a patient, are drawn together. All columns share the draws.
    """
    known = np.isfinite(values)
    numbers = np.where(known, values, 0.0)
    drawn = []
    with np.errstate(invalid="ignore"):  # 0 / 0 where no number was drawn
        for weights in bootstrap.weights(len(values), groups):
            drawn.append((weights.T @ numbers) / (weights.T @ known))
        middle = numbers.sum(axis=0) / known.sum(axis=0)
    return tuple(map(bootstrap.estimate, middle.tolist(), np.concatenate(drawn).T))
