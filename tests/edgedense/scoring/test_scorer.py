from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgedense.errors import EdgedenseError
from edgedense.images.in_memory import in_memory
from edgedense.images.preprocessing import Preprocessing
from edgedense.measures.validation import Model
from edgedense.progress import reporting
from edgedense.scoring.options import Scale
from edgedense.scoring.scorer import PIECE, Scored, Scorer

PLAIN = Preprocessing(1, 1, "none")
COUNT = 1500
PICTURES = [in_memory(np.full((1, 1, 3), number % 256, np.uint8), f"p{number}") for number in range(COUNT)]
NAMES = [picture.name for picture in PICTURES]
LABELS = np.arange(COUNT) % 256 // 128  # class 1 are bright pictures, and both models know it


def bright(pixels: np.ndarray) -> np.ndarray:
    light = pixels.mean((1, 2, 3)) / 255
    return np.stack([1 - light, light], axis=1)


def wrong_on_some(pixels: np.ndarray) -> np.ndarray:
    """On levels 0 and 255: 11 of the 1,500 pictures, 0.73 in 100."""
    scores = bright(pixels)
    return np.where(np.isin(scores[:, :1], (0, 1)), 1 - scores, scores)


MODELS = (Model("float", PLAIN, bright), Model("int8", PLAIN, wrong_on_some))
ALONE = Scorer(MODELS, None, Scale(), {"file": "a"})


def scored(scorer: Scorer, labels: np.ndarray | None = LABELS) -> Scored:
    return scorer.score("validating", PICTURES, NAMES, labels, lambda scores: None)


def test_scores_are_in_the_order_of_the_pictures() -> None:
    levels = np.arange(COUNT) % 256 / 255
    for labels in (LABELS, None):  # random order, and theirs
        found = scored(ALONE, labels)
        np.testing.assert_allclose(found.scores[0][:, 1], levels)
        assert found.taken.tolist() == list(range(COUNT))
        assert found.early is None


class Stop(Exception):  # noqa: N818  no error
    """As a kill does, it ends the work between two pieces."""


class Listener:
    """Hears of steps, and ends the work at so many pictures."""

    def __init__(self, last: int = COUNT) -> None:
        self.last, self.heard, self.said = last, [], []

    def __call__(self, step: str, done: int, total: int) -> None:
        self.heard.append(done)
        if done > self.last:
            raise Stop

    def say(self, step: str, text: str) -> None:
        self.said.append(text)


def test_a_run_that_was_killed_goes_on_and_ends_alike(tmp_path: Path) -> None:
    kept, whole = replace(ALONE, scale=Scale(tmp_path)), scored(ALONE)
    with pytest.raises(Stop), reporting(Listener(3 * PIECE)):
        scored(kept)
    assert len(list(tmp_path.rglob("piece-*.npz"))) == 3
    again, done = Listener(), Listener()
    with reporting(again):
        found = scored(kept)
    with reporting(done):
        once_more = scored(kept)
    assert again.heard[0] == 3 * PIECE
    assert done.heard == [COUNT]
    for one in (found, once_more):
        assert [part.tobytes() for part in one.scores] == [part.tobytes() for part in whole.scores]


def test_another_model_or_other_pictures_begin_anew(tmp_path: Path) -> None:
    scored(replace(ALONE, scale=Scale(tmp_path)))
    for scorer, labels in ((replace(ALONE, about={"file": "b"}), LABELS), (ALONE, None)):
        heard = Listener()
        with reporting(heard):
            scored(replace(scorer, scale=Scale(tmp_path)), labels)
        assert heard.heard[0] == 0
    heard = Listener()
    other = [in_memory(np.ones((1, 1, 3), np.uint8), "p0"), *PICTURES[1:]]
    with reporting(heard):
        replace(ALONE, scale=Scale(tmp_path)).score("validating", other, NAMES, LABELS, lambda scores: None)
    assert heard.heard[0] == 0


def test_it_ends_when_the_drop_is_known_well_enough(tmp_path: Path) -> None:
    """At the first of two looks the interval is 0.9 points to the upper side, and less to the lower one."""
    heard = Listener()
    with reporting(heard):
        found = scored(replace(ALONE, scale=Scale(tmp_path, until=1.2)))
    early = found.early
    assert early is not None
    assert (early.images, early.total, early.planned, early.is_narrow) == (1024, COUNT, 2, True)
    assert found.taken.size == 1024
    assert (np.diff(found.taken) > 0).all()
    assert 300 < np.sum(found.taken < COUNT // 3) < 380  # from all over the folder: a third of 1,024 is 341
    np.testing.assert_allclose(found.scores[0][:, 1], found.taken % 256 / 255)
    assert early.look.low < 0.73 < early.look.high
    assert heard.said == [str(early.look)]
    resumed = scored(replace(ALONE, scale=Scale(tmp_path, until=1.2)))
    assert resumed.early == early
    assert [one.tobytes() for one in resumed.scores] == [one.tobytes() for one in found.scores]


def test_it_says_so_when_the_pictures_are_too_few() -> None:
    early = scored(replace(ALONE, scale=Scale(until=0.1))).early
    assert early is not None
    assert (early.images, early.is_narrow) == (COUNT, False)
    assert early.look.drop == pytest.approx(100 * 11 / COUNT)


def test_the_first_scores_are_checked_before_all_others() -> None:
    heard = Listener()

    def refuse(scores: tuple[np.ndarray, ...]) -> None:
        raise EdgedenseError("two classes", "three")

    with pytest.raises(EdgedenseError, match="three"), reporting(heard):
        ALONE.score("validating", PICTURES, NAMES, LABELS, refuse)
    assert max(heard.heard) <= 2 * PIECE


@pytest.mark.parametrize("scale", [Scale(processes=2), Scale(ray="auto")])
def test_a_model_in_memory_cannot_leave_the_process(scale: Scale) -> None:
    with pytest.raises(EdgedenseError, match="the path of its file; found a model in memory"):
        scored(replace(ALONE, scale=scale))


def test_edgedense_decides_for_threads_where_there_is_a_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def started(*_: object) -> Iterator[None]:
        raise AssertionError("processes")
        yield

    monkeypatch.setattr("edgedense.scoring.scorer.open_jobs", started)
    assert scored(replace(ALONE, scale=Scale(processes=0))).taken.size == COUNT
