"""The preview's web server: who gets in, and what they get."""

from __future__ import annotations

import io
import json
import logging
import re
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from http.client import HTTPResponse
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgedense.device.preview import state
from edgedense.device.preview.address import Address, parse_address, read_token
from edgedense.device.preview.state import Board
from edgedense.errors import DeviceError, EdgedenseError
from edgedense.explanations.colormap import overlay
from edgedense.images.steps import Window

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")
from edgedense.device.preview.server import PreviewServer

TOKEN = "a-token-of-some-length"
CARD = np.full((60, 80, 3), (200, 30, 40), np.uint8)
Serve = Callable[..., tuple[PreviewServer, Board]]


@pytest.fixture
def serve() -> Iterator[Serve]:
    servers = []

    def start(token: str | None = None, host: str = "127.0.0.1", explains: bool = False) -> tuple[PreviewServer, Board]:
        board = Board(explains)
        server = PreviewServer(board, Address(host, 0), token)
        server.start()
        servers.append(server)
        return server, board

    yield start
    for server in servers:
        server.stop()


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


_answers: list[HTTPResponse] = []


@pytest.fixture(autouse=True)
def close_answers() -> Iterator[None]:
    """Many a test looks at an answer's head alone, and leaves the connection open."""
    yield
    while _answers:
        _answers.pop().close()


def ask(server: PreviewServer, path: str = "/", method: str = "GET", **headers: str) -> HTTPResponse:
    """The answer, whatever its status; it is closed when the test is over."""
    base = server.url.partition("?")[0].rstrip("/")
    request = urllib.request.Request(base + path, headers=headers, method=method)
    try:
        _answers.append(urllib.request.build_opener(_Stay).open(request, timeout=20))
    except urllib.error.HTTPError as answer:
        _answers.append(answer)  # type: ignore[arg-type]
    return _answers[-1]


def test_loopback_needs_no_token_and_serves_the_page(serve: Serve) -> None:
    server, _ = serve()
    assert server.token is None
    answer = ask(server)
    page = answer.read().decode()
    assert answer.status == 200
    assert "{{nonce}}" not in page
    (nonce,) = set(re.findall(r'nonce="([^"]+)"', page))
    assert f"script-src 'nonce-{nonce}'" in answer.headers["Content-Security-Policy"]
    assert nonce not in ask(server).read().decode()


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:9000", 200),
        ("127.0.0.1", 200),
        ("[::1]:8080", 200),
        ("evil.example", 403),
        ("evil.example:80", 403),
        ("localhost.evil.example", 403),
    ],
)
def test_a_web_page_that_resolves_to_this_machine_is_kept_out(serve: Serve, host: str, status: int) -> None:
    server, _ = serve()
    assert ask(server, Host=host).status == status


def test_any_other_address_has_a_token_which_is_new_every_time(serve: Serve) -> None:
    first, second = serve(host="0.0.0.0")[0], serve(host="0.0.0.0")[0]
    assert first.token is not None
    assert len(first.token) >= 20
    assert first.token != second.token
    assert first.token in first.url


PATHS = [
    ("/", "GET"),
    ("/picture", "GET"),
    ("/events", "GET"),
    ("/pause?on=1", "POST"),
    ("/heatmap?on=1", "POST"),
    ("/nothing", "GET"),
]


@pytest.mark.parametrize(("path", "method"), PATHS)
@pytest.mark.parametrize("given", [{}, {"Cookie": "{cookie}=wrong"}, {"Authorization": "Bearer wrong"}])
def test_nothing_is_served_without_the_token(serve: Serve, path: str, method: str, given: dict[str, str]) -> None:
    server, board = serve(TOKEN)
    port = server._socket.getsockname()[1]
    headers = {name: value.format(cookie=f"edgedense_{port}") for name, value in given.items()}
    answer = ask(server, path, method, **{"X-Requested-With": "edgedense"}, **headers)
    assert answer.status == 403
    assert TOKEN not in answer.read().decode()
    assert not board.is_paused


@pytest.mark.parametrize("wrong", ["wrong", "", TOKEN[:-1], TOKEN + "x", "%C3%A9"])
def test_a_wrong_token_is_refused(serve: Serve, wrong: str) -> None:
    server, _ = serve(TOKEN)
    answer = ask(server, f"/?token={wrong}")
    assert answer.status == 403
    assert "Set-Cookie" not in answer.headers


