"""`edgedense doctor`: what is this machine, and what about it keeps edgedense from running well?

Every check reads a `Machine`, so that the report of a user's machine can be judged again anywhere.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from edgedense.device.board.hardware import read_board, read_temperature, read_throttling
from edgedense.device.engines.edgetpu import EdgeTpus, find_edgetpus
from edgedense.device.machine import Machine

HOT = 80.0  # degrees Celsius at which a Raspberry Pi starts to slow its processor
LITTLE_MEMORY = 256 << 20  # bytes: a DenseNet121 at 224x224 needs about 60 MB beside Python's 90
LITTLE_DISK = 500 << 20
_GATES = "sudo nano /boot/firmware/config.txt"
_OPENCV = ("opencv-python", "opencv-python-headless")


@dataclass(frozen=True)
class Finding:
    """One line of the report. With a `problem` comes the `remedy`: the command that mends it, or what to do by hand."""

    name: str
    value: str
    problem: str = ""
    remedy: str = ""

    def to_dict(self) -> dict[str, Any]:
        """All of it for JSON."""
        return asdict(self)


def examine(machine: Machine) -> list[Finding]:
    """Every check, in the order of the report."""
    return [finding for check in CHECKS for finding in check(machine)]


def _board(machine: Machine) -> list[Finding]:
    return [Finding("board", read_board(machine).model)]


def _system(machine: Machine) -> list[Finding]:
    facts = machine.facts
    value = f"{read_board(machine).system}, Linux {facts['kernel']}, {facts['architecture']}, {facts['bits']} bits"
    if facts["bits"] == 32:
        return [
            Finding(
                "system",
                value,
                "there is no ai-edge-litert for 32 bits, only the slow tflite-runtime",
                "write the 64-bit Raspberry Pi OS to the card, with Raspberry Pi Imager",
            )
        ]
    return [Finding("system", value)]


def _python(machine: Machine) -> list[Finding]:
    kind = "a virtual environment" if machine.facts["virtual_environment"] else "the system's"
    return [Finding("python", f"{machine.facts['python']}, {kind}")]


def _processor(machine: Machine) -> list[Finding]:
    board = read_board(machine)
    words = {"dot product": board.has_dot_product, "i8mm": board.has_i8mm}
    features = ", ".join(name if there else f"no {name}" for name, there in words.items())
    return [
        Finding("processor", f"{board.cores} x {board.core}, {features}"),
        Finding("page size", f"{machine.facts['page_size'] // 1024} KiB"),
    ]


def _runtime(machine: Machine) -> list[Finding]:
    packages = machine.facts["packages"]
    lite, old = packages.get("ai-edge-litert"), packages.get("tflite-runtime")
    value = ", ".join(f"{name} {packages[name]}" for name in ("ai-edge-litert", "tflite-runtime") if name in packages)
    if lite and old:
        return [
            Finding(
                "runtime",
                value,
                "two runtimes in one environment get into each other's way",
                "pip uninstall -y tflite-runtime",
            )
        ]
    if lite:
        return [Finding("runtime", value), Finding("XNNPACK", "yes, by default")]
    if not old:
        return [Finding("runtime", "none", "nothing can run a model", "pip install 'edgedense[device]'")]
    if _major(packages.get("numpy", "0")) >= 2:
        return [Finding("runtime", value, f"it crashes with NumPy {packages['numpy']}", "pip install 'numpy<2'")]
    slow = Finding("XNNPACK", "no")
    if machine.facts["bits"] == 64:
        slow = Finding(
            "XNNPACK",
            "no",
            "without it int8 runs about 10 times slower",
            "pip uninstall -y tflite-runtime && pip install 'edgedense[device]'",
        )
    return [Finding("runtime", value), slow]


def _openvino(machine: Machine) -> list[Finding]:
    """A faster engine that could be installed, or that is. Not having it is no problem."""
    packages, board = machine.facts["packages"], read_board(machine)
    if "openvino" in packages:
        return [Finding("OpenVINO", f"{packages['openvino']}; --device auto measures which engine is faster here")]
    if machine.facts["architecture"] not in ("x86_64", "AMD64") or "avx2" not in board.features:
        return []
    faster = "may be faster here" if board.has_dot_product else "is faster on processors like this one"
    return [Finding("OpenVINO", f"none; it {faster}: pip install 'edgedense[openvino]', then --device auto")]


def _packages(machine: Machine) -> list[Finding]:
    packages = machine.facts["packages"]
    value = ", ".join(
        f"{name} {packages[name]}"
        for name in ("edgedense", "numpy", "pillow", *_OPENCV, "picamera2")
        if name in packages
    )
    if "picamera2" in packages and _major(packages.get("numpy", "0")) >= 2 and "bookworm" in read_os(machine):
        return [
            Finding(
                "packages",
                value,
                "Bookworm's picamera2 fails at import beside NumPy 2",
                "use the source rpicam instead of picamera2, or pip install 'numpy<2'",
            )
        ]
    return [Finding("packages", value)]


def _cameras(machine: Machine) -> list[Finding]:
    listed = machine.output("rpicam-hello", "--list-cameras")
    found = re.findall(r"^\d+ : (\S+)", listed or "", re.MULTILINE)
    for path in machine.paths("sys/class/video4linux/video*/name"):
        name = machine.text(path) or ""
        if not re.match(r"bcm2835-|rpivid|rp1-cfe|pispbe|unicam|rpi-hevc", name):  # ISPs, codecs and receivers
            found.append(f"/dev/{path.split('/')[-2]} {name}")
    value = ", ".join(dict.fromkeys(found)) or "none"
    if listed is None and "Raspberry Pi" in read_board(machine).model:
        return [
            Finding(
                "cameras",
                value,
                "rpicam-hello does not answer: cameras on the ribbon cable cannot be used",
                "sudo apt install rpicam-apps-lite",
            )
        ]
    return [Finding("cameras", value)]


def _edge_tpus(machine: Machine) -> list[Finding]:
    tpus = find_edgetpus(machine)
    states = [
        f"USB, {'started' if usb.is_started else 'not yet used'}, {usb.megabits or '?'} Mbit/s" for usb in tpus.usb
    ]
    value = "; ".join([*states, *("PCIe" for _ in tpus.pci)]) or "none"
    problem, remedy = _usb_problem(tpus) if tpus.usb else ("", "")
    if tpus.pci and not problem:
        problem, remedy = _pci_problem(tpus, machine)
    findings = [Finding("Edge TPU", value, problem, remedy)]
    if tpus.count:
        name = tpus.package or ", ".join(tpus.libraries) or "none"
        missing = ("an Edge TPU needs it", "see docs/coral.md: install libedgetpu1-std") if name == "none" else ("", "")
        findings.append(Finding("libedgetpu", name, *missing))
    return findings


def _usb_problem(tpus: EdgeTpus) -> tuple[str, str]:
    if any(usb.megabits is not None and usb.megabits < 5000 for usb in tpus.usb):
        return (
            "it is on a USB 2 port, where every inference takes longer",
            "plug it into a blue port, with its own cable",
        )
    return "", ""


def _pci_problem(tpus: EdgeTpus, machine: Machine) -> tuple[str, str]:
    if "apex" not in tpus.drivers:
        return "its driver is not loaded", "sudo apt install gasket-dkms && sudo reboot   # see docs/coral.md"
    if machine.facts["page_size"] != 4096:
        return (
            "its driver needs memory pages of 4 KiB",
            f"{_GATES}   # add the line kernel=kernel8.img, then sudo reboot",
        )
    if not tpus.nodes:
        return (
            "the driver is loaded but made no /dev/apex_0",
            f"{_GATES}   # add the line dtoverlay=pineboards-hat-ai, then sudo reboot; then: dmesg | grep apex",
        )
    return "", ""


def _temperature(machine: Machine) -> list[Finding]:
    degrees = read_temperature(machine)
    if degrees is None:
        return [Finding("temperature", "unknown")]
    if degrees >= HOT:
        return [
            Finding(
                "temperature",
                f"{degrees:.0f} °C",
                f"from {HOT:.0f} °C on the processor is slowed",
                "fit a heat sink or a fan; edgedense run --when-moving or --fps 5 saves work",
            )
        ]
    return [Finding("temperature", f"{degrees:.0f} °C")]


def _throttling(machine: Machine) -> list[Finding]:
    throttling = read_throttling(machine)
    if throttling is None:
        return [Finding("throttling", "unknown")]
    value = f"0x{throttling.bits:x}"
    if throttling.is_undervolted:
        return [
            Finding(
                "throttling",
                value,
                "the power supply's voltage is or was too low: the processor is slowed",
                "use the board's own supply (Pi 5: 5 V 5 A, Pi 4: 5 V 3 A) and cable; then sudo reboot",
            )
        ]
    if throttling.was_slowed:
        when = "is" if throttling.is_slowed else "was"
        return [
            Finding(
                "throttling",
                value,
                f"the processor {when} slowed because it got hot",
                "fit a heat sink or a fan; edgedense benchmark shows when it gets hot",
            )
        ]
    return [Finding("throttling", "none")]


def _governor(machine: Machine) -> list[Finding]:
    governor = read_board(machine).governor
    if governor == "powersave":
        return [
            Finding(
                "governor",
                governor,
                "the processor stays at its lowest clock",
                "echo ondemand | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor",
            )
        ]
    return [Finding("governor", governor or "unknown")]


def _memory(machine: Machine) -> list[Finding]:
    board = read_board(machine)
    if board.memory is None or board.available_memory is None:
        return [Finding("memory", "unknown")]
    value = f"{board.memory >> 20} MiB, {board.available_memory >> 20} MiB available"
    if board.available_memory < LITTLE_MEMORY:
        return [
            Finding(
                "memory",
                value,
                "too little is left for a model and a camera",
                "ps aux --sort=-rss | head   # shows what to end; a desktop: sudo systemctl set-default "
                "multi-user.target && sudo reboot",
            )
        ]
    return [Finding("memory", value)]


def _disk(machine: Machine) -> list[Finding]:
    free = machine.facts["free_disk"]
    if free < LITTLE_DISK:
        return [
            Finding(
                "disk",
                f"{free >> 20} MiB free",
                "logs and kept frames will fill it",
                "sudo apt clean && sudo journalctl --vacuum-size=50M",
            )
        ]
    return [Finding("disk", f"{free >> 20} MiB free")]


def _clock(machine: Machine) -> list[Finding]:
    answer = machine.output("timedatectl", "show", "-p", "NTPSynchronized", "--value")
    if answer == "no":
        return [
            Finding(
                "clock",
                "not synchronized",
                "times in results are wrong until it is",
                "sudo timedatectl set-ntp true   # needs a network",
            )
        ]
    return [Finding("clock", "synchronized" if answer == "yes" else "unknown")]


def read_os(machine: Machine) -> str:
    """The content of /etc/os-release."""
    return machine.text("etc/os-release") or ""


def _major(version: str) -> int:
    return int(version.split(".")[0])


CHECKS: tuple[Callable[[Machine], list[Finding]], ...] = (
    _board,
    _system,
    _python,
    _processor,
    _runtime,
    _openvino,
    _packages,
    _cameras,
    _edge_tpus,
    _temperature,
    _throttling,
    _governor,
    _memory,
    _disk,
    _clock,
)
