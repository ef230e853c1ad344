"""Where the broker is, who asks, and what a device is called. Needs no MQTT library."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from edgedense.errors import EdgedenseError

PREFIX = "edgedense"  # of all topics, where the address names none
CREDENTIAL = "mqtt-password"  # the name under which systemd hands the password to a service
_PORTS = {"mqtt": 1883, "mqtts": 8883}  # as registered with IANA
_EXAMPLE = "mqtts://barn@broker.example/farm"


@dataclass(frozen=True)
class Broker:
    """A broker, and the prefix of the topics there. With `is_encrypted` TLS proves who it is, and nobody listens in."""

    host: str
    port: int
    is_encrypted: bool
    user: str | None
    prefix: str

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'mqtts' if self.is_encrypted else 'mqtt'}://{host}:{self.port}"


def parse_broker(text: str) -> Broker:
    """ "mqtts://user@broker:8883/prefix": mqtts for TLS and mqtt for none; user, port and prefix may be left out.

    Raises EdgedenseError for anything else, and for a password in it: every user of a system sees the words of a
    command.
    """
    parts, port = _split(text)
    if parts.scheme not in _PORTS or not parts.hostname or parts.query or parts.fragment:
        raise EdgedenseError("mqtt://BROKER or mqtts://BROKER", _without_password(text), _EXAMPLE)
    if parts.password is not None:
        raise EdgedenseError("the broker's password in a file", "one in its address", "--mqtt-password-file FILE")
    prefix = unquote(parts.path.removeprefix("/")) or PREFIX
    if not _is_topic(prefix):
        raise EdgedenseError(
            "a prefix of topics without + and #, which does not begin with $ and has no empty part",
            repr(prefix),
            _EXAMPLE,
        )
    user = unquote(parts.username) if parts.username else None
    return Broker(parts.hostname, port or _PORTS[parts.scheme], parts.scheme == "mqtts", user, prefix)


def _split(text: str) -> tuple[SplitResult, int | None]:
    try:
        parts = urlsplit(text)
        return parts, parts.port
    except ValueError as error:  # a port that is none, or half of a bracket
        raise EdgedenseError("the address of a broker", f"{_without_password(text)}: {error}", _EXAMPLE) from None


def _without_password(text: str) -> str:
    return re.sub(r"(//[^/@:]*):[^/@]*@", r"\1:***@", text)


def _is_topic(text: str) -> bool:
    """Whether something may be published below it (MQTT 5.0, 4.7). Topics that begin with $ are the broker's own."""
    return all(text.split("/")) and not text.startswith("$") and not set(text) & set("+#\0") and text.isprintable()


def device_name(named: str | None) -> str:
    """What the device is called: as it was named, else as this machine is, without its domain.

    Raises EdgedenseError for a name that Home Assistant would not take: it knows letters, digits, _ and -.
    """
    name = socket.gethostname().partition(".")[0] if named is None else named
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", name):
        raise EdgedenseError("a device's name of letters, digits, _ and -", repr(name), "--mqtt-name barn-3")
    return name


def read_password(path: Path | None, environment: Mapping[str, str] = os.environ) -> str | None:
    """The password in the file, or else in the credential that systemd hands to a service; None where there is neither.

    Raises EdgedenseError when the file cannot be read or holds none.
    """
    folder = environment.get("CREDENTIALS_DIRECTORY")
    credential = Path(folder, CREDENTIAL) if folder else None
    if path is None and credential is not None and credential.is_file():
        path = credential
    if path is None:
        return None
    try:
        password = path.read_text("utf-8").strip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise EdgedenseError("a file that holds the broker's password", f"{path}: {error}") from error
    if not password or "\n" in password:
        lines = len(password.splitlines())
        raise EdgedenseError("a file with the broker's password as its only line", f"{path} with {lines} lines")
    return password
