"""The small parts of the live loop: view, motion, smoothing, saving, output, telemetry, messages to systemd."""

from __future__ import annotations

import io
import json
import os
import socket
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgedense.device.board import telemetry
from edgedense.device.camera.frames import CaptureJob, Layout, Slot
from edgedense.device.camera.motion import MotionDetector
from edgedense.device.camera.readers import CameraSettings
from edgedense.device.camera.sources import Source
from edgedense.device.camera.view import View, parse_crop, parse_turn
from edgedense.device.live import saving as saving_module
from edgedense.device.live.options import PreviewOptions, Saving, parse_size
from edgedense.device.live.output import Output
from edgedense.device.live.results import FrameResult, ImageResult
from edgedense.device.live.saving import Saver
from edgedense.device.live.smoothing import Smoother
from edgedense.device.prediction import Doubt, Prediction
from edgedense.device.service.notify import Notifier
from edgedense.errors import EdgedenseError
from edgedense.images.preprocessing import Preprocessing
from edgedense.images.steps import Crop, Resample

# One pixel a corner: 1 2
#                     3 4
CORNERS = np.array([[1, 2], [3, 4]], np.uint8)[..., None].repeat(3, 2)


@pytest.mark.parametrize(
    ("view", "corners"),
    [
        (View(), [[1, 2], [3, 4]]),
        (View(90), [[3, 1], [4, 2]]),
        (View(180), [[4, 3], [2, 1]]),
        (View(270), [[2, 4], [1, 3]]),
        (View(0, "horizontal"), [[2, 1], [4, 3]]),
        (View(0, "vertical"), [[3, 4], [1, 2]]),
        (View(0, "both"), [[4, 3], [2, 1]]),
        (View(90, "horizontal"), [[1, 3], [2, 4]]),
        (View(crop=(0.5, 0, 0.5, 1)), [[2], [4]]),
        (View(0, "horizontal", (0, 0.5, 0.5, 0.5)), [[4]]),
    ],
)
def test_a_view_turns_clockwise_then_mirrors_then_crops(view: View, corners: list[list[int]]) -> None:
    assert view.apply(CORNERS)[..., 0].tolist() == corners


def test_a_square_is_cut_from_the_middle() -> None:
    image = np.zeros((40, 100, 3), np.uint8)
    image[:, 30:70] = 9
    square = View(crop="square").apply(image)
    assert square.shape == (40, 40, 3)
    assert (square == 9).all()


def test_a_view_from_words() -> None:
    assert [parse_turn(degrees) for degrees in (-90, 0, 450)] == [270, 0, 90]
    assert parse_crop("0.25,0,0.5,1") == (0.25, 0, 0.5, 1)
    assert parse_crop("square") == "square"
    assert parse_size("1280x720") == (1280, 720)


@pytest.mark.parametrize("text", ["", "1,2", "0,0,0,1", "0.5,0,0.6,1", "-0.1,0,1,1", "a,b,c,d", "nan,0,1,1"])
def test_a_wrong_crop_is_refused(text: str) -> None:
    with pytest.raises(EdgedenseError, match="--crop"):
        parse_crop(text)


def test_an_address_alone_asks_for_a_preview_page() -> None:
    assert PreviewOptions(address=":8080").is_wanted
    assert not PreviewOptions(explain=True).is_wanted


def test_other_wrong_words_are_refused() -> None:
    for call, message in [
        (lambda: parse_turn(45), "--rotate"),
        (lambda: parse_size("640"), "--size"),
        (lambda: parse_size("0x480"), "--size"),
    ]:
        with pytest.raises(EdgedenseError, match=message):
            call()


