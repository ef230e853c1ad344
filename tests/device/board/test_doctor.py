from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from edgedense.device.board import diagnosis
from edgedense.device.board.doctor import CHECKS, Finding, examine
from edgedense.device.machine import Machine, RecordedMachine

BOARDS = Path(__file__).parents[1] / "boards"
Change = Callable[[Path], None]


def findings(folder: Path) -> dict[str, Finding]:
    return {finding.name: finding for finding in examine(RecordedMachine(folder))}


@pytest.fixture
def pi5(tmp_path: Path) -> Path:
    """A recording to change."""
    return Path(shutil.copytree(BOARDS / "pi5", tmp_path / "pi5"))


def put(path: str, content: str) -> Change:
    def change(folder: Path) -> None:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(content)

    return change


def facts(**changes: object) -> Change:
    def change(folder: Path) -> None:
        known = json.loads((folder / "facts.json").read_text())
        (folder / "facts.json").write_text(json.dumps({**known, **changes}))

    return change


def packages(**versions: str) -> Change:
    return facts(packages={name.replace("_", "-"): version for name, version in versions.items()})


def both(*changes: Change) -> Change:
    def change(folder: Path) -> None:
        for one in changes:
            one(folder)

    return change


@pytest.mark.parametrize("board", ["pi4", "pi5"])
def test_a_healthy_board_has_no_problem(board: str) -> None:
    assert not [finding for finding in findings(BOARDS / board).values() if finding.problem]


def test_what_a_board_is() -> None:
    pi4, pi5 = findings(BOARDS / "pi4"), findings(BOARDS / "pi5")
    assert pi5["board"].value == "Raspberry Pi 5 Model B Rev 1.0"
    assert pi5["processor"].value == "4 x Cortex-A76, dot product, no i8mm"
    assert pi4["processor"].value == "4 x Cortex-A72, no dot product, no i8mm"
    assert (pi4["page size"].value, pi5["page size"].value) == ("4 KiB", "16 KiB")
    assert (pi4["cameras"].value, pi5["cameras"].value) == ("none", "imx708")
    assert pi5["temperature"].value == "48 °C"


USB, PCI = "sys/bus/usb/devices/1-1", "sys/bus/pci/devices/0000:01:00.0"
LIBRARY = put("usr/lib/aarch64-linux-gnu/libedgetpu.so.1", "")
ON_USB_3 = both(put(f"{USB}/idVendor", "1a6e"), put(f"{USB}/idProduct", "089a"), put(f"{USB}/speed", "5000"))
ON_PCI = both(put(f"{PCI}/vendor", "0x1ac1"), put(f"{PCI}/device", "0x089a"), LIBRARY)
DRIVER = both(put("sys/module/gasket/version", "1"), put("sys/module/apex/version", "1"))


@pytest.mark.parametrize(
    ("change", "name", "problem", "remedy"),
    [
        (facts(bits=32, architecture="armv7l"), "system", "32 bits", "64-bit Raspberry Pi OS"),
        (packages(numpy="2.2.0"), "runtime", "nothing can run a model", "pip install 'edgedense[device]'"),
        (
            packages(ai_edge_litert="2.3.0", tflite_runtime="2.14.0"),
            "runtime",
            "two runtimes",
            "pip uninstall -y tflite",
        ),
        (packages(tflite_runtime="2.14.0", numpy="2.1.0"), "runtime", "crashes with NumPy", "pip install 'numpy<2'"),
        (packages(tflite_runtime="2.14.0", numpy="1.26.4"), "XNNPACK", "10 times slower", "pip uninstall -y tflite"),
        (packages(ai_edge_litert="2.3.0", numpy="2.1.0", picamera2="0.3"), "packages", "picamera2 fails", "numpy<2"),
        (
            lambda folder: (folder / "commands/rpicam-hello_--list-cameras").unlink(),
            "cameras",
            "does not answer",
            "sudo apt install rpicam-apps-lite",
        ),
        (both(ON_USB_3, put(f"{USB}/speed", "480"), LIBRARY), "Edge TPU", "USB 2", "blue port"),
        (ON_USB_3, "libedgetpu", "needs it", "libedgetpu1-std"),
        (ON_PCI, "Edge TPU", "driver is not loaded", "sudo apt install gasket-dkms"),
        (both(ON_PCI, DRIVER), "Edge TPU", "pages of 4 KiB", "kernel=kernel8.img"),
        (both(ON_PCI, DRIVER, facts(page_size=4096)), "Edge TPU", "made no /dev/apex_0", "dtoverlay=pineboards-hat-ai"),
        (put("sys/class/thermal/thermal_zone0/temp", "81200"), "temperature", "slowed", "heat sink"),
        (put("commands/vcgencmd_get_throttled", "throttled=0x50005"), "throttling", "voltage", "supply"),
        (
            put("commands/vcgencmd_get_throttled", "throttled=0x80000"),
            "throttling",
            "was slowed because it got hot",
            "fan",
        ),
        (
            put("commands/vcgencmd_get_throttled", "throttled=0x80008"),
            "throttling",
            "is slowed because it got hot",
            "fan",
        ),
        (
            put("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave\n"),
            "governor",
            "lowest clock",
            "echo ondemand | sudo tee /sys",
        ),
        (put("proc/meminfo", "MemTotal: 949444 kB\nMemAvailable: 91244 kB\n"), "memory", "too little", "ps aux"),
        (facts(free_disk=10 << 20), "disk", "fill it", "sudo apt clean"),
        (put("commands/timedatectl_show_-p_NTPSynchronized_--value", "no\n"), "clock", "wrong", "set-ntp true"),
    ],
)
def test_each_problem_comes_with_what_mends_it(pi5: Path, change: Change, name: str, problem: str, remedy: str) -> None:
    before = findings(pi5)
    change(pi5)
    after = findings(pi5)
    assert problem in after[name].problem
    assert remedy in after[name].remedy
    others = {key for key, finding in after.items() if finding.problem} - {name}
    assert not {key for key in others if before.get(key) and not before[key].problem}, "and nothing else is blamed"


