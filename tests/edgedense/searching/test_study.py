"""What is asked for: the same after an interruption, and learnt from."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgedense.errors import EdgedenseError
from edgedense.searching.choice import Choice
from edgedense.searching.study import Space, Study
from edgedense.searching.trial import Outcome, Settings

pytest.importorskip("optuna")
SPACE = Space((None, (56, 56)), 4)
ABOUT = {"the model": "a", "the budget": "b"}


def study(work: Path, seed: int = 0, about: dict[str, str] = ABOUT) -> Study:
    work.mkdir(exist_ok=True)
    return Study(work, about, SPACE, seed, 6)


def told(asked: list[tuple[int, Settings]]) -> list[tuple[int, Outcome, bool]]:
    """Outcomes that follow from the settings; every other trial is given up."""
    return [
        (number, Outcome("", "full", Choice(), one.share, None, 90 * one.share), place % 2 == 0)
        for place, (number, one) in enumerate(asked)
    ]


def rounds(work: Path, count: int, seed: int = 0) -> list[list[Settings]]:
    """What is asked for in some rounds of 6, each by a study that was opened anew."""
    found = []
    for _ in range(count):
        one = study(work, seed)
        asked = one.ask(6)
        found.append([settings for _, settings in asked])
        one.tell(told(asked))
    return found


def test_the_space() -> None:
    assert SPACE.trainings == (4, 2, 1, 0)
    assert Space((None,), 0).trainings == (0,)
    usual, *others = [SPACE.settings(parameters) for parameters in SPACE.first()]
    assert usual == Settings(1.0, "taylor", None, "maximum", 0, 4)
    assert Settings(1.0, "taylor", (56, 56), "maximum", 0, 4) in others


@pytest.mark.slow
def test_the_same_seed_asks_for_the_same(tmp_path: Path) -> None:
    first = rounds(tmp_path / "a", 3)
    assert rounds(tmp_path / "b", 3) == first
    assert rounds(tmp_path / "c", 3, seed=1)[1:] != first[1:]
    assert {len(one) for one in first} == {6}


def test_it_starts_with_what_is_usual(tmp_path: Path) -> None:
    assert rounds(tmp_path / "a", 1)[0][:5] == [SPACE.settings(parameters) for parameters in SPACE.first()]


@pytest.mark.slow
def test_a_round_that_was_cut_short_is_gone_on_with(tmp_path: Path) -> None:
    unbroken = rounds(tmp_path / "a", 2)
    one = study(tmp_path / "b")
    one.tell(told(one.ask(6)))
    asked = study(tmp_path / "b").ask(6)
    study(tmp_path / "b").tell(told(asked)[:2])  # as if it had ended while it told
    again = study(tmp_path / "b")
    again._study.set_user_attr("rounds", 1)
    assert [settings for _, settings in again.ask(6)] == unbroken[1]
    again.tell(told(again.ask(6)))
    assert again.rounds == 2
    assert again.trials == 12


def test_what_was_asked_for_in_part_is_forgotten(tmp_path: Path) -> None:
    unbroken = rounds(tmp_path / "a", 1)
    one = study(tmp_path / "b")
    one._study.enqueue_trial(SPACE.first()[0])
    one._study.ask(SPACE.distributions())
    one._study.enqueue_trial(SPACE.first()[1])
    assert rounds(tmp_path / "b", 1) == unbroken
    assert study(tmp_path / "b").trials == 6


def test_another_search_in_the_folder(tmp_path: Path) -> None:
    study(tmp_path)
    with pytest.raises(EdgedenseError, match="it differs in the budget"):
        study(tmp_path, about={**ABOUT, "the budget": "c"})


def test_how_long_it_lasted(tmp_path: Path) -> None:
    study(tmp_path).lasted(12.5)
    assert study(tmp_path).seconds == 12.5
