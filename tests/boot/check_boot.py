"""A board that boots with the service on it (`make test-boot`).

It needs root, for mmdebstrap, and Debian's or Ubuntu's packages. Debian for arm64, with its kernel and systemd, runs
in qemu-system-aarch64 on a Cortex-A76. Its camera is the kernel's `vivid`, which shows test patterns and can be pulled
out. edgedense is the built wheel. Its network only tells red, green and blue
apart: what a DenseNet computes there, `make test-arm64` compares.

The file's name keeps it out of the usual test run. The system (image.sh) is made once and kept in the folder BOOT_WORK.
`report.txt` there has the figures, `console.log` what the kernel said last. A power cut is a SIGKILL for QEMU; the test
of ten of them takes most of the time, and `-k "not cuts"` leaves it out. One virtual machine runs at a time.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.cookiejar import CookieJar
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgedense.deployed import bundle
from edgedense.device.monitor.drift import Monitor
from edgedense.device.monitor.watch import _SAVE_EVERY
from edgedense.device.prediction import rule
from tests.arm64 import wheels
from tests.boot.guest import PAGE, Guest
from tests.device.conftest import COLOURS, RECIPE, make_colour_model

HERE = Path(__file__).resolve().parent
WORK = Path(os.environ.get("BOOT_WORK", HERE.parents[1] / "out/boot")).resolve()
PYTHON = "3.11"  # Bookworm's
EXTRAS = "device,camera,preview"
# The camera's usual 25 frames a second of 640x480 keep an emulated processor busy alone.
CAMERA = "--size 320x180 --fps 5"
OPTIONS = f"{CAMERA} --monitor state.json --save unsure --save-below 1 --preview-address :8080"
STATE = "/var/lib/edgedense"
DISK = "4G"  # --save stops when less than 1 GB is free
RGB = {"Red": (255, 0, 0), "Green": (0, 255, 0), "Blue": (0, 0, 255)}
# Levels that a full colour may lose on its way: YUV with 8 bits as cameras send it, and JPEG.
NEAR = 6.0
# When the power is cut: a part of the time that it takes to be ready, or seconds after it was. The state is written for
# the first time just before; the last cut lies behind the first time that the monitor saves by itself.
PARTS, SECONDS = (0.5, 0.9, 0.97), (0, 0.4, 1.1, 3, 7, 20, _SAVE_EVERY + 30)
LATE = 15  # seconds that saving the state may take: the monitor looks at the time when a frame was classified


def tell(line: str) -> None:
    """Into the report, and onto the terminal."""
    with (WORK / "report.txt").open("a") as report:
        report.write(line + "\n")
    print(line, file=sys.__stderr__, flush=True)


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> None:
    """disk.ext4 in WORK: the system with the wheel installed, made anew when either has changed."""
    started = time.monotonic()
    subprocess.run([HERE / "image.sh", WORK], check=True)
    (WORK / "report.txt").unlink(missing_ok=True)
    wheel = wheels.build(tmp_path_factory.mktemp("wheel"))
    inputs = hashlib.sha256(wheel.read_bytes() + (WORK / "complete").read_bytes() + EXTRAS.encode()).hexdigest()
    made = WORK / "disk.of"
    if made.exists() and made.read_text() == inputs:
        return
    made.unlink(missing_ok=True)
    wheels.download(WORK / "wheels", PYTHON, f"{wheel}[{EXTRAS}]", "pip", "setuptools", "wheel")
    built = time.monotonic()
    _install(wheel)
    installed = time.monotonic()
    disk = WORK / "disk.ext4"
    disk.unlink(missing_ok=True)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", WORK / "root", disk, DISK], check=True)
    made.write_text(inputs)
    written = time.monotonic()
    tell(f"system, wheels {built - started:.0f} s, install {installed - built:.0f} s, card {written - installed:.0f} s")


def _install(wheel: Path) -> None:
    """Into a virtual environment of the user pi, from the wheels in WORK, by this machine's pip.

    Under emulation pipx takes many minutes; that it installs edgedense on a board, `make test-arm64` shows.
    """
    root, home = WORK / "root", WORK / "root/home/pi"
    folder = home / ".local/share/edgedense"
    shutil.rmtree(home / ".local", ignore_errors=True)
    inside = ["chroot", root, "python3", "-m", "venv", "--without-pip", f"/{folder.relative_to(root)}"]
    subprocess.run([HERE / "emulated.sh", *inside], check=True)
    wheels.install(folder / f"lib/python{PYTHON}/site-packages", PYTHON, WORK / "wheels", f"{wheel}[{EXTRAS}]")
    program = folder / "bin/edgedense"
    program.write_text(
        f"#!/{folder.relative_to(root)}/bin/python\nimport sys\nfrom edgedense.cli import main\nsys.exit(main())\n"
    )
    program.chmod(0o755)
    (home / ".local/bin").mkdir()
    (home / ".local/bin/edgedense").symlink_to(f"/{program.relative_to(root)}")
    (home / "colours.tflite").write_bytes(bundle.pack(make_colour_model(), labels=COLOURS, recipe=RECIPE))
    user = next(line for line in (root / "etc/passwd").read_text().splitlines() if line.startswith("pi:")).split(":")
    subprocess.run(["chown", "-R", "--no-dereference", f"{user[2]}:{user[3]}", home], check=True)


@dataclass
class Board:
    """The board with its service. `boot` identifies the current boot, `token` opens the preview page."""

    guest: Guest
    boot: str = ""
    token: str = ""
    paths: set[str] = field(default_factory=set)

    def start(self) -> float:
        """Switch it on: the seconds until it answered."""
        started = time.monotonic()
        self.guest.power_on()
        self.boot = self.guest.wait_for_boot()
        return time.monotonic() - started

    def wait_for_service(self, seconds: int = 600) -> None:
        """Until it has told that it is ready, which it does when a frame was there."""
        self.guest.until("systemctl is-active --quiet edgedense", seconds)

    def show(self, colour: str) -> None:
        """Have the camera show "Red", "Green" or "Blue" and nothing else."""
        menu = self.guest.run("v4l2-ctl -d /dev/video0 --list-ctrls-menus")
        number = next(line for line in menu.splitlines() if f"100% {colour}" in line).split(":")[0].strip()
        self.guest.run(f"v4l2-ctl -d /dev/video0 -c test_pattern={number} -c osd_text_mode=2")

    def journal(self) -> list[str]:
        """What the service said in this boot."""
        return self.guest.run("journalctl --boot --unit edgedense --output cat --no-pager").splitlines()

    def property(self, name: str) -> str:
        """What systemd says of the service."""
        return self.guest.run(f"systemctl show edgedense --property {name} --value").strip()

    def says(self, words: str, seconds: int = 300) -> None:
        """Wait until the service has said `words` in this boot."""
        self.guest.until(f"journalctl --boot --unit edgedense --output cat --no-pager | grep -qF '{words}'", seconds)

    def picture(self) -> np.ndarray:
        """The newest picture of the preview page, uint8 [H, W, 3], as somebody with the token sees it."""
        page = f"http://127.0.0.1:{self.guest.ports[PAGE]}"
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
        for path in (f"/?token={self.token}", "/picture"):
            with opener.open(page + path, timeout=60) as answer:
                data = answer.read()
        return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


@pytest.fixture(scope="session")
def board(system: None) -> Iterator[Board]:
    """The board after its first boot, with the service installed as docs/raspberry-pi.md says."""
    disk = WORK / "card.qcow2"
    disk.unlink(missing_ok=True)
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", WORK / "disk.ext4", "-F", "raw", disk], check=True)
    with Guest(WORK, disk) as guest:
        board = Board(guest)
        first = board.start()
        started = time.monotonic()
        install = f'sudo "$(command -v edgedense)" service install "$PWD/colours.tflite" /dev/video0 -- {OPTIONS}'
        said = guest.run(f"su --login pi --command '{install}'")
        board.token = re.findall(r"token is (\S+)", said)[0]
        installed = time.monotonic()
        board.wait_for_service()
        ready = time.monotonic()
        tell(f"first boot {first:.0f} s, service install {installed - started:.0f} s, ready {ready - installed:.0f} s")
        board.paths = _files(board)
        yield board


def _files(board: Board) -> set[str]:
    """Every file of the card, without the saved frames, what look.service copied, and what Debian's timers write."""
    others = ("/root/found/*", f"{STATE}/unsure/2*", "/var/lib/systemd/*", "/var/backups/*")
    without = " ".join(f"-not -path '{path}'" for path in others)
    return set(board.guest.run(f"find / -xdev -type f {without}").splitlines())


