"""A folder served as a site is, and a browser that shows it."""

from __future__ import annotations

import json
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

from tests.browser.chromium import Browser, chromium


class Served(SimpleHTTPRequestHandler):
    """Files of a folder. With `isolated` the page may start threads."""

    extensions_map: ClassVar = {
        **SimpleHTTPRequestHandler.extensions_map,
        ".js": "text/javascript",
        ".wasm": "application/wasm",
    }

    def __init__(self, *arguments: Any, isolated: bool, **options: Any) -> None:
        self._isolated = isolated
        super().__init__(*arguments, **options)

    def end_headers(self) -> None:
        """Nothing is kept, and with `isolated` nothing of other servers is let in."""
        self.send_header("Cache-Control", "no-store")
        if self._isolated:
            self.send_header("Cross-Origin-Opener-Policy", "same-origin")
            self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        super().end_headers()

    def log_message(self, *arguments: Any) -> None:
        """Nothing."""


@contextmanager
def shown(folder: Path, *options: str, isolated: bool = False) -> Iterator[Browser]:
    """A browser with the page index.html of `folder` open, once that says that it is ready."""
    handler = partial(Served, directory=str(folder), isolated=isolated)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with (
            tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile,
            chromium(Path(profile), *options) as browser,
        ):
            browser.open(f"http://127.0.0.1:{server.server_port}/")
            browser.wait_for("window.ready === true")
            yield browser
    finally:
        server.shutdown()
        server.server_close()


def call(browser: Browser, name: str, *given: Any) -> Any:
    """What a function of the page gives."""
    return browser.value(f"{name}({', '.join(map(json.dumps, given))})")
