"""The web server of the fleet's page."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator

from jinja2 import ChoiceLoader, Environment, PackageLoader
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from edgedense.device.board.telemetry import iso
from edgedense.device.overview.fleet import Fleet
from edgedense.device.preview.address import Address
from edgedense.device.preview.guarded import GuardedServer, policy

_LOADERS = [
    PackageLoader("edgedense.device.overview", ""),
    PackageLoader("edgedense.report"),
]  # which has the look of all pages
_TEMPLATES = Environment(loader=ChoiceLoader(_LOADERS), autoescape=True)
_EVERY = 1.0  # seconds between two looks at what has changed
_BEAT = 15.0  # seconds after which a page hears something, so that it knows that the connection stands


class FleetServer(GuardedServer):
    """Serves the page of `fleet` from a thread of its own, under the rules of the preview's page."""

    def __init__(self, fleet: Fleet, address: Address, token: str | None = None) -> None:
        super().__init__(_application(fleet, self), address, token, "--serve")


def _application(fleet: Fleet, server: GuardedServer) -> Starlette:
    async def page(_: Request) -> Response:
        nonce = secrets.token_urlsafe(16)
        return HTMLResponse(_TEMPLATES.get_template("page.html").render(nonce=nonce), headers=policy(nonce))

    async def devices(_: Request) -> Response:
        """All rows, for programs."""
        return Response(_told(fleet, 0)[1], media_type="application/json", headers={"Cache-Control": "no-store"})

    async def events(_: Request) -> Response:
        return StreamingResponse(
            _news(fleet, server), media_type="text/event-stream", headers={"Cache-Control": "no-store"}
        )

    async def missing(_: Request, error: Exception) -> Response:
        return JSONResponse({"error": "there is no such page"}, 404)

    routes = [Route("/", page), Route("/devices", devices), Route("/events", events)]
    return Starlette(routes=routes, exception_handlers={404: missing})


def _told(fleet: Fleet, since: int) -> tuple[int, str]:
    """(the version to ask with next, what has changed as JSON)."""
    shown = fleet.shown(since)
    content = {
        "now": iso(time.time()),
        "left": shown.left,
        "events": shown.events and [{**vars(event), "moment": iso(event.moment)} for event in shown.events],
    }
    told = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    return shown.version, f'{told[:-1]},"rows":[{",".join(row.json for row in shown.rows)}]}}'


async def _news(fleet: Fleet, server: GuardedServer) -> AsyncIterator[str]:
    """Server-sent events: first the whole fleet, then the rows that have changed, at most once a second."""
    sent, sent_at = -1, float("-inf")
    while not server.is_closing:
        version = fleet.version
        if version != sent or time.monotonic() - sent_at > _BEAT:
            sent, content = _told(fleet, max(sent, 0))
            sent_at = time.monotonic()
            yield f"data: {content}\n\n"
        for _ in range(10):  # so that a page that is open does not hold up the end
            if server.is_closing:
                return
            await asyncio.sleep(_EVERY / 10)
