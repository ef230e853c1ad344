"""What a worker of a search does: one class for all kinds of items, so that it keeps what it opened for all of them."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import Any

from edgedense.converters.linear_algebra import on_one_thread
from edgedense.converters.options import Criterion
from edgedense.converters.pruning.importance import Importance
from edgedense.searching.bench import Task, bench
from edgedense.searching.choice import Size
from edgedense.searching.final import Make, make
from edgedense.searching.trial import Try, attempt


@dataclass(frozen=True)
class Look:
    """The model is to be looked at: at which picture sizes it can be had."""


@dataclass(frozen=True)
class Seen:
    """Picture sizes as (height, width), None for the model's own, which comes first, and remarks on what was read."""

    sizes: tuple[Size | None, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Channels:
    """How much each channel matters is to be measured, at one picture size and by one criterion."""

    size: Size | None
    criterion: Criterion


@dataclass(frozen=True)
class Least:
    """The least fraction to cut is wanted whose file takes at most `limit` milliseconds by the estimate."""

    importance: Importance
    limit: float


Item = Look | Channels | Least | Try | Make


@dataclass(frozen=True)
class Timed:
    """What an item gave, and how many seconds it took."""

    result: Any  # Seen, Importance, a fraction or None, Outcome, or Made with its time, in the order of `Item`
    seconds: float


@dataclass(frozen=True)
class Work:
    """Does an item. With `keep` the outcomes of trials have their files."""

    task: Task
    keep: bool = False

    def __call__(self, item: Item) -> Timed:
        """What the item asks for. Raises EdgedenseError for a model or pictures that cannot be used."""
        logging.getLogger("tensorflow").setLevel(logging.ERROR)  # it warns of many networks: each trial has its own
        start = time.monotonic()
        with on_one_thread():  # as `convert` does
            found = self._done(item)
        return Timed(found, time.monotonic() - start)

    def _done(self, item: Item) -> Any:
        match item:
            case Look():
                opened = bench(self.task, None)
                return Seen((None, *opened.smaller_sizes), opened.notes)
            case Channels(size, criterion):
                return bench(self.task, size).importance(criterion)
            case Least(importance, limit):
                return bench(self.task, None).fraction("taylor", importance, "maximum", limit)
            case Try():
                return attempt(self.task, item, self.keep)
            case Make():
                return make(self.task, item)
