"""A web server in a thread of its own, and who may look at what it serves."""

from __future__ import annotations

import hmac
import secrets
import threading
from collections.abc import Mapping
from urllib.parse import quote

from jinja2 import Environment, PackageLoader
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from edgedense.device.preview.address import Address, bound
from edgedense.device.preview.serving import web_server
from edgedense.hosts import is_loopback

_TEMPLATES = Environment(loader=PackageLoader("edgedense.device.preview", ""), autoescape=True)
_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")


def policy(nonce: str) -> Mapping[str, str]:
    """The headers of a page that runs only its own script and style, which carry `nonce`, and asks only its own
    server."""
    content = (
        f"default-src 'none'; img-src blob:; connect-src 'self'; script-src 'nonce-{nonce}'; "
        f"style-src 'nonce-{nonce}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return {
        "Content-Security-Policy": content,
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }


class GuardedServer:
    """Serves an application at an address. Any address but loopback has a token: yours, or a new one.

    `option` is what the address was given with, for the error. An application that answers at length ends when
    `is_closing`. Raises DeviceError when the address is not free.
    """

    def __init__(
        self, app: ASGIApp, address: Address, token: str | None = None, option: str = "--preview-address"
    ) -> None:
        self.token = token or (None if is_loopback(address.host) else secrets.token_urlsafe(16))
        self._socket = bound(address, option)
        port = self._socket.getsockname()[1]
        query = f"?token={quote(self.token)}" if self.token else ""
        self.url = address.url(port) + query
        self._server = web_server(_Guard(app, self.token, f"edgedense_{port}"))
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), name="page", daemon=True)
        self.is_closing = False

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def stop(self) -> None:
        """End, also while pages are open: their connections are closed after a second."""
        self.is_closing = self._server.should_exit = True
        self._thread.join(2.0)
        self._socket.close()


class _Guard:
    """Lets in who knows the token; without a token, who asks for this machine by one of its own names.

    A browser gives the token in the address once, and then as a cookie. A program gives it in the header
    Authorization (RFC 6750). The rule without a token keeps out web pages whose name resolves to 127.0.0.1 (DNS
    rebinding).
    """

    def __init__(self, app: ASGIApp, token: str | None, cookie: str) -> None:
        self._app, self._token, self._cookie = app, token, cookie

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        await self._answer(Request(scope))(scope, receive, send)

    def _answer(self, request: Request) -> ASGIApp:
        if self._token is None:
            host = request.headers.get("host", "").rpartition(":")[0] or request.headers.get("host", "")
            if host.strip("[]") in _LOOPBACK_NAMES:
                return self._app
            return _refusal("This page is served to this machine alone.")
        given = request.query_params.get("token")
        if given is not None and self._is_right(given):
            answer = RedirectResponse("/", 303)  # the token leaves the address bar and the history
            answer.set_cookie(self._cookie, self._token, max_age=30 * 86400, httponly=True, samesite="strict")
            return answer
        scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
        if self._is_right(request.cookies.get(self._cookie, "")) or (
            scheme.lower() == "bearer" and self._is_right(bearer.strip())
        ):
            return self._app
        return _refusal("The token is wrong." if given else "This page needs its token.", form=True)

    def _is_right(self, given: str) -> bool:
        return self._token is not None and hmac.compare_digest(given.encode(), self._token.encode())


def _refusal(text: str, *, form: bool = False) -> Response:
    return HTMLResponse(_TEMPLATES.get_template("refusal.html").render(text=text, form=form), 403)
