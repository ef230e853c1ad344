"""Which network is the better choice at which time, by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgedense.report import standings
from edgedense.searching.result import Point, PointKind, SearchResult


def point(name: str, kind: PointKind, milliseconds: float, accuracy: float, half: float = 1.0) -> Point:
    ends = accuracy - half, accuracy + half
    return Point(name, kind, {}, "", "", "", milliseconds, None, True, accuracy, *ends, 1000, 10**6, False)


# Faster ones are worse: 70, 76 and 80 % in 2, 4 and 8 ms.
OURS = (
    point("small", "trial", 2, 70),
    point("middle", "fraction", 4, 76),
    point("slow", "trial", 6, 75),
    point("whole", "unpruned", 8, 80),
)


def test_the_front_leaves_out_what_a_faster_one_equals() -> None:
    assert [one.name for one in standings.front(OURS[::-1])] == ["small", "middle", "whole"]
    twice = replace(OURS[0], name="again", milliseconds=3.0)
    assert [one.name for one in standings.front((twice, *OURS))] == ["small", "middle", "whole"]


@pytest.mark.parametrize(
    ("rival", "unsure_from", "beaten_from", "said"),
    [
        # faster than all, and better than the one of 2 ms; that of 4 ms is better
        (
            point("net", "rival", 1, 73),
            4,
            4,
            "net: about 1 ms, 73.00 (72.0 to 74.0) %. Below 4 ms it is better than every DenseNet, and the intervals "
            "do not overlap. From 4 ms on a DenseNet is at least as accurate.",
        ),
        # its interval meets that of the one of 2 ms
        (
            point("net", "rival", 1, 71),
            2,
            4,
            "net: about 1 ms, 71.00 (70.0 to 72.0) %. Below 2 ms it is better than every DenseNet, and the intervals "
            "do not overlap. From 2 ms on it is more accurate, but intervals overlap, so this may be chance. From 4 ms "
            "on a DenseNet is at least as accurate.",
        ),
        (
            point("net", "rival", 3, 71),
            2,
            4,
            "net: about 3 ms, 71.00 (70.0 to 72.0) %. Beside the DenseNets that are as fast it is more accurate, but "
            "intervals overlap, so this may be chance. From 4 ms on a DenseNet is at least as accurate.",
        ),
        # faster than all, and worse than all
        (
            point("net", "rival", 1, 60),
            2,
            2,
            "net: about 1 ms, 60.00 (59.0 to 61.0) %. No DenseNet here is as fast; the fastest, with 2 ms, is at least "
            "as accurate.",
        ),
        (
            point("net", "rival", 5, 76),
            4,
            4,
            "net: about 5 ms, 76.00 (75.0 to 77.0) %. A DenseNet of at most that time is at least as accurate.",
        ),
        (
            point("net", "rival", 9, 90),
            float("inf"),
            float("inf"),
            "net: about 9 ms, 90.00 (89.0 to 91.0) %. No DenseNet here comes near it: all their intervals end below "
            "its own.",
        ),
        (
            point("net", "rival", 9, 81),
            8,
            float("inf"),
            "net: about 9 ms, 81.00 (80.0 to 82.0) %. Beside the DenseNets that are as fast it is more accurate, but "
            "intervals overlap, so this may be chance.",
        ),
    ],
)
def test_a_rival_beside_the_densenets(rival: Point, unsure_from: float, beaten_from: float, said: str) -> None:
    points = (*OURS, rival)
    (found,) = standings.standings(points)
    assert (found.unsure_from, found.beaten_from) == (unsure_from, beaten_from)
    assert standings.verdicts(points) == (said,)


def test_how_long_a_rival_was_trained() -> None:
    """One that somebody brought has no such settings."""
    rival = point("net", "rival", 5, 76)
    (said,) = standings.verdicts((*OURS, replace(rival, settings={"epochs": 3, "pictures": 16000})))
    (plain,) = standings.verdicts((*OURS, rival))
    assert said == f"{plain} It was trained from nothing, 3 times over 16,000 pictures."


def test_the_answer_names_the_time_below_which_pruning_is_not_sensible() -> None:
    fast, middle, useless = (point("a", "rival", 1, 73), point("b", "rival", 3, 77), point("c", "rival", 9, 79))
    assert standings.answer(OURS) == ""
    assert standings.answer((*OURS, useless)) == (
        "None of the other networks is better than a pruned DenseNet, however much time there is: for each there is a "
        "DenseNet that is as fast and at least as accurate."
    )
    assert standings.answer((*OURS, point("f", "rival", 1, 60), useless)) == (
        "No DenseNet here is as fast as f, and the fastest, with 2 ms, is at least as accurate. A smaller --budget "
        "tries DenseNets that are faster."
    )
    assert standings.answer((*OURS, fast, point("f", "rival", 1, 60))) == standings.answer((*OURS, fast))
    assert standings.answer((*OURS, fast, useless)) == (
        "A pruned DenseNet stops being sensible below 4 ms: with less time, down to 1 ms, a is better than every "
        "DenseNet that is as fast."
    )
    assert standings.answer((*OURS, middle, fast)) == (
        "A pruned DenseNet stops being sensible below 8 ms: with less time, down to 1 ms, a, b are better than every "
        "DenseNet that is as fast."
    )
    assert standings.answer((*OURS, point("d", "rival", 3, 71))).endswith(
        "below 4 ms: with less time, down to 3 ms, d is better than every DenseNet that is as fast. The intervals "
        "overlap, so this may be chance."
    )
    assert standings.answer((*OURS, point("e", "rival", 9, 90))) == (
        "No DenseNet here is as accurate as e, which takes about 9 ms."
    )


def test_figures_on_test_pictures_are_shown_where_all_files_have_them() -> None:
    result = SearchResult("m.keras", "pi5", 5, 0, 9, OURS, "middle", ())
    assert standings.shown(result) == OURS
    assert not standings.tested(result)
    some = replace(result, test={"middle": (74.0, 73.0, 75.0)}, test_images=500)
    assert standings.shown(some) == OURS
    whole = replace(some, test={one.name: (one.accuracy - 2, one.low - 2, one.high - 2) for one in OURS})
    assert standings.tested(whole)
    assert [(one.accuracy, one.low, one.high, one.images) for one in standings.shown(whole)][1] == (74, 73, 75, 500)