def test_systemd_on_a_cortex_a76_starts_the_service(board: Board) -> None:
    assert board.guest.run("readlink /proc/1/exe").strip() == "/usr/lib/systemd/systemd"
    assert re.search(
        r"^CPU part\s*: 0xd0b$", board.guest.run("cat /proc/cpuinfo"), re.MULTILINE
    )  # Cortex-A76 TRM, MIDR
    version, seen = board.guest.run("uname -srm").strip(), board.guest.run("~pi/.local/bin/edgedense service status")
    assert "active (running)" in seen
    tell(f"{version}: {' | '.join(seen.splitlines())}")


@pytest.mark.parametrize("colour", RGB)
def test_the_cameras_colour_arrives(board: Board, colour: str) -> None:
    """In the answer, on the page and in the saved frame. Red alone could be a frame that never changes."""
    board.show(colour)
    board.says(f'"label": "{colour.lower()}"')
    time.sleep(5)  # frames of the colour before are under way
    seen = board.picture().reshape(-1, 3).mean(axis=0)
    newest = board.guest.run(f"ls {STATE}/unsure | tail -n 1").strip()
    saved = np.asarray(Image.open(io.BytesIO(board.guest.output(f"cat {STATE}/unsure/{newest}")))).reshape(-1, 3)
    tell(f"100 % {colour.lower()}: on the page {np.round(seen, 1)}, saved {newest} {np.round(saved.mean(axis=0), 1)}")
    assert np.abs(seen - RGB[colour]).max() <= NEAR
    assert np.abs(saved - RGB[colour]).max() <= NEAR  # every pixel


