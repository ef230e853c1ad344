"""The page of a search: what it says, what it links to, and that nothing else is needed to look at it."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape

import pytest

from edgedense.report import search_page
from edgedense.report.plots import round_numbers
from tests.pages import search_result


def text(page: str) -> str:
    """What a person reads: without tags and style, with single spaces."""
    body = page.partition("</style>")[2]
    return re.sub(r"\s+", " ", unescape(re.sub("<[^>]+>", " ", body)))


def test_it_says_what_was_chosen_and_how_to_make_it_again() -> None:
    result = search_result()
    said = text(search_page.render(result))
    for sentence in (
        "The best files of chest.keras for pi5",
        "trial 40 is the most accurate file that takes at most 32 ms on pi5. It takes about 31 ms. The whole DenseNet "
        "takes about 63 ms. trial 40 is 3.60 points worse in accuracy.",
        "edgedense convert 'my model.keras' --calibration calibration --prune-channels 0.5 --out trial-40.tflite",
        "Times are estimates for one thread of pi5",
        "The accuracy is that on the 5000 pictures that the search chose by",
        "A pruned DenseNet stops being sensible below 26 ms: with less time, down to 12 ms, mobilenetv2 is better than "
        "every DenseNet that is as fast.",
        "resnet50: about 94 ms, 84.10 (83.1 to 85.1) %. A DenseNet of at most that time is at least as accurate.",
        "3 trials were given up.",
    ):
        assert sentence in said
    assert re.search(r"The instructions that they begin with were at most [0-9.]+ % off the counted ones", said)


def test_each_mark_says_what_it_is_and_leads_to_its_recipe() -> None:
    page = search_page.render(search_result())
    marks = re.findall(r'<a class="point" (href="[^"]*"|tabindex="0" role="img") aria-label="([^"]*)">', page)
    assert len(marks) == len(search_result().points)
    assert marks[-1] == ('href="files/trial%2040.json"', "trial 40, about 31 ms, 3.50 MB, 83.90 (82.9 to 84.9) %")
    assert ('tabindex="0" role="img"', "resnet50, about 94 ms, 24.40 MB, 84.10 (83.1 to 85.1) %") in marks
    assert page.count('class="ring"') == 2  # around the chosen one, and in the legend
    assert '<a href="files/trial%2040.tflite">file</a> <a href="files/trial%2040.json">recipe</a>' in page


def test_every_file_stands_in_the_table() -> None:
    said = text(search_page.render(search_result()))
    assert "trial 40 found by the search 31 133.3 83.90 (82.88 to 84.92) 3.50 chosen, on the front file recipe" in said
    assert "resnet50 another network 94 404.2 84.10 (83.09 to 85.11) 24.40 –" in said


def test_nothing_comes_from_elsewhere_and_names_are_escaped() -> None:
    page = search_page.render(replace(search_result(), model="<b>chest</b>.keras", notes=("<i>",)))
    assert "<script" not in page
    assert re.findall(r'(?:src|href)="(?:[a-z]+:)?//', page) == []
    assert re.findall(r"url\(|@import", page) == []
    assert "<b>chest</b>" not in page
    assert "&lt;b&gt;chest&lt;/b&gt;.keras" in page


def test_measured_times_and_test_pictures_are_called_so() -> None:
    result = search_result()
    measured = tuple(replace(point, is_estimate=False, instructions=None) for point in result.points)
    figures = {point.name: (point.accuracy - 1, point.low - 1, point.high - 1) for point in result.points}
    found = replace(result, points=measured, board="pi@barn-1", test=figures, test_images=900)
    said = text(search_page.render(found))
    assert "Times were measured on pi@barn-1" in said
    assert "estimate" not in said
    assert "The accuracy is that on 900 test pictures, which the search did not use." in said
    assert "31 – 82.90 (81.88 to 83.92)" in said


def test_without_rivals_nobody_asks_for_them() -> None:
    result = search_result()
    alone = replace(result, points=tuple(point for point in result.points if point.kind != "rival"))
    said = text(search_page.render(alone))
    assert "What else" not in said
    assert "another network" not in said
    assert "how a network was trained" not in said


def test_the_whole_network_may_be_the_best() -> None:
    result = replace(search_result(), chosen="unpruned", budget_ms=100.0)
    said = text(search_page.render(result))
    assert "unpruned is the most accurate file that takes at most 100 ms on pi5. It takes about 63 ms. This" in said


@pytest.mark.parametrize(
    ("low", "high", "numbers"),
    [
        (0, 10.4, (0, 2, 4, 6, 8, 10)),
        (75.8, 89.8, (76, 78, 80, 82, 84, 86, 88)),
        (0.1, 0.36, (0.1, 0.15, 0.2, 0.25, 0.3, 0.35)),
    ],
)
def test_axes_have_round_numbers(low: float, high: float, numbers: tuple[float, ...]) -> None:
    assert round_numbers(low, high) == numbers
