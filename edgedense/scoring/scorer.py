"""All pictures through one model or two, piece by piece: what is there already is not made again."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from edgedense.errors import EdgedenseError
from edgedense.files import sha256
from edgedense.images.in_memory import Picture
from edgedense.jobs.jobs import Jobs, open_jobs
from edgedense.measures import metrics, sequential, validation
from edgedense.measures.metrics import Floats, Integers
from edgedense.measures.sequential import EarlyAnswer, Look
from edgedense.measures.validation import BATCH, Model
from edgedense.progress import progress, say
from edgedense.scoring.kept import Kept, fingerprint
from edgedense.scoring.options import Scale
from edgedense.scoring.task import Piece, Scores, Task

PIECE = 32 * BATCH  # pictures: a quarter of a minute or less, which is what a kill costs
SEED = 0  # of the order in which pictures are looked at
MANY = 2000  # pictures from which on it is worth while to start processes


@dataclass(frozen=True)
class Scored:
    """The scores [n, classes] of each model on the pictures `taken`, their places in ascending order: all of them, or
    those after which it was enough, which `early` tells of."""

    scores: tuple[Floats, ...]
    taken: Integers
    early: EarlyAnswer | None = None


@dataclass(frozen=True)
class Scorer:
    """Models of this process, a reference and the model under test or the latter alone, and how they are to work.

    `task` opens the same models in another process; it is None where they cannot leave this one. `about` says what they
    are: all that decides their scores beside the pictures.
    """

    models: tuple[Model, ...]
    task: Task | None
    scale: Scale
    about: Mapping[str, Any]

    def score(
        self,
        doing: str,
        pictures: Sequence[Picture],
        names: Sequence[str],
        labels: Integers | None,
        check: Callable[[Scores], None],
    ) -> Scored:
        """The scores of all `pictures`, called `names`; `doing` says what to tell meanwhile.

        With two models and `labels` [N], indices of classes that exclude each other, it is told what is known of the
        drop so far, and `Scale.until` ends it. `check` gets the first scores, and raises what it has against them.

        Raises EdgedenseError for a picture that cannot be read, and for a folder of scores that cannot be used.
        """
        watch = None
        order = np.arange(len(pictures))
        if labels is not None and len(self.models) == 2:
            watch = _Watch(labels, self.scale.until)
            order = np.random.default_rng(SEED).permutation(order)  # a folder's order is class by class
        run = _Run(order, check, watch)
        kept = self._kept(pictures, names, order)
        while kept is not None and not run.is_over and (scores := kept.read(run.piece)) is not None:
            run.add(scores)
        with progress(doing, len(order), run.rows) as tick, closing(self._made(run, pictures, tick)) as made:
            for scores in made:
                if kept is not None:
                    kept.write(run.piece, scores)
                run.add(scores)
                say(doing, run.said)
                if run.is_over:
                    break
        return run.result()

    def _made(
        self, run: _Run, pictures: Sequence[Picture], tick: Callable[[int], None]
    ) -> Generator[Scores, None, None]:
        """The scores of the pieces that are not there yet."""
        if run.is_over:
            return
        pieces, jobs = run.left(pictures), self._jobs(len(pictures))
        if jobs is None or self.task is None:
            yield from _by_threads(pieces, self.models, tick)
            return
        with jobs as opened:
            opened.must_see(*self.task.paths, *(one for one in pictures[:1] if isinstance(one, Path)))
            there = map(_absolute, pieces) if self.scale.ray is not None else pieces
            for scores in opened.each(self.task, there):
                tick(len(scores[0]))
                yield scores

    def _jobs(self, count: int) -> AbstractContextManager[Jobs] | None:
        """Processes or machines; None for the threads of this process, which start sooner and take less memory."""
        wanted, own = self.scale.processes, len(self.models[-1].workers)
        if wanted == 0:
            has_reference = any(model.predict for model in self.models)
            wanted = 1 if has_reference or self.task is None or count < MANY else own
        if self.scale.ray is None and (wanted is None or wanted == 1):
            return None
        if self.task is None:
            raise EdgedenseError(
                "a reference that other processes can open: the path of its file",
                "a model in memory",
                "save it, or leave processes and ray out",
            )
        return open_jobs(self.scale.ray, None if self.scale.ray is not None else wanted)

    def _kept(self, pictures: Sequence[Picture], names: Sequence[str], order: Integers) -> Kept | None:
        if self.scale.work is None:
            return None
        about = {**self.about, "images": len(pictures), "piece": PIECE, "order": sha256(order.tobytes())}
        return Kept(self.scale.work, {**about, "pictures": fingerprint(pictures, names)})


class _Run:
    """What is scored so far: the pieces in their order, and the places of their pictures in `order`."""

    def __init__(self, order: Integers, check: Callable[[Scores], None], watch: _Watch | None) -> None:
        self._order, self._check, self._watch = order, check, watch
        self._scores: tuple[Floats, ...] = ()
        self.piece = self.rows = 0

    @property
    def is_over(self) -> bool:
        """Whether there is nothing left to do."""
        return self.rows == len(self._order) or (self._watch is not None and self._watch.is_over)

    @property
    def said(self) -> str:
        """What is known so far; nothing where that is too little."""
        return "" if self._watch is None or self._watch.last is None else str(self._watch.last)

    def left(self, pictures: Sequence[Picture]) -> Iterator[Piece]:
        """The pieces that are not scored."""
        for number in range(self.piece, -(-len(self._order) // PIECE)):
            yield Piece(number, tuple(pictures[i] for i in self._order[number * PIECE : (number + 1) * PIECE]))

    def add(self, scores: Scores) -> None:
        """The scores of the next piece."""
        if not self._scores:
            self._check(scores)
            self._scores = tuple(np.empty((len(self._order), one.shape[1])) for one in scores)
        places = self._order[self.rows : self.rows + len(scores[0])]
        for table, one in zip(self._scores, scores, strict=True):
            table[places] = one
        self.piece, self.rows = self.piece + 1, self.rows + len(places)
        if self._watch is not None:
            self._watch.add(places, scores)

    def result(self) -> Scored:
        taken = np.sort(self._order[: self.rows])
        is_part = self.rows < len(self._order)
        early = None if self._watch is None else self._watch.answer
        return Scored(tuple(one[taken] if is_part else one for one in self._scores), taken, early)


class _Watch:
    """Counts the pictures that only one of two models has right, and looks at the drop when a look is planned."""

    def __init__(self, labels: Integers, until: float | None) -> None:
        self._labels, self._until = labels, until
        self._planned = sequential.planned(len(labels), PIECE)
        self._images = self._lost = self._won = 0
        self.last: Look | None = None

    def add(self, places: Integers, scores: Scores) -> None:
        """The scores of both models for the pictures at these places."""
        right, still = (metrics.predicted(one) == self._labels[places] for one in scores)
        self._lost += int(np.sum(right & ~still))
        self._won += int(np.sum(still & ~right))
        self._images += len(places)
        if self._images in self._planned:
            self.last = sequential.look(self._lost, self._won, self._images, len(self._planned))

    @property
    def is_over(self) -> bool:
        """Whether the interval is as narrow as was asked for."""
        return self._until is not None and self.last is not None and self.last.half_width <= self._until

    @property
    def answer(self) -> EarlyAnswer | None:
        """How it ended; None where nobody asked for an early end."""
        if self._until is None or self.last is None:
            return None
        return EarlyAnswer(self._until, self._images, len(self._labels), SEED, len(self._planned), self.last)


def _by_threads(
    pieces: Iterable[Piece], models: Sequence[Model], tick: Callable[[int], None]
) -> Generator[Scores, None, None]:
    """The scores of each piece, of which the threads of this process take a batch each."""
    sizes: deque[int] = deque()

    def batches() -> Iterator[Sequence[Picture]]:
        for piece in pieces:
            sizes.append(-(-len(piece.pictures) // BATCH))
            for start in range(0, len(piece.pictures), BATCH):
                yield piece.pictures[start : start + BATCH]

    with closing(validation.batches(batches(), models)) as made:
        for first in made:
            tick(len(first[0]))
            parts = [first]
            for part in islice(made, sizes.popleft() - 1):
                tick(len(part[0]))
                parts.append(part)
            yield tuple(np.concatenate(column) for column in zip(*parts, strict=True))


def _absolute(piece: Piece) -> Piece:
    """For another machine, which has another working directory."""
    return replace(piece, pictures=tuple(one.absolute() if isinstance(one, Path) else one for one in piece.pictures))
