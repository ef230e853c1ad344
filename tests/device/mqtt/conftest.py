"""A real broker (mosquitto, with its password file and its TLS), a line to it that can be slow, and a reader."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from edgedense.device.mqtt.messages import Alert, Message, Name, Report, Topics, decode, split_topic
from edgedense.device.mqtt.sender import _POLL

PATIENCE = 20.0  # seconds, for a machine under load
USER, PASSWORD = "barn", "a password with spaces"


def wait_for(condition: Callable[[], object], patience: float = PATIENCE) -> None:
    """Until it is true, or the test fails."""
    until = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(_POLL / 4)


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


@dataclass
class Mosquitto:
    """mosquitto on loopback. `lines` are added to its configuration."""

    folder: Path
    lines: str
    port: int = field(default_factory=free_port)
    _process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        config = self.folder / "mosquitto.conf"
        config.write_text(
            f"listener {self.port} 127.0.0.1\n{self.lines}\nuser root\nmax_queued_messages 100000\n"
            f"persistence_location {self.folder}/\n"
        )
        with (self.folder / "mosquitto.log").open("ab") as log:
            self._process = subprocess.Popen(["mosquitto", "-c", config], stdout=log, stderr=log)
        wait_for(lambda: _answers(self.port))

    def end(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self._process:
            self._process.send_signal(how)
            self._process.wait(PATIENCE)
            self._process = None

    @contextlib.contextmanager
    def hanging(self) -> Iterator[None]:
        """Neither reads nor answers, while its connections stay open."""
        assert self._process, "it does not run"
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Callable[..., Mosquitto]]:
    """Starts a broker with these lines of configuration."""
    if not shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin"):
        pytest.skip("needs the system package mosquitto")
    started: list[Mosquitto] = []

    def start(lines: str) -> Mosquitto:
        folder = tmp_path / f"mosquitto{len(started)}"
        folder.mkdir()
        started.append(Mosquitto(folder, lines))
        started[-1].start()
        return started[-1]

    yield start
    for broker in started:
        broker.end(signal.SIGKILL)


@pytest.fixture
def broker(mosquitto: Callable[..., Mosquitto]) -> Mosquitto:
    """A broker that lets everybody in. What it has confirmed and its reader has not got outlasts a restart."""
    return mosquitto("allow_anonymous true\npersistence true\nautosave_on_changes true\nautosave_interval 1")


class Reader:
    """Takes all messages of a prefix, drops copies, and remembers the rest in the order in which they came."""

    def __init__(self, port: int, prefix: str = "farm", name: str = "reader") -> None:
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
        from paho.mqtt.packettypes import PacketTypes
        from paho.mqtt.properties import Properties

        self.raw: list[tuple[str, bytes, bool]] = []
        self.messages: list[tuple[Name, Message]] = []
        self.copies = 0
        self.qualities: set[int] = set()  # of service, as it was sent: this reader asks for 1 at most
        self._keys: set[tuple[str, int]] = set()
        self._prefix, self._is_ready = prefix, threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2, name, protocol=MQTTProtocolVersion.MQTTv5)
        self._client.on_message = self._take
        self._client.on_subscribe = lambda *_: self._is_ready.set()
        # Its session outlasts connections: what comes while it is away is kept for it.
        self._client.on_connect = lambda client, *_: client.subscribe([("#", 1)])
        stay = Properties(PacketTypes.CONNECT)
        stay.SessionExpiryInterval = 3600
        self._client.reconnect_delay_set(1, 1)
        self._client.connect("127.0.0.1", port, clean_start=False, properties=stay)
        self._client.loop_start()
        assert self._is_ready.wait(PATIENCE)

    def _take(self, client: object, data: object, message: object) -> None:
        topic, payload = message.topic, message.payload  # type: ignore[attr-defined]
        self.raw.append((topic, payload, message.retain))  # type: ignore[attr-defined]
        found = split_topic(self._prefix, topic)
        if not found or found[1] == "picture":
            return
        self.qualities.add(message.qos)  # type: ignore[attr-defined]
        read = decode(found[1], payload)
        if isinstance(read, (Report, Alert)):
            if read.stamp.key in self._keys:
                self.copies += 1
                return
            self._keys.add(read.stamp.key)
        self.messages.append((found[1], read))

    @property
    def numbers(self) -> list[int]:
        """The sequence numbers of what came, without copies."""
        return [read.stamp.sequence for _, read in self.messages if isinstance(read, (Report, Alert))]

    def of(self, topics: Topics, name: Name) -> list[bytes]:
        return [payload for topic, payload, _ in self.raw if topic == topics.of(name)]

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def read() -> Iterator[Callable[[int], Reader]]:
    """Starts a reader at a broker's port."""
    readers: list[Reader] = []

    def start(port: int) -> Reader:
        readers.append(Reader(port))
        return readers[-1]

    yield start
    for reader in readers:
        reader.close()


