"""Frames from a source, in the order in which they come. Runs in the capture process."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any, cast

import numpy as np

from edgedense.device.camera.jpegs import LARGEST, JpegSplitter
from edgedense.device.camera.sources import CAMERA_COMMAND, PICAMERA2_COMMAND, RPICAM_COMMAND, Source, find_rpicam
from edgedense.errors import DeviceError
from edgedense.images.preprocessing import Pixels

_CHUNK = 1 << 16
_NETWORK_TIMEOUT = 10.0  # seconds


@dataclass(frozen=True)
class RawFrame:
    """A JPEG, or uint8 [H, W, 3] in RGB, that was there at `captured` seconds of the source's clock.

    That clock is the monotonic one for live sources; for a video file it is the time within the video.
    """

    captured: float
    picture: bytes | Pixels


@dataclass(frozen=True)
class CameraSettings:
    """What a camera is asked for. `size` is (width, height); `controls` are rpicam-vid's options."""

    size: tuple[int, int] = (640, 480)
    fps: float | None = None
    controls: tuple[tuple[str, str], ...] = ()


def read_frames(source: Source, settings: CameraSettings) -> Iterator[RawFrame]:
    """Open `source` and yield its frames until it ends. Raises DeviceError when it cannot be opened."""
    readers = {
        "rpicam": _rpicam,
        "picamera2": _picamera2,
        "v4l2": _v4l2,
        "http": _http,
        "rtsp": _ffmpeg,
        "video": _video,
    }
    return readers[source.kind](source, settings)


def _rpicam(source: Source, settings: CameraSettings) -> Iterator[RawFrame]:
    program = find_rpicam()
    if program is None:
        raise DeviceError("the program rpicam-vid", "none on PATH", RPICAM_COMMAND)
    width, height = settings.size
    # -t 0: until it is stopped, not for 5 seconds; --flush: each frame at once, not when a buffer is full.
    command = [
        program,
        "-t",
        "0",
        "--flush",
        "--nopreview",
        "--codec",
        "mjpeg",
        "--output",
        "-",
        "--camera",
        source.name,
        "--width",
        str(width),
        "--height",
        str(height),
    ]
    if settings.fps:
        command += ["--framerate", f"{settings.fps:g}"]
    for name, value in settings.controls:
        command += [f"--{name}", value] if value else [f"--{name}"]
    with tempfile.TemporaryFile() as log:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log)
        _programs.append(child)
        try:
            yield from _jpegs_from(child.stdout)
            status = child.wait()
            raise DeviceError(f"{source} to go on", f"that rpicam-vid ended with {status}: {_last_lines(log)}")
        finally:
            _end(child)


_programs: list[subprocess.Popen[bytes]] = []  # those that were started


def end_programs() -> None:
    """End what the readers have started, as a reader does itself unless its thread is cut short."""
    for program in _programs:
        _end(program)


def _end(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(0.2)
    child.kill()
    child.wait()


def _last_lines(log: IO[bytes]) -> str:
    log.seek(0)
    lines = log.read()[-4000:].decode(errors="replace").splitlines()
    return " | ".join(line.strip() for line in lines[-3:] if line.strip()) or "it printed nothing"


def _jpegs_from(stream: Any) -> Iterator[RawFrame]:
    """JPEGs from whatever has read1 (pipes, HTTP responses), until its end."""
    splitter = JpegSplitter()
    while data := stream.read1(_CHUNK):
        for picture in splitter.feed(data):
            yield RawFrame(time.monotonic(), picture)


def _http(source: Source, settings: CameraSettings) -> Iterator[RawFrame]:
    """A multipart stream of JPEGs, as network cameras send it; a single JPEG, asked for again and again; or a
    video, which OpenCV reads."""
    try:
        kind, response = _request(source.name)
        if kind == "image/jpeg":
            return _snapshots(source, response, settings.fps or 1.0)
        if kind.startswith("multipart/"):
            return _until_the_end(source, response)
    except OSError as error:
        hint = "check the address in a browser"
        raise DeviceError(f"pictures from {source}", network_fault(error), hint) from error
    response.close()
    if not kind.startswith(("video/", "application/")):
        raise DeviceError(
            f"a stream of JPEGs or a video from {source}",
            f"that it sends {kind}",
            "the camera's own stream address, often .../stream or .../video.mjpg",
        )
    return _ffmpeg(source)


def _request(url: str) -> tuple[str, Any]:
    """(content type, response) of an address; user:password@ in it is sent as HTTP's basic authorization."""
    from base64 import b64encode
    from urllib.parse import unquote, urlsplit

    parts = urlsplit(url)
    headers = {"User-Agent": "edgedense"}
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["Authorization"] = "Basic " + b64encode(pair.encode()).decode()
        url = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    response = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=_NETWORK_TIMEOUT)
    return response.headers.get_content_type(), response