def test_a_job_survives_json() -> None:
    job = CaptureJob(
        Source("rpicam", "0"),
        CameraSettings((320, 240), 5.0, (("hdr", ""),)),
        View(90, "both", (0, 0, 0.5, 1)),
        Preprocessing(48, 64, "none", "nearest", steps=(Crop(1, 2, 40, 50), Resample(20, 25, "bicubic"))),
        fps=5.0,
        drop=False,
        paced=True,
        watch_motion=True,
    )
    assert CaptureJob.from_dict(json.loads(json.dumps(job.to_dict()))) == job
    square = CaptureJob(Source("rpicam", "0"), CameraSettings(), View(crop="square"), Preprocessing(48, 64, "none"))
    assert CaptureJob.from_dict(json.loads(json.dumps(square.to_dict()))) == square


def test_a_slot_holds_picture_and_input_and_grows_with_them() -> None:
    """Two slots on one file, as the two processes have it."""
    file = os.memfd_create("test")
    filled, read = Slot(file), Slot(file)
    small, large = Layout(3, 5, 2, 7, 3), Layout(30, 50, 2, 7, 3)
    filled.grow(small)
    for number, view in enumerate(filled.views(small), start=1):
        assert not view.any()
        view[:] = number
    before = read.views(small)
    assert [(view.shape, int(view.min()), int(view.max())) for view in before] == [((3, 5, 3), 1, 1), ((2, 7, 3), 2, 2)]
    filled.grow(large)
    for number, view in enumerate(filled.views(large), start=3):
        view[:] = number
    assert [(view.shape, int(view.min())) for view in read.views(large)] == [((30, 50, 3), 3), ((2, 7, 3), 4)]
    filled.grow(small)  # it never shrinks: what the other process has mapped stays
    assert os.fstat(file).st_size == large.slot_bytes
    assert before[0].shape == (3, 5, 3)
    assert (before[0] == 3).all()  # the same memory
    os.close(file)


def test_a_slot_for_a_grey_input() -> None:
    layout = Layout(3, 5, 2, 7, 1)
    assert layout.slot_bytes == 3 * 5 * 3 + 2 * 7
    file = os.memfd_create("test")
    slot = Slot(file)
    slot.grow(layout)
    assert [view.shape for view in slot.views(layout)] == [(3, 5, 3), (2, 7, 1)]
    os.close(file)


RNG = np.random.default_rng(3)
SCENE = RNG.integers(20, 230, (224, 224, 3)).astype(np.uint8)


def noisy(image: np.ndarray) -> np.ndarray:
    """With the noise of a small sensor in poor light: a standard deviation of 8 levels in each pixel."""
    return np.clip(image + RNG.normal(0, 8, image.shape), 0, 255).astype(np.uint8)


def test_noise_is_no_movement_and_a_hand_is() -> None:
    detector = MotionDetector()
    assert detector.is_moving(noisy(SCENE), 0.0)  # the first picture
    assert not any(detector.is_moving(noisy(SCENE), 2.0 + 0.1 * i) for i in range(50))
    hand = SCENE.copy()
    hand[100:130, 50:80] = 20
    assert detector.is_moving(noisy(hand), 10.0)
    assert detector.is_moving(noisy(hand), 10.9)  # it has just settled
    grey = MotionDetector()
    assert [grey.is_moving(picture[..., :1], at) for picture, at in ((SCENE, 0.0), (SCENE, 2.0), (hand, 3.0))] == [
        True,
        False,
        True,
    ]
    assert not detector.is_moving(noisy(hand), 11.2)


