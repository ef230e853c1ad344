"""The board's card: the system that image.sh makes, with the wheel of this checkout installed."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import time
from pathlib import Path

from edgedense.deployed import bundle
from tests.arm64 import wheels
from tests.device.conftest import COLOURS, RECIPE, make_colour_model

HERE = Path(__file__).resolve().parent
PYTHON = "3.11"  # Bookworm's
EXTRAS = "device,camera,preview,fleet"
SIZE = "4G"  # --save stops when less than 1 GB is free


def make(work: Path, temporary: Path) -> str:
    """disk.ext4 in `work`, made anew when the system or the wheel has changed: what took how long, or nothing where it
    is there. The wheel is built in `temporary`."""
    started = time.monotonic()
    subprocess.run([HERE / "image.sh", work], check=True)
    wheel = wheels.build(temporary)
    inputs = hashlib.sha256(wheel.read_bytes() + (work / "complete").read_bytes() + EXTRAS.encode()).hexdigest()
    made = work / "disk.of"
    if made.exists() and made.read_text() == inputs:
        return ""
    made.unlink(missing_ok=True)
    wheels.download(work / "wheels", PYTHON, f"{wheel}[{EXTRAS}]", "pip", "setuptools", "wheel")
    built = time.monotonic()
    _install(work, wheel)
    installed = time.monotonic()
    disk = work / "disk.ext4"
    disk.unlink(missing_ok=True)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", work / "root", disk, SIZE], check=True)
    made.write_text(inputs)
    done = time.monotonic()
    return f"system, wheels {built - started:.0f} s, install {installed - built:.0f} s, card {done - installed:.0f} s"


def _install(work: Path, wheel: Path) -> None:
    """Into a virtual environment of the user pi, from the wheels in `work`, by this machine's pip.

    Under emulation pipx takes many minutes; that it installs edgedense on a board, `make test-arm64` shows.
    """
    root, home = work / "root", work / "root/home/pi"
    folder = home / ".local/share/edgedense"
    shutil.rmtree(home / ".local", ignore_errors=True)
    inside: list[str | Path] = [
        "chroot",
        root,
        "python3",
        "-m",
        "venv",
        "--without-pip",
        f"/{folder.relative_to(root)}",
    ]
    subprocess.run([HERE / "emulated.sh", *inside], check=True)
    wheels.install(folder / f"lib/python{PYTHON}/site-packages", PYTHON, work / "wheels", f"{wheel}[{EXTRAS}]")
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
