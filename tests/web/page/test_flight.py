"""The page without a network, threads on a plain server, and a site that changes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edgedense.files import sha256
from tests.browser.chromium import Browser
from tests.web.page.conftest import BEST, KEPT, READY, SiteOf, bring, card, phone
from tests.web.serving import Served

pytestmark = pytest.mark.slow

Serve = Callable[[Path], Served]
SAID = "document.getElementById('flight')?.textContent"
CACHES = "caches.keys().then(names => names.length)"


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    with phone(tmp_path) as browser:
        yield browser


def call_it(served: Served, title: str) -> None:
    """Another version of the site, with another title."""
    file = served.folder / "site.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "title": title}))


def test_a_site_that_was_opened_once_needs_no_server(
    browser: Browser, serve: Serve, site_of: SiteOf, colours: Path
) -> None:
    served = serve(site_of(colours))
    browser.open(served.url)
    browser.wait_for(KEPT)
    assert browser.value("crossOriginIsolated")
    assert "thread" in browser.value("document.getElementById('opened').textContent")
    served.stop()
    browser.open(served.url + "?again")
    browser.wait_for(READY)
    bring(browser, "choose", ("blue.png", card("blue")))
    browser.wait_for(f"{BEST} === 'blue'")
    browser.wait_for(KEPT)
    assert not any(path.endswith("_compat_internal.wasm") for path in served.asked)  # a build for other browsers
    served.start()


def test_files_are_fetched_once(browser: Browser, serve: Serve, site_of: SiteOf, colours: Path) -> None:
    served = serve(site_of(colours))
    browser.open(served.url)
    browser.wait_for(KEPT)
    assert served.asked.count("model.tflite") == 1
    assert sum(path.endswith(".wasm") for path in served.asked) == 1
    served.asked.clear()
    browser.open(served.url)
    browser.wait_for(KEPT)
    assert set(served.asked) <= {"site.json", "sw.js"}  # whether there is something newer


def test_a_newer_site_replaces_the_older_one_whole(
    browser: Browser, serve: Serve, site_of: SiteOf, colours: Path
) -> None:
    served = serve(site_of(colours))
    browser.open(served.url)
    browser.wait_for(KEPT)
    call_it(served, "newer")
    served.asked.clear()
    browser.open(served.url)
    browser.wait_for(f"{SAID} === 'A newer version of this page is ready.'")
    assert browser.value("document.title") == "colours"
    assert "model.tflite" not in served.asked  # it is the same
    assert browser.value(CACHES) == 2  # the site, and which one it is
    browser.value("document.getElementById('update').click()")
    browser.wait_for("document.title === 'newer'")
    browser.wait_for(KEPT)


def test_a_site_that_is_not_whole_replaces_nothing(
    browser: Browser, serve: Serve, site_of: SiteOf, colours: Path
) -> None:
    served = serve(site_of(colours))
    browser.open(served.url)
    browser.wait_for(KEPT)
    call_it(served, "newer")
    told = json.loads((served.folder / "site.json").read_text())
    style = next(file for file in told["files"] if file["path"] == "style.css")
    style["sha256"] = sha256(b"another one")
    (served.folder / "site.json").write_text(json.dumps(told))
    browser.open(served.url)
    browser.wait_for(f"{SAID}?.startsWith('The page is not kept')")
    assert "style.css with the SHA-256" in browser.value(SAID)
    served.stop()
    browser.open(served.url)
    browser.wait_for(READY)
    assert browser.value("document.title") == "colours"
    served.start()


def test_a_download_that_breaks_off_is_not_kept(browser: Browser, serve: Serve, site_of: SiteOf, colours: Path) -> None:
    served = serve(site_of(colours))
    served.cut.add("licenses.txt")  # which the page itself does not load
    browser.open(served.url)
    browser.wait_for(f"{SAID}?.startsWith('The page is not kept')")
    served.cut.clear()
    browser.open(served.url)
    browser.wait_for(KEPT)
