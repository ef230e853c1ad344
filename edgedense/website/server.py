"""Shows a site on the local network over HTTPS, until somebody ends it."""

from __future__ import annotations

import gzip
import html
import re
import threading
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from edgedense.files import sha256
from edgedense.website.runtime import missing_extra

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

    from edgedense.device.preview.address import Address
    from edgedense.website.certificate import Certificate

_INDEX = "index.html"
# A browser runs scripts and WebAssembly, and installs a page, only where the type is right.
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".txt": "text/plain; charset=utf-8",
    ".wasm": "application/wasm",
}
_OTHER_TYPE = "application/octet-stream"
_PACKED = ".png"  # what gzip makes no smaller
# The first two isolate the page from others, without which browsers give it one thread alone.
_HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",  # kept, and asked for again each time: a site that was made again is seen at once
}


class SiteServer:
    """Serves the files of a site, content by path, from a thread of its own. `url` is where; `name` is that of this
    machine there, where it serves on all of its addresses.

    Raises DeviceError where the address is not free, EdgedenseError without the libraries that serve.
    """

    def __init__(self, files: Mapping[str, bytes], address: Address, certificate: Certificate, name: str) -> None:
        from edgedense.device.preview.address import bound

        try:
            from edgedense.device.preview.serving import web_server

            self._server = web_server(application(files), certificate.path)
        except ImportError as error:
            raise missing_extra(error) from error
        self._socket = bound(address, "--address")
        port = self._socket.getsockname()[1]
        host = name if address.is_everywhere else address.host
        self.url = f"https://{f'[{host}]' if ':' in host else host}:{port}/"
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), name="site", daemon=True)

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def wait(self) -> None:
        """Until the server ends, or Ctrl+C (KeyboardInterrupt)."""
        while self._thread.is_alive():
            self._thread.join(1.0)

    def stop(self) -> None:
        """End, also while pages are open: their connections are closed after a second."""
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(5.0)
        self._socket.close()


def application(files: Mapping[str, bytes]) -> Starlette:
    """The web application: each file under its path, and index.html under /."""
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.responses import PlainTextResponse, Response
    from starlette.routing import Route

    headers = {**_HEADERS, "Content-Security-Policy": _policy(files[_INDEX].decode())}
    tags = {path: f'"{sha256(data)[:32]}"' for path, data in files.items()}

    @cache
    def packed(path: str) -> bytes:
        return gzip.compress(files[path], compresslevel=6, mtime=0)

    async def answer(request: Request) -> Response:
        path = request.path_params["path"] or _INDEX
        if path not in files:
            return PlainTextResponse("There is no such file.", 404, headers)
        told = {**headers, "ETag": tags[path], "Vary": "Accept-Encoding"}
        if tags[path] in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=told)
        kind, content = Path(path).suffix, files[path]
        if kind != _PACKED and "gzip" in request.headers.get("accept-encoding", ""):
            content, told["Content-Encoding"] = await run_in_threadpool(packed, path), "gzip"
        return Response(content, media_type=_TYPES.get(kind, _OTHER_TYPE), headers=told)

    return Starlette(routes=[Route("/{path:path}", answer)])


def _policy(page: str) -> str:
    """The Content Security Policy that the page has in its own head, and that nobody may show it in a frame, which only
    a header can say."""
    found = re.search(r'<meta http-equiv="Content-Security-Policy" content="([^"]*)">', page)
    assert found is not None, "index.html has no Content Security Policy"
    return f"{html.unescape(found[1])}; frame-ancestors 'none'"
