"""A site over HTTPS, asked on loopback as a browser asks."""

from __future__ import annotations

import datetime
import gzip
import hashlib
import http.client
import logging
import re
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")
pytest.importorskip("cryptography")
pytest.importorskip("ifaddr")
from edgedense.device.preview.address import Address
from edgedense.errors import DeviceError
from edgedense.website.certificate import Certificate, certificate
from edgedense.website.server import SiteServer
from edgedense.website.site import Site

NAMES = ("127.0.0.1", "localhost")


@pytest.fixture(scope="module")
def proof(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return certificate(tmp_path_factory.mktemp("web"), NAMES, datetime.datetime.now(datetime.timezone.utc))


@pytest.fixture(scope="module")
def server(cards: Site, proof: Certificate) -> Iterator[SiteServer]:
    made = SiteServer(cards.files, Address("127.0.0.1", 0), proof, "192.168.1.20")
    made.start()
    yield made
    made.stop()


def test_handlers_of_other_loggers_stay_open(cards: Site, proof: Certificate) -> None:
    closed: list[bool] = []

    class Handler(logging.Handler):
        def close(self) -> None:
            closed.append(True)
            super().close()

    handler = Handler()
    made = SiteServer(cards.files, Address("127.0.0.1", 0), proof, "localhost")
    made.stop()
    assert not closed
    handler.close()
    assert closed


def port(server: SiteServer) -> int:
    return int(re.search(r":(\d+)/$", server.url)[1])  # type: ignore[index]


Answer = tuple[int, dict[str, str], bytes]


def ask(server: SiteServer, proof: Certificate, path: str, method: str = "GET", **headers: str) -> Answer:
    """Status, headers and content, if the certificate is `proof` and for this machine."""
    context = ssl.create_default_context(cafile=str(proof.path))
    connection = http.client.HTTPSConnection("127.0.0.1", port(server), timeout=20, context=context)
    try:
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        told = {name.lower(): value for name, value in answer.getheaders()}
        return answer.status, told, answer.read()
    finally:
        connection.close()


def test_the_certificate_is_the_one_whose_fingerprint_is_told(server: SiteServer, proof: Certificate) -> None:
    pem = ssl.get_server_certificate(("127.0.0.1", port(server)))
    digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest().upper()
    assert proof.fingerprint.replace(":", "") == digest


def test_nothing_without_encryption(server: SiteServer) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port(server), timeout=20)
    connection.request("GET", "/")
    with pytest.raises((http.client.BadStatusLine, ConnectionError)):
        connection.getresponse()
    connection.close()


TYPES = {
    "/": "text/html; charset=utf-8",
    "/index.html": "text/html; charset=utf-8",
    "/app.js": "text/javascript; charset=utf-8",
    "/sw.js": "text/javascript; charset=utf-8",
    "/style.css": "text/css; charset=utf-8",
    "/site.json": "application/json",
    "/manifest.webmanifest": "application/manifest+json",
    "/icon.svg": "image/svg+xml",
    "/icon-192.png": "image/png",
    "/licenses.txt": "text/plain; charset=utf-8",
    "/runtime/litert_wasm_internal.wasm": "application/wasm",
    "/model.tflite": "application/octet-stream",
}


@pytest.mark.parametrize("path", TYPES)
def test_every_file_and_its_type(server: SiteServer, proof: Certificate, cards: Site, path: str) -> None:
    """A browser runs no script or WebAssembly of another type, where nosniff is said."""
    status, headers, content = ask(server, proof, path)
    assert (status, headers["content-type"]) == (200, TYPES[path])
    assert content == cards.files[path[1:] or "index.html"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["cross-origin-embedder-policy"] == "require-corp"
    page = cards.files["index.html"].decode()
    own = re.search(r'Security-Policy" content="([^"]*)"', page)
    assert own is not None
    assert headers["content-security-policy"] == f"{own[1]}; frame-ancestors 'none'"


def test_packed_on_its_way(server: SiteServer, proof: Certificate, cards: Site) -> None:
    _, headers, content = ask(server, proof, "/worker.js", Accept_Encoding="gzip, br")
    assert (headers["content-encoding"], headers["vary"]) == ("gzip", "Accept-Encoding")
    assert gzip.decompress(content) == cards.files["worker.js"]
    assert len(content) < len(cards.files["worker.js"]) / 2
    assert "content-encoding" not in ask(server, proof, "/icon-192.png", Accept_Encoding="gzip")[1]


def test_what_has_not_changed_is_not_sent_again(server: SiteServer, proof: Certificate) -> None:
    tag = ask(server, proof, "/model.tflite")[1]["etag"]
    assert ask(server, proof, "/model.tflite", If_None_Match=f"W/{tag}")[::2] == (304, b"")
    assert ask(server, proof, "/model.tflite", If_None_Match='"another"')[0] == 200


@pytest.mark.parametrize("path", ["/missing", "/../../etc/passwd", "/%2e%2e/site.json", "/runtime/", "//etc/passwd"])
def test_there_is_nothing_else(server: SiteServer, proof: Certificate, path: str) -> None:
    status, headers, content = ask(server, proof, path)
    assert (status, content) == (404, b"There is no such file.")
    assert headers["cross-origin-embedder-policy"] == "require-corp"


def test_it_takes_nothing(server: SiteServer, proof: Certificate) -> None:
    assert ask(server, proof, "/", "POST")[0] == 405
    assert ask(server, proof, "/", "HEAD")[::2] == (200, b"")


def test_its_address(server: SiteServer, cards: Site, proof: Certificate, on_loopback: None) -> None:
    """That of loopback as it was asked for; on every interface the name by which others reach this machine."""
    assert re.fullmatch(r"https://127\.0\.0\.1:\d+/", server.url)
    for host, name, expected in (
        ("0.0.0.0", "192.168.1.20", r"https://192\.168\.1\.20:\d+/"),
        ("::1", "", r"https://\[::1\]:\d+/"),
    ):
        made = SiteServer(cards.files, Address(host, 0), proof, name)
        made.stop()
        assert re.fullmatch(expected, made.url)


def test_an_address_that_is_taken(server: SiteServer, cards: Site, proof: Certificate) -> None:
    with pytest.raises(DeviceError, match=r"address for the page that is free.*another --address"):
        SiteServer(cards.files, Address("127.0.0.1", port(server)), proof, "")


def test_it_ends(cards: Site, proof: Certificate, tmp_path: Path) -> None:
    made = SiteServer(cards.files, Address("127.0.0.1", 0), proof, "")
    made.start()
    assert ask(made, proof, "/site.json")[0] == 200
    made.stop()
    made.wait()  # returns
    with pytest.raises(OSError, match="refused"):
        ask(made, proof, "/site.json")
