"""One SSH connection to a host, by the system's OpenSSH client.

So the user's keys, agent, ~/.ssh/config, known hosts and jump hosts are used. Nothing is asked: ssh runs in its batch
mode. The key of the host is checked as the user's configuration says.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import IO, Any

from edgedense.errors import EdgedenseError
from edgedense.rollout.result import Outcome

CONNECT = 15  # seconds that the host has to answer
ALIVE = 5  # seconds between two signs of life; three that are missed end the connection
_LOOK = 0.1  # seconds between two looks at the clock and at `stop`
_OPTIONS = {
    "BatchMode": "yes",
    "ConnectTimeout": str(CONNECT),
    "ServerAliveInterval": str(ALIVE),
    "ServerAliveCountMax": "3",
    "ControlPersist": "no",
    "ClearAllForwardings": "yes",  # those of the user's configuration are for sessions at a terminal
    "ForwardAgent": "no",
    "ForwardX11": "no",
    "RequestTTY": "no",
    "RemoteCommand": "none",
    "PermitLocalCommand": "no",
}
_AS_ROOT = 'if [ "$(id -u)" = 0 ]; then exec "$@"; else exec sudo -n -H -- "$@"; fi'
# What ssh and sudo say, what is wrong then, and what mends it.
_CAUSES = (
    (
        "REMOTE HOST IDENTIFICATION HAS CHANGED",
        "the host key of {host} that is known",
        "another key: it was set up anew, or it is another host",
        "find out which; if it was set up anew, ssh-keygen -R NAME as ssh {host} says, and ssh {host} once",
    ),
    (
        "Host key verification failed",
        "a host key of {host} that is known",
        "an unknown one",
        "ssh {host} once, and compare the fingerprint with that of the device",
    ),
    (
        "Permission denied (",
        "{host} to accept a key of yours",
        "permission denied",
        "ssh-copy-id {host}, or ssh-add where your key has a passphrase",
    ),
    (
        "password is required",
        "sudo without a password on {host}",
        "sudo wants one",
        "the rule for sudo in docs/deploy.md",
    ),
    ("sudo: not found", "root, or sudo, on {host}", "neither", "apt install sudo there"),
    ("python3: not found", "Python 3 on {host}", "none", "sudo apt install python3 python3-venv there"),
    ("sudo: python3: command not found", "Python 3 on {host}", "none", "sudo apt install python3 python3-venv there"),
)


class HostError(EdgedenseError):
    """What went wrong on a host, with the outcome that it has."""

    def __init__(self, expected: str, found: str, hint: str = "", outcome: Outcome = "failed") -> None:
        super().__init__(expected, found, hint)
        self.outcome = outcome


class Connection:
    """A connection to `host` that several steps share. It is opened as a context manager.

    `control` is the path of a socket, at most 80 letters long. At `deadline` (of time.monotonic) a step is given up,
    and when `stop` is set.
    """

    def __init__(
        self, host: str, control: Path, deadline: float, stop: threading.Event, config: Path | None = None
    ) -> None:
        self._host, self._control, self._deadline, self._stop = host, control, deadline, stop
        self._config = ("-F", str(config)) if config else ()
        self._master: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Connection:
        """Raises HostError where the host cannot be reached or does not let us in."""
        self._master = self._started(self._ssh("yes", "-N"), subprocess.DEVNULL)
        try:
            while not self._control.exists():
                self._check_time()
                if self._master.poll() is not None:
                    raise self._problem(self._last_words())
                time.sleep(_LOOK / 5)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._master is not None:
            _end(self._master)
            self._master = None

    def do(self, step: str, given: Mapping[str, Any], file: Path | None = None) -> dict[str, Any]:
        """The answer of a step of `on_device`, with root's rights there; `file` is what it reads from stdin.

        Raises HostError where there is none, or the step says that there is one.
        """
        program = resources.files("edgedense.rollout").joinpath("on_device.py").read_text("utf-8")
        # -I: no module is taken from the folder of the user who logs in.
        words = ["sh", "-c", _AS_ROOT, "sh", "python3", "-I", "-c", program, step, json.dumps(given)]
        with contextlib.ExitStack() as stack:
            stdin = stack.enter_context(file.open("rb")) if file else subprocess.DEVNULL
            process = self._started(self._ssh("no", "--", shlex.join(words)), stdin)
            try:
                out, err = self._finished(process)
            finally:
                _end(process)
        try:
            answer = json.loads(out.splitlines()[-1])  # a shell's own words may stand before it
        except (ValueError, IndexError):
            raise self._problem(self._last_words() or err) from None
        if "problem" in answer:
            told = answer["problem"]
            raise HostError(told["expected"], told["found"], told["hint"], told["outcome"])
        return dict(answer)

    def _ssh(self, is_master: str, *words: str) -> list[str]:
        options = {**_OPTIONS, "ControlMaster": is_master, "ControlPath": str(self._control)}
        given = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        if words[0] == "--":
            return ["ssh", *self._config, *given, "--", self._host, *words[1:]]
        return ["ssh", *self._config, *given, *words, "--", self._host]

    def _started(self, command: list[str], stdin: IO[bytes] | int) -> subprocess.Popen[bytes]:
        """In a session of its own: Ctrl-C reaches us alone, and what ssh starts is ended with it."""
        try:
            return subprocess.Popen(
                command, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
            )
        except FileNotFoundError:
            raise EdgedenseError("OpenSSH's client", "no ssh on PATH", "apt install openssh-client") from None

    def _finished(self, process: subprocess.Popen[bytes]) -> tuple[bytes, bytes]:
        while True:
            try:
                return process.communicate(timeout=_LOOK)
            except subprocess.TimeoutExpired:
                self._check_time()

    def _check_time(self) -> None:
        goes_on = "what it was about goes on there: give the command again to see what became of it"
        if self._stop.is_set():
            raise HostError(f"the work on {self._host} to end", "it was interrupted", goes_on)
        if time.monotonic() > self._deadline:
            raise HostError(f"{self._host} to be done in time", "no answer yet", f"--timeout SECONDS; {goes_on}")

    def _last_words(self) -> bytes:
        """What the connection said, once it has ended."""
        if self._master is None or self._master.poll() is None:
            return b""
        return self._master.communicate()[1]

    def _problem(self, err: bytes) -> HostError:
        """What ssh, or a program on the host, said on stderr, as a user can read it."""
        text = err.decode(errors="replace")
        for sign, expected, found, hint in _CAUSES:
            if sign in text:
                return HostError(expected.format(host=self._host), found, hint.format(host=self._host))
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return HostError(
            f"an answer of {self._host}", lines[-1] if lines else "the connection was cut", f"ssh {self._host}"
        )


def _end(process: subprocess.Popen[bytes]) -> None:
    """End it with all that it has started, such as the ssh to a jump host."""
    for how in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is None:
            os.killpg(process.pid, how)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(2)
    for pipe in (process.stdout, process.stderr):
        if pipe:
            pipe.close()