@pytest.mark.parametrize(
    "change",
    [
        both(ON_USB_3, LIBRARY),
        both(ON_PCI, DRIVER, facts(page_size=4096), put("dev/apex_0", "")),
        facts(
            bits=32, architecture="armv7l", packages={"tflite-runtime": "2.14.0", "numpy": "1.26.4"}
        ),  # slow, no remedy
    ],
)
def test_what_is_as_good_as_it_gets_is_left_alone(pi5: Path, change: Change) -> None:
    change(pi5)
    assert not [found for found in findings(pi5).values() if found.problem and found.name != "system"]


X86 = facts(architecture="x86_64")


def flags(words: str) -> Change:
    return put("proc/cpuinfo", f"processor : 0\nmodel name : a processor\nflags : {words}\n")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (both(X86, flags("sse4_2 avx2")), "none; it is faster on processors like this one: pip install"),
        (both(X86, flags("avx2 avx_vnni")), "none; it may be faster here: pip install 'edgedense[openvino]'"),
        (packages(ai_edge_litert="2.3.0", openvino="2026.4.1"), "2026.4.1; --device auto measures"),
    ],
)
def test_an_engine_that_may_be_faster_is_named_and_no_problem(pi5: Path, change: Change, said: str) -> None:
    change(pi5)
    found = findings(pi5)["OpenVINO"]
    assert said in found.value
    assert not found.problem


def test_where_openvino_gains_nothing_it_is_not_named(pi5: Path) -> None:
    assert "OpenVINO" not in findings(pi5)
    both(X86, flags("sse4_2"))(pi5)
    assert "OpenVINO" not in findings(pi5)


def test_without_vcgencmd_the_kernel_is_asked(pi5: Path) -> None:
    (pi5 / "commands/vcgencmd_get_throttled").unlink()
    put("sys/class/hwmon/hwmon1/in0_lcrit_alarm", "1")(pi5)
    assert "voltage" in findings(pi5)["throttling"].problem
    put("sys/devices/platform/soc/soc:firmware/get_throttled", "80008\n")(pi5)
    assert "hot" in findings(pi5)["throttling"].problem


def test_a_machine_that_says_nothing_has_unknowns_and_no_traceback(tmp_path: Path) -> None:
    shutil.copy(BOARDS / "pi5/facts.json", tmp_path)
    assert {"unknown", "none"} <= {finding.value for finding in findings(tmp_path).values()}


def test_a_bundle_can_be_examined_again(tmp_path: Path) -> None:
    machine = Machine()
    found = examine(machine)
    with zipfile.ZipFile(io.BytesIO(diagnosis.pack(machine, found, {}))) as archive:
        archive.extractall(tmp_path)
    assert [*findings(tmp_path / "machine").values()] == found
    assert json.loads((tmp_path / "doctor.json").read_text()) == [finding.to_dict() for finding in found]


def test_a_recording_names_no_serial_number(pi5: Path) -> None:
    put("proc/cpuinfo", (pi5 / "proc/cpuinfo").read_text() + "Serial\t\t: 100000000fe69593\n")(pi5)
    machine = RecordedMachine(pi5)
    examine(machine)
    assert b"fe69593" not in b"".join(machine.recording().values())
    assert b"Cortex" not in machine.recording()["proc/cpuinfo"]


def test_the_proofs_tell_what_failed(colours: Path) -> None:
    proved = diagnosis.proofs(colours, 1, seconds=0.2)
    assert "golden samples" in proved["replay.json"]["error"]
    assert proved["benchmark.json"][0]["inferences"] > 0


def test_every_check_is_in_the_report() -> None:
    names = [finding.name for finding in examine(Machine())]
    assert len(names) == len(set(names)) >= len(CHECKS)


def test_the_command(tmp_path: Path) -> None:
    bundle = tmp_path / "report.zip"
    done = subprocess.run(
        [sys.executable, "-m", "edgedense.cli", "doctor", "--json", "--bundle", bundle],
        capture_output=True,
        text=True,
        check=False,
    )
    found = json.loads(done.stdout)
    assert done.returncode == any(finding["problem"] for finding in found)
    assert "machine/facts.json" in zipfile.ZipFile(bundle).namelist()