def test_a_slow_change_is_noticed() -> None:
    detector = MotionDetector()
    detector.is_moving(np.full((224, 224, 3), 50, np.uint8), 0.0)
    moved = [detector.is_moving(np.full((224, 224, 3), 50 + i // 10, np.uint8), 2.0 + i) for i in range(100)]
    assert 0 < sum(moved) < 20


def test_pictures_smaller_than_the_grid_are_compared_too() -> None:
    detector = MotionDetector()
    detector.is_moving(np.zeros((5, 7, 3), np.uint8), 0.0)
    assert not detector.is_moving(np.zeros((5, 7, 3), np.uint8), 2.0)
    assert detector.is_moving(np.full((5, 7, 3), 9, np.uint8), 4.0)


def test_smoothing_is_the_mean_of_the_last_frames() -> None:
    smoother = Smoother(2)
    assert smoother.smooth(np.float32([1, 0]), 0.0).tolist() == [1, 0]
    assert smoother.smooth(np.float32([0, 1]), 0.1).tolist() == [0.5, 0.5]
    assert smoother.smooth(np.float32([0, 1]), 0.2).tolist() == [0, 1]


def test_smoothing_begins_anew_after_a_pause() -> None:
    smoother = Smoother(5)
    smoother.smooth(np.float32([1, 0]), 0.0)
    assert smoother.smooth(np.float32([0, 1]), 3.0).tolist() == [0, 1]


PICTURE = np.full((40, 60, 3), (200, 30, 40), np.uint8)


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saving_module, "_INTERVAL", 0.0)


def offer(saver: Saver, number: int, score: float) -> None:
    saver.offer(PICTURE, number, 1_700_000_000.5, Doubt("a/b", score, score))
    while not saver._queue.empty():
        time.sleep(0.005)


@pytest.mark.usefixtures("at_once")
def test_unsure_frames_are_saved_and_sure_ones_are_not(tmp_path: Path) -> None:
    saver = Saver(Saving(tmp_path / "new" / "folder", below=0.6), print)
    offer(saver, 1, 0.59)
    offer(saver, 2, 0.6)
    saver.close()
    (path,) = (tmp_path / "new" / "folder").iterdir()
    assert path.name == "20231114T221320.500Z_000001_a-b_0.590.jpg"
    assert saver.saved == 1
    with Image.open(path) as image:  # a plain colour survives JPEG but for rounding
        assert np.abs(np.asarray(image).astype(int) - PICTURE).max() <= 2


def test_frames_that_follow_at_once_are_not_saved(tmp_path: Path) -> None:
    saver = Saver(Saving(tmp_path), print)
    for number in range(5):
        offer(saver, number, 0.1)
    saver.close()
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.usefixtures("at_once")
def test_saving_stops_at_its_cap_and_counts_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "old.jpg").write_bytes(bytes(9_000))
    told: list[str] = []
    saver = Saver(Saving(tmp_path, cap=0.01), told.append)
    for number in range(20):
        offer(saver, number, 0.1)
    saver.close()
    assert 9_000 < sum(path.stat().st_size for path in tmp_path.iterdir()) <= 10_000
    assert len(told) == 1
    assert "holds" in told[0]


def test_what_a_power_cut_left_of_a_frame_is_removed_and_does_not_count(tmp_path: Path) -> None:
    left, other = tmp_path / ".20231114T221320.500Z_000001_a-b_0.590.jpg.x7_k2abc", tmp_path / ".hidden.jpg.x7_k2abc"
    for path in (left, other):
        path.write_bytes(bytes(9_000))
        os.utime(path, (0, 0))
    saver = Saver(Saving(tmp_path), print)
    saver.close()
    assert list(tmp_path.iterdir()) == [other]
    assert saver._used == 9_000


def test_saving_ends_with_a_sentence_at_a_picture_that_no_jpeg_holds(tmp_path: Path) -> None:
    told: list[str] = []
    saver = Saver(Saving(tmp_path), told.append)
    saver.offer(np.zeros((1, 70_000, 3), np.uint8), 1, 1_700_000_000.5, Doubt("a", 0.1, 0.1))
    saver.close()
    assert [line.partition(":")[0] for line in told] == ["no more frames are saved"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("at_once")
def test_saving_leaves_the_disk_its_floor(tmp_path: Path) -> None:
    told: list[str] = []
    saver = Saver(Saving(tmp_path, floor=10**12), told.append)
    offer(saver, 1, 0.1)
    saver.close()
    assert list(tmp_path.iterdir()) == []
    assert "free" in told[0]


def test_saving_needs_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EdgedenseError, match="folder"):
        Saver(Saving(tmp_path / "file"), print)
    with pytest.raises(EdgedenseError, match="--save"):
        Saver(Saving(), print)
    assert Saver(Saving(tmp_path), print, 0.75)._below == 0.75
    assert Saver(Saving(tmp_path, 0.6), print, 0.75)._below == 0.6


def test_the_processors_zone_is_preferred(tmp_path: Path) -> None:
    for number, (kind, value) in enumerate([("acpitz", "90000"), ("cpu-thermal", "48312"), ("broken", "x")]):
        zone = tmp_path / f"thermal_zone{number}"
        zone.mkdir()
        (zone / "type").write_text(kind + "\n")
        (zone / "temp").write_text(value + "\n")
    assert telemetry.temperature(tmp_path) == pytest.approx(48.312)
    (tmp_path / "thermal_zone1" / "temp").unlink()
    assert telemetry.temperature(tmp_path) == 90.0
    assert telemetry.temperature(tmp_path / "none") is None


def test_the_clock_is_asked_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([False, True])
    monkeypatch.setattr(telemetry, "_kernel_says", lambda: next(answers))
    assert [telemetry.Clock(interval=60).is_synchronized] == [False]
    clock = telemetry.Clock(interval=0.0)
    assert clock.is_synchronized is True


def test_the_kernel_answers_about_the_clock() -> None:
    assert telemetry._kernel_says() in (True, False)


@pytest.fixture
def systemd(notify_socket: socket.socket) -> socket.socket:
    """A real notify socket that does not wait."""
    notify_socket.setblocking(False)
    return notify_socket


def received(server: socket.socket) -> list[str]:
    messages = []
    try:
        while True:
            messages.append(server.recv(4096).decode())
    except BlockingIOError:
        return messages


def test_systemd_hears_ready_once_and_pings_while_the_loop_goes_round(systemd: socket.socket) -> None:
    environment = {"NOTIFY_SOCKET": systemd.getsockname(), "WATCHDOG_USEC": "200000", "WATCHDOG_PID": str(os.getpid())}
    with closing(Notifier(environment)) as notifier:
        notifier.ready()
        notifier.ready()
        assert received(systemd) == ["READY=1"]
        for _ in range(10):
            notifier.alive("cat seen")
        assert received(systemd) == ["WATCHDOG=1\nSTATUS=cat seen"]
        time.sleep(0.06)
        assert received(systemd) == []  # nothing pings but the loop
        notifier.alive("dog seen")
        assert received(systemd) == ["WATCHDOG=1\nSTATUS=dog seen"]
        notifier.stopping()
        assert received(systemd) == ["STOPPING=1"]
    notifier.ready()  # closed, it is silent
    notifier.alive("nobody")
    assert received(systemd) == []


@pytest.mark.parametrize(
    "environment",
    [{}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "nonsense"}, {"WATCHDOG_USEC": "200000", "WATCHDOG_PID": "1"}],
)
def test_without_a_watchdog_nothing_pings(systemd: socket.socket, environment: dict[str, str]) -> None:
    with closing(Notifier({"NOTIFY_SOCKET": systemd.getsockname(), **environment})) as notifier:
        notifier.alive("")
        assert received(systemd) == []


