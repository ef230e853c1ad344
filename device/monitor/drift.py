"""Drift in the field, without labels: is what the camera sees, and what the model says about it, still as
usual?

Each sample becomes a few numbers (see `samples`). A window of the last 100 samples is compared with windows
that were learned on site. What makes it hold in the field:

- Frames of a video are nearly copies of each other, and a test that takes them for independent samples
alerts on every
  parked car. So samples are taken by time, and a scene that does not change counts ten times more rarely.
- Light has a daily course. So a window is not compared with the mean of all that was learned but with the
learned window
  that is most like it: a night is compared with a night.
- A monitor looks for years. So the k-th look spends 6 / (pi k)^2 of the total false-alarm rate: over any
number of looks
  they sum to no more than the whole.

Memory is constant: histograms of fixed ranges, for four parts of the window and for at most 32 learned
windows.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from edgedense.device.monitor.samples import CLASS, FEATURES, TESTS, Counts, Floats, measure
from edgedense.device.monitor.words import ORDER, describe, most_moved
from edgedense.device.prediction import NEVER, Rule
from edgedense.errors import EdgedenseError
from edgedense.files import write_atomically

PART, PARTS = 25, 4  # a window is four parts of 25 samples; each full part is a look
LEARNED = 32  # learned windows that are kept; the two most alike are merged beyond that
FALSE_ALARMS = 0.01  # the chance of ever alerting where nothing changes, if samples are independent
LEARN_SAMPLES = 500
LEARN_SECONDS = 24 * 3600.0  # one daily course
INTERVAL = 5.0  # seconds between samples
STILL = 10  # a scene that did not change is sampled every STILL intervals
# levels by which one of 8x8 blocks must differ for the scene to have changed: above sensor noise
CHANGE = 12.0
WANDER = 1.3  # windows may be this much less usual than the least usual one while learning


@dataclass(frozen=True)
class Shift:
    """One thing that moved, and in `said` what a person sees of it. `statistic` is Kolmogorov-Smirnov's distance (the
    population stability index for the class) from the most similar learned window, `limit` what it may be; `psi` is the
    index, where 0.25 is called a major shift. `before` and `after` are means of all that was learned and of the window
    (for the class its share)."""

    feature: str
    said: str
    statistic: float
    limit: float
    psi: float
    before: float
    after: float

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {key: round(value, 4) if isinstance(value, float) else value for key, value in vars(self).items()}


@dataclass(frozen=True)
class Alert:
    """What moved, at `time` (as given to `update`) and after `samples` samples since learning."""

    time: float | None
    samples: int
    shifts: tuple[Shift, ...]

    @property
    def message(self) -> str:
        """One line for a person. Two statistics that move together may be one thing to see."""
        return "; ".join(dict.fromkeys(shift.said for shift in self.shifts))

    def to_dict(self) -> dict[str, Any]:
        """For JSON Lines."""
        return {
            "alert": self.message,
            "time": self.time,
            "samples": self.samples,
            "shifts": [shift.to_dict() for shift in self.shifts],
        }


def kolmogorov_smirnov(a: Floats, b: Floats) -> float:
    """The largest distance of two cumulative distributions, given as histograms over the same nodes, 0 to
    1.
    """
    return float(np.abs(np.cumsum(a) / max(a.sum(), 1e-12) - np.cumsum(b) / max(b.sum(), 1e-12)).max())


def stability_index(a: Floats, b: Floats) -> float:
    """Population stability index: sum_i (a_i - b_i) log(a_i / b_i) over shares, each count raised by 0.5
    so that an empty bin stays finite (Siddiqi, "Credit Risk Scorecards", 2006)."""
    p, q = ((x + 0.5) / (x.sum() + 0.5 * x.size) for x in (a, b))
    return float(np.sum((p - q) * np.log(p / q)))


def ks_limit(rate: float, n: int, m: int) -> float:
    """The distance that two samples of sizes n and m from one distribution exceed with probability `rate`:
    sqrt(-log(rate / 2) / 2) sqrt(1 / n + 1 / m) (Smirnov, 1948). On a histogram the distance is smaller,
    so that the
    limit errs on the quiet side."""
    return math.sqrt(-math.log(rate / 2) / 2) * math.sqrt(1 / n + 1 / m)


def psi_limit(rate: float, n: int, m: int, bins: int) -> float:
    """The index that two samples exceed with probability `rate`: (1 / n + 1 / m) times the quantile of
    chi-squared with bins - 1 degrees of freedom (Yurdakul, "Statistical Properties of Population
    Stability Index", 2018), the quantile by Wilson and Hilferty's cube root (1931)."""
    k = max(bins - 1, 1)
    z = NormalDist().inv_cdf(1 - rate)
    return (1 / n + 1 / m) * k * (1 - 2 / (9 * k) + z * math.sqrt(2 / (9 * k))) ** 3


class Monitor:
    """Watches a stream of predictions. Feed it with `update`; keep it across restarts with `save` and `load`.

    `labels` are the model's class names, `model` is the SHA-256 of its file, where that is known; `rule` says when a
    class counts as seen, None that it is the best one. It first learns for `learn_samples` samples and, where times are
    given, for `learn_seconds`. `interval` is the time between samples, in seconds.
    """

    def __init__(
        self,
        labels: Sequence[str],
        *,
        rule: Rule | None = None,
        model: str = "",
        learn_samples: int = LEARN_SAMPLES,
        learn_seconds: float = LEARN_SECONDS,
        interval: float = INTERVAL,
    ) -> None:
        if learn_samples < 2 * PART * PARTS:
            raise EdgedenseError(f"{2 * PART * PARTS} samples or more to learn from", str(learn_samples))
        self.labels = tuple(labels)
        self.rule = rule
        self.model = model
        self.learn_samples, self.learn_seconds, self.interval = learn_samples, learn_seconds, interval
        self.learning = True
        self.samples = 0  # taken since the start, and again since the end of learning
        self._looks = 0
        self._learned: list[Counts] = []
        self._wander = [0.0] * TESTS
        self._parts: list[Counts] = []
        self._moved: set[str] = set()
        self._watched = 0.0  # seconds, without the gaps between runs
        self._last: float | None = None
        self._scene: Floats | None = None

    def update(self, scores: npt.NDArray[Any], image: npt.NDArray[np.uint8], time: float | None = None) -> Alert | None:
        """Take in one prediction: scores [classes] for the picture uint8 [height, width, 3] at `time`, in
        seconds of any clock that goes on across restarts. Without a time every image counts: photos, not
        frames.

        An alert when something moved that had not moved before; None otherwise.
        """
        if not self._is_sample(image, time):
            return None
        if not self._parts or self._parts[-1].samples == PART:
            self._parts.append(self._empty())
        self._parts[-1].add(*measure(scores, image, self.rule))
        self.samples += 1
        if self._parts[-1].samples < PART or len(self._parts) < PARTS:
            return None
        window = _sum(self._parts)
        if self.learning:
            self._parts.clear()  # learned windows share no sample
            self._learn(window, time)
            return None
        del self._parts[0]
        return self._look(window, time)

    @property
    def moved(self) -> tuple[str, ...]:
        """The names of the statistics that were unusual at the last look, in alphabetical order."""
        return tuple(sorted(self._moved))

    def finish_learning(self) -> None:
        """Learn no further: what was seen so far is what is usual. Raises EdgedenseError when that was
        too little.
        """
        if len(self._learned) < 2:
            raise EdgedenseError(
                f"{2 * PART * PARTS} samples or more to learn from", str(self.samples), "more images, or learn on site"
            )
        self._wander = [max(ratios) for ratios in zip(*map(self._usual, range(len(self._learned))), strict=True)]
        self.learning, self.samples, self._parts = False, 0, []

    def _learn(self, window: Counts, time: float | None) -> None:
        """Keep a window; beyond LEARNED merge the two that are most alike, so that rare ones stay."""
        self._learned.append(window)
        if len(self._learned) > LEARNED:
            pairs = [
                (max(_distances(a, b)), i, j)
                for i, a in enumerate(self._learned)
                for j, b in enumerate(self._learned[:i])
            ]
            _, i, j = min(pairs)
            self._learned[j] = self._learned[j].plus(self._learned.pop(i))
        if (time is None or self._watched >= self.learn_seconds) and self.samples >= self.learn_samples:
            self.finish_learning()

    def _look(self, window: Counts, time: float | None) -> Alert | None:
        self._looks += 1
        rate = FALSE_ALARMS * 6 / (math.pi * self._looks) ** 2 / TESTS
        ratios = self._ratios(window, self._learned, rate)
        moved = {
            name
            for name, ratio, wander in zip(_names(), ratios, self._wander, strict=True)
            if ratio > max(1.0, WANDER * wander)
        }
        news, self._moved = moved - self._moved, moved
        if not news:
            return None
        names = [name for name in ORDER if name in moved]
        said = describe(names, _sum(self._learned), self._now(window), self._outcomes)
        return Alert(time, self.samples, tuple(self._shift(name, said[name], window, rate) for name in names))

    def _usual(self, index: int) -> list[float]:
        """How unusual a learned window would have been, judged by the others."""
        others = [counts for i, counts in enumerate(self._learned) if i != index]
        return self._ratios(self._learned[index], others, FALSE_ALARMS * 6 / math.pi**2 / TESTS)

    def _ratios(self, window: Counts, learned: list[Counts], rate: float) -> list[float]:
        """Per test the statistic over its limit, from the learned window, or all of them together, that
        fits best.
        """
        candidates = [*learned, _sum(learned)]
        table = [
            [d / limit for d, limit in zip(_distances(window, c), _limits(window, c, rate), strict=True)]
            for c in candidates
        ]
        return [min(column) for column in zip(*table, strict=True)]

    def _now(self, window: Counts) -> dict[str, Counts]:
        """What a person sees now, for each statistic. A window may be half of what was before a change: so it is the
        newest part of the window, unless that has moved less than the whole."""
        usual, newest = _sum(self._learned), self._parts[-1]
        moved = zip(_distances(newest, usual), _distances(window, usual), strict=True)
        return {name: newest if a >= b else window for name, (a, b) in zip(_names(), moved, strict=True)}

    def _shift(self, name: str, said: str, window: Counts, rate: float) -> Shift:
        usual, index = _sum(self._learned), _names().index(name)
        distances = [_distances(window, c)[index] for c in self._learned]
        nearest = self._learned[int(np.argmin(distances))]
        limit = _limits(window, nearest, rate)[index] * max(1.0, WANDER * self._wander[index])
        if name == CLASS:
            psi, top = stability_index(window.classes, usual.classes), most_moved(usual, window)
            before, now = (float(counts.classes[top] / counts.samples) for counts in (usual, window))
        else:
            psi = stability_index(window.features[index], usual.features[index])
            before, now = usual.mean(name), window.mean(name)
        return Shift(name, said, min(distances), limit, psi, before, now)

    @property
    def _outcomes(self) -> list[str]:
        """What is counted as a class, in words."""
        names = [f"class {label}" for label in self.labels]
        return [*names, "no finding"] if self.rule is not None and self.rule.independent else names

    @property
    def _thresholds(self) -> tuple[float | None, ...] | None:
        """Those that decide what is counted: with others the counts would mean something else. None is that of a class
        that is never seen."""
        if self.rule is None or self.rule.kind == "best":
            return None
        return tuple(None if threshold == NEVER else threshold for threshold in self.rule.thresholds)

    def _is_sample(self, image: npt.NDArray[np.uint8], time: float | None) -> bool:
        """Whether this frame is one to count: late enough, and of a new scene or late enough for an old
        one.
        """
        if time is None:
            return True
        waited = math.inf if self._last is None or time < self._last else time - self._last
        if waited < self.interval:
            return False
        scene = _blocks(image)
        still = self._scene is not None and np.abs(scene - self._scene).max() < CHANGE
        if still and waited < STILL * self.interval:
            return False
        if self._last is not None:
            self._watched += min(waited, 2 * STILL * self.interval)  # a clock that is set counts little
        self._last, self._scene = time, scene
        return True

    def _empty(self) -> Counts:
        return Counts.empty(max(2, len(self._outcomes)))

    def save(self, path: Path | str) -> None:
        """Write the state, whole or not at all. Raises EdgedenseError when it cannot be written."""
        state = {
            "version": 1,
            **({"model": self.model} if self.model else {}),
            "labels": self.labels,
            "thresholds": self._thresholds,
            "learning": self.learning,
            "samples": self.samples,
            "looks": self._looks,
            "wander": self._wander,
            "moved": sorted(self._moved),
            "watched": self._watched,
            "last": self._last,
            "scene": None if self._scene is None else np.round(self._scene, 1).tolist(),
            "parts": [part.to_dict() for part in self._parts],
            "learned": [counts.to_dict() for counts in self._learned],
        }
        write_atomically(path, json.dumps(state).encode())

    @classmethod
    def load(cls, path: Path | str, labels: Sequence[str], **options: Any) -> Monitor:
        """The monitor whose state is at `path`; a new one when there is no such file. `options` are the
        constructor's.

        Raises EdgedenseError when the state is damaged or belongs to a model with other labels.
        """
        monitor = cls(labels, **options)
        try:
            state = json.loads(Path(path).read_bytes())
        except FileNotFoundError:
            return monitor
        except (OSError, ValueError) as error:
            raise EdgedenseError("the state of a monitor", f"{path}: {error}", "delete it to learn again") from error
        if not isinstance(state, dict) or state.get("labels") != list(labels):
            raise EdgedenseError(
                "a state that was learned with this model's labels",
                f"another one in {path}",
                "delete it to learn again, or name another file",
            )
        learned_with = state.get("thresholds")
        if (None if learned_with is None else tuple(learned_with)) != monitor._thresholds:
            raise EdgedenseError(
                "a state that was learned with these thresholds",
                f"other ones in {path}",
                "the --threshold that it was learned with, or delete it to learn again",
            )
        try:
            monitor._restore(state)
        except (KeyError, TypeError, ValueError) as error:
            raise EdgedenseError(
                "the state of a monitor", f"{path}, which is damaged ({error})", "delete it to learn again"
            ) from error
        return monitor

    def _restore(self, state: dict[str, Any]) -> None:
        self.learning, self.samples, self._looks = bool(state["learning"]), int(state["samples"]), int(state["looks"])
        self._wander = [float(value) for value in state["wander"]]
        self._moved, self._watched, self._last = set(state["moved"]), float(state["watched"]), state["last"]
        self._scene = None if state["scene"] is None else np.array(state["scene"], np.float64)
        self._parts = [Counts.from_dict(part) for part in state["parts"]]
        self._learned = [Counts.from_dict(counts) for counts in state["learned"]]
        if any(counts.classes.shape != self._empty().classes.shape for counts in (*self._parts, *self._learned)):
            raise ValueError("counts of other classes")


def _names() -> list[str]:
    return [*(feature.name for feature in FEATURES), CLASS]


def _sum(counts: Sequence[Counts]) -> Counts:
    total = counts[0]
    for more in counts[1:]:
        total = total.plus(more)
    return total


def _distances(a: Counts, b: Counts) -> list[float]:
    """The statistic of each test."""
    return [*map(kolmogorov_smirnov, a.features, b.features), stability_index(a.classes, b.classes)]


def _limits(a: Counts, b: Counts, rate: float) -> list[float]:
    """What the statistic of each test may be."""
    ks = ks_limit(rate, a.samples, b.samples)
    return [ks] * len(FEATURES) + [psi_limit(rate, a.samples, b.samples, a.classes.size)]


def _blocks(image: npt.NDArray[np.uint8], blocks: int = 8) -> Floats:
    """Mean brightness of 8x8 blocks: sensor noise averages out, a moved object does not."""
    grey = image.mean(axis=2, dtype=np.float32)
    rows, columns = (np.linspace(0, size, min(blocks, size), endpoint=False).astype(int) for size in grey.shape)
    sums = np.add.reduceat(np.add.reduceat(grey, rows, axis=0), columns, axis=1)
    heights, widths = (np.diff([*starts, size]) for starts, size in zip((rows, columns), grey.shape, strict=True))
    return sums / np.outer(heights, widths)
