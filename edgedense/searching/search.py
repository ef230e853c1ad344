"""The search itself: rounds of trials from cheap to dear until time or trials are used up, then the files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from math import ceil
from typing import Any

from edgedense.boards.result import BoardTime
from edgedense.converters.options import Criterion
from edgedense.converters.pruning.importance import Importance
from edgedense.jobs.jobs import Jobs
from edgedense.progress import progress
from edgedense.searching.bench import Task, key, places
from edgedense.searching.choice import Choice, Size
from edgedense.searching.final import Made, Make
from edgedense.searching.halving import HALF, QUARTER, best, front, promoted
from edgedense.searching.limits import Budget, Clock
from edgedense.searching.store import Store
from edgedense.searching.study import Space, Study
from edgedense.searching.trial import Outcome, Rung, Settings, Try
from edgedense.searching.worker import Channels, Item, Least, Work

Measure = Callable[[Sequence[bytes]], Sequence[BoardTime]]  # files on a host, one inference of each
MOST_FILES = 8  # of the front that are made at the end
SLOWER = 1.25  # a step may last so many times as long as those before it did
UNPRUNED, FRACTION = "unpruned", "prune-channels"


@dataclass(frozen=True)
class Entry:
    """A trial on its way up: its number in the study, what it is, and the outcome of the last rung that it reached."""

    number: int
    name: str
    settings: Settings
    outcome: Outcome

    @property
    def milliseconds(self) -> float:
        """On the board."""
        return self.outcome.milliseconds

    @property
    def accuracy(self) -> float:
        """On the rung's pictures."""
        return self.outcome.accuracy


@dataclass(frozen=True)
class Found:
    """What a search found: the milliseconds that a file may take, the files with their times on the board, and how many
    trials were run, of which so many were given up before they were measured in full."""

    limit: float
    made: tuple[tuple[Made, BoardTime], ...]
    trials: int
    given_up: int
    notes: tuple[str, ...]


