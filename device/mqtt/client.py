"""A connection with a broker, made by paho-mqtt; and in words why there is none."""

from __future__ import annotations

import hashlib
import socket
import ssl
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from edgedense.device.mqtt.address import Broker
from edgedense.errors import DeviceError, EdgedenseError, first_line
from edgedense.hosts import is_loopback

if TYPE_CHECKING:
    from paho.mqtt.client import Client

KEEP_ALIVE = 30  # seconds; after one and a half of them the broker takes a silent device for lost
_CONNECT = 10.0  # seconds for TCP's handshake
_NOT_YET_VALID = 9  # X509_V_ERR_CERT_NOT_YET_VALID of OpenSSL


class _Socket(ssl.SSLSocket):
    """Closes itself when the handshake fails, which paho-mqtt leaves to chance."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except BaseException:
            self.close()
            raise


@dataclass(frozen=True)
class Login:
    """Who asks which broker. `ca` is a file of certificates in PEM format that the broker's is to be signed by; without
    one those count that the system trusts. Raises EdgedenseError when it holds none."""

    broker: Broker
    password: str | None = field(default=None, repr=False)
    ca: Path | None = None
    tls: ssl.SSLContext | None = field(init=False, repr=False, default=None)

    def __post_init__(self) -> None:
        if self.ca is not None and not self.broker.is_encrypted:
            raise EdgedenseError("mqtts:// with a file of certificates", f"{self.broker}, which is not encrypted")
        if self.password is not None and self.broker.user is None:
            raise EdgedenseError("a user whose password it is", str(self.broker), "mqtts://USER@BROKER")
        if self.broker.is_encrypted:
            try:
                context = ssl.create_default_context(cafile=self.ca)
            except OSError as error:  # ssl.SSLError is one
                raise EdgedenseError("a file of certificates in PEM format", f"{self.ca}: {error}") from error
            context.sslsocket_class = _Socket
            object.__setattr__(self, "tls", context)

    @property
    def is_open_to_listeners(self) -> bool:
        """Whether a password crosses a network without encryption."""
        return self.password is not None and not self.broker.is_encrypted and not is_loopback(self.broker.host)


def new_client(login: Login, client_id: str) -> Client:
    """A client that is ready to connect: `connect(client, login)`. Raises DeviceError without paho-mqtt.

    It speaks MQTT 5: in it a broker says when it does not take a message. In MQTT 3.1.1 it confirms and drops it.
    """
    try:
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
    except ImportError as error:
        raise DeviceError("paho-mqtt to speak MQTT", str(error), "pip install 'edgedense[fleet]'") from error
    client = Client(CallbackAPIVersion.VERSION2, client_id, protocol=MQTTProtocolVersion.MQTTv5)
    client.connect_timeout = _CONNECT
    if login.broker.user is not None:
        client.username_pw_set(login.broker.user, login.password)
    if login.tls is not None:
        client.tls_set_context(login.tls)
    return client


def connect(client: Client, login: Login) -> None:
    """Open the connection and ask to be let in; what the broker says to it comes to `client.on_connect`.

    Raises OSError, for `why`.
    """
    client.connect(login.broker.host, login.broker.port, KEEP_ALIVE, clean_start=True)


def client_id(name: str, machine_id: Path = Path("/etc/machine-id")) -> str:
    """What the broker knows a connection by: it ends an earlier one of the same device, and none of another machine
    that is called alike. The machine's own id is not told (machine-id(5))."""
    try:
        machine = machine_id.read_bytes().strip()
    except OSError:
        machine = socket.gethostname().encode()
    return f"edgedense-{name}-{hashlib.sha256(b'edgedense ' + machine).hexdigest()[:8]}"


def why(error: Exception) -> str:
    """In words, why a connection could not be opened."""
    if isinstance(error, ssl.SSLCertVerificationError):
        clock = f"; this machine's clock says {datetime.now():%Y-%m-%d %H:%M}"
        is_early = error.verify_code == _NOT_YET_VALID
        return f"its certificate is not accepted: {error.verify_message}{clock if is_early else ''}"
    if isinstance(error, ssl.SSLError):
        return f"TLS fails ({error.reason or first_line(error)}): is it the port for this kind of address?"
    if isinstance(error, socket.gaierror):
        return f"its name is not known: {error.strerror}"
    if isinstance(error, TimeoutError):
        return "it does not answer"
    if isinstance(error, ConnectionResetError):
        return "it breaks the connection off: is it the port for this kind of address?"
    return getattr(error, "strerror", None) or first_line(error)
