"""What a person reads where the page cannot classify."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from edgedense.files import sha256
from tests.web.page.conftest import SiteOf, phone, problem
from tests.web.serving import Served

pytestmark = pytest.mark.slow

Serve = Callable[[Path], Served]


def test_a_download_that_breaks_off(tmp_path: Path, serve: Serve, site_of: SiteOf, colours: Path) -> None:
    served = serve(site_of(colours))
    served.cut.add("model.tflite")
    size = (served.folder / "model.tflite").stat().st_size
    with phone(tmp_path) as browser:
        browser.open(served.url)
        said = problem(browser)
        assert said["title"] == "The model cannot be loaded"
        assert said["expected"] == f"model.tflite of {size} bytes"
        assert "the download broke off" in said["found"]
        assert "load the page again" in said["hint"]
        assert browser.value("['viewer', 'answer', 'proof'].every(id => document.getElementById(id).hidden)")
        served.cut.clear()
        browser.open(served.url)
        browser.wait_for("document.getElementById('opened')?.textContent.startsWith('the ')")


def test_another_model_than_site_json_says(tmp_path: Path, serve: Serve, site_of: SiteOf, colours: Path) -> None:
    served = serve(site_of(colours))
    model = served.folder / "model.tflite"
    content = model.read_bytes()
    model.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with phone(tmp_path) as browser:
        browser.open(served.url)
        said = problem(browser)
        assert said["expected"].startswith(f"model.tflite with the SHA-256 {sha256(content)[:12]}")
        assert "another one, or a damaged one" in said["found"]


def test_a_file_that_is_no_model(tmp_path: Path, serve: Serve, site_of: SiteOf, colours: Path) -> None:
    served = serve(site_of(colours))
    content = b"no model at all"
    (served.folder / "model.tflite").write_bytes(content)
    file = served.folder / "site.json"
    told = json.loads(file.read_text())
    told["model"] = {"path": "model.tflite", "bytes": len(content), "sha256": sha256(content)}
    file.write_text(json.dumps(told))
    with phone(tmp_path) as browser:
        browser.open(served.url)
        said = problem(browser)
        assert said["title"] == "The model cannot be loaded"
        assert said["expected"] == "a model that LiteRT can run in a browser"
        assert said["found"].startswith("model.tflite: ")


def test_a_folder_that_was_not_copied_whole(tmp_path: Path, serve: Serve, site_of: SiteOf, colours: Path) -> None:
    served = serve(site_of(colours))
    (served.folder / "site.json").unlink()
    with phone(tmp_path) as browser:
        browser.open(served.url)
        assert problem(browser) == {
            "title": "The page cannot be loaded",
            "expected": "site.json from the server of this page",
            "found": "the answer 404 Not Found",
            "hint": "make the site again with `edgedense web`, and copy all of its folder to the server",
        }


@pytest.mark.parametrize("switch", ["--no-enable-sse4-1", "--jitless"])
def test_a_browser_without_simd_or_webassembly(
    tmp_path: Path, serve: Serve, site_of: SiteOf, colours: Path, switch: str
) -> None:
    """V8 has SIMD only where the processor has SSE 4.1, and no WebAssembly without its compiler."""
    with phone(tmp_path, f"--js-flags={switch}") as browser:
        browser.open(serve(site_of(colours)).url)
        said = problem(browser)
        assert said["title"] == "The model cannot be loaded"
        assert said["expected"] == "a browser with WebAssembly SIMD"
        assert "update the browser" in said["hint"]