class Line:
    """A TCP connection that passes so many bytes a second on, each way; `cut` breaks it."""

    def __init__(self, port: int, rate: float) -> None:
        self.rate, self._to = rate, port
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self.passed = 0  # bytes to the broker
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                inner, _ = self._server.accept()
                outer = socket.create_connection(("127.0.0.1", self._to))
                for one in (inner, outer):  # a slow line with large buffers would look fast
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2048)
                self._open += [inner, outer]
                threading.Thread(target=self._pass, args=(inner, outer, True), daemon=True).start()
                threading.Thread(target=self._pass, args=(outer, inner, False), daemon=True).start()

    def _pass(self, giver: socket.socket, taker: socket.socket, counted: bool) -> None:
        with contextlib.suppress(OSError):
            while data := giver.recv(512):
                time.sleep(len(data) / self.rate)
                taker.sendall(data)
                self.passed += len(data) if counted else 0
        for one in (giver, taker):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def cut(self) -> None:
        for one in self._open:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        self._open.clear()

    def close(self) -> None:
        self._server.close()
        self.cut()


@pytest.fixture
def line() -> Iterator[Callable[[int, float], Line]]:
    """Lays a line to a port, with its rate in bytes a second."""
    lines: list[Line] = []

    def lay(port: int, rate: float = 1e7) -> Line:
        lines.append(Line(port, rate))
        return lines[-1]

    yield lay
    for one in lines:
        one.close()


@dataclass(frozen=True)
class Certificates:
    """Files in PEM format: an authority, and a server's certificate and key for each name."""

    folder: Path

    @property
    def authority(self) -> Path:
        return self.folder / "ca.pem"

    def tls(self, name: str) -> str:
        """Lines of mosquitto's configuration."""
        return f"allow_anonymous true\ncertfile {self.folder}/{name}.pem\nkeyfile {self.folder}/{name}.key"


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """For "localhost" (127.0.0.1 too), for "other.example", and one for localhost that is valid only from 2100 on; and
    "foreign.pem", another authority."""
    folder = tmp_path_factory.mktemp("certificates")
    foreign = ec.generate_private_key(ec.SECP256R1())
    (folder / "foreign.pem").write_bytes(_pem(_certificate("foreign", foreign, "foreign", foreign)))
    long_ago, much_later = datetime.date(2020, 1, 1), datetime.date(2100, 1, 1)
    return make_certificates(
        folder,
        [
            ("localhost", "localhost", long_ago),
            ("other", "other.example", long_ago),
            ("early", "localhost", much_later),
        ],
    )


def make_certificates(folder: Path, hosts: Sequence[tuple[str, str, datetime.date]]) -> Certificates:
    """Write an authority's certificate, and one for each host: its files' name, the host, the day it begins."""
    key = ec.generate_private_key(ec.SECP256R1())
    (folder / "ca.pem").write_bytes(_pem(_certificate("an authority", key, "an authority", key)))
    for name, host, begins in hosts:
        own = ec.generate_private_key(ec.SECP256R1())
        (folder / f"{name}.pem").write_bytes(_pem(_certificate(host, own, "an authority", key, begins)))
        (folder / f"{name}.key").write_bytes(
            own.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
    return Certificates(folder)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _certificate(
    subject: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: str,
    by: ec.EllipticCurvePrivateKey,
    begins: datetime.date = datetime.date(2020, 1, 1),
) -> x509.Certificate:
    """Valid for a century. Whoever signs for itself is an authority."""
    midnight = datetime.datetime(begins.year, begins.month, begins.day)
    address = "127.0.0.1" if subject == "localhost" else subject
    is_address = re.fullmatch(r"[\d.]+", address) is not None
    addresses = [x509.IPAddress(ipaddress.ip_address(address))] if is_address else []
    names = [x509.DNSName(subject)] if subject == "localhost" or ("." in subject and not is_address) else []
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(midnight)
        .not_valid_after(midnight + datetime.timedelta(days=36_500))
        .add_extension(x509.BasicConstraints(ca=subject == issuer, path_length=None), critical=True)
    )
    if names or addresses:
        builder = builder.add_extension(x509.SubjectAlternativeName([*names, *addresses]), critical=False)
    return builder.sign(by, hashes.SHA256())
