"""The real broker of the tests of MQTT, and devices that report to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("paho.mqtt")
from edgedense.device.mqtt.messages import Message, Name, Report, Topics, encode
from tests.device.mqtt.conftest import Mosquitto, broker, certificates, mosquitto
from tests.device.mqtt.test_messages import REPORT

__all__ = ["broker", "certificates", "mosquitto"]

Publish = Callable[[str, Name, Message], None]


def report(sequence: int) -> Report:
    return replace(REPORT, stamp=replace(REPORT.stamp, sequence=sequence, wall=REPORT.stamp.wall + sequence))


@pytest.fixture
def publish(broker: Mosquitto) -> Iterator[Publish]:
    """Publishes what a device says, as a device does; the broker has confirmed it then."""
    from paho.mqtt.client import Client
    from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

    client: Any = Client(CallbackAPIVersion.VERSION2, "devices", protocol=MQTTProtocolVersion.MQTTv5)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()

    def send(device: str, name: Name, message: Message) -> None:
        topic = Topics("farm", device).of(name)
        client.publish(topic, encode(message), 1, retain=name != "late").wait_for_publish(20)

    yield send
    client.disconnect()
    client.loop_stop()


@pytest.fixture
def history(tmp_path: Path) -> Path:
    return tmp_path / "fleet.db"
