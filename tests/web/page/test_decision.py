"""web/src/page: what is said of scores, and the colours of heatmaps, by functions that need no browser."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgedense.explanations import colormap
from tests.web.conftest import Asked


def rule(kind: str, *thresholds: float | None, unit: str = "") -> dict[str, Any]:
    return {"kind": kind, "labels": ["ape", "bat", "cat"][: len(thresholds)], "thresholds": thresholds, "unit": unit}


def row(label: str, score: float, said: str, seen: bool, threshold: float | None) -> dict[str, Any]:
    return {"label": label, "score": score, "said": said, "seen": seen, "threshold": threshold}


BEST, ALONE = rule("best", None, None, None), rule("each", 0.5, 0.25, None)
# (scores, rule, what stands above the rows, the rows, what is spoken). Scores are exact in float32.
SAID: list[tuple[list[float], dict[str, Any], str, list[dict[str, Any]], str]] = [
    (
        [0.125, 0.75, 0.125],
        BEST,
        "Best classes",
        [row("bat", 0.75, "75.0 %", True, None), row("ape", 0.125, "12.5 %", False, None)],
        "bat",
    ),
    (
        [0.375, 0.5, 0.125],
        rule("best", 0.75, 0.75, 0.75),
        "No class is sure enough; the nearest are",
        [row("bat", 0.5, "50.0 %", False, 0.75), row("ape", 0.375, "37.5 %", False, 0.75)],
        "no class is sure enough",
    ),
    (
        [0.5, 0.25, 1.0],
        ALONE,
        "2 findings",
        [row("ape", 0.5, "50.0 %", True, 0.5), row("bat", 0.25, "25.0 %", True, 0.25)],
        "ape, bat",
    ),
    (
        [0.125, 0.5, 1.0],
        ALONE,
        "1 finding",
        [row("bat", 0.5, "50.0 %", True, 0.25), row("ape", 0.125, "12.5 %", False, 0.5)],
        "bat",
    ),
    (
        [0.125, 0.0, 1.0],  # the cat is never named
        ALONE,
        "No finding; the nearest classes are",
        [row("ape", 0.125, "12.5 %", False, 0.5), row("bat", 0.0, "0.0 %", False, 0.25)],
        "no finding",
    ),
    (
        [0.75, 0.25],
        rule("pair", 0.75, 0.25),
        "Best classes",
        [row("bat", 0.25, "25.0 %", True, 0.25), row("ape", 0.75, "75.0 %", False, None)],
        "bat",
    ),
    (
        [-2.5, 12345.0],
        rule("values", None, None, unit="mm"),
        "Values",
        [row("ape", -2.5, "-2.5 mm", True, None), row("bat", 12345.0, "12350 mm", True, None)],
        "ape -2.5 mm, bat 12350 mm",
    ),
]


def test_what_is_said(ask: Asked) -> None:
    found = ask("described", [{"scores": scores, "rule": one, "top": 2} for scores, one, *_ in SAID])
    for (_, one, heading, rows, spoken), answer in zip(SAID, found, strict=True):
        assert (answer["heading"], answer["rows"], answer["spoken"]) == (heading, rows, spoken)
        assert answer["areValues"] == (one["kind"] == "values")
        assert answer["ticked"] == (one["kind"] == "each")


def test_heatmaps_have_pythons_colours(ask: Asked) -> None:
    heats = np.arange(256) / 255
    np.testing.assert_array_equal(ask("colour", heats.tolist()), colormap.colours(heats[None])[0])
