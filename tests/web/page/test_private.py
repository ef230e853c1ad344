"""Nothing leaves the page: Chromium writes down every request, and which page or worker made it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.web.page.conftest import BEST, KEPT, SiteOf, bring, card, phone, press
from tests.web.serving import Served

pytestmark = pytest.mark.slow


def asked(log: Path, by: str) -> set[str]:
    """The addresses that pages and workers of the origin `by` have asked for, by what `--log-net-log` has written until
    now. What Chromium asks of its maker has no origin."""
    lines = [line for line in log.read_text("utf-8").splitlines() if f'"initiator":{json.dumps(by)}' in line]
    return {found[1] for line in lines if (found := re.search(r'"url":"([^"]*)"', line))}


def test_no_request_goes_to_another_host(
    tmp_path: Path, red_film: Path, serve: Callable[[Path], Served], site_of: SiteOf, explained_colours: Path
) -> None:
    served = serve(site_of(explained_colours))
    origin, log = served.url.rstrip("/"), tmp_path / "requests.json"
    with phone(tmp_path, f"--log-net-log={log}", film=red_film) as browser:
        browser.open(served.url)
        browser.wait_for(KEPT)
        press(browser, "camera")
        browser.wait_for(f"{BEST} === 'red'")
        press(browser, "heatmap")
        bring(browser, "drop", ("blue.png", card("blue")))
        browser.wait_for(f"{BEST} === 'blue'")
        press(browser, "benchmark")
        browser.wait_for("document.getElementById('benchmark-result').textContent.includes('median')")

        # The page's policy stops another request. A page without one makes it, and it is written down.
        elsewhere = "fetch('http://{}.example/', {{mode: 'no-cors'}}).then(() => 'went', error => String(error))"
        assert "Failed to fetch" in browser.value(elsewhere.format("stopped"))
        browser.open(served.url + "licenses.txt")
        while "http://made.example/" not in asked(log, origin):
            browser.value(elsewhere.format("made"))
    others = {address for address in asked(log, origin) if not address.startswith(served.url)}
    assert others == {"http://made.example/"}
    assert f"{served.url}model.tflite" in asked(log, origin)
