"""A board that boots with the service on it (`make test-boot`).

It needs root, for mmdebstrap, and Debian's or Ubuntu's packages. Debian for arm64, with its kernel and systemd, runs
in qemu-system-aarch64 on a Cortex-A76. Its camera is the kernel's `vivid`, which shows test patterns and can be pulled
out. It reports to a mosquitto on this machine. edgedense is the built wheel. Its network only tells red, green and blue
apart: what a DenseNet computes there, `make test-arm64` compares.

The file's name keeps it out of the usual test run. The system (image.sh) is made once and kept in the folder BOOT_WORK.
`report.txt` there has the figures, `console.log` what the kernel said last. A power cut is a SIGKILL for QEMU; the test
of ten of them takes most of the time, and `-k "not cuts"` leaves it out. One virtual machine runs at a time.
"""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from PIL import Image

from edgedense.device.monitor.watch import _SAVE_EVERY
from edgedense.device.mqtt.messages import About, Alert, Report, Status, decode
from tests.boot import card, remains
from tests.boot.board import STATE, Board
from tests.boot.farm import PATIENCE, PREFIX, Farm
from tests.boot.guest import Guest
from tests.device.conftest import COLOURS
from tests.device.mqtt.conftest import wait_for

WORK = Path(os.environ.get("BOOT_WORK", Path(__file__).resolve().parents[2] / "out/boot")).resolve()
# The camera's usual 25 frames a second of 640x480 keep an emulated processor busy alone.
CAMERA = "--size 320x180 --fps 5"
EVERY = 5  # seconds between two reports
SECRETS = "/etc/farm"
RGB = {"Red": (255, 0, 0), "Green": (0, 255, 0), "Blue": (0, 0, 255)}
# Levels that a full colour may lose on its way: YUV with 8 bits as cameras send it, and JPEG.
NEAR = 6.0
# When the power is cut: a part of the time that it takes to be ready, or seconds after it was, and after the second or
# two that looking at it takes. The state is written for the first time just before it is ready; the last of the seconds
# lie behind the first time that the monitor saves by itself.
# The broker is away for the whole of one of the times.
PARTS, SECONDS, AWAY = (0.5, 0.9, 0.97), (0, 0.4, 1.1, 3, 7, 20, _SAVE_EVERY + 30), 20
# /etc/fstab of a read-only system, and how systemd-timesyncd tells the kernel that the clock is right: adjtimex(2) with
# ADJ_MAXERROR | ADJ_ESTERROR | ADJ_STATUS, both errors and the status zero.
READ_ONLY = f"""\
/dev/vda / ext4 ro 0 1
/dev/vdb {STATE} ext4 defaults 0 2
tmpfs /tmp tmpfs defaults 0 0
tmpfs /var/tmp tmpfs defaults 0 0
"""
SYNCHRONIZE = (
    "python3 -c 'import ctypes, struct; "
    'ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(struct.pack("=II5q", 0x1C, 0, 0, 0, 0, 0, 0), 512))\''
)
LATE = 15  # seconds that saving the state may take: the monitor looks at the time when a frame was classified


def options(farm: Farm) -> str:
    """Those of `edgedense run`."""
    mqtt = f"--mqtt {farm.address} --mqtt-password-file {SECRETS}/password --mqtt-ca {SECRETS}/ca.pem"
    watched = "--monitor state.json --save unsure --save-below 1 --preview-address :8080"
    return f"{CAMERA} {watched} {mqtt} --mqtt-every {EVERY}"


def tell(line: str) -> None:
    """Into the report, and onto the terminal."""
    line = f"{time.strftime('%H:%M:%S')} {line}"
    with (WORK / "report.txt").open("a") as report:
        report.write(line + "\n")
    print(line, file=sys.__stderr__, flush=True)


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> None:
    """disk.ext4 in WORK."""
    took = card.make(WORK, tmp_path_factory.mktemp("wheel"))
    (WORK / "report.txt").unlink(missing_ok=True)
    if took:
        tell(took)