def network_fault(error: Exception) -> str:
    """What is wrong with a connection, as a clause about the camera."""
    reason = getattr(error, "reason", None)
    if isinstance(error, urllib.error.HTTPError):
        return f"that it answers {error.code} {reason}"
    cause = reason if isinstance(reason, Exception) else error  # urllib wraps what it is told by the system
    clauses: tuple[tuple[type[Exception], str], ...] = (
        (TimeoutError, f"that it sent nothing for {_NETWORK_TIMEOUT:.0f} seconds"),
        (ConnectionRefusedError, "that it refuses the connection"),
        (ConnectionError, "that it broke off the connection"),
        (http.client.IncompleteRead, "that it ended the connection in the middle of a picture"),
        (socket.gaierror, "that its name is not known in this network"),
        (http.client.HTTPException, "that it does not keep to HTTP"),
    )
    clause = next((clause for kind, clause in clauses if isinstance(cause, kind)), "that the connection failed")
    # Not the whole text: it may name the address, with its password.
    return f"{clause} ({getattr(cause, 'strerror', None) or cause or type(cause).__name__})"


def _until_the_end(source: Source, response: Any) -> Iterator[RawFrame]:
    with response:
        yield from _jpegs_from(response)
    raise DeviceError(f"{source} to go on", "that it ended its stream")


def _snapshots(source: Source, response: Any, fps: float) -> Iterator[RawFrame]:
    while True:
        with response:
            yield RawFrame(time.monotonic(), _still(source, response))
        time.sleep(1 / fps)
        _, response = _request(source.name)


def _still(source: Source, response: Any) -> bytes:
    """The one picture that a response holds. How much a camera sends is not left to the camera."""
    picture = response.read(LARGEST)
    if len(picture) == LARGEST:
        raise DeviceError(f"a picture of less than {LARGEST >> 20} MB", f"{source}, which sends more")
    if response.length:  # what was announced and did not come; read() with a limit says nothing of it
        raise http.client.IncompleteRead(picture, response.length)
    return picture


