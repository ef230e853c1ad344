"""A web server as every page here has it: uvicorn, silent and with limits."""

from __future__ import annotations

from pathlib import Path

import uvicorn
from starlette.types import ASGIApp


def web_server(app: ASGIApp, certificate: Path | None = None) -> uvicorn.Server:
    """A server of the application `app`, which is not yet started. With a `certificate`, a file in PEM format that
    holds its key too, it serves over HTTPS."""
    config = uvicorn.Config(
        app,
        ssl_certfile=None if certificate is None else str(certificate),
        log_config=None,  # uvicorn's own closes the handlers of every logger in this process
        log_level="error",
        access_log=False,
        lifespan="off",
        server_header=False,
        timeout_graceful_shutdown=1,
        limit_concurrency=64,  # a phone that connects again and again must not fill the memory
    )
    return uvicorn.Server(config)
