"""The outcome of an update goes through JSON and back."""

from __future__ import annotations

import json
from typing import Any

import pytest

from edgedense.device.service.outcome import Check, Update
from edgedense.errors import EdgedenseError

REFUSED = Update("refused", "a" * 64, "b" * 64, "no.", (Check("labels", True, "3"), Check("replay", False, "2 steps")))


def test_it_is_the_same_after_json() -> None:
    assert Update.from_json(json.dumps(REFUSED.to_dict())) == REFUSED
    first = Update("updated", None, "b" * 64, "it runs.")
    assert Update.from_json(json.dumps(first.to_dict())) == first
    assert first.to_dict()["before"] is None


def test_the_names_that_other_programs_read() -> None:
    assert list(REFUSED.to_dict()) == ["outcome", "before", "after", "reason", "checks"]
    assert REFUSED.to_dict()["checks"][1] == {"name": "replay", "passed": False, "detail": "2 steps"}


@pytest.mark.parametrize(
    ("outcome", "succeeded"), [("updated", True), ("same", True), ("refused", False), ("rolled back", False)]
)
def test_two_of_the_outcomes_are_a_success(outcome: Any, succeeded: bool) -> None:
    assert Update(outcome, None, "b", "so.").succeeded is succeeded


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"outcome": "updated"}', json.dumps({**REFUSED.to_dict(), "outcome": "better"})]
)
def test_anything_else_is_an_error(text: str) -> None:
    with pytest.raises(EdgedenseError, match="outcome"):
        Update.from_json(text)
