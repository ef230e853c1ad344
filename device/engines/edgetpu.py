"""Edge TPUs: which are there, which library drives them, and whether it can be loaded without harm."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgedense.errors import DeviceError, EdgedenseError

if TYPE_CHECKING:
    from edgedense.device.machine import Machine

LIBRARY = "libedgetpu.so.1"
LIBRARY_VARIABLE = "EDGEDENSE_LIBEDGETPU"  # another file than the system's library
CUSTOM_OPERATOR = b"edgetpu-custom-op"  # in every file that the Edge TPU compiler wrote
PATIENCE = 20.0  # seconds; the first use of a USB device loads its firmware, which takes about 3
_USB_IDS = {("1a6e", "089a"): False, ("18d1", "9302"): True}  # before and after its firmware was loaded
_PCI_IDS = ("0x1ac1", "0x089a")
_CHILD = "from edgedense.device.engines.edgetpu import main; main()"
_DEVICE = re.compile(r"coral|(?:coral:)?(?P<bus>usb|pci)(?P<number>:\d+)?|(?:coral:?)?(?P<any>:\d+)")


@dataclass(frozen=True)
class UsbAccelerator:
    """`megabits` is the speed of its port: 480 is USB 2, 5000 USB 3."""

    path: str
    is_started: bool
    megabits: int | None


@dataclass(frozen=True)
class EdgeTpus:
    """`drivers` are the loaded kernel modules of `gasket` and `apex`, `nodes` the device files that they made."""

    usb: tuple[UsbAccelerator, ...]
    pci: tuple[str, ...]
    drivers: tuple[str, ...]
    nodes: tuple[str, ...]
    libraries: tuple[str, ...]
    package: str | None

    @property
    def count(self) -> int:
        """USB and PCIe devices together."""
        return len(self.usb) + len(self.pci)


def find_edgetpus(machine: Machine) -> EdgeTpus:
    """What is plugged in and installed, without touching it."""
    usb = []
    for path in machine.paths("sys/bus/usb/devices/*/idVendor"):
        folder = path.rpartition("/")[0]
        ids = machine.text(path), machine.text(f"{folder}/idProduct")
        if ids in _USB_IDS:
            speed = machine.text(f"{folder}/speed")
            usb.append(UsbAccelerator(folder, _USB_IDS[ids], int(speed) if speed and speed.isdigit() else None))
    pci = [
        path.rpartition("/")[0]
        for path in machine.paths("sys/bus/pci/devices/*/vendor")
        if (machine.text(path), machine.text(path.replace("/vendor", "/device"))) == _PCI_IDS
    ]
    package = machine.output("dpkg-query", "-W", "-f=${Package} ${Version}\\n", "libedgetpu1-*")
    return EdgeTpus(
        tuple(usb),
        tuple(pci),
        tuple(name for name in ("gasket", "apex") if machine.paths(f"sys/module/{name}")),
        tuple(machine.paths("dev/apex_*")),
        tuple(machine.paths(f"usr/lib/*/{LIBRARY}*") + machine.paths(f"usr/local/lib/{LIBRARY}*")),
        package or None,
    )


def parse_device(device: str) -> str | None:
    """`coral`, `coral:usb`, `coral:pci:1`, `usb:0` or `:0` -> libedgetpu's name of it ("" is any); None: no Coral.

    The forms without "coral" are those of PyCoral's make_interpreter.
    """
    match = _DEVICE.fullmatch(device)
    return None if match is None else (match["bus"] or "") + (match["number"] or match["any"] or "")


def is_compiled(model: bytes) -> bool:
    """Whether the Edge TPU compiler wrote the file."""
    return CUSTOM_OPERATOR in model


def library_name() -> str:
    """The library to load: the system's, or the file that EDGEDENSE_LIBEDGETPU names."""
    return os.environ.get(LIBRARY_VARIABLE) or LIBRARY


def load(device: str, runtime: str, library: str | None = None, patience: float = PATIENCE) -> Any:
    """The delegate for libedgetpu's `device`, loaded by `runtime`'s module (such as "ai_edge_litert.interpreter").

    A library that does not fit the runtime ends the process that loads it, and one that waits for a device that does
    not answer never comes back. So a child process loads it first. Raises DeviceError with what happened there.
    """
    library = library or library_name()
    probe(library, device, runtime, patience)
    return _load(library, device, runtime)


def probe(library: str, device: str, runtime: str, patience: float = PATIENCE) -> None:
    """Load the delegate in a child process. Raises DeviceError when it cannot be loaded, crashes or hangs."""
    import signal
    import subprocess

    command = [sys.executable, "-c", _CHILD, library, device, runtime]
    expected = f"an Edge TPU ({device or 'any'}) and a {library} that can be loaded"
    try:
        done = subprocess.run(command, capture_output=True, timeout=patience, check=False, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired as error:
        raise DeviceError(
            expected,
            f"no answer within {patience:g} seconds",
            "unplug the device and plug it in again; use a USB 3 port or a powered hub",
        ) from error
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        raise DeviceError(
            expected,
            f"that loading it crashes ({name})",
            "install a libedgetpu that was built for this runtime: see docs/coral.md",
        )
    if done.returncode:
        said = " ".join(done.stdout.decode(errors="replace").split())
        missing = "cannot open shared object" in said
        raise DeviceError(
            expected,
            said or "an error without a message",
            "install libedgetpu: see docs/coral.md"
            if missing
            else "edgedense doctor, which says whether a device is plugged in",
        )


def _load(library: str, device: str, runtime: str) -> Any:
    import importlib

    options = {"device": device} if device else {}
    return importlib.import_module(runtime).load_delegate(library, options)


def compiled_for(model: bytes, device: str) -> None:
    """Raises EdgedenseError when a file for the CPU is to run on an Edge TPU, where it would gain nothing."""
    if not is_compiled(model):
        raise EdgedenseError(
            f"a file compiled for the Edge TPU, for the device {device}",
            "one for the CPU",
            "edgedense convert --target coral, or --device cpu",
        )


def main() -> None:
    """The child of `probe`: arguments library, device, runtime. Prints why it failed, and then exits with 1."""
    try:
        _load(*sys.argv[1:])
    except Exception as error:  # whatever it is, the parent tells the user
        print(error or type(error).__name__)
        sys.exit(1)