@pytest.fixture(scope="session")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    """The broker, for as long as the tests last."""
    farm = Farm(tmp_path_factory.mktemp("farm"))
    yield farm
    farm.close()


@pytest.fixture(scope="session")
def board(system: None, farm: Farm) -> Iterator[Board]:
    """The board after its first boot, with the service installed as docs/raspberry-pi.md says, and an empty disk."""
    disk, second = WORK / "card.qcow2", WORK / "second.qcow2"
    for path, origin in ((disk, ("-b", WORK / "disk.ext4", "-F", "raw")), (second, ())):
        path.unlink(missing_ok=True)
        size = () if origin else ("2G",)
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *origin, path, *size], check=True)
    with Guest(WORK, disk, second) as guest:
        board = Board(guest, farm)
        first = board.start()
        for name, content in (("password", farm.password + "\n"), ("ca.pem", farm.authority.read_text())):
            mode = "600" if name == "password" else "644"
            guest.run(f"install -D -m {mode} /dev/stdin {SECRETS}/{name} <<'END'\n{content}END")
        started = time.monotonic()
        install = f'sudo "$(command -v edgedense)" service install "$PWD/colours.tflite" /dev/video0 -- {options(farm)}'
        said = guest.run(f"su --login pi --command '{install}'")
        board.token = re.findall(r"token is (\S+)", said)[0]
        installed = time.monotonic()
        board.wait_for_service()
        ready = time.monotonic()
        tell(f"first boot {first:.0f} s, service install {installed - started:.0f} s, ready {ready - installed:.0f} s")
        farm.wait_for_status(online=True)
        board.paths = board.files()
        yield board


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
    """In the answer, the report, on the page and in the saved frame. Red alone could be a frame that never changes."""
    board.show(colour)
    board.says(f'"label": "{colour.lower()}"')
    time.sleep(5)  # frames of the colour before are under way
    seen = board.picture().reshape(-1, 3).mean(axis=0)
    newest = board.guest.run(f"ls {STATE}/unsure | tail -n 1").strip()
    saved = np.asarray(Image.open(io.BytesIO(board.guest.output(f"cat {STATE}/unsure/{newest}")))).reshape(-1, 3)
    board.farm.wait_for_label(colour.lower())
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
    wait_for(lambda: [alert.kind for alert in board.farm.alerts] == ["camera lost", "camera back"])
    tell(" | ".join(line for line in board.journal() if "is lost" in line or "is back" in line))


def test_who_comes_late_gets_from_the_broker_what_there_is_to_know(board: Board) -> None:
    kept, topics = board.farm.kept(), f"{PREFIX}/board"
    discovery = f"homeassistant/device/{PREFIX}_board/config"
    assert kept.keys() == {discovery, *(f"{topics}/{name}" for name in ("status", "about", "report", "alert"))}
    status, about, report, alert = (
        decode(name, kept[f"{topics}/{name}"]) for name in ("status", "about", "report", "alert")
    )
    assert isinstance(status, Status)
    assert isinstance(about, About)
    assert isinstance(report, Report)
    assert isinstance(alert, Alert)
    assert status.online
    assert status.boot == about.boot == report.stamp.boot
    assert (about.labels, about.every, about.start) == (COLOURS, EVERY, 1)
    assert alert.kind == "camera back"
    assert json.loads(kept[discovery])["state_topic"] == f"{topics}/report"
    assert board.farm.reader.qualities == {1}
    tell(f"{discovery}: {kept[discovery].decode()}")
    tell(f"{topics}/report: {kept[f'{topics}/report'].decode()}")


def test_a_loop_that_stands_still_is_ended_by_the_watchdog_and_starts_again(board: Board) -> None:
    stopped = board.property("MainPID")
    restarts = int(board.property("NRestarts"))
    said, started = len(board.farm.statuses), time.monotonic()
    board.guest.run(f"kill -STOP {stopped}")
    board.guest.until(f"[ $(systemctl show edgedense --property NRestarts --value) -gt {restarts} ]", 300)
    ended = time.monotonic()
    board.wait_for_service()
    assert board.property("MainPID") != stopped
    assert any("Watchdog timeout" in line for line in board.journal())
    _comes_back(board, said, "connection lost")
    tell(f"stopped: restarted after {ended - started:.0f} s, ready {time.monotonic() - ended:.0f} s later")


