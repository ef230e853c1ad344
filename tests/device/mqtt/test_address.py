"""The broker's address, the device's name, and where the password comes from."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from edgedense.device.mqtt.address import Broker, device_name, parse_broker, read_password
from edgedense.errors import EdgedenseError


@pytest.mark.parametrize(
    ("text", "broker"),
    [
        ("mqtts://broker", Broker("broker", 8883, True, None, "edgedense")),
        ("mqtt://broker/", Broker("broker", 1883, False, None, "edgedense")),
        ("mqtts://barn@broker.example:443/farm/barns", Broker("broker.example", 443, True, "barn", "farm/barns")),
        ("mqtt://a%40b@[::1]/farm", Broker("::1", 1883, False, "a@b", "farm")),
    ],
)
def test_addresses(text: str, broker: Broker) -> None:
    assert parse_broker(text) == broker


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("broker", "mqtt://BROKER"),
        ("http://broker", "mqtt://BROKER"),
        ("mqtt://", "mqtt://BROKER"),
        ("mqtt://broker/a?b=c", "mqtt://BROKER"),
        ("mqtt://broker:many/", "many"),
        ("mqtt://broker:70000/", "0-65535"),
        ("mqtt://[::1/", "IPv6"),
        ("mqtt://me:secret@broker", "password in a file"),
        ("mqtt://broker/a/+/b", "prefix of topics"),
        ("mqtt://broker/a/%23", "prefix of topics"),
        ("mqtt://broker/a//b", "prefix of topics"),
        ("mqtt://broker/a/", "prefix of topics"),
        ("mqtt://broker/$SYS", "prefix of topics"),
        ("mqtt://broker/a%00", "prefix of topics"),
    ],
)
def test_wrong_addresses(text: str, message: str) -> None:
    with pytest.raises(EdgedenseError, match=message):
        parse_broker(text)


@pytest.mark.parametrize("text", ["mqtt://me:secret@broker", "http://me:secret@broker", "mqtt://me:secret@broker:x"])
def test_a_password_is_not_told(text: str) -> None:
    with pytest.raises(EdgedenseError) as caught:
        parse_broker(text)
    assert "secret" not in str(caught.value)


def test_a_broker_is_told_without_its_user() -> None:
    broker = parse_broker("mqtts://me@[::1]/farm")
    assert (broker.host, str(broker)) == ("::1", "mqtts://[::1]:8883")


def test_a_device_is_called_as_its_machine_or_as_it_was_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert device_name("barn-3_left") == "barn-3_left"
    monkeypatch.setattr(socket, "gethostname", lambda: "pi.farm.example")
    assert device_name(None) == "pi"
    monkeypatch.setattr(socket, "gethostname", lambda: "")
    with pytest.raises(EdgedenseError, match="--mqtt-name"):
        device_name(None)


@pytest.mark.parametrize("name", ["", "a/b", "+", "#", "stall 3", "-a", "Kühe", "a" * 65])
def test_names_that_are_no_part_of_a_topic(name: str) -> None:
    with pytest.raises(EdgedenseError, match="device's name"):
        device_name(name)


def test_the_password_is_that_of_the_file_or_the_credential(tmp_path: Path) -> None:
    (tmp_path / "mqtt-password").write_text("credential\n")
    (tmp_path / "own").write_text(" with spaces \n")
    service = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert read_password(tmp_path / "own", service) == " with spaces "
    assert read_password(None, service) == "credential"
    assert read_password(None, {"CREDENTIALS_DIRECTORY": str(tmp_path / "none")}) is None
    assert read_password(None, {}) is None


@pytest.mark.parametrize("content", [None, b"", b"\n", b"one\ntwo\n", b"\xff"])
def test_files_without_a_password(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "password"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(EdgedenseError, match="password"):
        read_password(path, {})
