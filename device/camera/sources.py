"""A source of pictures, by the name that a user gives it."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edgedense.errors import DeviceError, EdgedenseError

Kind = Literal["images", "video", "v4l2", "rpicam", "picamera2", "http", "rtsp"]
VIDEO_SUFFIXES = (".avi", ".h264", ".m4v", ".mjpeg", ".mjpg", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ts", ".webm")

# The commands are the same on Raspberry Pi OS Bookworm and Trixie, Lite included.
RPICAM_COMMAND = "sudo apt install rpicam-apps"
PICAMERA2_COMMAND = (
    "sudo apt install python3-picamera2, and a virtual environment made with "
    "python3 -m venv --system-site-packages, or the source rpicam, which needs neither"
)
CAMERA_COMMAND = "pip install 'edgedense[camera]'"


@dataclass(frozen=True)
class Source:
    """`kind` says how `name` is read: a path, a URL, a device node or a camera's number."""

    kind: Kind
    name: str

    @property
    def is_camera(self) -> bool:
        """A camera on this machine, which can be asked for a picture size and a frame rate."""
        return self.kind in ("v4l2", "rpicam", "picamera2")

    @property
    def is_live(self) -> bool:
        """Whether pictures come by themselves and are lost when nobody takes them."""
        return self.is_camera or self.kind in ("http", "rtsp")

    @property
    def argument(self) -> str:
        """What `parse` reads back."""
        return f"{self.kind}:{self.name}" if self.kind in ("rpicam", "picamera2") else self.name

    @property
    def title(self) -> str:
        """For whoever is not on this machine: of a video the file's name alone."""
        return Path(self.name).name if self.kind == "video" else str(self)

    def __str__(self) -> str:
        """For messages, logs and the preview page: without the password that a URL may hold."""
        return re.sub(r"(//[^/@:]*):[^/@]*@", r"\1:***@", self.argument)


def parse(text: str) -> Source:
    """`0`, `/dev/video0`, `rpicam[:N]`, `picamera2[:N]`, a URL, a video file; anything else is about
    images.
    """
    if match := re.fullmatch(r"(rpicam|picamera2)(?::(\d+))?", text):
        return Source("rpicam" if match[1] == "rpicam" else "picamera2", match[2] or "0")
    if re.fullmatch(r"\d+", text):
        return Source("v4l2", f"/dev/video{int(text)}")
    if text.startswith("/dev/"):
        return Source("v4l2", text)
    if match := re.match(r"(rtsp|http)s?://", text, re.IGNORECASE):
        return Source("rtsp" if match[1].lower() == "rtsp" else "http", text)
    if re.match(r"[a-z0-9]+://", text, re.IGNORECASE):
        raise EdgedenseError("a URL that begins with rtsp:// or http://", text)
    if text.lower().endswith(VIDEO_SUFFIXES) and not Path(text).is_dir():
        if not Path(text).is_file():
            raise EdgedenseError("a video file", f"{text}, which does not exist")
        return Source("video", text)
    return Source("images", text)


def find_rpicam() -> str | None:
    """The path of rpicam-vid, or of libcamera-vid, as it was called until the end of 2023."""
    return shutil.which("rpicam-vid") or shutil.which("libcamera-vid")


# Nodes of the Raspberry Pi that are no camera by themselves: sensors and receivers that deliver raw Bayer
# data only through libcamera, image signal processors, and video codecs. By the names that their drivers
# register.
_NO_CAMERA = re.compile(
    r"unicam|rp1-cfe|bcm2835-isp|pispbe|bcm2835-codec|rpivid|hevc|codec|decoder|encoder", re.IGNORECASE
)


def first_camera(video_nodes: Path = Path("/sys/class/video4linux")) -> Source:
    """The first CSI camera that rpicam-vid lists, else the first V4L2 node that is a camera.

    Raises DeviceError when there is none, naming what is missing.
    """
    program = find_rpicam()
    if program and (number := _first_listed(program)) is not None:
        return Source("rpicam", number)
    if nodes := v4l2_cameras(video_nodes):
        return Source("v4l2", nodes[0])
    missing = "" if program else f"; for a CSI camera: {RPICAM_COMMAND}"
    raise DeviceError(
        "a camera",
        f"none{'' if program else ', and no rpicam-vid'}",
        f"check the cable, then name the source, such as 0 for /dev/video0{missing}",
    )


def _first_listed(program: str) -> str | None:
    """The number of the first camera in `rpicam-vid --list-cameras`, whose lines begin "0 : imx708 [...]"."""
    import subprocess

    try:
        listing = subprocess.run(
            [program, "--list-cameras"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r"^\s*(\d+)\s*:\s*\S", listing.stdout + listing.stderr, re.MULTILINE)
    return match[1] if match else None


def v4l2_cameras(video_nodes: Path = Path("/sys/class/video4linux")) -> list[str]:
    """The device nodes that are cameras, by number. A USB camera's second node carries metadata, no
    pictures.
    """
    found = []
    for node in video_nodes.glob("video*"):
        name, index = _text(node / "name"), _text(node / "index")
        if name and not _NO_CAMERA.search(name) and index in ("", "0"):
            found.append(node.name)
    return [f"/dev/{name}" for name in sorted(found, key=lambda name: int(name.removeprefix("video")))]


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
