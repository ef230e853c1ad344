"""The web server of the preview page: who may look, and what they get."""

from __future__ import annotations

import asyncio
import hmac
import json
import secrets
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from urllib.parse import quote

import uvicorn
from jinja2 import Environment, PackageLoader
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from edgedense.device.preview.address import Address, bound
from edgedense.device.preview.state import Board

_TEMPLATES = Environment(loader=PackageLoader("edgedense.device.preview", ""), autoescape=True)
_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
_PICTURE_WAIT = 10.0  # seconds that a request for the next picture is kept waiting
_POLL = 0.02  # seconds


class PreviewServer:
    """Serves a board from a thread of its own. Any address but loopback has a token: yours, or a new one."""

    def __init__(self, board: Board, address: Address, token: str | None = None) -> None:
        self.token = token or (None if address.is_loopback else secrets.token_urlsafe(16))
        self._socket = bound(address)
        port = self._socket.getsockname()[1]
        query = f"?token={quote(self.token)}" if self.token else ""
        self.url = address.url(port) + query
        app = _Guard(_application(board, self), self.token, f"edgedense_{port}")
        # limit_concurrency: a phone that reconnects again and again must not fill the memory.
        config = uvicorn.Config(
            app,
            log_level="error",
            access_log=False,
            lifespan="off",
            server_header=False,
            timeout_graceful_shutdown=1,
            limit_concurrency=64,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), name="preview", daemon=True)
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

    The second rule keeps out web pages whose name resolves to 127.0.0.1 (DNS rebinding).
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
        if self._is_right(request.cookies.get(self._cookie, "")):
            return self._app
        return _refusal("The token is wrong." if given else "This page needs its token.", form=True)

    def _is_right(self, given: str) -> bool:
        return self._token is not None and hmac.compare_digest(given.encode(), self._token.encode())


def _refusal(text: str, *, form: bool = False) -> Response:
    return HTMLResponse(_TEMPLATES.get_template("refusal.html").render(text=text, form=form), 403)


def _application(board: Board, server: PreviewServer) -> Starlette:
    async def page(_: Request) -> Response:
        nonce = secrets.token_urlsafe(16)
        policy = (
            f"default-src 'none'; img-src blob:; connect-src 'self'; script-src 'nonce-{nonce}'; "
            f"style-src 'nonce-{nonce}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        return HTMLResponse(
            _TEMPLATES.get_template("page.html").render(nonce=nonce),
            headers={
                "Content-Security-Policy": policy,
                "Referrer-Policy": "no-referrer",
                "X-Content-Type-Options": "nosniff",
                "Cache-Control": "no-store",
            },
        )

    async def picture(request: Request) -> Response:
        """The next picture after number `after`: a page on a slow connection gets fewer, never old ones."""
        after = request.query_params.get("after", "0")
        seen = int(after) if after.isdecimal() else 0
        for _ in range(int(_PICTURE_WAIT / _POLL)):
            board.look()
            if server.is_closing or board.picture_number not in (0, seen):
                break
            await asyncio.sleep(_POLL)
        if board.picture_number in (0, seen):
            return Response(status_code=204)
        number, data = await run_in_threadpool(board.jpeg)
        return Response(
            data, media_type="image/jpeg", headers={"X-Picture-Number": str(number), "Cache-Control": "no-store"}
        )

    async def events(_: Request) -> Response:
        return StreamingResponse(
            _facts(board, server), media_type="text/event-stream", headers={"Cache-Control": "no-store"}
        )

    def switch(name: str, switched: Callable[[bool], None]) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            # Other web sites can send a form here, but not this header.
            if request.headers.get("x-requested-with") != "edgedense":
                return JSONResponse({"error": "the header X-Requested-With is missing"}, 403)
            switched(request.query_params.get("on") == "1")
            board.update({})
            return JSONResponse({name: board.facts().get(name, False)})

        return answer

    def pause(on: bool) -> None:
        board.is_paused = on

    def explain(on: bool) -> None:
        board.is_explaining = on

    return Starlette(
        routes=[
            Route("/", page),
            Route("/picture", picture),
            Route("/events", events),
            Route("/pause", switch("paused", pause), methods=["POST"]),
            Route("/heatmap", switch("heatmap", explain), methods=["POST"]),
        ]
    )


async def _facts(board: Board, server: PreviewServer) -> AsyncIterator[str]:
    """Server-sent events: the facts when they have changed, at most ten times a second."""
    sent = -1
    while not server.is_closing:
        if board.version != sent:
            sent = board.version
            yield f"data: {json.dumps(board.facts())}\n\n"
        await asyncio.sleep(0.1)
