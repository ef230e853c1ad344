"""Cameras that change their pictures or drop out in the middle of a stream: real servers, programs and processes."""

from __future__ import annotations

import contextlib
import io
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgedense.device.camera import readers
from edgedense.device.camera import stream as module
from edgedense.device.camera.frames import CaptureJob
from edgedense.device.camera.readers import CameraSettings, read_frames
from edgedense.device.camera.sources import Source, parse
from edgedense.device.camera.stream import Frame, Stream
from edgedense.device.camera.view import View
from edgedense.errors import DeviceError
from edgedense.images.preprocessing import Preprocessing
from edgedense.images.steps import Crop, Resample
from tests.device.conftest import CARDS

PATIENCE = 30.0  # seconds, for a machine under load
RED_IN_GREY = 82  # 0.299 * 200 + 0.587 * 30 + 0.114 * 40


def card(width: int, height: int, mode: str = "RGB", **options: Any) -> bytes:
    """A red card as a JPEG."""
    data = io.BytesIO()
    Image.new("RGB", (width, height), CARDS["red"]).convert(mode).save(data, "JPEG", **options)
    return data.getvalue()


FIRST = card(160, 120)
# What comes after it: a night mode, a print shop's colours, a web picture, one larger than all before, and the first.
CHANGES = [card(320, 240, "L"), card(80, 60, "CMYK"), card(200, 100, progressive=True), card(1280, 720), FIRST]
SIZES = [(320, 240), (80, 60), (200, 100), (1280, 720), (160, 120)]


class Camera(ThreadingHTTPServer):
    """A network camera on loopback: a stream of `jpeg`s at /stream, one of them at /still.jpg.

    The stream of each connection ends after `frames` pictures with `misfortune`; connections after the first meet
    `refusal` before any picture.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.jpeg, self.frames, self.connections = FIRST, 10**9, 0
        self.misfortune: Callable[[_Connection], None] = lambda connection: None
        self.refusal: Callable[[_Connection], None] | None = None

    def url(self, path: str = "/stream") -> str:
        return f"http://127.0.0.1:{self.server_port}{path}"

    def handle_error(self, *_: object) -> None:
        pass  # the reader has gone


class _Connection(BaseHTTPRequestHandler):
    server: Camera

    def do_GET(self) -> None:
        self.server.connections += 1
        if self.server.connections > 1 and self.server.refusal:
            self.server.refusal(self)
        elif self.path == "/still.jpg":
            self.head("image/jpeg")
            self.wfile.write(self.server.jpeg)
        else:
            self.head("multipart/x-mixed-replace; boundary=frame")
            for _ in range(self.server.frames):
                self.part(self.server.jpeg)
                time.sleep(1 / 60)
            self.server.misfortune(self)

    def part(self, data: bytes) -> None:
        self.wfile.write(b"--frame\r\nContent-Type: image/jpeg\r\n\r\n" + data + b"\r\n")

    def head(self, content_type: str, **more: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        for name, value in more.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def camera() -> Iterator[Camera]:
    server = Camera()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def job(source: str, **changes: Any) -> CaptureJob:
    return CaptureJob(parse(source), CameraSettings(fps=30), View(), Preprocessing(48, 64, "none"), **changes)


def take(stream: Stream, wanted: Callable[[Frame], bool] = lambda frame: True) -> Frame:
    """The first frame that is wanted."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        frame = stream.take(0.1)
        if frame and wanted(frame):
            return frame
    raise AssertionError("no such frame")


def sized(width: int, height: int) -> Callable[[Frame], bool]:
    return lambda frame: frame.picture.shape == (height, width, 3)


def is_card(pixels: np.ndarray, colour: tuple[int, int, int]) -> bool:
    """JPEG moves a plain colour by a few levels."""
    return bool(np.abs(pixels.astype(int) - colour).max() <= 8)


@pytest.mark.parametrize("path", ["/stream", "/still.jpg"])
def test_pictures_of_any_size_and_kind_go_on_being_delivered(camera: Camera, path: str) -> None:
    told: list[str] = []
    with Stream(job(camera.url(path)), told.append) as stream:
        take(stream, sized(160, 120))
        for jpeg, size in zip(CHANGES, SIZES, strict=True):
            camera.jpeg = jpeg
            frame = take(stream, sized(*size))
            expected = (RED_IN_GREY,) * 3 if size == (320, 240) else CARDS["red"]
            assert is_card(frame.picture, expected)
            assert is_card(frame.pixels, expected)
            assert frame.pixels.shape == (48, 64, 3)
            assert not frame.resumed
        assert stream.counts.gaps == 0
    assert told == []
    if path == "/stream":
        assert camera.connections == 1


