"""The farm that the board belongs to: a broker with TLS and a password, and somebody who reads all that arrives."""

from __future__ import annotations

import subprocess
from datetime import date, timedelta
from pathlib import Path

from edgedense.device.mqtt.messages import Alert, Report, Stamp, Status
from tests.device.mqtt.conftest import PASSWORD, USER, Mosquitto, Reader, free_port, make_certificates, wait_for

HOST = "10.0.2.2"  # QEMU's network shows this machine's loopback address to the board as this one
PREFIX = "farm"
PATIENCE = 120.0  # seconds: the board takes some for the handshake of TLS alone


class Farm:
    """A mosquitto at which the board logs in at `address` with the user's `password`; its certificate is signed by
    `authority`, and valid from yesterday on. `folder` holds its files. `close` it at the end."""

    def __init__(self, folder: Path) -> None:
        certificates = make_certificates(folder, [("broker", HOST, date.today() - timedelta(days=1))])
        self.authority, self.password = certificates.authority, PASSWORD
        users, port = folder / "users", free_port()
        subprocess.run(["mosquitto_passwd", "-b", "-c", users, USER, PASSWORD], check=True, capture_output=True)
        self.address = f"mqtts://{USER}@{HOST}:{port}/{PREFIX}"
        kept = "persistence true\nautosave_on_changes true\nautosave_interval 1"
        tls = certificates.tls("broker").replace("allow_anonymous true", f"password_file {users}")
        self.broker = Mosquitto(
            folder,
            f"per_listener_settings true\nallow_anonymous true\n{kept}\n"
            f"listener {port} 127.0.0.1\nallow_anonymous false\n{tls}",
        )
        self.broker.start()
        self.reader = Reader(self.broker.port, PREFIX)

    @property
    def stamps(self) -> list[Stamp]:
        """Of all reports and alerts, without copies, in the order in which they came."""
        return [read.stamp for _, read in self.reader.messages if isinstance(read, (Alert, Report))]

    @property
    def reports(self) -> list[Report]:
        """All of them, those that came late too, in the order in which they came."""
        return [read for _, read in self.reader.messages if isinstance(read, Report)]

    @property
    def alerts(self) -> list[Alert]:
        """All of them, in the order in which they came."""
        return [read for _, read in self.reader.messages if isinstance(read, Alert)]

    @property
    def statuses(self) -> list[Status]:
        """What was said of the board's being there, in the order in which it came; repetitions are left out."""
        read = [message for _, message in self.reader.messages if isinstance(message, Status)]
        return [status for before, status in zip([None, *read], read, strict=False) if status != before]

    @property
    def missing(self) -> list[tuple[str, int]]:
        """Start and number of each message that did not come although a later one of the same start did."""
        came = {stamp.key for stamp in self.stamps}
        newest: dict[str, int] = {}
        for boot, number in came:
            newest[boot] = max(number, newest.get(boot, 0))
        return sorted({(boot, number) for boot, last in newest.items() for number in range(1, last + 1)} - came)

    def wait_for_status(self, *, online: bool) -> None:
        """Until the newest status is this one."""
        wait_for(lambda: self.statuses and self.statuses[-1].online == online, PATIENCE)

    def wait_for_label(self, label: str) -> None:
        """Until a report has this answer."""
        wait_for(lambda: self.reports and (self.reports[-1].result or {}).get("label") == label, PATIENCE)

    def wait_for_messages(self, keys: set[tuple[str, int]]) -> None:
        """Until all of these have come, by `Stamp.key`."""
        wait_for(lambda: keys <= {stamp.key for stamp in self.stamps}, PATIENCE)

    def kept(self) -> dict[str, bytes]:
        """What the broker keeps, by topic: what somebody gets who comes only now."""
        late = Reader(self.broker.port, PREFIX, "late")
        wait_for(lambda: late.raw)
        late.close()
        return {topic: payload for topic, payload, is_kept in late.raw if is_kept}

    def close(self) -> None:
        """End both."""
        self.reader.close()
        self.broker.end()
