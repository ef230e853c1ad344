"""A result as data: the gate, and JSON."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from edgedense.measures import drift, findings
from edgedense.measures.result import Gate, Report


def example() -> Report:
    """Two images; the second model has one of them wrong."""
    both = drift.compare(
        [[0.9, 0.1], [0.2, 0.8]],
        [[0.4, 0.6], [0.2, 0.8]],
        [0, 1],
        ("a", "b"),
        images=("a/1", "b/1"),
        models=("float", "int8"),
    )
    return Report("int8", both.after, both, recipe={"options": {"resize": "nearest"}})


def test_json_is_one_line_with_every_figure() -> None:
    text = replace(example(), gate=Gate(1.0, 50.0), layer_noise=(("conv1", 12.5),)).to_json()
    assert "\n" not in text
    content = json.loads(text)
    assert content["evaluation"]["accuracy"] == 0.5
    assert content["drift"]["before"]["accuracy"] == 1
    assert content["drift"]["drop"] == 50
    assert content["gate"] == {"max_drop": 1.0, "drop": 50.0, "of": "accuracy", "passed": False}
    assert content["layer_noise"] == [{"layer": "conv1", "sqnr_db": 12.5}]
    assert content["recipe"]["options"] == {"resize": "nearest"}


def test_json_without_reference_says_null() -> None:
    content = json.loads(replace(example(), drift=None).to_json())
    assert content["drift"] is None
    assert content["gate"] is None


@pytest.mark.parametrize(("drop", "passed"), [(0.5, True), (0.51, False), (-3.0, True)])
def test_gate_is_kept_at_the_limit_and_by_gains(drop: float, passed: bool) -> None:
    assert Gate(0.5, drop).passed is passed


def test_of_several_findings_there_is_no_evaluation() -> None:
    found = findings.measure([[[0.9], [0.2]]], [[1], [0]], [0.5], ["a"], models=["m"], images=["1", "2"], draws=10)
    report = Report("m", None, findings=found, patients=2)
    content = json.loads(report.to_json())
    assert (content["evaluation"], content["drift"], content["patients"]) == (None, None, 2)
    assert content["findings"]["scored"]["macro"]["auroc"]["value"] == 1
    assert (report.models, report.images, report.changed, report.evaluations) == (("m",), 2, (), ())
    assert (example().models, example().images) == (("float", "int8"), 2)
    assert [change.image for change in example().changed] == ["a/1"]
