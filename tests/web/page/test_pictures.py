"""The page with pictures that a person brings."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.browser.chromium import Browser
from tests.device.conftest import CARDS
from tests.web.page.conftest import BEST, NAMES, READY, SiteOf, bring, card, phone, press, problem, shows
from tests.web.serving import Served

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


def test_what_the_model_does_not_see_is_darkened(
    tmp_path: Path, serve: Callable[[Path], Served], site_of: SiteOf, colours: Path
) -> None:
    """Of a picture twice as wide as the input a quarter is cut off at each side: 40 % of its light is left."""
    served = serve(site_of(colours))
    file = served.folder / "site.json"
    told = json.loads(file.read_text())
    file.write_text(json.dumps({**told, "preprocessing": {**told["preprocessing"], "fit": "crop"}}))
    with phone(tmp_path) as browser:
        browser.open(served.url)
        browser.wait_for(READY)
        bring(browser, "choose", ("red.png", card("red", (128, 48))))
        browser.wait_for(f"{BEST} === 'red'")
        assert browser.value(shows("red"))
        assert browser.value(CAPTION) == "red.png. The model sees what is inside the frame."
        row = "document.getElementById('picture').getContext('2d').getImageData(0, 24, 128, 1).data"
        lights = browser.value(f"Array.from({row}).filter((_, i) => i % 4 === 0)")
        red, dark = CARDS["red"][0], round(0.4 * CARDS["red"][0])
        assert lights[:32] + lights[96:] == pytest.approx([dark] * 64, abs=1)
        assert lights[34:94] == [red] * 60  # a line of one pixel lies in between
