from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from edgedense.device.classifier import Classifier
from edgedense.device.engines import edgetpu, openvino
from edgedense.device.engines.choice import place
from edgedense.device.engines.edgetpu import EdgeTpus, find_edgetpus, parse_device, probe
from edgedense.device.engines.interpreter import make_interpreter, placed
from edgedense.device.machine import RecordedMachine
from edgedense.errors import DeviceError, EdgedenseError
from tests.delegates import DELEGATE, HARMLESS, build

RUNTIME = "ai_edge_litert.interpreter"


@pytest.mark.parametrize(
    ("device", "name"),
    [
        ("coral", ""),
        ("coral:usb", "usb"),
        ("coral:pci", "pci"),
        ("coral:usb:0", "usb:0"),
        ("coral:pci:1", "pci:1"),
        ("coral:2", ":2"),
        ("usb", "usb"),
        ("usb:0", "usb:0"),
        (":0", ":0"),
        ("cpu", None),
        ("coral:gpu", None),
        ("coralusb", None),
        ("usb0", None),
        ("", None),
        ("coral:", None),
    ],
)
def test_the_devices_that_coral_users_type(device: str, name: str | None) -> None:
    assert parse_device(device) == name


def test_a_delegate_that_loads_runs_a_model(tmp_path: Path, colours: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(edgetpu.LIBRARY_VARIABLE, build(tmp_path, HARMLESS))
    compiled = colours.read_bytes() + edgetpu.CUSTOM_OPERATOR  # only the name is looked for
    interpreter = make_interpreter(compiled, "coral")
    interpreter.invoke()


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ('report("no such device"); return 0;', "no such device|delegate"),
        ("abort();", "crashes .SIGABRT"),
        ("*(volatile int *)8 = 1; return 0;", "crashes .SIGSEGV"),
        ("sleep(60); return 0;", "no answer within 3 seconds"),
    ],
)
def test_a_library_that_fails_in_the_child_leaves_this_process_alive(tmp_path: Path, body: str, found: str) -> None:
    with pytest.raises(DeviceError, match=found):
        probe(build(tmp_path, DELEGATE % body), "usb", RUNTIME, patience=3)


def test_a_missing_library_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="install libedgetpu"):
        probe(str(tmp_path / "libedgetpu.so.1"), "", RUNTIME)


def test_the_device_reaches_the_library(tmp_path: Path) -> None:
    library = build(tmp_path, DELEGATE % 'report(count == 1 ? values[0] : "none"); return 0;')
    for device, seen in (("pci:1", "pci:1"), ("", "none")):
        done = subprocess.run(
            [sys.executable, "-c", edgetpu._CHILD, library, device, RUNTIME],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 1
        assert seen in done.stdout


def test_a_file_for_the_processor_is_refused_by_an_edge_tpu(colours: Path) -> None:
    with pytest.raises(EdgedenseError, match="--target coral"):
        make_interpreter(colours, "coral")


def test_an_unknown_device_is_refused(colours: Path) -> None:
    with pytest.raises(EdgedenseError, match="'gpu'"):
        make_interpreter(colours, "gpu")


def test_only_auto_falls_back_and_says_so(tmp_path: Path, colours: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino, "version", lambda: None)
    monkeypatch.setenv(edgetpu.LIBRARY_VARIABLE, build(tmp_path, DELEGATE % 'report("none"); return 0;'))
    plain, compiled = tmp_path / "colours.tflite", tmp_path / "colours_edgetpu.tflite"
    plain.write_bytes(colours.read_bytes())
    compiled.write_bytes(colours.read_bytes() + edgetpu.CUSTOM_OPERATOR)
    for asked in (plain, compiled):
        with Classifier(asked, device="auto") as classifier:
            assert "runs on the processor" in classifier.notes[0]
    plain.unlink()
    with pytest.raises(DeviceError):
        place(compiled)
    with pytest.raises(DeviceError):
        make_interpreter(compiled, "coral")


def test_auto_takes_the_compiled_file_where_the_device_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino, "version", lambda: None)
    monkeypatch.setenv(edgetpu.LIBRARY_VARIABLE, build(tmp_path, HARMLESS))
    plain, compiled = tmp_path / "a.tflite", tmp_path / "a_edgetpu.tflite"
    assert place(plain)[1] == "cpu"
    compiled.touch()
    assert place(plain) == (compiled, "coral", None)
    assert placed(plain, "auto", 1) == (compiled, "coral", None)
    assert placed(plain, "cpu", 1) == (plain, "cpu", None)


def write(folder: Path, **files: str) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)


def found_in(folder: Path) -> EdgeTpus:
    (folder / "facts.json").write_text("{}")
    return find_edgetpus(RecordedMachine(folder))


def test_a_usb_accelerator_before_and_after_its_first_use(tmp_path: Path) -> None:
    # Ids: "Bus 001 Device 003: ID 1a6e:089a Global Unichip Corp.", then "18d1:9302 Google Inc.", as lsusb prints them.
    write(
        tmp_path,
        **{
            "sys/bus/usb/devices/2-1/idVendor": "1a6e\n",
            "sys/bus/usb/devices/2-1/idProduct": "089a\n",
            "sys/bus/usb/devices/2-1/speed": "5000\n",
            "sys/bus/usb/devices/1-2/idVendor": "18d1\n",
            "sys/bus/usb/devices/1-2/idProduct": "9302\n",
            "sys/bus/usb/devices/1-2/speed": "480\n",
            "sys/bus/usb/devices/1-3/idVendor": "18d1\n",
            "sys/bus/usb/devices/1-3/idProduct": "4ee7\n",
        },
    )
    found = found_in(tmp_path)
    assert [(usb.is_started, usb.megabits) for usb in found.usb] == [(True, 480), (False, 5000)]
    assert found.count == 2


def test_a_pcie_accelerator_its_driver_and_its_library(tmp_path: Path) -> None:
    write(
        tmp_path,
        **{
            "sys/bus/pci/devices/0000:01:00.0/vendor": "0x1ac1\n",
            "sys/bus/pci/devices/0000:01:00.0/device": "0x089a\n",
            "sys/bus/pci/devices/0000:02:00.0/vendor": "0x1ac1\n",
            "sys/bus/pci/devices/0000:02:00.0/device": "0x0001\n",
            "sys/module/gasket/version": "1.1.4",
            "sys/module/apex/version": "1.2",
            "dev/apex_0": "",
            "usr/lib/aarch64-linux-gnu/libedgetpu.so.1.0": "",
            "commands/dpkg-query_-W_-f=${Package} ${Version}\\n_libedgetpu1-*": "libedgetpu1-std 16.0\n",
        },
    )
    found = found_in(tmp_path)
    assert found.pci == ("sys/bus/pci/devices/0000:01:00.0",)
    assert (found.drivers, found.nodes) == (("gasket", "apex"), ("dev/apex_0",))
    assert found.package == "libedgetpu1-std 16.0"
    assert found.libraries == ("usr/lib/aarch64-linux-gnu/libedgetpu.so.1.0",)
