"""Where the preview page is served, and the token that guards it. Needs no web server."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from pathlib import Path

from edgedense.errors import EdgedenseError

_SHORTEST_TOKEN = 12  # characters


@dataclass(frozen=True)
class Address:
    """Where the page is served."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        try:
            return self.host == "localhost" or ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def url(self, port: int) -> str:
        """What to open in a browser; `port` is the one that was bound."""
        everywhere = self.host in ("0.0.0.0", "::")
        host = f"{socket.gethostname()}.local" if everywhere else self.host
        return f"http://{f'[{host}]' if ':' in host else host}:{port}/"


def parse_address(text: str) -> Address:
    """ "127.0.0.1:8080", "[::1]:8080", "raspberrypi.local:8080", or ":8080" for every interface."""
    host, colon, port = text.rpartition(":")
    if not (colon and port.isdecimal() and int(port) < 65536):
        raise EdgedenseError("--preview-address HOST:PORT", repr(text), "--preview-address 127.0.0.1:8080")
    return Address(host.strip("[]") or "0.0.0.0", int(port))


def read_token(path: Path) -> str:
    """The token in a file, such as a systemd credential. Raises EdgedenseError when it is missing or short."""
    try:
        token = path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise EdgedenseError("a file that holds the preview's token", f"{path}: {error}") from error
    if len(token) < _SHORTEST_TOKEN or not token.isascii() or not token.isprintable():
        raise EdgedenseError(
            f"a token of {_SHORTEST_TOKEN} or more ASCII characters",
            f"{path} with {len(token)} characters",
            'python3 -c "import secrets; print(secrets.token_urlsafe(16))"',
        )
    return token