def test_a_camera_that_was_pulled_out_is_opened_again(board: Board) -> None:
    """vivid's "disconnect" is a USB camera's: the driver says that there is no such device until all have closed it."""
    before = board.property("NRestarts")
    board.guest.run("v4l2-ctl -d /dev/video0 -c disconnect=1")
    board.says("is lost")
    board.says("is back after")
    assert board.property("NRestarts") == before
    tell(" | ".join(line for line in board.journal() if "is lost" in line or "is back" in line))


def test_a_loop_that_stands_still_is_ended_by_the_watchdog_and_starts_again(board: Board) -> None:
    stopped = board.property("MainPID")
    restarts = int(board.property("NRestarts"))
    started = time.monotonic()
    board.guest.run(f"kill -STOP {stopped}")
    board.guest.until(f"[ $(systemctl show edgedense --property NRestarts --value) -gt {restarts} ]", 300)
    ended = time.monotonic()
    board.wait_for_service()
    assert board.property("MainPID") != stopped
    assert any("Watchdog timeout" in line for line in board.journal())
    tell(f"stopped: restarted after {ended - started:.0f} s, ready {time.monotonic() - ended:.0f} s later")


def _frames(board: Board) -> set[str]:
    return set(board.guest.run(f"ls {STATE}/unsure").split())


def test_it_comes_up_after_a_reboot(board: Board) -> None:
    before, started = board.boot, time.monotonic()
    saved = _frames(board)
    board.guest.run("systemctl reboot", check=False)
    board.boot = board.guest.wait_for_boot(after=before)
    board.wait_for_service()
    tell(f"reboot: ready after {time.monotonic() - started:.0f} s")
    assert saved <= _frames(board)
    assert board.property("NRestarts") == "0"