def _v4l2(source: Source, settings: CameraSettings) -> Iterator[RawFrame]:
    cv2 = _import_opencv()
    width, height = settings.size
    wishes: list[tuple[int, float]] = [
        (cv2.CAP_PROP_FRAME_WIDTH, width),
        (cv2.CAP_PROP_FRAME_HEIGHT, height),
        (cv2.CAP_PROP_BUFFERSIZE, 2),
    ]
    if width * height > 640 * 480:  # uncompressed pictures of that size do not fit through USB 2 at full rate
        wishes.insert(0, (cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG")))
    if settings.fps:
        wishes.append((cv2.CAP_PROP_FPS, settings.fps))
    return _opencv(os.path.realpath(source.name), "CAP_V4L2", source, wishes)


def _ffmpeg(source: Source, settings: CameraSettings | None = None) -> Iterator[RawFrame]:
    """RTSP, or a video over HTTP. Not by OpenCV, which goes on with old pixels when the pictures change their size."""
    av = _import_av()
    # UDP loses packets on most wireless networks, which shows as torn pictures.
    options = {"rtsp_transport": "tcp", "fflags": "nobuffer"} if source.kind == "rtsp" else {}
    try:
        with av.open(source.name, options=options, timeout=_NETWORK_TIMEOUT) as container:
            for packet in container.demux(video=0):
                with contextlib.suppress(av.error.InvalidDataError):  # of a damaged picture; the next ones may be whole
                    for frame in packet.decode():
                        yield RawFrame(time.monotonic(), cast(Pixels, frame.to_ndarray(format="rgb24")))
    except (av.error.FFmpegError, IndexError) as error:  # IndexError: there is no video in it
        known = isinstance(error, OSError)
        why = network_fault(error) if known else f"that it cannot be read ({getattr(error, 'strerror', error)})"
        raise DeviceError(f"pictures from {source}", why, "check the address and the password") from error
    raise DeviceError(f"{source} to go on", "that it ended its stream")


def _import_av() -> Any:
    try:
        import av
    except ImportError as error:
        raise DeviceError("PyAV, which reads RTSP and video streams", f"none ({error})", CAMERA_COMMAND) from error
    return av


def _video(source: Source, settings: CameraSettings) -> Iterator[RawFrame]:
    """`captured` is the time within the video."""
    cv2 = _import_opencv()
    capture = _opened(cv2, source.name, cv2.CAP_FFMPEG, source)
    fps = capture.get(cv2.CAP_PROP_FPS)
    for number, frame in enumerate(_opencv_frames(cv2, capture)):
        yield RawFrame(number / (fps if 0 < fps < 1000 else 30.0), frame.picture)


def _opencv(
    name: str, backend: str, source: Source, wishes: list[tuple[int, float]] | None = None
) -> Iterator[RawFrame]:
    cv2 = _import_opencv()
    capture = _opened(cv2, name, getattr(cv2, backend), source)
    for wish, value in wishes or ():
        capture.set(wish, value)
    yield from _opencv_frames(cv2, capture)
    raise DeviceError(
        f"{source} to go on", "that it gives no further picture: it was unplugged, or its stream has ended"
    )


def _import_opencv() -> Any:
    os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "8")  # what matters is reported by what follows
    try:
        import cv2
    except ImportError as error:
        raise DeviceError(
            "OpenCV, which reads video files and USB cameras", f"none ({error})", CAMERA_COMMAND
        ) from error
    return cv2


def _opened(cv2: Any, name: str, backend: int, source: Source) -> Any:
    capture = cv2.VideoCapture(name, backend)
    if not capture.isOpened():
        hints = {
            "v4l2": "end other programs that use the camera"
            if os.path.exists(source.name)
            else "--camera, which finds the first one",
            "video": "convert it to MP4 with H.264",
        }
        raise DeviceError("a source that opens", f"{source}{_why_not(source)}", hints.get(source.kind, ""))
    return capture


def _why_not(source: Source) -> str:
    if source.kind != "v4l2":
        return ""
    if not os.path.exists(source.name):
        return ", which does not exist"
    if not os.access(source.name, os.R_OK | os.W_OK):
        return ", which this user may not read (sudo usermod -aG video $USER, then log in again)"
    return ""


def _opencv_frames(cv2: Any, capture: Any) -> Iterator[RawFrame]:
    try:
        while True:
            is_there, picture = capture.read()
            if not is_there:
                return
            yield RawFrame(time.monotonic(), _rgb(cv2, _in_rows(cv2, capture, picture)))
    finally:
        capture.release()


def _in_rows(cv2: Any, capture: Any, picture: Any) -> Any:
    """The picture as [H, W, 3] also where OpenCV (4.11) gives it as one row of bytes, [1, 3 H W]: so it hands on what a
    camera sends as BGR, which it need not convert. Raises DeviceError for another row of bytes."""
    if picture.ndim != 2 or picture.shape[0] != 1:
        return picture
    width, height = (int(capture.get(size)) for size in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    kind = int(capture.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, "little").decode("ascii", "replace")
    if kind != "BGR3" or picture.size != 3 * width * height:
        raise DeviceError(
            "pictures that OpenCV can convert",
            f"{picture.size} bytes of the kind {kind} for {width}x{height} pixels",
            "another --size, or another camera",
        )
    return picture.reshape(height, width, 3)


def _rgb(cv2: Any, picture: Any) -> Pixels:
    """uint8 [H, W, 3] in RGB of what OpenCV gives: [H, W, 3] in BGR, from some cameras [H, W] or [H, W, 1] in grey."""
    is_grey = picture.ndim == 2 or picture.shape[2] == 1
    return cast(Pixels, cv2.cvtColor(picture, cv2.COLOR_GRAY2RGB if is_grey else cv2.COLOR_BGR2RGB))


def _picamera2(source: Source, settings: CameraSettings) -> Iterator[RawFrame]:
    try:
        from picamera2 import Picamera2
    except ImportError as error:
        raise DeviceError("the Python package picamera2", f"none ({error})", PICAMERA2_COMMAND) from error
    try:
        camera = Picamera2(int(source.name))
    except (IndexError, RuntimeError) as error:
        raise DeviceError(
            f"camera {source.name} of picamera2", f"none ({error})", "rpicam-hello --list-cameras"
        ) from error
    # picamera2 names formats by their order in a little-endian word: its "BGR888" is RGB in memory.
    options = {"FrameRate": settings.fps} if settings.fps else {}
    camera.configure(camera.create_video_configuration({"format": "BGR888", "size": settings.size}, controls=options))
    camera.start()
    try:
        while True:
            picture = camera.capture_array("main")
            yield RawFrame(time.monotonic(), cast(Pixels, np.ascontiguousarray(picture[..., :3])))
    finally:
        camera.stop()
        camera.close()


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent ends, however that ends (Linux; see prctl(2))."""
    import ctypes

    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