def test_the_right_token_becomes_a_cookie_and_leaves_the_address_bar(serve: Serve) -> None:
    server, _ = serve(TOKEN)
    answer = ask(server, f"/?token={TOKEN}")
    assert (answer.status, answer.headers["Location"]) == (303, "/")
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "samesite=strict" in cookie.lower()
    assert ask(server, Cookie=cookie.partition(";")[0]).status == 200


def test_pause_wants_a_header_that_other_sites_cannot_send(serve: Serve) -> None:
    server, board = serve()
    assert ask(server, "/pause?on=1", "POST").status == 403
    assert not board.is_paused
    assert ask(server, "/pause?on=1").status == 405
    headers = {"X-Requested-With": "edgedense"}
    assert json.load(ask(server, "/pause?on=1", "POST", **headers)) == {"paused": True}
    assert board.is_paused
    assert json.load(ask(server, "/pause?on=0", "POST", **headers)) == {"paused": False}
    assert not board.is_paused


def test_heatmaps_are_switched_like_pause(serve: Serve) -> None:
    server, board = serve(explains=True)
    headers = {"X-Requested-With": "edgedense"}
    assert ask(server, "/heatmap?on=1", "POST").status == 403
    assert board.facts()["heatmap"] is False
    assert json.load(ask(server, "/heatmap?on=1", "POST", **headers)) == {"heatmap": True}
    assert board.facts()["heatmap"] is True
    assert json.load(ask(server, "/heatmap?on=0", "POST", **headers)) == {"heatmap": False}
    assert not board.is_explaining


def test_heatmaps_of_a_file_that_has_none_cannot_be_switched_on(serve: Serve) -> None:
    server, board = serve()
    headers = {"X-Requested-With": "edgedense"}
    assert json.load(ask(server, "/heatmap?on=1", "POST", **headers)) == {"heatmap": False}
    assert not board.is_explaining
    assert "heatmap" not in board.facts()
    assert not Board(explains=False, is_explaining=True).is_explaining


def test_the_next_picture_is_waited_for_and_never_sent_twice(serve: Serve) -> None:
    server, board = serve()

    def show_soon() -> None:
        time.sleep(0.3)
        board.show(CARD)

    board.show(CARD)  # nobody looks yet: not kept
    assert board.picture_number == 0
    threading.Thread(target=show_soon).start()
    answer = ask(server, "/picture?after=0")
    number = answer.headers["X-Picture-Number"]
    with Image.open(answer) as image:  # type: ignore[arg-type]
        assert np.abs(np.asarray(image).astype(int) - CARD).max() <= 8  # JPEG
    threading.Thread(target=show_soon).start()
    assert ask(server, f"/picture?after={number}").headers["X-Picture-Number"] == str(int(number) + 1)
    assert ask(server, "/picture?after=nonsense").status == 200


def test_facts_come_as_events_when_they_change(serve: Serve) -> None:
    server, board = serve()
    board.update({"model": "a.tflite", "top": [["<b>", 0.5]]})
    stream = ask(server, "/events")
    assert json.loads(stream.readline().removeprefix(b"data: ")) == {
        "model": "a.tflite",
        "top": [["<b>", 0.5]],
        "paused": False,
    }
    stream.readline()
    board.update({"fps": 2.0})
    assert json.loads(stream.readline().removeprefix(b"data: "))["fps"] == 2.0


def test_it_ends_while_pages_are_open(serve: Serve) -> None:
    server, board = serve()
    board.look()
    open_page = ask(server, "/events")
    waiting = threading.Thread(target=lambda: ask(server, "/picture?after=0").read())
    waiting.start()
    time.sleep(0.3)
    server.stop()
    assert not server._thread.is_alive()
    waiting.join(5)
    assert not waiting.is_alive()
    assert open_page.read() is not None


def test_an_address_that_is_taken_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(DeviceError, match="--preview-address"):
        PreviewServer(Board(), Address("127.0.0.1", taken.getsockname()[1]))


def test_handlers_of_other_loggers_stay_open(serve: Serve) -> None:
    closed: list[bool] = []

    class Handler(logging.Handler):
        def close(self) -> None:
            closed.append(True)
            super().close()

    handler = Handler()
    serve()
    assert not closed
    handler.close()
    assert closed


