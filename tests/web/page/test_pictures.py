"""The page with pictures that a person brings."""

from __future__ import annotations

import pytest

from tests.browser.chromium import Browser
from tests.web.page.conftest import BEST, NAMES, bring, card, press, problem, shows

pytestmark = pytest.mark.slow

CAPTION = "document.getElementById('caption').textContent"


def test_chosen_dropped_and_pasted(opened: Browser) -> None:
    for way, colour in (("choose", "red"), ("drop", "green"), ("paste", "blue")):
        bring(opened, way, (f"{colour}.png", card(colour)))
        opened.wait_for(f"{BEST} === '{colour}'")
        assert opened.value(shows(colour))
        assert opened.value(CAPTION) == f"{colour}.png."
        assert opened.value("document.getElementById('spoken').textContent") == colour
        assert opened.value("document.getElementById('rate-entry').hidden")


def test_several_are_leafed_through(opened: Browser) -> None:
    bring(opened, "choose", *((f"{colour}.png", card(colour)) for colour in ("red", "green", "blue")))
    for button, colour, place in (
        ("next", "green", 2),
        ("next", "blue", 3),
        ("next", "red", 1),
        ("previous", "blue", 3),
    ):
        press(opened, button)
        opened.wait_for(f"{BEST} === '{colour}'")
        assert opened.value(shows(colour))
        assert opened.value(CAPTION) == f"{colour}.png, {place} of 3."


def test_an_answer_belongs_to_the_picture_that_is_shown(opened: Browser) -> None:
    """The first picture takes longer by far than the second, and its answer comes when that is there already."""
    opened.value(
        "window.wrong = 0; new MutationObserver(() => {"
        f"if ({BEST} && !({shows('blue')})) window.wrong++; if ({BEST} === 'red') window.wrong++"
        "}).observe(document.getElementById('bars'), {subtree: true, childList: true, characterData: true})"
    )
    large = card("red", (4000, 3000))
    bring(opened, "choose", ("red.png", large))
    bring(opened, "choose", ("blue.png", card("blue")))
    opened.wait_for(f"{BEST} === 'blue'")
    opened.value("new Promise(resolve => setTimeout(resolve, 1000))")
    assert opened.value(BEST) == "blue"
    assert opened.value(shows("blue"))
    assert opened.value("window.wrong") == 0


def test_one_that_is_no_picture(opened: Browser) -> None:
    bring(opened, "choose", ("red.png", card("red")))
    opened.wait_for(f"{BEST} === 'red'")
    bring(opened, "drop", ("notes.txt", b"no picture"))
    said = problem(opened)
    assert said["title"] == "notes.txt cannot be classified"
    assert all(said.values())
    assert opened.value(NAMES) == ""
    assert opened.value("document.getElementById('picture').hidden")
    bring(opened, "drop", ("green.png", card("green")))
    opened.wait_for(f"{BEST} === 'green'")
    assert opened.value("document.getElementById('problem').hidden")
