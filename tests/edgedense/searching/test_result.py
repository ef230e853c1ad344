"""The result of a search as Python has it and as JSON."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from edgedense.searching.result import Point, SearchResult

WHOLE = Point(
    *("unpruned", "unpruned", {}, "edgedense convert m.keras --calibration c --out unpruned.tflite"),
    *("unpruned.tflite", "unpruned.json", 8.0, 240e6, True, 97.5, 96.0, 98.5, 200, 7_300_000, True),
)
HALF = replace(
    WHOLE, name="trial-7", kind="trial", settings={"prune_channels": 0.5, "floats": ["head/norm"]}, milliseconds=4.0
)
RESULT = SearchResult(
    "m.keras", "pi5", 4.5, 0, 12, (HALF, replace(WHOLE, on_front=False)), "trial-7", ("a remark",),
    test={"trial-7": (96.0, 95.0, 97.0)}, test_images=500,
)  # fmt: skip


def test_the_chosen_point_and_the_front() -> None:
    assert RESULT.best is RESULT.points[0]
    assert [point.name for point in RESULT.front] == ["trial-7"]
    with pytest.raises(KeyError):
        RESULT.point("trial-8")


def test_json_and_back() -> None:
    found = json.loads(RESULT.to_json())
    assert found["points"][0]["settings"] == {"prune_channels": 0.5, "floats": ["head/norm"]}
    assert found["test"] == {"trial-7": [96.0, 95.0, 97.0]}
    assert SearchResult.from_dict(found) == RESULT


def test_a_search_without_other_pictures() -> None:
    without = replace(RESULT, test=None, test_images=0)
    assert SearchResult.from_dict(without.to_dict()) == without