@dataclass
class Search:
    """One search. `measure` is None where times are estimated for `task.board`. Where files are measured on a host, the
    estimate only says which fraction to cut, scaled by what the unpruned file takes there.

    `round` trials are asked for at once, and `most` in all, None for as many as there is time for.
    """

    task: Task
    budget: Budget
    space: Space
    study: Study
    store: Store
    clock: Clock
    jobs: Jobs
    round: int
    most: int | None
    measure: Measure | None = None
    _channels: dict[tuple[Size | None, Criterion], Importance] = field(default_factory=dict)
    _seconds: dict[str, float] = field(default_factory=dict)  # of the slowest item, by kind

    def run(self) -> Found:
        """Search, and make the files. Raises EdgedenseError where no file keeps the budget, and what workers raise."""
        estimated = self._unpruned()
        (unpruned,) = self._timed([estimated])
        limit = self.budget.limit(unpruned[1].milliseconds)
        scale = estimated[1].milliseconds / unpruned[1].milliseconds  # from the host's times to the estimate's
        rounds = [self.store.round(number) or [] for number in range(self.study.rounds)]
        while self._may_go_on(rounds):
            rounds.append(self._round(len(rounds), limit, scale))
        outcomes = [outcome for one in rounds for outcome in one]
        complete = [outcome for outcome in outcomes if outcome.rung != "cheap" and outcome.milliseconds <= limit]
        files = [unpruned, *self._files(complete, limit, scale)]
        notes = self._notes(files, limit)
        return Found(limit, tuple(files), len(outcomes), len(outcomes) - len(complete), notes)

    def _unpruned(self) -> tuple[Made, BoardTime]:
        """The plain conversion with its estimated time; meanwhile other workers measure the channels for the first
        trials."""
        criteria: tuple[Criterion, ...] = ("taylor", "norm")
        missing = self._missing([(None, one) for one in criteria])
        made, *channels = self._each("measuring the whole network", [Make(UNPRUNED, Choice()), *missing])
        self._keep_channels(missing, channels)
        return made

    def _may_go_on(self, rounds: Sequence[Sequence[Outcome]]) -> bool:
        """Whether there are trials left, and time for the cheap ones of a round and a full one."""
        done = sum(map(len, rounds))
        if self.most is not None and done >= self.most:
            return False
        if rounds and not any(outcome.rung != "cheap" for outcome in rounds[-1]) and self.clock.seconds is not None:
            return False  # the time ended in the last round
        return self._has_time("cheap", self.round) and self._has_time("full", promoted(self.round, QUARTER))

    def _round(self, number: int, limit: float, scale: float) -> list[Outcome]:
        """Ask for trials, try all of them cheaply, the best of them in full, and train the best of these. The study is
        told before this returns."""
        left = self.round if self.most is None else min(self.round, self.most - self.round * number)
        asked = self.study.ask(left)
        entries = [
            Entry(trial, f"trial-{self.round * number + place}", settings, Outcome("", "cheap", None))
            for place, (trial, settings) in enumerate(asked)
        ]
        entries = self._climb(f"round {number + 1}: cheap trials", "cheap", entries, limit, scale)
        dearer: tuple[tuple[Rung, int, str], ...] = (
            ("full", QUARTER, "trials in full"),
            ("trained", HALF, "recoveries"),
        )
        for rung, keep, what in dearer:
            able = [one for one in entries if self._is_able(one, rung, limit)]
            chosen = best(able, promoted(len(able), keep))
            if not chosen or not self._has_time(rung, len(chosen)):
                break
            risen = self._climb(f"round {number + 1}: {what}", rung, chosen, limit, scale)
            entries = [next((new for new in risen if new.number == old.number), old) for old in entries]
        outcomes = [one.outcome for one in entries]
        self.store.keep_round(number, outcomes)
        self.study.tell(
            [(one.number, one.outcome, one.outcome.rung != "cheap" and one.milliseconds <= limit) for one in entries]
        )
        self.study.lasted(self.clock.elapsed)
        return outcomes

    def _is_able(self, one: Entry, rung: Rung, limit: float) -> bool:
        """Whether a trial may go on: it keeps the budget, has come to the rung below, and is to be trained there."""
        if one.outcome.choice is None or one.milliseconds > limit:
            return False
        return one.outcome.rung == "cheap" if rung == "full" else one.outcome.rung == "full" and one.settings.epochs > 0

    def _climb(self, what: str, rung: Rung, entries: Sequence[Entry], limit: float, scale: float) -> list[Entry]:
        """The same trials with the outcomes of a rung: those that are kept, and the others by the workers."""
        kept = {one.number: self.store.outcome(_called(one, rung)) for one in entries}
        missing = [one for one in entries if kept[one.number] is None]
        self._measure_channels([(one.settings.size, one.settings.importance) for one in missing])
        tries = [
            Try(
                *(one.name, one.settings, rung, one.settings.share * limit * scale),
                self._channels[one.settings.size, one.settings.importance],
                one.outcome.choice,
            )
            for one in missing
        ]
        for one, outcome in zip(missing, self._each(what, tries), strict=True):
            outcome = self._on_host(outcome)
            self.store.keep_outcome(_called(one, rung), outcome)
            kept[one.number] = outcome
            self.study.lasted(self.clock.elapsed)
        return [replace(one, outcome=outcome) for one in entries if (outcome := kept[one.number]) is not None]

    def _on_host(self, outcome: Outcome) -> Outcome:
        """With the time that is measured, where files are measured."""
        if self.measure is None or outcome.choice is None:
            return replace(outcome, file=b"")
        (time,) = self.measure([outcome.file])
        return replace(outcome, milliseconds=time.milliseconds, instructions=time.instructions, file=b"")

    def _timed(self, made: Sequence[tuple[Made, BoardTime]]) -> list[tuple[Made, BoardTime]]:
        """Files with their times on the board: those that are estimated, or in their place those of the host."""
        if self.measure is None:
            return list(made)
        files = [one for one, _ in made]
        return list(zip(files, self.measure([one.data for one in files]), strict=True))

    def _measure_channels(self, wanted: Sequence[tuple[Size | None, Criterion]]) -> None:
        items = self._missing(wanted)
        self._keep_channels(items, list(self._each("measuring channels", items)))

    def _missing(self, wanted: Sequence[tuple[Size | None, Criterion]]) -> list[Channels]:
        """What is not known yet of `wanted`, each once. What the work folder has is known then."""
        items = []
        for size, criterion in dict.fromkeys(wanted):
            found = self._channels.get((size, criterion)) or self.store.importance(key(size, criterion))
            if found is None:
                items.append(Channels(size, criterion))
            else:
                self._channels[size, criterion] = found
        return items

    def _keep_channels(self, items: Sequence[Channels], found: Sequence[Importance]) -> None:
        for item, importance in zip(items, found, strict=True):
            self._channels[item.size, item.criterion] = importance
            self.store.keep_importance(key(item.size, item.criterion), importance)

    def _files(self, complete: Sequence[Outcome], limit: float, scale: float) -> list[tuple[Made, BoardTime]]:
        """The front of the trials, and what `--prune-channels` alone gives within the budget."""
        items = [
            Make(outcome.name, outcome.choice, self._importance_of(outcome.choice))
            for outcome in _thinned(front(complete))
            if outcome.choice is not None
        ]
        (fraction,) = self._each("pruning alone", [Least(self._channels[None, "taylor"], limit * scale)])
        if fraction:
            items.append(Make(FRACTION, Choice(prune_channels=fraction), self._channels[None, "taylor"]))
        return self._timed(list(self._each("making the files", items)))

    def _importance_of(self, choice: Choice) -> Importance | None:
        if choice.prune_channels is None:
            return None
        self._measure_channels([(choice.size, choice.importance)])
        return self._channels[choice.size, choice.importance]

    def _notes(self, files: Sequence[tuple[Made, BoardTime]], limit: float) -> tuple[str, ...]:
        notes = []
        if files[0][1].milliseconds <= limit:
            notes.append(f"the whole network keeps the budget of {limit:.3g} ms: nothing needs to be cut")
        if self.measure is not None:
            over = [made.name for made, time in files[1:] if time.milliseconds > limit]
            notes += [f"{name} was expected to keep the budget, and does not where it is measured" for name in over]
        return tuple(notes)

    def _each(self, what: str, items: Sequence[Item]) -> Iterator[Any]:
        """The results of items, in their order; how long the slowest took is remembered by kind."""
        with progress(what, len(items)) as tick:
            work = Work(self.task, self.measure is not None)
            for item, done in zip(items, self.jobs.each(work, items) if items else (), strict=True):
                kind = item.rung if isinstance(item, Try) else type(item).__name__
                self._seconds[kind] = max(self._seconds.get(kind, 0.0), done.seconds)
                tick(1)
                yield done.result

    def _has_time(self, kind: str, count: int) -> bool:
        """Whether so many items of a kind can be done and the files made afterwards, going by the slowest so far. What
        was never done may last a third of what is left."""
        if self.clock.seconds is None:
            return True
        ending = self._wall("Make", MOST_FILES)
        left = self.clock.left - ending
        if kind not in self._seconds:
            return left > self.clock.seconds / 3
        return SLOWER * self._wall(kind, count) <= left

    def _wall(self, kind: str, count: int) -> float:
        return ceil(count / self.jobs.workers) * self._seconds.get(kind, 0.0)


def _called(one: Entry, rung: Rung) -> str:
    """The name of an outcome that is kept: it depends on all that led to it."""
    return f"{one.name}-{rung}-{key(one.settings, one.outcome.choice if rung != 'cheap' else None)}"


def _thinned(found: Sequence[Outcome]) -> list[Outcome]:
    """At most MOST_FILES, evenly from the fastest to the most accurate, each time and accuracy once."""
    once = list({(one.milliseconds, one.accuracy): one for one in reversed(found)}.values())
    ordered = sorted(once, key=lambda one: one.milliseconds)
    return [ordered[i] for i in places(len(ordered), MOST_FILES)] if ordered else []