@dataclass(frozen=True)
class Found:
    """What lay in the service's folder when the power came back, before anything was written to it."""

    frames: set[str]
    broken: tuple[str, ...]
    temporary: tuple[str, ...]
    samples: int
    state_written: float  # seconds of Unix time


def _found(board: Board, folder: Path) -> Found:
    """Read it with what reads it on the board. Raises EdgedenseError for a state that the monitor would not take."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    subprocess.run(["tar", "-C", folder, "-x"], input=board.guest.output("tar -C /root/found -c ."), check=True)
    state = Monitor.load(folder / "state.json", COLOURS, rule=rule(COLOURS, "softmax", len(COLOURS)))
    entries = [path for path in folder.rglob("*") if path.is_file()]
    frames = {path for path in entries if path.suffix == ".jpg"}
    return Found(
        {path.name for path in frames},
        tuple(path.name for path in frames if not _is_whole(path)),
        tuple(path.name for path in entries if path not in frames and path.name != "state.json"),
        state.samples,
        (folder / "state.json").stat().st_mtime,
    )


def _is_whole(path: Path) -> bool:
    try:
        with Image.open(path) as image:
            image.load()
    except OSError:
        return False
    return path.read_bytes().endswith(b"\xff\xd9")  # JPEG's end-of-image marker


def test_a_frame_that_is_cut_off_is_not_whole(tmp_path: Path) -> None:
    Image.new("RGB", (64, 48), "red").save(tmp_path / "whole.jpg")
    data = (tmp_path / "whole.jpg").read_bytes()
    for name, part in {"half.jpg": data[: len(data) // 2], "empty.jpg": b"", "nearly.jpg": data[:-1]}.items():
        (tmp_path / name).write_bytes(part)
    assert {path.name for path in tmp_path.iterdir() if _is_whole(path)} == {"whole.jpg"}


def test_ten_power_cuts(board: Board, tmp_path: Path) -> None:
    tell("power cut | frames there before | found | broken | temporary files | samples | state's age | ready again")
    samples, ready = 0, 0.0
    for part, seconds in [*((0.0, seconds) for seconds in SECONDS), *((part, 0.0) for part in PARTS)]:
        time.sleep(seconds)
        before = _frames(board)
        board.guest.cut()
        cut_at = time.time()
        if part:  # and once more
            board.guest.power_on()
            time.sleep(part * ready)
            board.guest.cut()
        started = time.monotonic()
        board.start()
        found = _found(board, tmp_path / "found")
        board.wait_for_service()
        ready = time.monotonic() - started
        moment = f"at {part:.0%} of the start" if part else f"{seconds:g} s after the start"
        age = cut_at - found.state_written
        tell(
            f"{moment} | {len(before)} | {len(found.frames)} | {len(found.broken)} | {len(found.temporary)} | "
            f"{found.samples} | {age:.0f} s | {ready:.0f} s"
        )
        assert before <= found.frames, f"gone: {before - found.frames}"
        assert not found.broken
        assert len(found.temporary) <= 4  # a frame and the state, of this cut and of one less than a minute before
        assert found.samples >= samples
        assert age <= _SAVE_EVERY + LATE
        assert "EXT4-fs error" not in board.guest.run("dmesg")
        assert board.property("NRestarts") == "0"
        samples = found.samples
    _nothing_is_left(board)


def _nothing_is_left(board: Board) -> None:
    """After a start that is more than a minute behind the last cut there are no temporary files, and none elsewhere."""
    time.sleep(60)
    board.guest.run("systemctl restart edgedense")
    board.wait_for_service()
    assert board.guest.run(f"find {STATE} -name '.*' -type f") == ""
    more = _files(board) - board.paths
    tell(f"files elsewhere that were not there before the cuts: {', '.join(sorted(more)) or 'none'}")
    assert not more
