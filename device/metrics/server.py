"""The server of the figures: the preview's rules say who may look."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from edgedense.device.metrics.figures import Figures
from edgedense.device.metrics.options import MetricsOptions
from edgedense.device.monitor.watch import Watch
from edgedense.device.prediction import Rule
from edgedense.device.preview.address import parse_address, read_token
from edgedense.device.preview.guarded import GuardedServer
from edgedense.files import sha256
from edgedense.notes import LOG

PATH = "/metrics"


@contextlib.contextmanager
def serving(options: MetricsOptions, model: Path, rule: Rule, source: str, watch: Watch | None) -> Iterator[Figures]:
    """The figures of a run, while they are served. `source` is the camera in words.

    Raises EdgedenseError for an address or a token that is none, DeviceError when the address is not free.
    """
    address = parse_address(options.address or "", "--metrics", "127.0.0.1:9100")
    token = read_token(options.token_file) if options.token_file else None
    figures = Figures(rule, model=model.name, sha256=sha256(model.read_bytes()), source=source, watch=watch)
    server = GuardedServer(application(figures), address, token, "--metrics")
    server.start()
    base, _, query = server.url.partition("?")
    known = f"the token from {options.token_file}" if options.token_file else query.replace("token=", "the token ")
    LOG.info(f"figures for Prometheus at {base.rstrip('/')}{PATH}" + (f" with {known}" if known else ""))
    try:
        yield figures
    finally:
        server.stop()


def application(figures: Figures) -> Starlette:
    """Answers with the figures, in the format that the asker prefers."""

    def metrics(request: Request) -> Response:
        encode, kind = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(figures.registry), headers={"Content-Type": kind, "Cache-Control": "no-store"})

    def start(_: Request) -> Response:
        return RedirectResponse(PATH)

    return Starlette(routes=[Route("/", start), Route(PATH, metrics)])
