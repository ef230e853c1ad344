"""A site as one page."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest

from edgedense.errors import EdgedenseError
from edgedense.website import single
from edgedense.website.single import to_html
from edgedense.website.site import Site
from tests.edgedense.website.conftest import LITERT

DATA = "application/octet-stream+base64"


class Elements(HTMLParser):
    """The page's elements, as a browser cuts them: (tag, attributes, text of scripts and styles)."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None], str]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs), ""))

    def handle_endtag(self, tag: str) -> None:
        self.found.append((f"/{tag}", {}, ""))

    def handle_data(self, data: str) -> None:
        tag, attributes, text = self.found[-1] if self.found else ("", {}, "")
        if tag in ("script", "style"):
            self.found[-1] = (tag, attributes, text + data)


def carried(elements: Elements) -> dict[str, bytes]:
    found = {}
    for tag, attributes, text in elements.found:
        if tag == "script" and attributes.get("type") == DATA:
            data = base64.b64decode(text)
            found[str(attributes["id"])] = gzip.decompress(data) if "data-packed" in attributes else data
    return found


def test_it_carries_what_it_reads(cards: Site) -> None:
    """Not the runtime with threads, which such a page cannot have. Its site.json names these files alone."""
    found = carried(Elements(cards.to_html()))
    told = json.loads(found.pop("site.json"))
    runtimes = {f"runtime/{name}" for name in LITERT if "threaded" not in name}
    assert set(found) == {"model.tflite", "worker.js", *runtimes}
    assert all(data == cards.files[path] for path, data in found.items())
    assert {entry["path"] for entry in told["files"]} == set(found)
    whole = json.loads(cards.files["site.json"])
    assert {**told, "files": whole["files"]} == whole


def test_it_asks_for_nothing_and_runs_its_own_script_alone(cards: Site) -> None:
    elements = Elements(cards.to_html()).found
    assert not [attributes for _, attributes, _ in elements if "src" in attributes]
    links = [str(attributes["href"]) for tag, attributes, _ in elements if tag == "link"]
    assert [link.split(",")[0] for link in links] == ["data:image/svg+xml;base64"]
    (script,) = [text for tag, attributes, text in elements if tag == "script" and "type" not in attributes]
    (style,) = [text for tag, _, text in elements if tag == "style"]
    assert script == cards.files["app.js"].decode()
    assert style == cards.files["style.css"].decode()
    (policy,) = [
        str(attributes["content"])
        for tag, attributes, _ in elements
        if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    for kind, text in (("script", script), ("style", style)):
        expected = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert re.search(rf"{kind}-src '(sha256-[^']+)'", policy)[1] == f"sha256-{expected}"  # type: ignore[index]


def test_what_would_end_the_script(cards: Site) -> None:
    """In a string of JavaScript, where the backslash says nothing."""
    files = {**cards.files, "app.js": b'a("</script><!--")'}
    scripts = [text for tag, attributes, text in Elements(to_html(files)).found if tag == "script" and not attributes]
    assert scripts == [r'a("<\/script><\!--")']


def test_a_page_that_is_too_large(cards: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    size = len(cards.to_html().encode())
    monkeypatch.setattr(single, "LARGEST", size // 2)
    with pytest.raises(EdgedenseError, match=r"a single file of at most 0.* MB; found .*--out FOLDER"):
        cards.to_html()


def test_what_is_packed(cards: Site) -> None:
    """What gets smaller by it, but for what the page reads before it can unpack anything."""
    files = {**cards.files, "runtime/litert_wasm_internal.wasm": bytes(4000)}
    elements = Elements(to_html(files)).found
    packed = {attributes["id"] for _, attributes, _ in elements if attributes.get("data-packed") == "gzip"}
    assert packed == {"model.tflite", "runtime/litert_wasm_internal.wasm"}


def test_the_same_site_gives_the_same_page(cards: Site) -> None:
    assert cards.to_html() == cards.to_html()