def test_without_systemd_nothing_happens(tmp_path: Path) -> None:
    for environment in ({}, {"NOTIFY_SOCKET": str(tmp_path / "gone")}):
        with closing(Notifier(environment)) as notifier:
            notifier.ready()
            notifier.alive("")
            notifier.stopping()


def test_an_abstract_notify_socket_is_reached() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(f"\0edgedense-test-{os.getpid()}")
        with closing(Notifier({"NOTIFY_SOCKET": f"@edgedense-test-{os.getpid()}"})) as notifier:
            notifier.ready()
        assert server.recv(100) == b"READY=1"


def result(label: str = "cat", score: float = 0.5) -> FrameResult:
    return FrameResult(7, 1.0, 1_700_000_000.25, True, Prediction(((label, score), ("dog", 0.25))), 0.0123, 0.02)


def written(*results: FrameResult | ImageResult, **options: bool) -> str:
    stream = io.StringIO()
    output = Output(stream, ["cat", "a label of no less than fifty characters, all counted"], **options)
    for one in results:
        output.write(one)
    output.close()
    return stream.getvalue()


def test_rows_are_as_wide_as_the_widest_label_within_reason() -> None:
    header, row, long = written(
        result(), result("a label of no less than fifty characters, all counted"), as_json=False
    ).splitlines()
    assert row.startswith("cat" + " " * 29 + "    50.0%    12.3 ms  ")
    assert row.endswith("  #7  (dog 25.0%)")
    assert header.index("latency") + len("latency") == row.index("12.3 ms") + len("12.3 ms")
    assert long.startswith("a label of no less than fifty c…    50.0%")


