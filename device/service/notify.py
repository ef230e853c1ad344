"""Messages to systemd: started, alive, what is seen (sd_notify(3), without its library)."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Mapping

_STARTING = 5.0  # seconds between two messages before the start is over


class Notifier:
    """Sends to the socket that systemd names in the environment; without one it does nothing. `close` it at the end.

    `alive` is called by the inference loop and by nothing else, so that the pings stop when it hangs. It
    sends a ping at most four times in the interval that systemd waits for one.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) if address else None
        if self._socket:
            self._socket.setblocking(False)
        self._interval = _watchdog_seconds(environment) / 4
        self._pinged_at = float("-inf")
        self._is_ready = False

    def starting(self, status: str) -> None:
        """Work before the first frame goes on: systemd is to wait for another minute (sd_notify(3))."""
        if time.monotonic() - self._pinged_at >= _STARTING:
            self._send(f"EXTEND_TIMEOUT_USEC=60000000\nSTATUS={status}")
            self._pinged_at = time.monotonic()

    def ready(self) -> None:
        """The first frame was there. Only the first call counts."""
        if not self._is_ready:
            self._send("READY=1")
            self._is_ready = True

    def alive(self, status: str) -> None:
        """The inference loop has come round; `status` is shown by systemctl status."""
        if self._socket and self._interval and time.monotonic() - self._pinged_at >= self._interval:
            self._send(f"WATCHDOG=1\nSTATUS={status}")
            self._pinged_at = time.monotonic()

    def stopping(self) -> None:
        """The end was asked for."""
        self._send("STOPPING=1")

    def close(self) -> None:
        """Nothing more will be said."""
        if self._socket:
            self._socket.close()
            self._socket = None

    def _send(self, message: str) -> None:
        if self._socket:
            with contextlib.suppress(OSError):  # systemd is busy or gone; the work goes on
                self._socket.sendto(message.encode(), self._address)


def _watchdog_seconds(environment: Mapping[str, str]) -> float:
    """The interval within which this process must ping, 0 for none (sd_watchdog_enabled(3))."""
    if environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return 0.0
    with contextlib.suppress(ValueError):
        return int(environment.get("WATCHDOG_USEC", "0")) / 1e6
    return 0.0
