"""The figures, by Prometheus' own reader of its format."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("prometheus_client")
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from edgedense.device.camera.stream import Counts, Frame
from edgedense.device.metrics import figures as module
from edgedense.device.metrics.figures import Figures
from edgedense.device.monitor.drift import Alert
from edgedense.device.prediction import Rule, decide

BEST = Rule(("red", "green"), (float("-inf"),) * 2)
FRAME = Frame(0, 0.0, 0.0, np.zeros((2, 2, 3), np.uint8), np.zeros((2, 2, 3), np.uint8), True, False)


def made(rule: Rule = BEST, **more: object) -> Figures:
    return Figures(rule, model="barn.tflite", sha256="ab" * 32, source="rpicam:0", **more)  # type: ignore[arg-type]


def see(figures: Figures, rule: Rule, *scores: float, seconds: float = 0.03) -> None:
    row = np.float32(scores)
    figures.classified(FRAME, row, decide(row, rule), seconds)


def read(figures: Figures) -> dict[str, float]:
    """The samples: "name" or "name{label}" and the value."""
    text = generate_latest(figures.registry).decode()
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {f"{one.name}{{{','.join(one.labels.values())}}}" if one.labels else one.name: one.value for one in samples}


def test_what_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "temperature", lambda: 48.5)
    figures = made()
    for first in (0.75, 0.75, 0.25):
        see(figures, BEST, first, 1 - first)
    figures.passed(Counts(10, 4, 6, 1, 2.5), True, 5.0)
    found = read(figures)
    assert found["edgedense_inference_seconds_count"] == 3
    assert found["edgedense_inference_seconds_sum"] == pytest.approx(0.09)
    assert (found["edgedense_inference_seconds_bucket{0.02}"], found["edgedense_inference_seconds_bucket{0.05}"]) == (
        0,
        3,
    )
    assert (found["edgedense_seen_frames_total{red}"], found["edgedense_seen_frames_total{green}"]) == (2, 1)
    assert (found["edgedense_score_ratio{red}"], found["edgedense_score_ratio{green}"]) == (0.25, 0.75)
    assert (found["edgedense_frames_captured_total"], found["edgedense_frames_dropped_total"]) == (10, 6)
    assert (found["edgedense_camera_losses_total"], found["edgedense_camera_lost_seconds_total"]) == (1, 2.5)
    assert (found["edgedense_camera_lost"], found["edgedense_temperature_celsius"]) == (1, 48.5)
    (about,) = (name for name in found if name.startswith("edgedense_info"))
    assert {"barn.tflite", "ab" * 32, "rpicam:0"} < set(re.split("[{},]", about))
    assert found["process_resident_memory_bytes"] > 1e6
    assert not any("drift" in name for name in found)  # there is no monitor


def test_names_follow_the_conventions() -> None:
    """https://prometheus.io/docs/practices/naming: counters end with _total, and units are base units."""
    figures = made()
    see(figures, BEST, 0.75, 0.25)
    for family in text_string_to_metric_families(generate_latest(figures.registry).decode()):
        assert re.fullmatch(r"[a-z][a-z0-9_]*", family.name)
        assert family.documentation
        if family.type == "counter":
            assert all(sample.name.endswith("_total") for sample in family.samples)
        assert not re.search(r"millis|_ms|minutes|percent|fahrenheit|_mb", family.name)


def test_the_page_names_each_figure_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "temperature", lambda: 48.5)
    values = Rule(("age",), (float("-inf"),), "values")
    registries = [made(watch=Watched()).registry, made(values).registry]
    there = {family.name for registry in registries for family in registry.collect()}
    page = (Path(__file__).parents[3] / "docs" / "fleet.md").read_text("utf-8")
    named = set(re.findall(r"^\| .*?`(edgedense_[a-z_]+)|(?<=, )`(edgedense_[a-z_]+)", page, re.M))
    told = {(one or other).removesuffix("_total").removesuffix("_info") for one, other in named}
    assert told == {name for name in there if name.startswith("edgedense")}


def test_before_the_first_frame() -> None:
    found = read(made())
    assert found["edgedense_inference_seconds_count"] == found["edgedense_seen_frames_total{red}"] == 0
    assert not any("score" in name for name in found)


def test_findings_and_values() -> None:
    each = Rule(("red", "green"), (0.5, 0.5), "each")
    figures = made(each)
    see(figures, each, 0.75, 0.875)
    see(figures, each, 0.25, 0.125)
    assert (read(figures)["edgedense_seen_frames_total{red}"], read(figures)["edgedense_seen_frames_total{green}"]) == (
        1,
        1,
    )
    values = Rule(("age",), (float("-inf"),), "values", "months")
    figures = made(values)
    see(figures, values, 127.5)
    assert read(figures)["edgedense_value{age,months}"] == 127.5
    assert not any("score" in name or "seen" in name for name in read(figures))


class Watched:
    """In the place of a monitor that has found something."""

    is_learning = False
    moved = ("brightness", "class")


def test_the_monitor() -> None:
    figures = made(watch=Watched())
    figures.alerted(Alert(None, 1, ()))
    found = read(figures)
    assert (found["edgedense_drift_alerts_total"], found["edgedense_monitor_learning"]) == (1, 0)
    moved = {name for name, value in found.items() if name.startswith("edgedense_drift{") and value}
    assert moved == {"edgedense_drift{brightness}", "edgedense_drift{class}"}
    assert found["edgedense_drift{colour}"] == 0


def test_a_label_may_hold_anything() -> None:
    label = 'cow "Elsa"\n\\ {brown}'
    rule = Rule((label,), (0.5,), "each")
    figures = made(rule)
    see(figures, rule, 0.75)
    assert read(figures)[f"edgedense_score_ratio{{{label}}}"] == 0.75
