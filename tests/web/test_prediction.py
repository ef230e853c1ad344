"""web/src/prediction.ts decides as device/prediction.py does."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from edgedense.device.prediction import Rule, decide, rule
from tests.web.conftest import Asked

ABC = ("ape", "bat", "cat")
RULES = {
    "best": rule(ABC, "softmax", 3),
    "best above a threshold": rule(ABC, "softmax", 3, 0.6),
    "pair of one sigmoid": rule(("no", "yes"), "sigmoid", 1, own=(0.3,)),
    "two of a softmax": rule(("no", "yes"), "softmax", 2, own=(None, 0.25)),
    "each": rule(ABC, "sigmoid", 3),
    "each with its own threshold, one never": rule(ABC, "sigmoid", 3, own=(0.9, None, 0.2)),
    "one finding": rule(("sick",), "sigmoid", 1),
    "values": rule(("width", "age"), "none", 2, unit="years"),
}
# Ties, a threshold that is just reached, and scores that decide nothing.
SCORES = [(0.2, 0.5, 0.3), (0.5, 0.5, 0.0), (0.6, 0.2, 0.2), (0.1, 0.05, 0.1), (0.95, 0.9, 0.2), (0.75, 0.25, 0.5)]


def given(one: Rule) -> dict[str, Any]:
    limits = [None if math.isinf(limit) else limit for limit in one.thresholds]
    return {"kind": one.kind, "labels": one.labels, "thresholds": limits, "unit": one.unit}


@pytest.mark.parametrize("name", RULES)
def test_the_same_is_said(name: str, ask: Asked) -> None:
    one = RULES[name]
    rows = [np.array(scores[: len(one.labels)], np.float32) for scores in SCORES]
    asked = [{"scores": row.tolist(), "rule": given(one), "top": top} for row in rows for top in (1, 2, 5)]
    for case, answer in zip(asked, ask("decide", asked), strict=True):
        expected = decide(np.array(case["scores"], np.float32), one, case["top"])
        found = {part: tuple((each["label"], each["score"]) for each in answer[part]) for part in ("top", "below")}
        assert (found["top"], found["below"]) == (expected.top, expected.below), case
