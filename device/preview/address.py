"""Where a page is served, and the token that guards the preview. Needs no web server."""

from __future__ import annotations

import contextlib
import socket
from dataclasses import dataclass
from pathlib import Path

from edgedense.errors import DeviceError, EdgedenseError

_SHORTEST_TOKEN = 12  # characters


@dataclass(frozen=True)
class Address:
    """Where a page is served."""

    host: str
    port: int

    @property
    def is_everywhere(self) -> bool:
        """Whether it stands for every interface of this machine."""
        return self.host in ("0.0.0.0", "::")

    def url(self, port: int) -> str:
        """What to open in a browser; `port` is the one that was bound."""
        host = f"{socket.gethostname()}.local" if self.is_everywhere else self.host
        return f"http://{f'[{host}]' if ':' in host else host}:{port}/"


def parse_address(text: str, option: str = "--preview-address", example: str = "127.0.0.1:8080") -> Address:
    """ "127.0.0.1:8080", "[::1]:8080", "raspberrypi.local:8080", or ":8080" for every interface. The error names the
    `option` and an `example`."""
    host, colon, port = text.rpartition(":")
    if not (colon and port.isdecimal() and int(port) < 65536):
        raise EdgedenseError(f"{option} HOST:PORT", repr(text), f"{option} {example}")
    return Address(host.strip("[]") or "0.0.0.0", int(port))


def bound(address: Address, option: str = "--preview-address") -> socket.socket:
    """A socket that listens there. Raises DeviceError, which names the `option`, where the address is not free."""
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with contextlib.ExitStack() as undone:
            listening = undone.enter_context(socket.socket(family, kind, protocol))
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(where)
            listening.listen(64)  # who comes before the server runs waits for it
            undone.pop_all()
    except OSError as error:
        raise DeviceError(
            "an address for the page that is free", f"{address.host}:{address.port}: {error}", f"another {option}"
        ) from error
    return listening


def read_token(path: Path) -> str:
    """The token in a file, such as a systemd credential. Raises EdgedenseError when it is missing or short."""
    try:
        token = path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise EdgedenseError("a file that holds the token", f"{path}: {error}") from error
    if len(token) < _SHORTEST_TOKEN or not token.isascii() or not token.isprintable():
        raise EdgedenseError(
            f"a token of {_SHORTEST_TOKEN} or more ASCII characters",
            f"{path} with {len(token)} characters",
            'python3 -c "import secrets; print(secrets.token_urlsafe(16))"',
        )
    return token
