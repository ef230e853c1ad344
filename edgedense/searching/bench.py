"""What all trials at one picture size share: the model, the pictures, the order of the cuts. Opened once a process."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from edgedense.boards.estimate import estimate
from edgedense.converters import given as reading
from edgedense.converters import slimming
from edgedense.converters.given import Given
from edgedense.converters.network.graph import DenseNet
from edgedense.converters.network.program import lower
from edgedense.converters.network.weights import Weights, with_weights
from edgedense.converters.options import Criterion, NormForm, Options, Slimming
from edgedense.converters.passes import rewriting
from edgedense.converters.pruning.channels import Selection, correspondence, cut
from edgedense.converters.pruning.cost import macs
from edgedense.converters.pruning.importance import Importance, measure_importance
from edgedense.converters.pruning.shrink import Shrunk, first_that_meets, fraction_removed, mended, way_down
from edgedense.converters.quantization.shapes import shape_of_file
from edgedense.converters.readers import door
from edgedense.converters.recovery import Pictures
from edgedense.deployed.bundle import ZIP_DAMAGE
from edgedense.errors import EdgedenseError
from edgedense.files import write_atomically
from edgedense.images.preprocessing import Pixels, load_image
from edgedense.images.tables import TEST, VALIDATION, Table
from edgedense.measures.labelled import LabelledImages, read_labelled, scored_alone
from edgedense.progress import progress
from edgedense.searching.choice import Size

GRID = 200  # fractions of --prune-channels are tried in steps of one two-hundredth
CHEAP_CALIBRATION, CHEAP_VALIDATION = 64, 500  # pictures of a cheap trial
SMALLER, SIDE, LEAST_SIDE = (7 / 8, 3 / 4), 8, 32  # of the input's side, in steps of pixels, and the least
BENCHES = 4  # picture sizes that a process holds at once
Data = Path | Table


@dataclass(frozen=True)
class Task:
    """What is searched, as workers get it: paths, and options that all files have in common.

    `board` is the one whose time is estimated, or None where files are measured on a host. `work` is the folder for
    checkpoints of the trainings.
    """

    model: str
    calibration: Data
    validation: Data
    labels: tuple[str, ...] | None
    options: Options
    board: str
    work: Path
    recover: Data | None = None
    test: Data | None = None


@lru_cache(maxsize=BENCHES)
def bench(task: Task, size: Size | None) -> Bench:
    """The bench of this process; `size` None is the model's own."""
    return Bench(task, size)


