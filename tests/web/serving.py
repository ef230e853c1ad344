"""A folder served as the plainest web servers do, and a browser that shows it."""

from __future__ import annotations

import json
import mimetypes
import tempfile
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.browser.chromium import Browser, chromium

mimetypes.add_type("application/wasm", ".wasm")
mimetypes.add_type("application/manifest+json", ".webmanifest")


@dataclass
class Served:
    """A folder on loopback, which may be taken from the net and put back at the same address.

    With `isolated` it sends what lets a page start threads at once. `cut` has the paths of files of which half is sent
    before the connection ends. `asked` are the paths that were asked for.
    """

    folder: Path
    isolated: bool = False
    cut: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    port: int = 0

    def __post_init__(self) -> None:
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def start(self) -> None:
        served = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                served._answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        path = urllib.parse.unquote(urllib.parse.urlsplit(request.path).path).lstrip("/") or "index.html"
        self.asked.append(path)
        file = self.folder / path
        if not file.is_file():
            request.send_error(404)
            return
        content = file.read_bytes()
        request.send_response(200)
        request.send_header("Content-Type", mimetypes.guess_type(path)[0] or "application/octet-stream")
        request.send_header("Content-Length", str(len(content)))
        request.send_header("Cache-Control", "no-cache")
        if self.isolated:
            request.send_header("Cross-Origin-Opener-Policy", "same-origin")
            request.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        request.end_headers()
        try:
            request.wfile.write(content[: len(content) // 2] if path in self.cut else content)
        except OSError:  # the browser has gone
            request.close_connection = True
        request.close_connection |= path in self.cut


@contextmanager
def shown(folder: Path, *options: str, isolated: bool = False) -> Iterator[Browser]:
    """A browser with the page index.html of `folder` open, once that says that it is ready."""
    served = Served(folder, isolated)
    try:
        with (
            tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile,
            chromium(Path(profile), *options) as browser,
        ):
            browser.open(served.url)
            browser.wait_for("window.ready === true")
            yield browser
    finally:
        served.stop()


def call(browser: Browser, name: str, *given: Any) -> Any:
    """What a function of the page gives."""
    return browser.value(f"{name}({', '.join(map(json.dumps, given))})")