def _comes_back(board: Board, said: int, why: Literal["stopped", "connection lost"]) -> None:
    """After the first `said` ones the statuses are two: that it is gone, and why, and that another start is there."""
    wait_for(lambda: len(board.farm.statuses) > said + 1, PATIENCE)
    before, gone, there = board.farm.statuses[said - 1 :]
    assert gone == Status(before.boot, False, why)
    assert there.online
    assert there.boot != before.boot


def test_it_comes_up_after_a_reboot(board: Board) -> None:
    before, said, started = board.boot, len(board.farm.statuses), time.monotonic()
    saved = board.frames()
    board.guest.run("systemctl reboot", check=False)
    board.boot = board.guest.wait_for_boot(after=before)
    board.wait_for_service()
    tell(f"reboot: ready after {time.monotonic() - started:.0f} s")
    assert saved <= board.frames()
    assert board.property("NRestarts") == "0"
    _comes_back(board, said, "stopped")


def test_a_frame_that_is_cut_off_is_not_whole(tmp_path: Path) -> None:
    Image.new("RGB", (64, 48), "red").save(tmp_path / "whole.jpg")
    data = (tmp_path / "whole.jpg").read_bytes()
    for name, part in {"half.jpg": data[: len(data) // 2], "empty.jpg": b"", "nearly.jpg": data[:-1]}.items():
        (tmp_path / name).write_bytes(part)
    assert {path.name for path in tmp_path.iterdir() if remains.is_whole(path)} == {"whole.jpg"}


def test_reports_that_wait_survive_a_power_cut(board: Board, tmp_path: Path) -> None:
    """The broker hangs, and the power is cut. What it had got, and could not confirm, comes once more, as late reports;
    the reader drops the copies by their numbers."""
    farm, said = board.farm, len(board.farm.statuses)
    with farm.broker.hanging():
        time.sleep(4 * EVERY)
        board.guest.cut()
    farm.wait_for_status(online=False)  # QEMU's end closes the connection; a board's would be missed after 45 seconds
    before, copies = {stamp.key for stamp in farm.stamps}, farm.reader.copies
    board.start()
    board.wait_for_service()
    found = board.remains(tmp_path / "found")
    _comes_back(board, said, "connection lost")
    farm.wait_for_messages(found.waiting)
    tell(
        f"the broker hung: {len(found.waiting)} reports waited, of which it had {len(found.waiting & before)}; "
        f"copies dropped {farm.reader.copies - copies}, lost {len(farm.missing)}"
    )
    assert len(found.waiting) >= 3
    _all_came_in_order(farm)


def _all_came_in_order(farm: Farm) -> None:
    assert not farm.missing
    orders = [stamp.order for stamp in farm.stamps]
    assert orders == sorted(orders)


def test_ten_power_cuts(board: Board, tmp_path: Path) -> None:
    """The broker is away for the whole of one of them, from 20 seconds before it on."""
    tell(
        "power cut | frames there before | found | broken | temporary files | samples | state's age | "
        "reports waiting | reports in all | lost | copies dropped | ready again"
    )
    farm, samples, ready = board.farm, 0, 0.0
    for part, seconds in [*((0.0, seconds) for seconds in SECONDS), *((part, 0.0) for part in PARTS)]:
        is_away = seconds == AWAY
        if is_away:
            farm.broker.end()
        time.sleep(seconds)
        before = board.frames()
        board.guest.cut()
        cut_at, after = time.time(), time.monotonic() - board.ready_at
        if is_away:
            farm.broker.start()
        else:
            farm.wait_for_status(online=False)
        if part:  # and once more
            board.guest.power_on()
            time.sleep(part * ready)
            board.guest.cut()
        started = time.monotonic()
        board.start()
        board.wait_for_service()
        ready = time.monotonic() - started
        found = board.remains(tmp_path / "found")
        farm.wait_for_messages(found.waiting)
        moment = f"at {part:.0%} of the start" if part else f"{after:.1f} s after the start"
        age = cut_at - found.state_written
        tell(
            f"{moment} | {len(before)} | {len(found.frames)} | {len(found.broken)} | {len(found.temporary)} | "
            f"{found.samples} | {age:.0f} s | {len(found.waiting)} | {len(farm.stamps)} | {len(farm.missing)} | "
            f"{farm.reader.copies} | {ready:.0f} s"
        )
        assert before <= found.frames, f"gone: {before - found.frames}"
        assert not found.broken
        assert len(found.temporary) <= 4  # a frame and the state, of this cut and of one less than a minute before
        assert found.samples >= samples
        assert age <= _SAVE_EVERY + LATE
        assert len(found.waiting) >= (seconds // EVERY - 1 if is_away else 0)
        assert "EXT4-fs error" not in board.guest.run("dmesg")
        assert board.property("NRestarts") == "0"
        samples = found.samples
    farm.wait_for_status(online=True)
    _all_came_in_order(farm)
    _nothing_is_left(board)


def _nothing_is_left(board: Board) -> None:
    """After a start that is more than a minute behind the last cut there are no temporary files, and none elsewhere."""
    time.sleep(60)
    board.guest.run("systemctl restart edgedense")
    board.wait_for_service()
    there = board.guest.run(f"find {STATE} -type f -not -name '2*.jpg' -printf '%f\\n'").split()
    more = board.files() - board.paths
    tell(
        f"besides the frames: {', '.join(sorted(there))}; "
        f"elsewhere, and not there before: {', '.join(sorted(more)) or 'none'}"
    )
    assert set(there) <= remains.KEPT
    assert not more


def test_a_read_only_card_and_a_clock_that_is_years_late(board: Board, tmp_path: Path) -> None:
    """As docs/devices.md says: the system is read-only, and what the service writes has a partition of its own.

    Until the clock is set the broker's certificate is not valid yet: reports wait, and come in their order."""
    guest, farm = board.guest, board.farm
    guest.run(
        "systemctl disable --now look && systemctl stop edgedense && mkfs.ext4 -q /dev/vdb && mount /dev/vdb /mnt"
    )
    guest.run(f"cp -a {STATE}/. /mnt && chown --reference={STATE} /mnt && umount /mnt && rm -r {STATE}/*")
    guest.run(f"cat >/etc/fstab <<'END'\n{READ_ONLY}END\nsync")
    guest.cut()
    switched_on = time.time()
    board.start(clock="2000-01-01")
    before = board.samples(tmp_path)
    board.wait_for_service()
    assert guest.run("findmnt --noheadings --output OPTIONS /").startswith("ro,")
    assert guest.run(f"findmnt --noheadings --output SOURCE --target {STATE}/unsure").strip() == "/dev/vdb"
    board.says("is not yet valid")
    time.sleep(3 * EVERY)
    assert not farm.statuses[-1].online
    guest.run(f"date --set @{time.time():.3f} && {SYNCHRONIZE}")
    set_at = time.time()
    wait_for(lambda: farm.statuses[-1].online and farm.stamps[-1].clock_synchronized, PATIENCE)
    told = [stamp for stamp in farm.stamps if stamp.boot == farm.statuses[-1].boot]
    right = told[-1]
    early = [stamp for stamp in told if not stamp.clock_synchronized and stamp.wall < switched_on]
    times = [right.wall - (right.monotonic - stamp.monotonic) for stamp in early]  # docs/fleet.md
    assert len(early) >= 3
    assert times == sorted(times)
    assert switched_on < times[0]
    assert times[-1] < set_at + LATE
    _all_came_in_order(farm)
    guest.run("systemctl stop edgedense")
    after, said = board.samples(tmp_path), board.journal()
    clock = datetime.fromtimestamp(early[0].wall, timezone.utc)
    tell(f"read-only, clock at {clock:%Y-%m-%d}: {len(early)} reports waited, samples {before}, then {after}")
    tell(" | ".join(line for line in said if "certificate" in line or "is there" in line))
    assert after > before
