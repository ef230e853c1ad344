"""The capture process and the stream, with real programs, files and servers."""

from __future__ import annotations

import io
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgedense.device.camera import stream as module
from edgedense.device.camera.frames import CaptureJob
from edgedense.device.camera.readers import CameraSettings
from edgedense.device.camera.sources import parse
from edgedense.device.camera.stream import Frame, Stream
from edgedense.device.camera.view import View
from edgedense.errors import DeviceError
from edgedense.images.preprocessing import Preprocessing
from tests.device.conftest import CARDS, Rpicam, is_running
from tests.device.rtsp import rtsp_camera

# Far more than is needed: a loaded machine may take seconds to start a process.
PATIENCE = 30.0


def job(source: object, **changes: Any) -> CaptureJob:
    defaults: dict[str, Any] = {
        "camera": CameraSettings(),
        "view": View(),
        "preprocessing": Preprocessing(48, 64, "none"),
    }
    return CaptureJob(source=parse(str(source)), **{**defaults, **changes})


def take(stream: Stream, wanted: Callable[[Frame], bool] = lambda frame: True) -> Frame:
    """The first frame that is wanted."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        frame = stream.take(0.1)
        if frame and wanted(frame):
            return frame
    raise AssertionError("no such frame")


def is_red(pixels: np.ndarray) -> bool:
    """JPEG and video codecs move a plain colour by a few levels."""
    return bool(np.abs(pixels.astype(int) - CARDS["red"]).max() <= 8)


def is_gone(pid: int) -> bool:
    """Whether the process ends: the kernel takes a moment to end one that was killed."""
    deadline = time.monotonic() + PATIENCE
    while is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not is_running(pid)


def quicker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_STALL", 0.6)
    monkeypatch.setattr(module, "_BACKOFF", (0.05,))


PICAMERA2 = """
import numpy, os, time
class Picamera2:  # picamera2 names formats by their order in a word: in memory "BGR888" is R, G, B
    def __init__(self, number=0):
        if number: raise IndexError("list index out of range")
    def create_video_configuration(self, main, controls): return main
    def configure(self, main): self.main = main
    def start(self): pass
    def stop(self): pass
    def close(self): pass
    def capture_array(self, name):
        time.sleep(1 / 30)
        width, height = self.main["size"]
        colour = {"BGR888": (200, 30, 40), "RGB888": (40, 30, 200)}[self.main["format"]]
        return numpy.full((height, width, 3), colour, numpy.uint8)
