"""The board with its service on it, as its keeper sees it."""

from __future__ import annotations

import io
import time
import urllib.request
from dataclasses import dataclass, field
from http.cookiejar import CookieJar
from pathlib import Path

import numpy as np
from PIL import Image

from tests.boot import remains
from tests.boot.farm import Farm
from tests.boot.guest import PAGE, Guest

STATE = "/var/lib/edgedense"


@dataclass
class Board:
    """The board with its service. `boot` identifies the current boot, `token` opens the preview page.

    At `ready_at` seconds of the monotonic clock the service was last seen to be ready."""

    guest: Guest
    farm: Farm
    boot: str = ""
    token: str = ""
    ready_at: float = 0.0
    paths: set[str] = field(default_factory=set)

    def start(self, clock: str = "utc") -> float:
        """Switch it on: the seconds until it answered."""
        started = time.monotonic()
        self.guest.power_on(clock)
        self.boot = self.guest.wait_for_boot()
        return time.monotonic() - started

    def wait_for_service(self, seconds: int = 600) -> None:
        """Until it has told that it is ready, which it does when a frame was there."""
        self.guest.until("systemctl is-active --quiet edgedense", seconds)
        self.ready_at = time.monotonic()

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

    def frames(self) -> set[str]:
        """The names of the saved frames."""
        return set(self.guest.run(f"ls {STATE}/unsure").split())

    def newest_frame(self) -> np.ndarray:
        """The one that was saved last, uint8 [H, W, 3]."""
        data = self.guest.output(f"cat {STATE}/unsure/$(ls {STATE}/unsure | tail -n 1)")
        return np.asarray(Image.open(io.BytesIO(data)))

    def samples(self, folder: Path) -> int:
        """How many the monitor has seen, by its state, which is copied into `folder`."""
        (folder / remains.STATE).write_bytes(self.guest.output(f"cat {STATE}/{remains.STATE}"))
        return remains.state(folder / remains.STATE).samples

    def remains(self, folder: Path) -> remains.Remains:
        """What the last power cut has left, copied into `folder`. To be asked when the service is there."""
        return remains.read(self.guest.output("tar -C /root/found -c ."), folder)

    def files(self) -> set[str]:
        """Every file of the card, but those of the service's folder, their copies, and what Debian's timers write."""
        others = ("/root/found/*", f"{STATE}/*", "/var/lib/systemd/*", "/var/backups/*")
        without = " ".join(f"-not -path '{path}'" for path in others)
        return set(self.guest.run(f"find / -xdev -type f {without}").splitlines())