def test_findings_stand_in_one_row_and_none_is_marked() -> None:
    findings = Prediction((("cat", 0.9), ("dog", 0.6)), (("hen", 0.4),), True)
    alone = Prediction((("cat", 0.9),), (), True)
    none = Prediction((), (("cat", 0.4), ("dog", 0.1)), True)
    header, *rows = written(
        *(replace(result(), prediction=prediction) for prediction in (findings, alone, none)),
        as_json=False,
        independent=True,
    ).splitlines()
    assert rows[0].startswith("cat" + " " * 31 + "    90.0%    12.3 ms  ")
    assert rows[0].endswith("  #7  and dog 60.0%  (hen 40.0%)")
    assert rows[1].endswith("  #7")
    assert rows[2].startswith("(cat)" + " " * 29 + "    40.0%    12.3 ms  ")
    assert rows[2].endswith("  #7  no finding  (dog 10.0%)")
    assert header.index("latency") + len("latency") == rows[0].index("12.3 ms") + len("12.3 ms")


def test_findings_in_json_stand_beside_what_was_asked_for() -> None:
    findings, none = (
        json.loads(line)
        for line in written(
            replace(result(), prediction=Prediction((("cat", 0.9), ("dog", 0.6)), (("hen", 0.4),), True)),
            replace(result(), prediction=Prediction((), (("cat", 0.4),), True)),
            as_json=True,
        ).splitlines()
    )
    assert (findings["label"], findings["score"]) == ("cat", 0.9)
    assert [one["label"] for one in findings["findings"]] == ["cat", "dog"]
    assert [one["label"] for one in findings["top"]] == ["cat", "dog", "hen"]
    assert (none["label"], none["score"], none["findings"]) == (None, None, [])
    assert none["top"] == [{"label": "cat", "score": 0.4}]


def test_rows_in_place_overwrite_each_other_on_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    text = written(result(), result(), as_json=False, in_place=True)
    assert text.count("\n") == 2  # the header's and the last
    assert text.count("\r\x1b[K") == 2
    assert len(text.splitlines()[-1].rpartition("\x1b[K")[2]) == 39


def test_json_is_one_line_a_result() -> None:
    line, other = written(
        result(), ImageResult("a/b.jpg", Prediction(()), 0.0123), as_json=True, in_place=True
    ).splitlines()
    assert json.loads(line) == {
        "frame": 7,
        "monotonic": 1.0,
        "wall": "2023-11-14T22:13:20.250Z",
        "clock_synchronized": True,
        "label": "cat",
        "score": 0.5,
        "top": [{"label": "cat", "score": 0.5}, {"label": "dog", "score": 0.25}],
        "latency_ms": 12.3,
        "age_ms": 20.0,
    }
    assert json.loads(other) == {"file": "a/b.jpg", "label": None, "score": None, "top": [], "latency_ms": 12.3}
