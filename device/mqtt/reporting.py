"""Reports over MQTT for as long as a run lasts: puts the parts together."""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from math import isfinite
from pathlib import Path

from edgedense.device.board.hardware import read_board
from edgedense.device.board.telemetry import Clock
from edgedense.device.machine import Machine
from edgedense.device.monitor.watch import Watch
from edgedense.device.mqtt.address import device_name, parse_broker, read_password
from edgedense.device.mqtt.client import Login
from edgedense.device.mqtt.discovery import discovery
from edgedense.device.mqtt.messages import About, Topics, encode
from edgedense.device.mqtt.options import MqttOptions
from edgedense.device.mqtt.outbox import MB, Outbox
from edgedense.device.mqtt.reporter import Device, Reporter
from edgedense.device.mqtt.sender import Sender, Sending
from edgedense.device.prediction import Rule
from edgedense.files import sha256
from edgedense.notes import LOG


def usual_outbox(name: str, environment: Mapping[str, str] = os.environ) -> Path:
    """Where a device's outbox is where nobody says: in the folder that systemd has made for a service, or else among
    the files that programs of this user keep (XDG base directories)."""
    if folder := environment.get("STATE_DIRECTORY", "").partition(":")[0]:
        return Path(folder, f"{name}.outbox")
    home = environment.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(home, "edgedense", f"{name}.outbox")


@contextlib.contextmanager
def reporting(options: MqttOptions, model: Path, rule: Rule, source: str, watch: Watch | None) -> Iterator[Reporter]:
    """A reporter, while what it makes is sent. `source` is the camera in words.

    Raises EdgedenseError for options that are not right or an outbox that cannot be opened, DeviceError without
    paho-mqtt. That there is no broker, or that it refuses, is logged and waited out.
    """
    broker = parse_broker(options.url or "")
    login = Login(broker, read_password(options.password_file), options.ca)
    topics = Topics(broker.prefix, device_name(options.name))
    if login.is_open_to_listeners:
        LOG.warning(f"the password goes to {broker} without encryption; mqtts:// encrypts it")
    boot, digest = secrets.token_hex(8), sha256(model.read_bytes())
    path = options.outbox or usual_outbox(topics.device)
    with contextlib.closing(Outbox(path, options.cap * MB, LOG.warning)) as outbox:
        device = Device(boot, outbox.start, digest, source, options.every)
        about = _about(device, model, rule)
        kept = {topics.of("about"): encode(about), **_discovered(options, topics, about, watch is not None)}
        sending = Sending(topics, boot, options.every, kept)
        sender = Sender(login, sending, outbox, LOG.warning)
        show = sender.show if options.picture else None
        reporter = Reporter(device, rule, outbox, watch=watch, show=show, report=LOG.warning)
        LOG.info(f"reports to {broker} under {topics.prefix}/{topics.device}")
        sender.start()
        try:
            yield reporter
        finally:
            reporter.close()
            sender.stop()


def _discovered(options: MqttOptions, topics: Topics, about: About, monitors: bool) -> dict[str, bytes]:
    """What Home Assistant is told, by its topic; nothing where it is to be told nothing."""
    prefix = options.discovery.strip("/")
    if not prefix:
        return {}
    topic, message = discovery(prefix, topics, about, monitors=monitors, pictures=options.picture)
    return {topic: encode(message)}


def _about(device: Device, model: Path, rule: Rule) -> About:
    return About(
        boot=device.boot,
        start=device.start,
        started=time.time(),
        clock_synchronized=Clock().is_synchronized,
        version=version("edgedense"),
        model=model.name,
        sha256=device.sha256,
        labels=rule.labels,
        decides=rule.kind,
        thresholds=tuple(threshold if isfinite(threshold) else None for threshold in rule.thresholds),
        unit=rule.unit,
        source=device.source,
        board=read_board(Machine()).model,
        every=device.every,
    )
