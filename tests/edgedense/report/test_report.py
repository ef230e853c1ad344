from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from edgedense.measures import drift
from edgedense.measures.result import Gate, Report
from edgedense.report import plots, terminal, thumbnails, validation_page, wording

NAMES = ("cat", "<b>dog</b>", "fox")


def example(*, changes: bool = True) -> Report:
    before = np.array([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.1, 0.5, 0.4], [0.4, 0.3, 0.3]])
    after = before.copy()
    if changes:
        after[3] = [0.3, 0.45, 0.25]
    result = drift.compare(
        before,
        after,
        [0, 1, 2, 0],
        NAMES,
        images=("cat/1", "dog/1", "fox/1", "cat/2"),
        models=("float.keras", "int8.tflite"),
    )
    return Report("int8.tflite", result.after, result, recipe={"edgedense": "1", "options": {"resize": "nearest"}})


def printed(content: Report) -> str:
    target = io.StringIO()
    terminal.print_tables(content, Console(file=target, width=120))
    return target.getvalue()


class _Balance(HTMLParser):
    """Every element that is opened is closed, in order."""

    VOID = frozenset({"meta", "img", "line", "circle", "rect", "polyline"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


def test_json_is_one_line_with_every_figure_and_no_thumbnail() -> None:
    text = replace(example(), gate=Gate(1.0, 25.0), layer_noise=(("conv1", 12.5),)).to_json()
    assert "\n" not in text
    content = json.loads(text)
    assert content["evaluation"]["accuracy"] == 0.5
    assert content["drift"]["before"]["accuracy"] == 0.75
    assert content["drift"]["drop"] == 25
    assert content["gate"] == {"max_drop": 1.0, "drop": 25.0, "passed": False}
    assert content["layer_noise"] == [{"layer": "conv1", "sqnr_db": 12.5}]
    assert content["recipe"]["options"] == {"resize": "nearest"}
    assert "thumbnails" not in content


def test_json_without_reference_says_null() -> None:
    content = json.loads(replace(example(), drift=None).to_json())
    assert content["drift"] is None
    assert content["gate"] is None


def test_terminal_shows_both_models_classes_and_the_verdict() -> None:
    text = printed(example())
    for part in ("float.keras", "int8.tflite", "75.00 %", "50.00 %", "+25.00 points", "fox", "McNemar"):
        assert part in text
    alone = printed(replace(example(), drift=None))
    assert "float.keras" not in alone
    assert "50.00 %" in alone


def test_terminal_leaves_out_a_confusion_matrix_that_does_not_fit() -> None:
    names = tuple(f"c{i}" for i in range(13))
    wide = drift.evaluate(np.eye(13), np.arange(13), names, model="m")
    assert "Confusion" not in printed(Report("m", wide))
    assert "Confusion" in printed(example())


def test_verdict_tells_chance_from_drop_and_no_change_from_proof() -> None:
    assert "may be chance" in wording.verdict(example())
    same = example(changes=False)
    assert "No image out of 4" in wording.verdict(same)
    assert same.drift is not None
    real = replace(same, drift=replace(same.drift, lost=30, won=2, p_value=1e-6))
    assert "more than chance" in wording.verdict(real)


@pytest.mark.parametrize(("drop", "passed"), [(0.5, True), (0.51, False), (-3.0, True)])
def test_gate_is_kept_at_the_limit_and_by_gains(drop: float, passed: bool) -> None:
    assert Gate(0.5, drop).passed is passed


def test_page_is_whole_and_needs_no_network_nor_script() -> None:
    html = validation_page.to_html(
        replace(example(), gate=Gate(1, 25), layer_noise=(("conv1", 12.5), ("fc", 3.0))), {"cat/2": b"\xff\xd8jpeg"}
    )
    parser = _Balance()
    parser.feed(html)
    assert parser.open == []
    assert "<script" not in html
    assert re.findall(r'(?:src|href)="(?!data:)', html) == []
    assert "@import" not in html
    assert re.findall(r"url\(", html) == []
    for part in (
        "gate failed",
        "Confusion",
        "Reliability",
        "Noise, layer by layer",
        "label changed",
        "data:image/jpeg",
        "prefers-color-scheme: dark",
        "@media print",
        "viewport",
    ):
        assert part in html


def test_page_escapes_names_that_come_from_folders() -> None:
    html = validation_page.to_html(example(), {"cat/2": b"\xff\xd8jpeg"})
    assert "<b>dog</b>" not in html
    assert "&lt;b&gt;dog&lt;/b&gt;" in html


def test_page_shows_sections_only_where_there_is_something_to_show() -> None:
    plain = validation_page.to_html(replace(example(), drift=None, recipe={}))
    for part in ("label changed", "Recall, class by class", "Noise", "Recipe", "gate", "Thresholds"):
        assert part not in plain


def test_page_stays_small_when_many_images_change() -> None:
    content = example()
    assert content.drift is not None
    change = content.drift.changed[0]
    many = tuple(replace(change, image=f"cat/{i}") for i in range(100))
    html = validation_page.to_html(replace(content, drift=replace(content.drift, changed=many)))
    assert html.count('class="card"') == thumbnails.SHOWN
    assert "40 more are not shown" in html


def test_sigmoid_heads_show_their_thresholds() -> None:
    result = drift.compare(
        [[0.9], [0.2]],
        [[0.45], [0.1]],
        [1, 0],
        ("healthy", "ill"),
        images=("a", "b"),
        models=("f", "q"),
        activation="sigmoid",
    )
    content = Report("q", result.after, result)
    assert "-0.0500" in printed(content)
    assert "AUROC, ill" in printed(content)
    assert "0.5000 → 0.4500" in validation_page.to_html(content)


@pytest.mark.parametrize(
    "plot",
    [
        plots.delta_bars([], [], "t"),
        plots.heatmap([], [], "t"),
        plots.layer_profile([], "t"),
        plots.delta_bars(["a"], [0.0], "t"),
        plots.layer_profile([("a", -3.0)], "t"),
        plots.reliability_curves(None, (), "t"),
    ],
)
def test_plots_of_next_to_nothing_are_still_pictures(plot: str) -> None:
    assert plot.startswith("<svg")
    assert "nan" not in plot


def test_bars_point_to_the_side_of_the_change() -> None:
    assert 'class="bad"' in plots.delta_bars(["a"], [-2.0], "t")
    assert 'class="good"' in plots.delta_bars(["a"], [2.0], "t")


def test_noise_marks_the_worst_layers() -> None:
    svg = plots.layer_profile([("a", 30.0), ("b", 5.0), ("c", 29.0)], "t", mark=1)
    assert "b: 5.0 dB" in svg
    assert "a: 30.0 dB" not in svg


def test_style_is_a_file_beside_the_code() -> None:
    assert (Path(validation_page.__file__).parent / "report.css").is_file()
