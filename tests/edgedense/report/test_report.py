"""A report as terminal tables and as a page."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
from rich.console import Console

from edgedense.measures import drift
from edgedense.measures.result import Gate, Report
from edgedense.report import figures, noise_page, plots, terminal, thumbnails, validation_page
from edgedense.report.wording import Section

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
    assert "may be chance" in figures.verdict(example())
    same = example(changes=False)
    assert "No image out of 4" in figures.verdict(same)
    assert same.drift is not None
    real = replace(same, drift=replace(same.drift, lost=30, won=2, p_value=1e-6))
    assert "more than chance" in figures.verdict(real)


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
    plain = validation_page.to_html(replace(example(), drift=None, recipe={})).partition("</style>")[2]
    assert "Confusion" in plain
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


def test_a_matrix_that_is_too_large_to_read_is_left_out_but_not_its_mistakes() -> None:
    classes = plots.MOST_CLASSES + 1
    scores = np.eye(classes)
    scores[0, [0, 7]] = 0, 1
    names = tuple(f"class {i}" for i in range(classes))
    html = validation_page.to_html(Report("m", drift.evaluate(scores, np.arange(classes), names, model="m")))
    assert 'class="confusion"' not in html
    assert f"A matrix of {classes} classes would be too large to read" in html
    assert "What m mistakes most often" in html


def test_further_tables_stand_before_the_recipe() -> None:
    further = Section("Which part is <float>", "Said.", ("part", "type"), (("head", "float32"),))
    html = validation_page.to_html(example(), further=[further])
    assert html.index("Which part is &lt;float&gt;") < html.index("<h2>Recipe</h2>")


def test_noise_page_has_every_layer_with_the_worst_first() -> None:
    html = noise_page.to_html((("conv1", 12.5), ("<fc>", 3.0)), "m.tflite", "m.keras")
    assert "Noise of m.tflite" in html
    assert "the same layer of m.keras" in html
    every = html[html.index("All layers") :]
    assert every.index("&lt;fc&gt;") < every.index("conv1")


class TestParts:
    """Columns of a table in a terminal: each takes its widest line and three letters for what lies between."""

    HEADINGS, ROWS = ("class", "one", "two"), [["ape", "1.00\n(0.50 to 1.00)", "2"]]  # 8, 17 and 6 letters

    def test_what_fits_stays_together(self) -> None:
        assert terminal.parts(self.HEADINGS, self.ROWS, 31) == [[0, 1, 2]]

    def test_what_has_no_room_follows_behind_the_first_column(self) -> None:
        assert terminal.parts(self.HEADINGS, self.ROWS, 30) == [[0, 1], [0, 2]]

    def test_a_column_that_is_too_wide_alone_is_broken_by_the_terminal(self) -> None:
        assert terminal.parts(self.HEADINGS, self.ROWS, 10) == [[0, 1], [0, 2]]
        assert terminal.parts(("class",), [["ape"]], 3) == [[0]]
