from __future__ import annotations

from pathlib import Path

import pytest

from edgedense.device.camera.sources import Source, first_camera, parse, v4l2_cameras
from edgedense.errors import DeviceError, EdgedenseError
from tests.device.conftest import Rpicam


@pytest.mark.parametrize(
    ("text", "kind", "name"),
    [
        ("0", "v4l2", "/dev/video0"),
        ("12", "v4l2", "/dev/video12"),
        ("/dev/video1", "v4l2", "/dev/video1"),
        ("/dev/v4l/by-id/usb-cam", "v4l2", "/dev/v4l/by-id/usb-cam"),
        ("rpicam", "rpicam", "0"),
        ("rpicam:1", "rpicam", "1"),
        ("picamera2", "picamera2", "0"),
        ("picamera2:2", "picamera2", "2"),
        ("rtsp://h/s", "rtsp", "rtsp://h/s"),
        ("HTTP://h/s", "http", "HTTP://h/s"),
        ("https://h/s", "http", "https://h/s"),
        ("photos", "images", "photos"),
        ("a*.jpg", "images", "a*.jpg"),
        ("rpicam.jpg", "images", "rpicam.jpg"),
    ],
)
def test_names_are_read_as_users_know_them(text: str, kind: str, name: str) -> None:
    assert parse(text) == Source(kind, name)  # type: ignore[arg-type]


def test_a_password_is_not_shown() -> None:
    source = parse("rtsp://me:s3cret@host:554/live?a=b:c")
    assert str(source) == "rtsp://me:***@host:554/live?a=b:c"
    assert parse(source.argument) == source
    assert str(parse("http://host:80/a@b:c")) == "http://host:80/a@b:c"
    assert str(parse("rpicam")) == parse("rpicam").argument == "rpicam:0"


def test_a_video_must_exist(tmp_path: Path) -> None:
    (tmp_path / "a.MP4").touch()
    assert parse(str(tmp_path / "a.MP4")).kind == "video"
    assert parse(str(tmp_path / "a.MP4")).title == "a.MP4"  # others need not know the folders of this machine
    assert parse("rtsp://me:secret@host/a").title == "rtsp://me:***@host/a"
    with pytest.raises(EdgedenseError, match="does not exist"):
        parse(str(tmp_path / "b.mp4"))


def test_an_unknown_kind_of_url_is_refused() -> None:
    with pytest.raises(EdgedenseError, match="rtsp://"):
        parse("ftp://host/video")


# What /sys/class/video4linux/*/name says on a Raspberry Pi 4 and 5: the names are those that the kernel's drivers
# register (drivers/media/platform/{bcm2835,raspberrypi}, drivers/staging/vc04_services in the rpi-6.6.y tree).
PI4 = {
    "video0": "unicam-image",
    "video1": "unicam-embedded",
    "video10": "bcm2835-codec-decode",
    "video11": "bcm2835-codec-encode",
    "video12": "bcm2835-codec-isp",
    "video13": "bcm2835-isp-output0",
    "video14": "bcm2835-isp-capture0",
    "video18": "bcm2835-codec-encode_image",
    "video19": "rpivid",
}
PI5 = {
    "video0": "rp1-cfe-csi2_ch0",
    "video4": "rp1-cfe-fe_image0",
    "video19": "rpi-hevc-dec",
    "video20": "pispbe-input",
    "video28": "pispbe-output0",
}


def tree(root: Path, nodes: dict[str, str], **cameras: tuple[str, str]) -> Path:
    for node, (name, index) in {**{node: (name, "0") for node, name in nodes.items()}, **cameras}.items():
        (root / node).mkdir(parents=True)
        (root / node / "name").write_text(name + "\n")
        (root / node / "index").write_text(index + "\n")
    return root


@pytest.mark.parametrize("board", [PI4, PI5])
def test_csi_isp_and_codec_nodes_are_no_cameras(tmp_path: Path, board: dict[str, str]) -> None:
    assert v4l2_cameras(tree(tmp_path, board)) == []


@pytest.mark.parametrize("board", [PI4, PI5, {}])
def test_a_usb_camera_is_found_among_them(tmp_path: Path, board: dict[str, str]) -> None:
    webcam = ("HD Webcam C525: HD Webcam C525", "0"), ("HD Webcam C525: HD Webcam C525", "1")
    nodes = tree(tmp_path, board, video8=webcam[0], video9=webcam[1], video21=("UVC Camera", "0"))
    assert v4l2_cameras(nodes) == ["/dev/video8", "/dev/video21"]


def test_the_csi_camera_comes_first(tmp_path: Path, rpicam: Rpicam) -> None:
    assert first_camera(tree(tmp_path / "sys", {}, video0=("UVC Camera", "0"))) == Source("rpicam", "0")


def test_without_a_csi_camera_the_usb_camera_is_taken(
    tmp_path: Path, rpicam: Rpicam, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RPICAM_CAMERAS", "0")
    assert first_camera(tree(tmp_path / "sys", PI4, video3=("UVC Camera", "0"))) == Source("v4l2", "/dev/video3")


def test_without_any_camera_the_missing_parts_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DeviceError, match="apt install rpicam-apps"):
        first_camera(tmp_path)


def test_a_csi_camera_that_is_not_connected_is_not_about_programs(
    tmp_path: Path, rpicam: Rpicam, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RPICAM_CAMERAS", "0")
    with pytest.raises(DeviceError) as raised:
        first_camera(tmp_path / "none")
    assert "apt install" not in str(raised.value)
