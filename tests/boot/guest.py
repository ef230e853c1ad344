"""The emulated board: its power switch, and commands on it over SSH."""

from __future__ import annotations

import contextlib
import shlex
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

MEMORY = "512M"  # as much as the smallest board has that runs 64 bits, a Raspberry Pi Zero 2 W
SSH, PAGE = 22, 8080  # its ports that are reached from here
CONSOLE = "console.log"
# What a board without a keyboard and a radio can do without, for every process that is started takes a while there.
KERNEL = "lsm=capability mitigations=off module_blacklist=cfg80211 systemd.mask=serial-getty@ttyAMA0.service"


class Guest:
    """A board with a Cortex-A76 whose card is the first of `disks` (qcow2); `folder` holds what image.sh made.

    `ports` says which port of this machine's loopback address is which one of the board. Use it as a context manager:
    at its end the power is cut.
    """

    def __init__(self, folder: Path, *disks: Path) -> None:
        self._folder, self._disks = folder, disks
        self._process: subprocess.Popen[bytes] | None = None
        self._sockets = Path(tempfile.mkdtemp(prefix="boot-"))  # a socket's path has at most 108 characters
        self._starts = 0
        self.ports = {SSH: _free_port(), PAGE: _free_port()}

    def __enter__(self) -> Guest:
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()
        shutil.rmtree(self._sockets)

    def power_on(self, clock: str = "utc") -> None:
        """Start it. Its clock says the right time, or a date such as 2000-01-01."""
        assert self._process is None, "the power is on already"
        self._starts += 1
        forwards = "".join(f",hostfwd=tcp:127.0.0.1:{here}-:{there}" for there, here in self.ports.items())
        command = ["qemu-system-aarch64", "-machine", "virt", "-cpu", "cortex-a76", "-smp", "2", "-m", MEMORY]
        command += ["-accel", "tcg,thread=multi,tb-size=256", "-nodefaults", "-nographic"]
        command += ["-kernel", str(self._folder / "vmlinuz"), "-initrd", str(self._folder / "initrd.img")]
        command += ["-append", f"console=ttyAMA0 {KERNEL}"]
        for number, disk in enumerate(self._disks):
            command += ["-drive", f"file={disk},format=qcow2,if=none,id=card{number},cache=writeback"]
            command += ["-device", f"virtio-blk-pci,drive=card{number}"]
        command += ["-device", "virtio-rng-pci", "-rtc", f"base={clock}"]
        command += ["-netdev", f"user,id=net{forwards}", "-device", "virtio-net-pci,netdev=net,romfile="]
        command += ["-serial", f"file:{self._folder / CONSOLE}"]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL)

    def cut(self) -> None:
        """Cut the power. What the guest has not flushed to its disk is lost, as QEMU keeps the map of the qcow2 file in
        its memory till then."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    def run(self, command: str, *, check: bool = True, timeout: float = 600.0) -> str:
        """What a shell command says there, run as root."""
        done = self._ssh(command, timeout)
        assert not check or done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def output(self, command: str) -> bytes:
        """The bytes that a command writes there."""
        return subprocess.run([*self._command, command], capture_output=True, timeout=600, check=True).stdout

    def until(self, command: str, seconds: int) -> None:
        """Wait there until a command succeeds."""
        loop = shlex.quote(f"until {command}; do sleep 1; done")
        self.run(f"timeout {seconds} sh -c {loop}", timeout=seconds + 60)

    def wait_for_boot(self, after: str = "", seconds: float = 900.0) -> str:
        """Wait until it answers; its boot's identifier, which must not be `after`."""
        end = time.monotonic() + seconds
        while True:
            assert self._process, "the power is off"
            assert self._process.poll() is None, "QEMU ended"
            with contextlib.suppress(subprocess.TimeoutExpired):
                done = self._ssh("cat /proc/sys/kernel/random/boot_id", 150)
                if done.returncode == 0 and done.stdout != after:
                    return done.stdout
            self._starts += 1  # a new connection: the old one may be that of the last boot
            assert time.monotonic() < end, f"no boot in {seconds:.0f} s:\n{self.console()[-3000:]}"
            time.sleep(1)

    def console(self) -> str:
        """What its kernel said on the serial line."""
        return (self._folder / CONSOLE).read_text(errors="replace")

    def _ssh(self, command: str, timeout: float) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*self._command, command], capture_output=True, text=True, timeout=timeout, check=False)

    @property
    def _command(self) -> list[str]:
        """One connection for all commands of a boot: the handshake takes seconds there."""
        options = {
            "IdentityFile": self._folder / "key",
            "UserKnownHostsFile": self._folder / "known_hosts",
            "HostKeyAlias": "board",
            "StrictHostKeyChecking": "yes",
            "BatchMode": "yes",
            "LogLevel": "ERROR",
            "ConnectTimeout": 120,
            "ServerAliveInterval": 15,
            "ControlMaster": "auto",
            "ControlPersist": 600,
            "ControlPath": self._sockets / str(self._starts),
        }
        words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        return ["ssh", "-F", "/dev/null", *words, "-p", str(self.ports[SSH]), "root@127.0.0.1"]


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