"""


@pytest.fixture
def picamera2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "picamera2.py").write_text(PICAMERA2)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "modules"))


@pytest.mark.usefixtures("picamera2", "rpicam")
@pytest.mark.parametrize("source", ["rpicam", "picamera2", "{server}/stream", "{server}/still.jpg", "{video}"])
def test_a_red_card_arrives_as_red(source: str, network_camera: str, red_video: Path) -> None:
    with Stream(job(source.format(server=network_camera, video=red_video)), print) as stream:
        frame = take(stream)
        assert is_red(frame.picture)
        assert is_red(frame.pixels)
        assert frame.pixels.shape == (48, 64, 3)
        assert frame.picture.shape == ((480, 640, 3) if "picam" in source else (120, 160, 3))


def plain(colour: str, width: int, height: int) -> tuple[bytes, int, int]:
    data = io.BytesIO()
    Image.new("RGB", (width, height), CARDS[colour]).save(data, "JPEG", subsampling="4:2:0")
    return data.getvalue(), width, height


def test_a_red_card_arrives_as_red_over_rtsp_and_another_size_is_no_loss() -> None:
    pytest.importorskip("av")
    told: list[str] = []
    with rtsp_camera(*plain("red", 160, 128)) as (address, show), Stream(job(address), told.append) as stream:
        frame = take(stream)
        assert frame.picture.shape == (128, 160, 3)
        assert is_red(frame.pixels)
        for width, height in ((320, 240), (96, 64)):
            show(*plain("blue", width, height))
            frame = take(stream, lambda frame: frame.picture.shape == (height, width, 3))  # noqa: B023
            assert np.abs(frame.picture.astype(int) - CARDS["blue"]).max() <= 8
            assert not frame.resumed
    assert told == []


def test_an_rtsp_camera_that_is_off_is_an_error_without_its_password() -> None:
    pytest.importorskip("av")
    address = "rtsp://me:secret@127.0.0.1:1/"
    with Stream(job(address), print) as stream, pytest.raises(DeviceError, match="refuses the connection") as caught:
        take(stream)
    assert "secret" not in str(caught.value)


def test_a_locked_network_camera_is_opened_with_its_password(network_camera: str) -> None:
    with Stream(job(network_camera.replace("//", "//me:secret@") + "/locked"), print) as stream:
        assert is_red(take(stream).pixels)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{server}/locked", "401"),
        ("{server}/page", "text/html"),
        ("http://127.0.0.1:1/", "refused"),
        ("rpicam:1", "no cameras available"),
        ("/dev/video77", "does not exist"),
        ("picamera2:1", "camera 1"),
        ("{folder}/broken.mp4", "broken.mp4"),
    ],
)
@pytest.mark.usefixtures("picamera2", "rpicam")
def test_a_source_that_does_not_open_is_an_error(
    source: str, message: str, network_camera: str, tmp_path: Path
) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    source = source.format(server=network_camera, folder=tmp_path)
    with Stream(job(source), print) as stream, pytest.raises(DeviceError, match=message):
        take(stream)


def test_missing_programs_and_packages_are_named_with_their_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, red_video: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("av", "cv2", "picamera2"):
        (tmp_path / f"{name}.py").write_text("raise ImportError('not installed')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    for source, command in [
        ("rpicam", "apt install rpicam-apps"),
        ("picamera2", "apt install python3-picamera2"),
        (red_video, r"pip install 'edgedense\[camera\]'"),
        ("rtsp://127.0.0.1:1/", r"PyAV.*pip install 'edgedense\[camera\]'"),
    ]:
        with Stream(job(source), print) as stream, pytest.raises(DeviceError, match=command):
            take(stream)


def test_a_file_gives_every_frame_in_order(red_video: Path) -> None:
    numbers = []
    with Stream(job(red_video, drop=False), print) as stream:
        while not stream.ended:
            if frame := stream.take(1.0):
                numbers.append(frame.number)
                time.sleep(0.005)
        assert numbers == list(range(60))
        assert (stream.counts.captured, stream.counts.taken, stream.counts.dropped) == (60, 60, 0)


def test_a_live_file_drops_to_the_newest_frame(red_video: Path) -> None:
    numbers = []
    with Stream(job(red_video, paced=True), print) as stream:
        while not stream.ended:
            if frame := stream.take(1.0):
                numbers.append(frame.number)
                time.sleep(0.25)
        counts = stream.counts
    assert len(numbers) < 30
    assert numbers == sorted(set(numbers))
    assert numbers[-1] == 59
    assert counts.captured == 60
    assert counts.dropped == 60 - len(numbers)


@pytest.mark.parametrize(("fps", "frames"), [(10, 20), (7.5, 15)])
def test_the_frame_rate_is_capped(red_video: Path, fps: float, frames: int) -> None:
    taken = 0
    with Stream(job(red_video, drop=False, fps=fps), print) as stream:
        while not stream.ended:
            taken += stream.take(1.0) is not None
    assert taken == frames


def test_the_newest_card_is_seen_at_once(rpicam: Rpicam) -> None:
    """Nothing queues: after a slow inference the next frame shows the present card."""
    with Stream(job("rpicam"), print) as stream:
        assert is_red(take(stream).pixels)
        time.sleep(0.7)
        rpicam.show("blue")
        changed = time.monotonic()
        time.sleep(1.0)
        frame = take(stream)
        assert frame.captured > changed
        assert not is_red(frame.pixels)
        assert stream.counts.dropped > 10


def test_rpicam_is_given_size_rate_and_controls(rpicam: Rpicam) -> None:
    camera = CameraSettings((320, 240), 15, (("exposure", "sport"), ("hdr", "")))
    with Stream(job("rpicam", camera=camera, fps=15), print) as stream:
        assert take(stream).picture.shape == (240, 320, 3)
        command = Path(f"/proc/{rpicam.pids[0]}/cmdline").read_text().split("\0")
    for words in (["--framerate", "15"], ["--exposure", "sport"], ["--hdr"], ["-t", "0"], ["--flush"]):
        start = command.index(words[0])
        assert command[start : start + len(words)] == words


def test_an_unknown_control_is_the_cameras_error(rpicam: Rpicam) -> None:
    with (
        Stream(job("rpicam", camera=CameraSettings(controls=(("colour", "loud"),))), print) as stream,
        pytest.raises(DeviceError, match="unrecognised option"),
    ):
        take(stream)


@pytest.mark.parametrize("blow", [signal.SIGSTOP, signal.SIGKILL])
def test_a_camera_that_stalls_or_dies_is_reopened(
    rpicam: Rpicam, monkeypatch: pytest.MonkeyPatch, blow: signal.Signals
) -> None:
    quicker(monkeypatch)
    told: list[str] = []
    with Stream(job("rpicam"), told.append) as stream:
        before = take(stream).number
        first = rpicam.pids[0]
        os.kill(first, blow)
        after = take(stream, lambda frame: frame.resumed)
        assert after.number > before
        assert is_gone(first)
        counts = stream.counts
        assert counts.gaps == 1
        assert counts.gap_seconds > 0
        assert not stream.is_lost
    assert "is lost" in told[0]
    assert "is back after" in told[-1]
    assert rpicam.pids == []


def test_a_capture_process_that_dies_is_replaced(rpicam: Rpicam, monkeypatch: pytest.MonkeyPatch) -> None:
    quicker(monkeypatch)
    told: list[str] = []
    with Stream(job("rpicam"), told.append) as stream:
        take(stream)
        program = rpicam.pids[0]
        capture = int(Path(f"/proc/{program}/stat").read_text().rpartition(")")[2].split()[1])
        os.kill(capture, signal.SIGKILL)
        take(stream, lambda frame: frame.resumed)
        assert is_gone(program)
    assert "-9" in told[0]


def test_a_network_camera_that_hangs_up_is_reopened(network_camera: str, monkeypatch: pytest.MonkeyPatch) -> None:
    quicker(monkeypatch)
    with Stream(job(f"{network_camera}/short"), lambda text: None) as stream:
        take(stream, lambda frame: frame.resumed)


def test_a_camera_that_never_sends_a_picture_is_an_error(
    tmp_path: Path, rpicam: Rpicam, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_FIRST_FRAME", 2.0)
    (tmp_path / "bin" / "rpicam-vid").write_text("#!/bin/sh\nexec sleep 60\n")
    with Stream(job("rpicam"), print) as stream, pytest.raises(DeviceError, match="picture"):
        take(stream)


@pytest.mark.slow
def test_loading_does_not_count_as_the_cameras_time(
    tmp_path: Path, rpicam: Rpicam, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow board reads Python and its libraries from a slow card. Loading has a limit of its own."""
    slow = tmp_path / "slow"
    slow.write_text(f'#!/bin/sh\nsleep 2.5\nexec {module.sys.executable} "$@"\n')
    slow.chmod(0o755)
    monkeypatch.setattr(module.sys, "executable", str(slow))
    monkeypatch.setattr(module, "_FIRST_FRAME", 2.0)
    with Stream(job("rpicam"), print) as stream:
        take(stream)
    monkeypatch.setattr(module, "_LOADING", 0.5)
    with Stream(job("rpicam"), print) as stream, pytest.raises(DeviceError, match="picture"):
        take(stream)


