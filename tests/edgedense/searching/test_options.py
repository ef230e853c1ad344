"""What a user may choose for a search."""

from __future__ import annotations

from edgedense.converters.opening import Opening
from edgedense.converters.options import Options
from edgedense.searching.options import TRIALS, SearchOptions


def test_how_many_trials_there_are_at_most() -> None:
    assert SearchOptions().most_trials == TRIALS
    assert SearchOptions(trials=5).most_trials == 5
    assert SearchOptions(time=60.0).most_trials is None  # as many as there is time for
    assert SearchOptions(trials=5, time=60.0).most_trials == 5


def test_what_every_file_is_made_with() -> None:
    assert SearchOptions(trials=3, seed=7).conversion == Options()
    opening = Opening(size=(64, 64))
    found = SearchOptions(preprocess="rescale", calibration_images=9, force=True, opening=opening).conversion
    assert found == Options(preprocess="rescale", calibration_images=9, force=True, opening=opening)