@pytest.mark.parametrize(
    ("text", "host", "port", "is_everywhere"),
    [
        ("127.0.0.1:8080", "127.0.0.1", 8080, False),
        ("[::1]:80", "::1", 80, False),
        (":8080", "0.0.0.0", 8080, True),
        ("[::]:80", "::", 80, True),
        ("pi.local:80", "pi.local", 80, False),
    ],
)
def test_addresses(text: str, host: str, port: int, is_everywhere: bool) -> None:
    address = parse_address(text)
    assert (address.host, address.port, address.is_everywhere) == (host, port, is_everywhere)


@pytest.mark.parametrize("text", ["", "127.0.0.1", "host:port", "host:99999", "8080"])
def test_wrong_addresses_are_refused(text: str) -> None:
    with pytest.raises(EdgedenseError, match="--preview-address"):
        parse_address(text)


def test_tokens_are_read_from_files(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n")
    assert read_token(path) == TOKEN
    for content in ("", "short", "umläute-in-the-token"):
        path.write_text(content, "utf-8")
        with pytest.raises(EdgedenseError, match="token"):
            read_token(path)
    with pytest.raises(EdgedenseError, match="missing"):
        read_token(tmp_path / "missing")


def test_a_heatmap_is_wanted_only_while_somebody_looks() -> None:
    board = Board(explains=True, is_explaining=True)
    assert not board.wants_heat
    board.look()
    assert board.wants_heat
    board.is_explaining = False
    assert not board.wants_heat


def test_a_heatmap_is_laid_over_the_picture() -> None:
    board = Board(explains=True, is_explaining=True)
    board.look()
    heat = np.zeros((2, 2), np.float32)
    heat[0, 0] = 1
    board.show(CARD, heat)
    with Image.open(io.BytesIO(board.jpeg()[1])) as image:
        seen = np.asarray(image).astype(int)
    assert np.abs(seen[-15:, -15:] - CARD[-15:, -15:]).max() <= 8  # JPEG
    assert np.abs(seen[:15, :15] - overlay(CARD, heat)[:15, :15]).max() <= 8
    assert np.abs(seen[0, 0] - CARD[0, 0]).max() > 50
    board.show(CARD)
    with Image.open(io.BytesIO(board.jpeg()[1])) as image:
        assert np.abs(np.asarray(image).astype(int) - CARD).max() <= 8


@pytest.mark.parametrize(("paused", "number"), [(False, 0), (True, 1)])
def test_who_looks_after_a_while_is_not_shown_what_somebody_else_saw(
    paused: bool, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its picture may be of last week. While the classification is paused there is no newer one."""
    now = 1000.0
    monkeypatch.setattr(state.time, "monotonic", lambda: now)
    board = Board()
    board.look()
    board.show(CARD)
    now += 4.0
    board.look()  # the same page asks again
    assert board.picture_number == board.jpeg()[0] == 1
    board.is_paused = paused
    now += 6.0
    board.look()
    assert board.picture_number == board.jpeg()[0] == number
    board.show(CARD)
    assert board.picture_number == board.jpeg()[0] == 2


def test_a_board_copies_pictures_only_while_somebody_looks() -> None:
    board = Board()
    board.show(CARD)
    assert board.jpeg() == (0, b"")
    board.look()
    board.show(np.zeros((1080, 1920, 3), np.uint8))
    number, jpeg = board.jpeg()
    assert number == 1
    assert board.jpeg()[1] is jpeg  # encoded once
    with Image.open(io.BytesIO(jpeg)) as image:
        assert image.size == (960, 540)


def test_a_heatmap_is_laid_over_what_the_network_sees() -> None:
    """The part of it depends on the picture's size: this is the right half of one that is wide."""
    window = Window(0, 0.5, 1, 1)
    board = Board(True, True, lambda size: window if size == (60, 80) else pytest.fail(f"the window of {size}"))
    board.look()
    board.show(CARD, np.ones((2, 2), np.float32))
    with Image.open(io.BytesIO(board.jpeg()[1])) as image:
        seen = np.asarray(image).astype(int)
    assert np.abs(seen - overlay(CARD, np.ones((2, 2)), window))[:, 2:12].max() <= 8  # JPEG
    assert np.abs(seen - CARD)[:, 2:12].max() <= 8
    assert np.abs(seen - CARD)[:, -10:].max() > 50