def test_a_capture_process_that_cannot_be_started_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.sys, "executable", "/no/such/python")
    with Stream(job("rpicam"), print) as stream, pytest.raises(OSError, match="no/such/python"):
        take(stream)


def test_closing_ends_all_processes_also_stalled_ones(rpicam: Rpicam) -> None:
    with Stream(job("rpicam"), print) as stream:
        take(stream)
        pid = rpicam.pids[0]
        os.kill(pid, signal.SIGSTOP)
    assert not is_running(pid)


def test_frames_are_turned_mirrored_and_cropped(tmp_path: Path) -> None:
    cv2 = pytest.importorskip("cv2")
    path = tmp_path / "halves.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 30, (160, 120))
    picture = np.zeros((120, 160, 3), np.uint8)
    picture[:, :80] = CARDS["red"][::-1]
    for _ in range(5):
        writer.write(picture)
    writer.release()
    for view, shape in [
        (View(crop=(0, 0, 0.45, 1)), (120, 72)),
        (View(180, crop=(0.55, 0, 0.45, 1)), (120, 72)),
        (View(90, crop=(0, 0, 1, 0.45)), (72, 120)),
        (View(0, "horizontal", (0.55, 0, 0.45, 1)), (120, 72)),
    ]:
        with Stream(job(path, view=view, drop=False), print) as stream:
            frame = take(stream)
            assert frame.picture.shape[:2] == shape
            assert is_red(frame.pixels)


def test_a_still_picture_does_not_move(rpicam: Rpicam) -> None:
    with Stream(job("rpicam", watch_motion=True), print) as stream:
        assert take(stream).moving
        take(stream, lambda frame: not frame.moving)
        rpicam.show("blue")
        assert not is_red(take(stream, lambda frame: frame.moving).pixels)


def test_v4l2_is_asked_through_opencv(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    cv2 = pytest.importorskip("cv2")
    from edgedense.device.camera.readers import read_frames
    from edgedense.device.camera.sources import Source

    asked: list[Any] = []

    class Capture:
        def __init__(self, *name: object) -> None:
            asked.append(name)

        def isOpened(self) -> bool:  # noqa: N802
            return True

        def set(self, *wish: float) -> None:
            asked.append(wish)

        def read(self) -> tuple[bool, np.ndarray]:
            return True, np.full((4, 4, 3), CARDS["red"][::-1], np.uint8)

        def release(self) -> None:
            asked.append("released")

    monkeypatch.setattr(cv2, "VideoCapture", Capture)
    (tmp_path / "video7").touch()
    (tmp_path / "by-id").symlink_to(tmp_path / "video7")
    frames = read_frames(Source("v4l2", str(tmp_path / "by-id")), CameraSettings((1280, 720), 15))
    picture = next(frames).picture
    assert isinstance(picture, np.ndarray)
    assert is_red(picture)
    frames.close()  # type: ignore[attr-defined]
    assert asked[0] == (str(tmp_path / "video7"), cv2.CAP_V4L2)
    assert {
        (cv2.CAP_PROP_FRAME_WIDTH, 1280),
        (cv2.CAP_PROP_FRAME_HEIGHT, 720),
        (cv2.CAP_PROP_FPS, 15),
        (cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG")),
    } <= set(asked[1:-1])
    assert asked[-1] == "released"
