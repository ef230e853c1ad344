"""The machine as files, commands and facts: read live, or from a recording that a user sent.

A recording is a folder: `proc/`, `sys/` and other files under their own paths, `commands/` with the output of programs
(named by their command line, spaces as underscores), and `facts.json` with what only a running process can tell.
`Machine.recording()` makes one; `edgedense doctor --bundle` packs it, so that a report can become a test.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

FACTS, COMMANDS = "facts.json", "commands"
_LONGEST = 64 * 1024  # bytes of a file that are read
_PATIENCE = 10.0  # seconds for a program such as rpicam-hello
_PRIVATE = ("Serial",)  # lines of /proc/cpuinfo that name one board in the world
_DISTRIBUTIONS = (
    "edgedense",
    "ai-edge-litert",
    "tflite-runtime",
    "openvino",
    "numpy",
    "pillow",
    "opencv-python-headless",
    "opencv-python",
    "picamera2",
)


class Machine:
    """The running machine. Everything that was read is remembered for `recording`."""

    def __init__(self, root: Path = Path("/")) -> None:
        self.root = root
        self._read: dict[str, bytes] = {}
        self._facts: dict[str, Any] | None = None

    def text(self, path: str) -> str | None:
        """The stripped content of a file such as "proc/cpuinfo"; None where there is none that can be read."""
        try:
            with (self.root / path).open("rb") as file:
                data = file.read(_LONGEST)
        except OSError:
            return None
        lines = data.replace(b"\0", b"").decode(errors="replace").splitlines(keepends=True)
        text = "".join(line for line in lines if not line.startswith(_PRIVATE))
        self._read[path] = text.encode()
        return text.strip()

    def paths(self, pattern: str) -> list[str]:
        """The paths that a pattern such as "sys/class/thermal/*" matches, sorted."""
        found = sorted(str(path.relative_to(self.root)) for path in self.root.glob(pattern))
        for path in found:
            self._read.setdefault(path, b"")
        return found

    def output(self, *command: str) -> str | None:
        """What a program prints, stripped; None where it is not installed, fails or takes too long."""
        try:
            done = subprocess.run(
                command, capture_output=True, timeout=_PATIENCE, check=False, stdin=subprocess.DEVNULL
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        if done.returncode:
            return None
        self._read[f"{COMMANDS}/{command_file(command)}"] = done.stdout
        return done.stdout.decode(errors="replace").strip()

    @property
    def facts(self) -> dict[str, Any]:
        """architecture, kernel, page_size and free_disk (bytes), python, prefix, packages (name to version)."""
        if self._facts is None:
            self._facts = {
                "architecture": platform.machine(),
                "kernel": platform.release(),
                "page_size": os.sysconf("SC_PAGE_SIZE"),
                "free_disk": shutil.disk_usage(Path.home()).free,
                "python": platform.python_version(),
                "bits": sys.maxsize.bit_length() + 1,
                "virtual_environment": sys.prefix != sys.base_prefix,
                "packages": _packages(),
            }
        return self._facts

    def recording(self) -> dict[str, bytes]:
        """All that was read until now, by its path within a recording."""
        return {**self._read, FACTS: json.dumps(self.facts, indent=1, sort_keys=True).encode()}


class RecordedMachine(Machine):
    """A recording in a folder: nothing is run, nothing of this machine is read."""

    def output(self, *command: str) -> str | None:
        return self.text(f"{COMMANDS}/{command_file(command)}")

    @property
    def facts(self) -> dict[str, Any]:
        if self._facts is None:
            self._facts = json.loads((self.root / FACTS).read_text())
        return self._facts


def command_file(command: tuple[str, ...]) -> str:
    """The name of a command's output in a recording."""
    return "_".join(command).replace("/", "-")


def _packages() -> dict[str, str]:
    found = {}
    for name in _DISTRIBUTIONS:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