def test_a_frame_in_use_stays_as_it_is_while_larger_ones_come(camera: Camera) -> None:
    with Stream(job(camera.url()), print) as stream:
        held = take(stream)
        before = held.picture.copy(), held.pixels.copy()
        camera.jpeg = card(640, 480, "L")
        captured = stream.counts.captured
        deadline = time.monotonic() + PATIENCE
        while stream.counts.captured < captured + 12 and time.monotonic() < deadline:  # every slot was filled again
            time.sleep(0.02)
        assert (held.picture == before[0]).all()
        assert (held.pixels == before[1]).all()
        assert take(stream, sized(640, 480)).number > held.number


def test_rpicam_may_change_its_pictures_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, jpeg in enumerate([FIRST, *CHANGES]):
        (tmp_path / f"{number}.jpg").write_bytes(jpeg)
    program = tmp_path / "rpicam-vid"
    program.write_text(
        f"#!{sys.executable}\nimport sys, time\nwhile True:\n  for n in range(6):\n"
        f"    sys.stdout.buffer.write(open(f'{tmp_path}/{{n}}.jpg', 'rb').read())\n"
        "    sys.stdout.flush()\n    time.sleep(0.05)\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    told: list[str] = []
    with Stream(job("rpicam"), told.append) as stream:
        for size in SIZES:
            take(stream, sized(*size))
    assert told == []


def test_what_opencv_reads_may_change_too(monkeypatch: pytest.MonkeyPatch) -> None:
    cv2 = pytest.importorskip("cv2")
    red = CARDS["red"][::-1]  # OpenCV's order is BGR
    pictures = [np.full((120, 160, 3), red, np.uint8), np.full((240, 320), 82, np.uint8),
                np.full((60, 80, 1), 82, np.uint8), np.full((480, 640, 3), red, np.uint8)]  # fmt: skip

    class Capture:
        def __init__(self, *_: object) -> None:
            self.rest = list(pictures)

        def isOpened(self) -> bool:  # noqa: N802
            return True

        def set(self, *_: float) -> None:
            pass

        def read(self) -> tuple[bool, np.ndarray | None]:
            return (True, self.rest.pop(0)) if self.rest else (False, None)

        def release(self) -> None:
            pass

    monkeypatch.setattr(cv2, "VideoCapture", Capture)
    frames = read_frames(Source("v4l2", "/dev/video7"), CameraSettings())
    found = [next(frames).picture for _ in pictures]
    assert [picture.shape for picture in found] == [(120, 160, 3), (240, 320, 3), (60, 80, 3), (480, 640, 3)]  # type: ignore[union-attr]
    for picture, colour in zip(found, [CARDS["red"], (82,) * 3, (82,) * 3, CARDS["red"]], strict=True):
        assert is_card(picture, colour)  # type: ignore[arg-type]
    with pytest.raises(module.DeviceError, match="gives no further picture"):
        next(frames)


@pytest.mark.parametrize(("kind", "is_understood"), [(b"BGR3", True), (b"GREY", False)])
def test_what_opencv_gives_as_one_row_of_bytes(
    kind: bytes, is_understood: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenCV 4.11 does so with pictures that a camera sends as BGR. Others of that shape are not guessed at."""
    cv2 = pytest.importorskip("cv2")
    row = np.full((120, 160, 3), CARDS["red"][::-1], np.uint8).reshape(1, -1)
    said = {
        cv2.CAP_PROP_FRAME_WIDTH: 160.0,
        cv2.CAP_PROP_FRAME_HEIGHT: 120.0,
        cv2.CAP_PROP_FOURCC: float(int.from_bytes(kind, "little")),
    }

    class Capture:
        def __init__(self, *_: object) -> None:
            pass

        def isOpened(self) -> bool:  # noqa: N802
            return True

        def set(self, *_: float) -> None:
            pass

        def get(self, name: int) -> float:
            return said[name]

        def read(self) -> tuple[bool, np.ndarray]:
            return True, row

        def release(self) -> None:
            pass

    monkeypatch.setattr(cv2, "VideoCapture", Capture)
    frames = read_frames(Source("v4l2", "/dev/video7"), CameraSettings())
    if not is_understood:
        with pytest.raises(module.DeviceError, match="57600 bytes of the kind GREY for 160x120 pixels"):
            next(frames)
        return
    picture = next(frames).picture
    assert picture.shape == (120, 160, 3)  # type: ignore[union-attr]
    assert is_card(picture, CARDS["red"])  # type: ignore[arg-type]
    frames.close()  # type: ignore[attr-defined]


@pytest.mark.slow
def test_a_camera_that_drops_again_and_again_is_back_at_once_each_time(
    camera: Camera, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a second of frames stands for the few seconds after which the wait starts anew; the second wait is long."""
    monkeypatch.setattr(module, "_GOOD", 0.25)
    monkeypatch.setattr(module, "_BACKOFF", (0.02, 2 * PATIENCE))
    camera.frames = 30
    with Stream(job(camera.url()), lambda text: None) as stream:
        for _ in range(4):
            take(stream, lambda frame: frame.resumed)
        assert stream.counts.gaps == 4


def test_a_camera_that_never_lasts_is_asked_more_and_more_rarely(
    camera: Camera, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_GOOD", PATIENCE)
    monkeypatch.setattr(module, "_BACKOFF", (0.02, 0.02, 2 * PATIENCE))
    camera.frames = 3
    with Stream(job(camera.url()), lambda text: None) as stream:
        for _ in range(2):
            take(stream, lambda frame: frame.resumed)
        deadline = time.monotonic() + PATIENCE
        while not stream.is_lost and time.monotonic() < deadline:
            stream.take(0.05)
        time.sleep(0.3)
        assert camera.connections == 3


def breaks_off(connection: _Connection) -> None:
    """A reset, as of a camera whose power fails behind a switch that answers for it."""
    connection.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.connection.close()


def goes_silent(connection: _Connection) -> None:
    time.sleep(PATIENCE)


def sends_damage(connection: _Connection) -> None:
    while True:
        connection.part(FIRST[:300] + bytes(100) + b"\xff\xd9")
        time.sleep(1 / 60)


def sends_damage_now_and_then(connection: _Connection) -> None:
    while True:
        connection.part(FIRST[:300] + bytes(100) + b"\xff\xd9")
        time.sleep(0.15)


MISFORTUNES = [
    (None, "it ended its stream"),
    (breaks_off, "it broke off the connection"),
    (goes_silent, "no picture came for"),
    (sends_damage, "31 pictures in a row cannot be read; the last one is damaged data"),
    (sends_damage_now_and_then, "no whole picture came for 1 seconds; the last one that came could not be read"),
]


@pytest.mark.parametrize(("misfortune", "why"), MISFORTUNES)
def test_a_loss_says_why_in_a_sentence(
    camera: Camera, monkeypatch: pytest.MonkeyPatch, misfortune: Callable[[_Connection], None] | None, why: str
) -> None:
    monkeypatch.setattr(module, "_STALL", 1.0)
    monkeypatch.setattr(module, "_BACKOFF", (0.02,))
    camera.frames = 5
    if misfortune:
        camera.misfortune = misfortune
    told: list[str] = []
    with Stream(
        CaptureJob(parse(camera.url()), CameraSettings(), View(), Preprocessing(48, 64, "none")), told.append
    ) as stream:
        take(stream, lambda frame: frame.resumed)
    assert told[0].startswith(f"{camera.url()} is lost: {why}")
    assert told[0].endswith(". It will be opened again.")
    assert "is back after" in told[1]


def answers_503(connection: _Connection) -> None:
    connection.send_error(503, "Too many viewers")


def sends_a_page(connection: _Connection) -> None:
    connection.head("text/html")


def is_no_server(connection: _Connection) -> None:
    connection.wfile.write(b"hello\r\n\r\n")


def ends_in_the_middle(connection: _Connection) -> None:
    connection.head("image/jpeg", Content_Length="5000")
    connection.wfile.write(FIRST[:200])


REFUSALS = [
    ("/stream", answers_503, "it answers 503 Too many viewers"),
    ("/stream", sends_a_page, "it sends text/html"),
    ("/stream", is_no_server, "it does not keep to HTTP"),
    ("/still.jpg", ends_in_the_middle, "it ended the connection in the middle of a picture"),
]


@pytest.mark.parametrize(("path", "refusal", "why"), REFUSALS)
def test_a_camera_that_stays_away_says_why_once(
    camera: Camera, monkeypatch: pytest.MonkeyPatch, path: str, refusal: Callable[[_Connection], None], why: str
) -> None:
    monkeypatch.setattr(module, "_BACKOFF", (0.02,))
    camera.frames, camera.refusal = 5, refusal
    told: list[str] = []
    with Stream(job(camera.url(path)), told.append) as stream:
        take(stream)
        deadline = time.monotonic() + PATIENCE
        while why not in "".join(told) and time.monotonic() < deadline:
            stream.take(0.05)
        asked = camera.connections
        while camera.connections < asked + 2 and time.monotonic() < deadline + PATIENCE:
            stream.take(0.05)
        camera.refusal = None
        take(stream, lambda frame: frame.resumed)
    lost = [text for text in told if "is lost" in text]
    assert f"{camera.url(path)} is lost: {why}" in lost[-1]
    assert len(lost) == len(set(lost)) <= 2  # the end of the stream, and then why it does not come back
    assert told[-1].startswith(f"{camera.url(path)} is back after")


def test_a_camera_that_is_switched_off_says_that_it_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BACKOFF", (0.02,))
    server = Camera()
    server.frames = 5
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    told: list[str] = []
    with Stream(job(server.url()), told.append) as stream:
        take(stream)
        server.shutdown()
        server.server_close()
        deadline = time.monotonic() + PATIENCE
        while len(told) < 2 and time.monotonic() < deadline:
            with contextlib.suppress(module.DeviceError):
                stream.take(0.05)
    assert "it refuses the connection (" in told[-1]


def frame_of_halves(camera: Camera, preprocessing: Preprocessing) -> np.ndarray:
    """What the network gets of a card of 120x160 pixels that is red on the right and black on the left."""
    halves = np.zeros((120, 160, 3), np.uint8)
    halves[:, 80:] = CARDS["red"]
    data = io.BytesIO()
    Image.fromarray(halves).save(data, "JPEG", quality=95, subsampling=0)
    camera.jpeg = data.getvalue()
    wanted = CaptureJob(parse(camera.url()), CameraSettings(), View(), preprocessing)
    with Stream(wanted, lambda text: None) as stream:
        frame = take(stream)
        assert frame.picture.shape == (120, 160, 3)
        return frame.pixels.astype(int)


def test_a_frame_goes_through_the_models_own_steps(camera: Camera) -> None:
    """The right half."""
    steps = (Crop(0, 32, 48, 32), Resample(24, 16, "area"))
    found = frame_of_halves(camera, Preprocessing(48, 64, "none", steps=steps))
    assert found.shape == (24, 16, 3)
    assert np.abs(found - CARDS["red"])[:, 1:].max() <= 8  # JPEG


@pytest.mark.parametrize(
    ("recipe", "edge"),
    [
        (Preprocessing(48, 48, "none", "pil-bilinear", fit="crop", shorter_side=60), 24),
        (Preprocessing(48, 48, "none", fit="crop"), 24),
        (Preprocessing(48, 48, "none", "pil-bicubic", fit="pad"), 24),
    ],
)
def test_a_frame_is_cut_as_a_picture_is(camera: Camera, recipe: Preprocessing, edge: int) -> None:
    """The card's middle stays where it was, and with black around it the card is 36 pixels high."""
    found = frame_of_halves(camera, recipe)
    rows = slice(6, 42) if recipe.fit == "pad" else slice(0, 48)
    assert np.abs(found - CARDS["red"])[rows, edge + 2 :].max() <= 8
    assert found[:, : edge - 2].max() <= 8
    assert found[: rows.start].sum() == found[rows.stop :].sum() == 0


def test_a_still_picture_that_never_ends_is_not_taken_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    class Response(io.BytesIO):
        length = None

    monkeypatch.setattr(readers, "LARGEST", 1 << 20)
    with pytest.raises(DeviceError, match="a picture of less than 1 MB"):
        readers._still(parse("http://camera/still.jpg"), Response(bytes(2 << 20)))
    assert readers._still(parse("http://camera/still.jpg"), Response(FIRST)) == FIRST
