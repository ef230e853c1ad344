"""The web server of the preview page: what those get who may look."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable

from jinja2 import Environment, PackageLoader
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from edgedense.device.preview.address import Address
from edgedense.device.preview.guarded import GuardedServer, policy
from edgedense.device.preview.state import Board

_TEMPLATES = Environment(loader=PackageLoader("edgedense.device.preview", ""), autoescape=True)
_PICTURE_WAIT = 10.0  # seconds that a request for the next picture is kept waiting
_POLL = 0.02  # seconds


class PreviewServer(GuardedServer):
    """Serves a board from a thread of its own."""

    def __init__(self, board: Board, address: Address, token: str | None = None) -> None:
        super().__init__(_application(board, self), address, token)


def _application(board: Board, server: PreviewServer) -> Starlette:
    async def page(_: Request) -> Response:
        nonce = secrets.token_urlsafe(16)
        return HTMLResponse(_TEMPLATES.get_template("page.html").render(nonce=nonce), headers=policy(nonce))

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
