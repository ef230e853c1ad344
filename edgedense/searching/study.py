"""The search's memory, Optuna's study in SQLite: which trials there were, what they gave, and which to try next."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgedense.errors import EdgedenseError
from edgedense.searching.choice import Size
from edgedense.searching.trial import Outcome, Settings

FILE, NAME = "search.db", "edgedense"
STEP, LEAST_SHARE = 0.05, 0.5  # of the budget: a file that takes less than half of it is no answer to it
FLOATS = (0, 4, 16)
ROUND = "round"  # the attribute of a trial that says which round it is of
ROUND_SEEDS = 10_000  # seeds of one search's rounds are not those of the next seed's


@dataclass(frozen=True)
class Space:
    """What is searched: picture sizes as (height, width), None for the model's own, which comes first; and the most
    epochs of training, 0 without pictures to train on."""

    sizes: tuple[Size | None, ...]
    epochs: int

    @property
    def trainings(self) -> tuple[int, ...]:
        """How many epochs are tried: the most, half of it and so on, and none."""
        found = [self.epochs] if self.epochs else []
        while found and found[-1] > 1:
            found.append(found[-1] // 2)
        return (*found, 0)

    def distributions(self) -> dict[str, Any]:
        """As Optuna takes them."""
        from optuna.distributions import CategoricalDistribution, FloatDistribution

        return {
            "share": FloatDistribution(LEAST_SHARE, 1.0, step=STEP),
            "importance": CategoricalDistribution(("taylor", "norm", "l1")),
            "size": CategoricalDistribution(tuple(range(len(self.sizes)))),
            "form": CategoricalDistribution(("maximum", "depthwise")),
            "floats": CategoricalDistribution(FLOATS),
            "epochs": CategoricalDistribution(self.trainings),
        }

    def first(self) -> list[dict[str, Any]]:
        """What is tried first: all of the budget, by what is usual, and one thing changed at a time."""
        usual: dict[str, Any] = {"share": 1.0, "importance": "taylor", "size": 0, "form": "maximum", "floats": 0}
        usual["epochs"] = self.epochs
        changes: list[dict[str, Any]] = [{}, {"share": 0.75}, {"importance": "norm"}, {"form": "depthwise"}]
        changes += [{"size": number} for number in range(1, len(self.sizes))]
        return [{**usual, **change} for change in changes]

    def settings(self, parameters: Mapping[str, Any]) -> Settings:
        """What Optuna chose."""
        return Settings(**{**parameters, "size": self.sizes[parameters["size"]]})


class Study:
    """A study in `work`. It goes on with what is there, as long as that is a search of the same: `about` says of what.

    Raises EdgedenseError for another search in `work`, and when Optuna is not installed.
    """

    def __init__(self, work: Path, about: Mapping[str, Any], space: Space, seed: int, size: int) -> None:
        try:
            import optuna
        except ImportError as error:
            raise EdgedenseError(
                "Optuna, which chooses what to try", "none", "pip install 'edgedense[search]'"
            ) from error
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._optuna, self._space, self._seed, self._size = optuna, space, seed, size
        self._study = optuna.create_study(
            storage=f"sqlite:///{work / FILE}",
            study_name=NAME,
            directions=["minimize", "maximize"],  # milliseconds, accuracy
            load_if_exists=True,
        )
        found = self._study.user_attrs.get("about")
        if found is None:
            with self._without_warnings():
                self._study.set_metric_names(["milliseconds", "accuracy"])
            self._study.set_user_attr("about", dict(about))
        elif found != about:
            other = ", ".join(sorted(name for name in {*found, *about} if found.get(name) != about.get(name)))
            raise EdgedenseError(
                "a search of the same model, pictures and options",
                f"another one in {work}: it differs in {other}",
                "another --work folder, or delete this one",
            )

    @contextmanager
    def _without_warnings(self) -> Iterator[None]:
        """Of what Optuna calls experimental."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", self._optuna.exceptions.ExperimentalWarning)
            yield

    @property
    def rounds(self) -> int:
        """How many rounds are over."""
        return int(self._study.user_attrs.get("rounds", 0))

    @property
    def seconds(self) -> float:
        """How long the search has lasted so far."""
        return float(self._study.user_attrs.get("seconds", 0.0))

    def lasted(self, seconds: float) -> None:
        """Remember how long the search has lasted."""
        self._study.set_user_attr("seconds", seconds)

    @property
    def trials(self) -> int:
        """How many trials are over."""
        states = self._optuna.trial.TrialState
        return len(self._study.get_trials(deepcopy=False, states=(states.COMPLETE, states.PRUNED)))

    def ask(self, count: int) -> list[tuple[int, Settings]]:
        """The trials of the next round, by Optuna's number. A round that was cut short is gone on with.

        The random numbers of a round follow from the seed and the round alone, so that a search that was interrupted
        asks for the same as one that was not.
        """
        found = self._begun()
        if len(found) < count:
            found = self._asked(count)
        return [(trial.number, self._space.settings(trial.params)) for trial in found]

    def _begun(self) -> list[Any]:
        """The trials of this round that there are."""
        state = self._optuna.trial.TrialState
        there = self._study.get_trials(deepcopy=False, states=(state.RUNNING, state.COMPLETE, state.PRUNED))
        return [trial for trial in there if trial.user_attrs.get(ROUND) == self.rounds]

    def _asked(self, count: int) -> list[Any]:
        self._forget()
        with self._without_warnings():
            self._study.sampler = self._optuna.samplers.TPESampler(
                n_startup_trials=self._size,
                multivariate=True,
                constant_liar=True,
                seed=self._seed + ROUND_SEEDS * self.rounds,
            )
        first = self._space.first() if self.rounds == 0 else []
        asked = []
        for place in range(count):
            if place < len(first):
                self._study.enqueue_trial(first[place])
            asked.append(self._study.ask(self._space.distributions()))
        for trial in asked:
            trial.set_user_attr(ROUND, self.rounds)
        return asked

    def _forget(self) -> None:
        """What was asked for before the process ended, and is no whole round."""
        state = self._optuna.trial.TrialState
        for _ in self._study.get_trials(deepcopy=False, states=(state.WAITING,)):
            self._study.ask()
        for trial in self._study.get_trials(deepcopy=False, states=(state.RUNNING,)):
            self._study.tell(trial.number, state=state.FAIL)

    def tell(self, outcomes: Sequence[tuple[int, Outcome, bool]]) -> None:
        """What the trials of a round gave, in the order of asking: Optuna's number, the outcome of the last rung that
        the trial reached, and whether that one is comparable with all others. Trials that were given up before have
        no values; they count as worse than those that have."""
        state = self._optuna.trial.TrialState
        for number, outcome, is_complete in outcomes:
            if is_complete:
                values = outcome.milliseconds, outcome.accuracy
                self._study.tell(number, values, skip_if_finished=True)
            else:
                self._study.tell(number, state=state.PRUNED, skip_if_finished=True)
        self._study.set_user_attr("rounds", self.rounds + 1)
