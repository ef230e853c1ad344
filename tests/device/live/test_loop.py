"""`edgedense run` on live sources, as a user starts and ends it."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest

from edgedense.device.camera.sources import Source
from edgedense.device.live.run import capture_job
from edgedense.errors import EdgedenseError
from edgedense.images.preprocessing import Preprocessing
from tests.device.conftest import Rpicam, is_running

PATIENCE = 30.0  # seconds, for a machine under load


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "edgedense.cli", "run", *map(str, arguments)]


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), capture_output=True, text=True, timeout=60, check=False)


def results(*arguments: object) -> list[dict]:
    finished = run(*arguments, "--json")
    assert finished.returncode == 0, finished.stderr
    return [json.loads(line) for line in finished.stdout.splitlines()]


@contextmanager
def running(*arguments: object, **options: object) -> Iterator[subprocess.Popen[str]]:
    """A run whose first result has been read."""
    with subprocess.Popen(
        command(*arguments, "--json"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    ) as process:  # type: ignore[call-overload]
        try:
            yield process
        finally:
            process.kill()


def end(process: subprocess.Popen[str], how: signal.Signals) -> str:
    """What it prints to stderr when it is ended: it has 5 seconds."""
    process.send_signal(how)
    process.wait(5)
    assert process.returncode == 0
    return process.stderr.read()  # type: ignore[union-attr]


def test_a_video_is_classified_frame_by_frame(colours: Path, red_video: Path) -> None:
    lines = results(colours, red_video)
    assert [line["frame"] for line in lines] == list(range(60))
    assert {line["label"] for line in lines} == {"red"}
    first = lines[0]
    assert set(first) == {
        "frame",
        "monotonic",
        "wall",
        "clock_synchronized",
        "label",
        "score",
        "top",
        "latency_ms",
        "age_ms",
    }
    assert first["wall"].endswith("Z")
    assert first["clock_synchronized"] in (True, False, None)
    assert lines[-1]["monotonic"] > first["monotonic"]


def test_a_table_ends_with_a_summary(colours: Path, red_video: Path) -> None:
    finished = run(colours, red_video, "--top", "2")
    header, *rows = finished.stdout.splitlines()
    assert header.split() == ["label", "score", "latency", "time", "and", "frame"]
    assert len(rows) == 60
    assert "#59" in rows[-1]
    assert "(blue " in rows[-1]
    assert "60 frames classified" in finished.stderr
    assert "0 dropped" in finished.stderr


@pytest.mark.slow
def test_options_reach_the_loop(colours: Path, red_video: Path) -> None:
    assert len(results(colours, red_video, "--on-change")) == 1
    assert len(results(colours, red_video, "--fps", "5")) == 10
    assert results(colours, red_video, "--threshold", "1")[0]["label"] is None
    live = results(colours, red_video, "--live")
    assert live[-1]["monotonic"] - live[0]["monotonic"] > 1.5  # two seconds of video


@pytest.mark.slow
def test_smoothing_follows_a_change_slowly(colours: Path, tmp_path: Path) -> None:
    cv2 = pytest.importorskip("cv2")
    import numpy as np

    writer = cv2.VideoWriter(str(tmp_path / "a.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 30, (160, 120))
    for number in range(30):
        writer.write(np.full((120, 160, 3), (40, 30, 200) if number < 15 else (220, 40, 10), np.uint8))
    writer.release()
    blue_from = {
        n: next(
            line["frame"] for line in results(colours, tmp_path / "a.mp4", "--smooth", n) if line["label"] == "blue"
        )
        for n in (1, 10)
    }
    assert blue_from[1] == 15
    # The mean of ten is blue once more than half of them are; the scores are nearly 0 and 1.
    assert 19 <= blue_from[10] <= 21


@pytest.fixture
def changing_video(tmp_path: Path) -> Path:
    """Ten frames each of red, red and blue (magenta), blue, and nothing."""
    cv2 = pytest.importorskip("cv2")
    path = tmp_path / "changing.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 30, (160, 120))
    for colour in [(40, 30, 200), (220, 30, 200), (220, 30, 40), (40, 30, 40)]:
        for _ in range(10):
            writer.write(np.full((120, 160, 3), colour, np.uint8))
    writer.release()
    return path


@pytest.mark.slow
def test_values_are_reported_when_one_of_them_changes(proved: Callable[..., Path], changing_video: Path) -> None:
    """A service runs with --on-change, whatever its file gives."""
    lines = results(proved("levels.tflite", activation="none"), changing_video, "--on-change")
    assert [line["frame"] for line in lines] == [0, 10, 20, 30]


def found(line: dict) -> set[str]:
    return {one["label"] for one in line["findings"]}


@pytest.mark.slow
def test_findings_of_a_stream_are_reported_when_their_set_changes(findings: Path, changing_video: Path) -> None:
    lines = results(findings, changing_video, "--on-change")
    assert [found(line) for line in lines] == [{"red"}, {"red", "blue"}, {"blue"}, set()]
    assert [line["frame"] for line in lines] == [0, 10, 20, 30]
    assert lines[-1]["label"] is None
    smoothed = results(findings, changing_video, "--on-change", "--smooth", "6")
    assert [found(line) for line in smoothed] == [{"red"}, {"red", "blue"}, {"blue"}, set()]
    # The mean of six is above one half from the fourth frame on, and below it likewise; the scores are nearly 0 and 1.
    assert [line["frame"] for line in smoothed[1:]] == pytest.approx([12.5, 22.5, 32.5], abs=1)


@pytest.mark.slow
def test_unsure_findings_are_kept_with_the_class_that_is_in_doubt(findings: Path, tmp_path: Path) -> None:
    cv2 = pytest.importorskip("cv2")
    options = ["--save", tmp_path / "kept", "--save-floor", "0"]
    for number, colour in enumerate([(40, 30, 200), (110, 30, 200)]):  # sure; and blue near its threshold, at level 100
        writer = cv2.VideoWriter(str(tmp_path / f"{number}.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 30, (160, 120))
        for _ in range(3):
            writer.write(np.full((120, 160, 3), colour, np.uint8))
        writer.release()
        assert run(findings, tmp_path / f"{number}.mp4", *options).returncode == 0
        names = [path.name for path in (tmp_path / "kept").iterdir()]
        assert len(names) == number
    assert re.search(r"_blue_0\.[56]\d\d.jpg", names[0])  # sigmoid(0.05 * 110 - 5) = 0.62, but for the codec


@pytest.mark.slow
def test_a_still_picture_is_not_classified_when_moving_is_asked_for(colours: Path, rpicam: Rpicam) -> None:
    with running(colours, "rpicam", "--when-moving") as process:
        assert process.stdout is not None
        deadline = time.monotonic() + PATIENCE
        process.stdout.readline()
        time.sleep(2.5)  # the picture stands still; a second later the inference has ended
        rpicam.show("blue")
        line = {"label": "red", "frame": 0}
        frames = 1
        while line["label"] != "blue" and time.monotonic() < deadline:
            line = json.loads(process.stdout.readline())
            frames += 1
        assert line["label"] == "blue"
        assert frames < line["frame"] * 0.8
        assert "frames classified" in end(process, signal.SIGTERM)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_a_summary(colours: Path, rpicam: Rpicam, how: signal.Signals) -> None:
    with running(colours, "--camera") as process:
        assert json.loads(process.stdout.readline())["label"] == "red"  # type: ignore[union-attr]
        errors = end(process, how)
    assert "frames classified" in errors
    assert "Traceback" not in errors
    assert rpicam.pids == []


def test_a_signal_ends_it_while_the_camera_is_stalled(colours: Path, rpicam: Rpicam) -> None:
    with running(colours, "rpicam") as process:
        process.stdout.readline()  # type: ignore[union-attr]
        pid = rpicam.pids[0]
        os.kill(pid, signal.SIGSTOP)
        time.sleep(0.5)
        assert "frames classified" in end(process, signal.SIGTERM)
    assert not is_running(pid)


@pytest.mark.slow
def test_a_signal_ends_it_while_nobody_reads_its_output(colours: Path, rpicam: Rpicam) -> None:
    """The pipe is full, and the inference thread hangs in its write."""
    with running(colours, "rpicam", "--top", "3") as process:
        process.stdout.readline()  # type: ignore[union-attr]
        # A pipe holds 64 KiB, some 300 lines; a smaller one fills at once.
        import fcntl

        fcntl.fcntl(process.stdout, 1031, 4096)  # F_SETPIPE_SZ
        time.sleep(2.0)
        process.send_signal(signal.SIGTERM)
        process.wait(5)


def test_it_ends_when_the_reader_of_its_output_has_gone(colours: Path, rpicam: Rpicam) -> None:
    with running(colours, "rpicam") as process:
        process.stdout.readline()  # type: ignore[union-attr]
        process.stdout.close()  # type: ignore[union-attr]
        process.wait(PATIENCE)
        errors = process.stderr.read()  # type: ignore[union-attr]
    assert process.returncode == 0
    assert "frames classified" in errors
    assert "Error" not in errors
    assert "Exception" not in errors


def test_a_killed_run_leaves_no_process_behind(colours: Path, rpicam: Rpicam) -> None:
    with running(colours, "rpicam") as process:
        process.stdout.readline()  # type: ignore[union-attr]
        pid = rpicam.pids[0]
        process.kill()
    deadline = time.monotonic() + PATIENCE
    while is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_running(pid)


@pytest.mark.slow
def test_a_gap_is_reported_and_counted(colours: Path, rpicam: Rpicam) -> None:
    with running(colours, "rpicam") as process:
        assert process.stdout is not None
        frame = json.loads(process.stdout.readline())["frame"]
        first = rpicam.pids[0]
        os.kill(first, signal.SIGKILL)
        deadline = time.monotonic() + PATIENCE
        while not [pid for pid in rpicam.pids if pid != first] and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(1.0)
        errors = end(process, signal.SIGINT)
        frames = [frame] + [json.loads(line)["frame"] for line in process.stdout.read().splitlines()]
    assert "rpicam:0 is lost" in errors
    assert "is back after" in errors
    assert "gaps in the source: 1," in errors
    assert frames == sorted(set(frames))


@pytest.mark.slow
def test_systemd_is_told_and_pinged_only_while_the_loop_goes_round(
    colours: Path, rpicam: Rpicam, tmp_path: Path, notify_socket: socket.socket
) -> None:
    server = notify_socket
    server.settimeout(PATIENCE)
    environment = {**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "400000"}
    with running(colours, "rpicam", env=environment) as process:
        messages = [server.recv(1000).decode()]
        while not (messages[-1].startswith("WATCHDOG=1") and "red seen" in messages[-1]):
            messages.append(server.recv(1000).decode())
        assert messages[0] == "EXTEND_TIMEOUT_USEC=60000000\nSTATUS=waiting for the first picture"
        assert "READY=1" in messages
        os.kill(process.pid, signal.SIGSTOP)  # the loop stalls
        time.sleep(0.5)
        server.setblocking(False)
        with suppress(BlockingIOError):  # what it had sent before
            while True:
                server.recv(1000)
        time.sleep(0.5)
        with pytest.raises(BlockingIOError):
            server.recv(1000)
        os.kill(process.pid, signal.SIGCONT)
        server.settimeout(PATIENCE)
        assert server.recv(1000).startswith(b"WATCHDOG=1")
        end(process, signal.SIGTERM)
        messages = [b""]
        while messages[-1] != b"STOPPING=1":
            messages.append(server.recv(1000))


@pytest.mark.slow
def test_unsure_frames_are_kept(colours: Path, red_video: Path, tmp_path: Path) -> None:
    finished = run(colours, red_video, "--save", tmp_path / "unsure", "--save-below", "1", "--save-floor", "0")
    assert finished.returncode == 0
    assert len(list((tmp_path / "unsure").iterdir())) >= 1
    assert "frames saved" in finished.stderr
    finished = run(colours, red_video, "--save", tmp_path / "sure", "--save-below", "0.1", "--save-floor", "0")
    assert list((tmp_path / "sure").iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "SOURCE"),
        (["--camera", "0"], "both"),
        (["{video}", "{video}"], "one camera"),
        (["{folder}", "--smooth", "3"], "--smooth"),
        (["{folder}", "--preview"], "--preview"),
        (["{folder}", "--explain"], "--explain"),
        (["{video}", "--explain"], "--preview with --explain"),
        (["{video}", "--preview", "--explain"], "convert the model again with --explain"),
        (["{video}", "--size", "640x480"], "--size"),
        (["{video}", "--control", "hdr"], "rpicam"),
        (["0", "--live"], "--live"),
        (["{video}", "--rotate", "45"], "--rotate"),
        (["{video}", "--flip", "left"], "--flip"),
        (["{video}", "--crop", "1"], "--crop"),
        (["rpicam", "--size", "big"], "--size"),
        (["{video}", "--save-cap", "5"], "--save"),
        (["{video}", "--preview-token-file", "x"], "--preview"),
        (["missing.mp4"], "missing.mp4"),
    ],
)
def test_wrong_use_ends_with_2_and_no_traceback(
    colours: Path, red_video: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    finished = run(colours, *(text.format(video=red_video, folder=tmp_path) for text in arguments))
    assert finished.returncode == 2
    assert message in finished.stderr
    assert "Traceback" not in finished.stderr


def test_a_missing_camera_ends_with_3(colours: Path) -> None:
    finished = run(colours, "/dev/video77")
    assert finished.returncode == 3
    assert "/dev/video77" in finished.stderr
    assert "Traceback" not in finished.stderr


def test_the_job_follows_the_recipe() -> None:
    recipe = Preprocessing(48, 64, "none", resize="nearest")
    job = capture_job(Source("rpicam", "0"), recipe, controls=("hdr", "exposure=sport", "--gain=2"))
    assert (job.preprocessing, job.drop, job.paced) == (recipe, True, False)
    assert job.camera.controls == (("hdr", ""), ("exposure", "sport"), ("gain", "2"))
    assert not capture_job(Source("video", "a.mp4"), recipe).drop
    assert capture_job(Source("video", "a.mp4"), recipe, live=True).paced
    with pytest.raises(EdgedenseError):
        capture_job(Source("http", "http://h"), recipe, size=(1, 1))
