"""What a user may choose for reports over MQTT. Nothing heavy is imported here: the command line's help reads it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from edgedense.flags import Flag

MQTT = "Report to a broker, such as Home Assistant's (MQTT)"


@dataclass(frozen=True)
class MqttOptions:
    """Reports over MQTT to the broker at `url`, as the device `name`, every so many seconds; there are none without a
    broker. What is not yet sent is in the file `outbox`, which takes at most `cap` MB. `discovery` is the prefix of
    Home Assistant's topics, empty for none."""

    url: Annotated[
        str | None,
        Flag(
            "Report to this MQTT broker what is seen, and how the device does. mqtts:// is encrypted, mqtt:// is not. "
            "The topics begin with PREFIX, by default edgedense, and then comes the device's name.",
            name="--mqtt",
            panel=MQTT,
            metavar="mqtts://USER@BROKER/PREFIX",
        ),
    ] = None
    name: Annotated[
        str | None,
        Flag(
            "What the device is called there. Each device, and each of several cameras, needs a name of its own.",
            name="--mqtt-name",
            panel=MQTT,
            metavar="NAME",
            usual="this machine's name",
            needs=("--mqtt",),
        ),
    ] = None
    password_file: Annotated[
        Path | None,
        Flag(
            "A file that holds the password of USER, and nothing else.",
            name="--mqtt-password-file",
            panel=MQTT,
            reads="file",
            secret=True,
            needs=("--mqtt",),
        ),
    ] = None
    ca: Annotated[
        Path | None,
        Flag(
            "A file with the certificates that the broker's is signed by, in PEM format. By default those count that "
            "the system trusts.",
            name="--mqtt-ca",
            panel=MQTT,
            reads="file",
            needs=("--mqtt",),
        ),
    ] = None
    every: Annotated[
        float,
        Flag(
            "Report every so many seconds. When the answer changes, the camera is lost or the monitor finds something, "
            "that is reported at once.",
            name="--mqtt-every",
            panel=MQTT,
            metavar="SECONDS",
            minimum=1,
            needs=("--mqtt",),
        ),
    ] = 60
    picture: Annotated[
        bool,
        Flag(
            "Also send the camera's picture, as often as reports. By default no picture leaves the device.",
            name="--mqtt-picture",
            panel=MQTT,
            needs=("--mqtt",),
        ),
    ] = False
    outbox: Annotated[
        Path | None,
        Flag(
            "Keep in this file what the broker has not yet confirmed.",
            name="--mqtt-outbox",
            panel=MQTT,
            usual="~/.local/state/edgedense/NAME.outbox; of a service, NAME.outbox in its own folder",
            writes="file",
            needs=("--mqtt",),
        ),
    ] = None
    cap: Annotated[
        float,
        Flag(
            "The most megabytes that this file may take. When it is full, old reports are thinned out first and alerts "
            "last.",
            name="--mqtt-cap",
            panel=MQTT,
            metavar="MB",
            minimum=1,
            needs=("--mqtt",),
        ),
    ] = 50
    discovery: Annotated[
        str,
        Flag(
            "Where Home Assistant looks for new devices. With '' it is told nothing.",
            name="--mqtt-discovery",
            panel=MQTT,
            metavar="TOPIC",
            needs=("--mqtt",),
        ),
    ] = "homeassistant"
