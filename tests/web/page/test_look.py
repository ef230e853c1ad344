"""The page on a phone and on a screen, light and dark, for eyes and for a screen reader."""

from __future__ import annotations

import pytest

from tests.browser.chromium import Browser
from tests.browser.measuring import faults
from tests.web.page.conftest import BEST, bring, card, press, problem

pytestmark = pytest.mark.slow

# The least contrast, by WCAG 2.1, between the letters of the page and what they stand on.
CONTRAST = """(() => {
  const channel = value => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  const numbers = colour => colour.match(/[\\d.]+/g).map(Number);
  const weights = [0.2126, 0.7152, 0.0722];
  const light = colour => weights.reduce((sum, weight, i) => sum + weight * channel(numbers(colour)[i] / 255), 0);
  const isOpaque = e => (numbers(getComputedStyle(e).backgroundColor)[3] ?? 1) === 1;
  const ground = e => { while (!isOpaque(e)) e = e.parentElement; return getComputedStyle(e).backgroundColor; };
  const says = e => [...e.childNodes].some(node => node.nodeType === 3 && node.textContent.trim());
  let least = 21, where = "";
  for (const e of document.querySelectorAll("body *")) {
    if (!says(e) || !e.checkVisibility() || e.disabled) continue;
    const [one, other] = [light(getComputedStyle(e).color), light(ground(e))].sort((a, b) => b - a);
    const found = (one + 0.05) / (other + 0.05);
    if (found < least) [least, where] = [found, e.textContent.trim()];
  }
  return [least, where];
})()"""


def look(browser: Browser, state: str) -> None:
    """Nothing is cut or too small, and letters stand out by what WCAG's level AA asks for."""
    for dark in (False, True):
        browser.emulate(dark=dark)
        for width in (320, 400, 1200):
            browser.resize(width, 860)
            assert faults(browser) == [], (state, width, dark)
            contrast, where = browser.value(CONTRAST)
            assert contrast >= 4.5, (state, width, dark, where)


def test_nothing_is_cut_and_letters_can_be_read(opened: Browser) -> None:
    opened.value("document.querySelector('details').open = true")
    look(opened, "opened")
    press(opened, "camera")
    opened.wait_for(f"{BEST} === 'red'")
    press(opened, "heatmap")
    opened.wait_for("document.getElementById('caption').textContent.includes('heatmap')")
    look(opened, "camera")
    name = "a-name-without-any-place-to-break-it-that-is-far-too-long-for-a-phone.png"
    bring(opened, "choose", (name, card("blue")), ("other.png", card("red")))
    opened.wait_for(f"{BEST} === 'blue'")
    look(opened, "pictures")
    bring(opened, "choose", (name, b"no picture"))
    problem(opened)
    look(opened, "problem")


def test_the_contrast_is_measured(opened: Browser) -> None:
    opened.emulate()
    opened.value("document.getElementById('made').style.color = '#8a8a8a'")
    contrast, where = opened.value(CONTRAST)
    opened.value("document.getElementById('made').style.color = ''")
    assert contrast < 4.5
    assert where.startswith("Made by edgedense")


def test_a_screen_reader_and_a_finger_can_use_it(opened: Browser) -> None:
    opened.emulate()
    opened.resize(400, 860)
    press(opened, "camera")
    opened.wait_for(f"{BEST} === 'red'")
    found = opened.accessibility()
    assert {("button", "Freeze"), ("button", "Heatmap"), ("button", "Stop the camera"), ("meter", "red")} <= set(found)
    assert {"main", "contentinfo", "status", "list", "region"} <= {role for role, _ in found}
    assert opened.value("document.documentElement.lang") == "en"
    heights = opened.value(
        "[...document.querySelectorAll('button, summary')].filter(one => one.checkVisibility())"
        ".map(one => one.getBoundingClientRect().height)"
    )
    assert min(heights) >= 44
    places = opened.value(
        "['picture', 'bars', 'proof'].map(id => document.getElementById(id).getBoundingClientRect().top)"
    )
    assert places == sorted(places)  # on a phone one below the other, the answer right below the picture
    assert opened.value("document.getElementById('bars').getBoundingClientRect().top") < 860


def test_it_can_be_installed(opened: Browser) -> None:
    """Chromium says what keeps it from being an app."""
    manifest = opened.value("fetch('manifest.webmanifest').then(answer => answer.json())")
    assert manifest["display"] == "standalone"
    for icon in manifest["icons"]:
        assert opened.value(f"fetch('{icon['src']}').then(answer => answer.status)") == 200
    assert opened.installability() == []
