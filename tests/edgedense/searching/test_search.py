"""The order of a search: rounds, rungs, budget, time, and going on after an interruption. What is tried is made up."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from edgedense.boards.result import BoardTime
from edgedense.searching import search as searching
from edgedense.searching.begin import begin
from edgedense.searching.limits import parse_budget
from edgedense.searching.options import SearchOptions
from edgedense.searching.search import Found
from edgedense.searching.trial import Try
from tests.edgedense.searching.made_up import SECONDS, WHOLE, MadeUp, task

pytest.importorskip("optuna")
OPTIONS = SearchOptions(trials=16, round=8)


def found(work: Path, jobs: MadeUp, options: SearchOptions = OPTIONS, budget: str = "50%") -> Found:
    work.mkdir(parents=True, exist_ok=True)
    return begin(task(work), options, parse_budget(budget), jobs, work, "pi5").run()  # type: ignore[arg-type]


def rungs(jobs: MadeUp) -> list[str]:
    return [item.rung for item in jobs.done if isinstance(item, Try)]


def test_from_cheap_to_dear(tmp_path: Path) -> None:
    jobs = MadeUp()
    result = found(tmp_path, jobs)
    tried = rungs(jobs)
    assert tried[:8] == ["cheap"] * 8
    assert tried[8:10] == ["full"] * 2  # a quarter of 8
    assert tried[10] == "trained"  # half of 2
    assert tried.count("cheap") == 16
    assert result.trials == 16
    assert result.given_up == 16 - tried.count("full")


def test_all_files_of_trials_keep_the_budget_and_one_is_trained(tmp_path: Path) -> None:
    result = found(tmp_path, MadeUp())
    names = [made.name for made, _ in result.made]
    assert names[0] == "unpruned"
    assert names[-1] == "prune-channels"
    assert result.limit == WHOLE / 2
    assert all(time.milliseconds <= result.limit for _, time in result.made[1:])
    best = max(result.made[1:], key=lambda pair: pair[0].reached.value or 0)[0]
    assert best.choice.epochs == 2  # training wins half of the loss back
    assert best.choice.importance == "taylor"
    assert best.reached.value == 85.0  # 90 - 20 x 0.5 x 0.5
    assert result.made[-1][0].reached.value == 80.0


@pytest.mark.slow
def test_the_number_of_workers_changes_nothing(tmp_path: Path) -> None:
    assert found(tmp_path / "a", MadeUp(1)) == found(tmp_path / "b", MadeUp(7))


@pytest.mark.slow
def test_another_seed(tmp_path: Path) -> None:
    first = found(tmp_path / "a", MadeUp())
    assert found(tmp_path / "b", MadeUp(), SearchOptions(trials=16, round=8, seed=1)) != first


# While the whole network is measured, in the cheap trials of the first round, in its training, and in the second round.
@pytest.mark.slow
@pytest.mark.parametrize("after", [0, 6, 15, 24])
def test_an_interrupted_search_ends_as_an_unbroken_one(tmp_path: Path, after: int) -> None:
    unbroken, first, second = MadeUp(), MadeUp(ends_after=after), MadeUp()
    expected = found(tmp_path / "a", unbroken)
    with pytest.raises(KeyboardInterrupt):
        found(tmp_path / "b", first)
    assert found(tmp_path / "b", second) == expected
    both = [item for item in (*first.done, *second.done) if isinstance(item, Try)]
    assert len(both) == len(rungs(unbroken))  # nothing was tried twice


@pytest.mark.slow
def test_more_trials_go_on_with_what_is_there(tmp_path: Path) -> None:
    found(tmp_path / "a", MadeUp(), SearchOptions(trials=8, round=8))
    jobs = MadeUp()
    longer = found(tmp_path / "a", jobs)
    assert longer == found(tmp_path / "b", MadeUp())
    assert rungs(jobs).count("cheap") == 8


def test_the_last_round_may_be_short(tmp_path: Path) -> None:
    jobs = MadeUp()
    assert found(tmp_path, jobs, SearchOptions(trials=11, round=8)).trials == 11
    assert rungs(jobs).count("cheap") == 11


def test_a_network_that_keeps_the_budget_as_it_is(tmp_path: Path) -> None:
    result = found(tmp_path, MadeUp(), budget="12ms")
    assert "prune-channels" not in [made.name for made, _ in result.made]
    assert any("nothing needs to be cut" in note for note in result.notes)


def test_a_budget_that_no_cut_keeps(tmp_path: Path) -> None:
    """The trials say so, and none goes on."""
    jobs = MadeUp()
    result = found(tmp_path, jobs, budget="0.9ms")
    assert set(rungs(jobs)) == {"cheap"}
    assert result.given_up == result.trials


class Watch:
    """A clock that stands still but for the work."""

    def __init__(self, jobs: MadeUp) -> None:
        self.jobs = jobs

    def __call__(self) -> float:
        """Seconds: the work that is done, side by side."""
        kinds = [item.rung if isinstance(item, Try) else type(item).__name__ for item in self.jobs.done]
        return sum(SECONDS.get(kind, 0.0) for kind in kinds) / self.jobs.workers


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [100, 300])
def test_it_is_done_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    jobs = MadeUp()
    watch = Watch(jobs)
    monkeypatch.setattr("edgedense.searching.limits.time.monotonic", watch)
    result = found(tmp_path, jobs, SearchOptions(time=seconds, round=8))
    assert result.trials
    assert watch() <= seconds
    if seconds == 300:
        assert result.trials > 16
        assert watch() > 0.7 * seconds  # and the time is used


def test_files_are_measured_on_a_host(tmp_path: Path) -> None:
    """The host is twice as slow as the estimate: the same fractions keep a budget in percent."""
    sizes = []

    def measure(files: Sequence[bytes]) -> list[BoardTime]:
        sizes.append(len(files))
        return [BoardTime("a board", 2 * WHOLE if file == b"unpruned" else 9.0, None, False, None) for file in files]

    jobs = MadeUp()
    search = begin(task(tmp_path), OPTIONS, parse_budget("50%"), jobs, tmp_path, "pi@barn-1", measure)  # type: ignore[arg-type]
    result = search.run()
    assert result.limit == WHOLE
    assert {time.milliseconds for _, time in result.made[1:]} == {9.0}
    first = next(item for item in jobs.done if isinstance(item, Try))
    assert first.limit == WHOLE / 2
    assert sizes[0] == 1


def test_a_front_of_many(tmp_path: Path) -> None:
    from edgedense.searching.choice import Choice
    from edgedense.searching.trial import Outcome

    many = [Outcome(f"{n}", "full", Choice(), float(n), None, float(n)) for n in range(20)]
    kept = searching._thinned([*many, many[3]])
    assert len(kept) == searching.MOST_FILES
    assert (kept[0], kept[-1]) == (many[0], many[-1])
    assert searching._thinned([]) == []
