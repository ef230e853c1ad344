"""The board: what it is, and in what state its processor is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgedense.device.board import telemetry
from edgedense.device.machine import Machine

# Part numbers of ARM Ltd. (implementer 0x41) in MIDR_EL1, which /proc/cpuinfo shows: those of Raspberry Pis and Coral
# boards.
_CORES = {
    "0xb76": "ARM1176",
    "0xc07": "Cortex-A7",
    "0xd03": "Cortex-A53",
    "0xd04": "Cortex-A35",
    "0xd05": "Cortex-A55",
    "0xd07": "Cortex-A57",
    "0xd08": "Cortex-A72",
    "0xd09": "Cortex-A73",
    "0xd0b": "Cortex-A76",
}


@dataclass(frozen=True)
class Throttling:
    """The firmware's word, as `vcgencmd get_throttled` prints it: bits 0 to 3 are now, 16 to 19 since the start."""

    bits: int

    @property
    def is_undervolted(self) -> bool:
        """The supply's voltage is below 4.63 V, or was since the board started."""
        return bool(self.bits & (1 << 0 | 1 << 16))

    @property
    def is_slowed(self) -> bool:
        """The processor is slower than it was asked to be, now."""
        return bool(self.bits & (1 << 1 | 1 << 2 | 1 << 3))

    @property
    def was_slowed(self) -> bool:
        """It is, or was since the board started."""
        return self.is_slowed or bool(self.bits & (1 << 17 | 1 << 18 | 1 << 19))


@dataclass(frozen=True)
class Board:
    """None stands for what the machine does not say. Memory in bytes, temperature in degrees Celsius."""

    model: str
    system: str
    core: str
    cores: int
    features: frozenset[str]
    governor: str | None
    memory: int | None
    available_memory: int | None

    @property
    def has_dot_product(self) -> bool:
        """Whether the processor multiplies int8 four at a time: ARMv8.2's SDOT, x86's VNNI."""
        return bool(self.features & {"asimddp", "avx512_vnni", "avx_vnni"})

    @property
    def has_i8mm(self) -> bool:
        """Whether the processor multiplies int8 matrices (ARMv8.6)."""
        return "i8mm" in self.features


def read_board(machine: Machine) -> Board:
    """What the machine's files say."""
    entries = _entries(machine.text("proc/cpuinfo") or "")
    model = machine.text("sys/firmware/devicetree/base/model")
    part = _last(entries, "CPU part")
    features = _last(entries, "Features") or _last(entries, "flags") or ""
    memory = dict(_entries(machine.text("proc/meminfo") or ""))
    return Board(
        model=model or _last(entries, "Model") or _last(entries, "model name") or "unknown",
        system=_system(machine.text("etc/os-release") or ""),
        core=_CORES.get(part or "", part or _last(entries, "model name") or "unknown"),
        cores=sum(key == "processor" for key, _ in entries),
        features=frozenset(features.split()),
        governor=machine.text("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        memory=_kilobytes(memory.get("MemTotal")),
        available_memory=_kilobytes(memory.get("MemAvailable")),
    )


def read_throttling(machine: Machine) -> Throttling | None:
    """None where the board has no such firmware, or the user may not ask it."""
    answer = machine.output("vcgencmd", "get_throttled")  # "throttled=0x50005"
    try:
        if answer:
            return Throttling(int(answer.rpartition("=")[2], 16))
        # Kernels before 6: the same word. Newer ones only raise an alarm for the voltage, at hwmon.
        for path in machine.paths("sys/devices/platform/soc*/*firmware/get_throttled"):
            return Throttling(int(machine.text(path) or "", 16))
        for path in machine.paths("sys/class/hwmon/hwmon*/in0_lcrit_alarm"):
            if machine.text(str(Path(path).parent / "name")) == "rpi_volt":
                return Throttling(int(machine.text(path) or ""))
    except ValueError:
        pass
    return None


def read_temperature(machine: Machine) -> float | None:
    """Degrees Celsius; None where the machine has no sensor."""
    for path in machine.paths("sys/class/thermal/thermal_zone*/t[ey]*"):
        machine.text(path)  # so that a recording has type and temp
    return telemetry.temperature(machine.root / "sys/class/thermal")


def resident_bytes() -> int | None:
    """The most memory that this process has held so far."""
    try:
        status = dict(_entries(Path("/proc/self/status").read_text()))
    except OSError:
        return None
    return _kilobytes(status.get("VmHWM"))


def _entries(text: str) -> list[tuple[str, str]]:
    pairs = (line.partition(":") for line in text.splitlines() if ":" in line)
    return [(key.strip(), value.strip()) for key, _, value in pairs]


def _last(entries: list[tuple[str, str]], key: str) -> str | None:
    return next((value for name, value in reversed(entries) if name == key), None)


def _kilobytes(value: str | None) -> int | None:
    return int(value.split()[0]) * 1024 if value else None


def _system(os_release: str) -> str:
    for line in os_release.splitlines():
        if line.startswith("PRETTY_NAME="):
            return line.partition("=")[2].strip('"')
    return "unknown"