class Bench:
    """Everything is made when it is first asked for, and kept."""

    def __init__(self, task: Task, size: Size | None) -> None:
        self.task, self.size = task, size
        self._ways: dict[str, tuple[Selection, ...]] = {}
        self._times: dict[tuple[str, str, int], float] = {}

    @cached_property
    def _read(self) -> tuple[Given, tuple[str, ...]]:
        """The model and the calibration pictures with the scores that the trained model gives them, as `convert` reads
        them where it makes a network smaller."""
        opening = self.task.options.opening
        options = replace(
            self.task.options,
            opening=opening if self.size is None else opening.at(self.size),
            slimming=Slimming(prune_channels=0.5),
        )
        found, notes = reading.read(self.task.model, self.task.calibration, self.task.labels, options, None)
        if found.source.gives_values:
            raise EdgedenseError(
                "a model that tells classes apart for a search", "one that gives values (--activation none)"
            )
        if not found.names:
            raise EdgedenseError(
                "labels, to compare with those of --validation", "a model without labels", "--labels FILE"
            )
        return found, tuple(notes)

    @property
    def given(self) -> Given:
        """What a conversion of a smaller network is given, less the pictures to train on."""
        return self._read[0]

    @property
    def notes(self) -> tuple[str, ...]:
        """Remarks on what was read."""
        return self._read[1]

    @property
    def smaller_sizes(self) -> tuple[Size, ...]:
        """Square sizes below the input's own, of which --input-size says one, at which the model can be opened."""
        preprocessing = self.given.preprocessing
        side = preprocessing.height
        if preprocessing.width != side:
            return ()
        sides = dict.fromkeys(round(share * side / SIDE) * SIDE for share in SMALLER)
        return tuple((n, n) for n in sides if LEAST_SIDE <= n < side and self._opens_at((n, n)))

    def _opens_at(self, size: Size) -> bool:
        try:
            door.read(self.task.model, self.task.options.opening.at(size))
        except EdgedenseError:  # such as for a head that flattens a map
            return False
        return True

    @cached_property
    def network(self) -> DenseNet:
        """The whole network, prepared, as channels are cut from."""
        given = self.given
        return rewriting.prepared(given.source, given.preprocessing, given.probes, rewriting.probes_of(given.own))[0]

    @cached_property
    def recovery(self) -> Pictures:
        """The pictures to train on."""
        given = self.given
        options = Slimming(recover=self.task.recover, work=self.task.work)
        return slimming.pictures_of(
            options, given.pictures.pixels, given.pictures.sha256, given.preprocessing, given.names
        )

    @cached_property
    def limits(self) -> tuple[float, ...]:
        """What each class's score must reach; empty where classes exclude each other."""
        return reading.score_limits(self.given.source, self.given.names)

    @cached_property
    def validation(self) -> tuple[LabelledImages, Pixels]:
        """The labelled pictures that are searched with, uint8 [N, height, width, C] as the file takes them."""
        return self._labelled(self.task.validation, VALIDATION, "validation")

    @cached_property
    def test(self) -> tuple[LabelledImages, Pixels]:
        """The labelled pictures that the search does not use."""
        assert self.task.test is not None
        return self._labelled(self.task.test, TEST, "test")

    def _labelled(self, data: Data, usual: tuple[str, ...], what: str) -> tuple[LabelledImages, Pixels]:
        images = read_labelled(data, self.given.names, "several" if self.limits else "classes", usual)
        if self.limits:
            images = scored_alone(images)
        with progress(f"reading {what} pictures", len(images.paths)) as tick:
            rows = []
            for path in images.paths:
                rows.append(load_image(path, self.given.preprocessing))
                tick(1)
        return images, np.stack(rows)

    def importance(self, criterion: Criterion) -> Importance:
        """How much each channel matters, by one criterion."""
        return measure_importance(self.network, self.given.pictures.pixels, criterion)

    def way(self, criterion: Criterion, importance: Importance) -> tuple[Selection, ...]:
        """All cuts by one criterion, of which every fraction is one."""
        if criterion not in self._ways:
            pixels = self.given.pictures.pixels
            self._ways[criterion] = way_down(self.network, pixels, criterion, progress, importance)
        return self._ways[criterion]

    def selection(self, criterion: Criterion, importance: Importance, fraction: float) -> Selection:
        """The cut that `convert --prune-channels` makes. Raises EdgedenseError where so much cannot go."""
        goal = fraction_removed(self.network, fraction)
        return first_that_meets(self.network, self.way(criterion, importance), goal, f"{100 * fraction:g} % less")

    def shrunk(self, criterion: Criterion, importance: Importance, fraction: float) -> Shrunk:
        """What `convert --prune-channels` makes of the network. It takes minutes, so that its weights are kept in the
        task's work folder for the next rung."""
        selection = self.selection(criterion, importance, fraction)
        path = self.task.work / f"pruned-{key(self.size, criterion, fraction)}.npz"
        smaller = cut(self.network, selection)
        weights = _kept_weights(path)
        if weights is not None:
            return Shrunk(with_weights(smaller, weights), correspondence(self.network, selection), selection)
        found = mended(self.network, selection, self.given.pictures.pixels, progress)
        _keep_weights(path, found.network)
        return found

    def fraction(self, criterion: Criterion, importance: Importance, form: NormForm, limit: float) -> float | None:
        """The least fraction, in steps of 1 / GRID, whose file takes at most `limit` milliseconds by the estimate for
        the task's board; 0 where the whole network does, None where the smallest does not."""
        way = self.way(criterion, importance)
        most = int(GRID * (1 - macs(cut(self.network, way[-1])) / macs(self.network)))
        low, high = 0, most
        if self._estimated(criterion, importance, form, most) > limit:
            return None
        while low < high:  # always the same steps for one limit, whatever was estimated before
            middle = (low + high) // 2
            if self._estimated(criterion, importance, form, middle) <= limit:
                high = middle
            else:
                low = middle + 1
        return high / GRID

    def _estimated(self, criterion: Criterion, importance: Importance, form: NormForm, step: int) -> float:
        key = (criterion, form, step)
        if key not in self._times:
            network = self.network
            if step:
                network = cut(network, self.selection(criterion, importance, step / GRID))
            self._times[key] = estimate(shape_of_file(network, form), self.task.board).milliseconds
        return self._times[key]

    @property
    def cheap(self) -> Pixels:
        """Some of the calibration pictures, spread over all."""
        return spread(self.given.pictures.pixels, CHEAP_CALIBRATION)


def spread(array: Any, count: int) -> Any:
    """At most so many rows, evenly from all."""
    return array[places(len(array), count)]


def places(total: int, count: int) -> np.ndarray:
    """At most `count` indices, evenly from `total`."""
    return np.linspace(0, total - 1, min(count, total)).round().astype(int)


def _keep_weights(path: Path, network: DenseNet) -> None:
    """The kernels and biases that a cut changes, as float64: they come back to the bit."""
    fitted = {op.output: op.weights for op in lower(network).ops if op.kind in ("conv", "dense")}
    arrays = {
        f"{kind}|{name.replace('/', '|')}": array
        for name, pair in fitted.items()
        for kind, array in zip("kb", pair, strict=True)
    }
    data = io.BytesIO()
    np.savez(data, **arrays)  # type: ignore[arg-type]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, data.getvalue())


def _kept_weights(path: Path) -> Weights | None:
    """What was kept; None where there is nothing, or nothing whole."""
    try:
        # np.load leaves a damaged file open
        with path.open("rb") as stored, np.load(stored, allow_pickle=False) as file:
            names = [entry[2:] for entry in file if entry.startswith("k|")]
            return {name.replace("|", "/"): (file[f"k|{name}"], file[f"b|{name}"]) for name in names}
    except (*ZIP_DAMAGE, KeyError):
        return None


def key(*parts: Any) -> str:
    """A short name for what the parts say."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
