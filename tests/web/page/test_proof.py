"""What the page says of the device that it runs on: golden samples, the speed, the model's card; and one page alone."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import edgedense
from edgedense.deployed import bundle, golden
from tests.browser.chromium import Browser
from tests.device.conftest import COLOURS, RECIPE, make_colour_model
from tests.web.page.conftest import BEST, SiteOf, bring, card, phone, press
from tests.web.serving import Served

pytestmark = pytest.mark.slow

GOLDEN = "document.getElementById('golden')"


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    with phone(tmp_path) as browser:
        yield browser


def test_golden_samples_the_speed_and_the_card(
    browser: Browser, serve: Callable[[Path], Served], site_of: SiteOf, proven_colours: Path
) -> None:
    browser.open(serve(site_of(proven_colours)).url)
    said = browser.wait_for(f"{GOLDEN}?.className === 'good' && {GOLDEN}.textContent")
    assert said.startswith("\u2713 12 samples equal")
    press(browser, "benchmark")
    said = browser.wait_for(
        "!document.getElementById('benchmark').disabled && document.getElementById('benchmark-result').textContent"
    )
    assert re.fullmatch(
        r"[\d.]+ ms for one inference in the median of 30, [\d.]+ ms for the slowest, by the processor, \d threads?\.",
        said,
    )
    names = browser.value("[...document.querySelectorAll('#card dt')].map(name => name.textContent)")
    values = browser.value("[...document.querySelectorAll('#card dd')].map(value => value.textContent)")
    assert len(names) == len(values) > 3
    assert all(values)


def test_golden_samples_that_come_out_otherwise(
    browser: Browser, serve: Callable[[Path], Served], site_of: SiteOf, proven_colours: Path, tmp_path: Path
) -> None:
    """The labels of the file are those of another one: red for blue."""
    samples = golden.Golden.from_bytes(bundle.read(proven_colours).entries[golden.ENTRY])
    others = dataclasses.replace(samples, outputs=samples.outputs[:, ::-1].copy())
    path = tmp_path / "colours.tflite"
    path.write_bytes(bundle.pack(make_colour_model(), COLOURS, RECIPE, {golden.ENTRY: others.to_bytes()}))
    browser.open(serve(site_of(path)).url)
    said = browser.wait_for(f"{GOLDEN}?.className === 'bad' && {GOLDEN}.textContent")
    assert said.startswith("\u2717 Not as where the file was made")


def test_a_page_alone_needs_no_server(browser: Browser, proven_colours: Path, site_of: SiteOf, tmp_path: Path) -> None:
    site_of(proven_colours)  # skips the test where the runtime cannot be had
    page = tmp_path / "colours.html"
    page.write_text(edgedense.web(proven_colours).to_html(), "utf-8")
    browser.open(page.as_uri())
    browser.wait_for(f"{GOLDEN}?.className === 'good'")
    bring(browser, "choose", ("green.png", card("green")))
    browser.wait_for(f"{BEST} === 'green'")
    assert browser.value("document.getElementById('flight').textContent").startswith("This file holds everything")
