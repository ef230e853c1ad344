"""Who logs in, and by what the broker knows it. What a broker says is in `test_sender`."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgedense.device.mqtt.address import parse_broker
from edgedense.device.mqtt.client import Login, client_id, why
from edgedense.errors import EdgedenseError


@pytest.mark.parametrize(
    ("text", "password", "is_open"),
    [
        ("mqtt://me@broker", "secret", True),
        ("mqtts://me@broker", "secret", False),
        ("mqtt://me@localhost", "secret", False),
        ("mqtt://broker", None, False),
    ],
)
def test_whether_others_can_read_the_password(text: str, password: str | None, is_open: bool) -> None:
    assert Login(parse_broker(text), password).is_open_to_listeners == is_open


def test_a_password_is_not_shown() -> None:
    assert "secret" not in repr(Login(parse_broker("mqtts://me@broker"), "secret"))


def test_logins_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "none.pem").write_text("no certificate")
    for text, password, ca, message in [
        ("mqtt://broker", "secret", None, "user whose password"),
        ("mqtt://broker", None, tmp_path / "none.pem", "not encrypted"),
        ("mqtts://broker", None, tmp_path / "none.pem", "PEM"),
        ("mqtts://broker", None, tmp_path / "missing.pem", "PEM"),
    ]:
        with pytest.raises(EdgedenseError, match=message):
            Login(parse_broker(text), password, ca)


def test_the_broker_knows_a_device_by_its_name_and_its_machine(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).write_text(f"{name * 10}\n")
    ids = {client_id(device, tmp_path / machine) for device in ("a", "b") for machine in ("one", "two", "none")}
    assert len(ids) == 6
    assert client_id("a", tmp_path / "one") == client_id("a", tmp_path / "one")
    assert all(one.startswith(("edgedense-a-", "edgedense-b-")) for one in ids)
    assert not any("oneone" in one for one in ids)  # the machine's own id is not told


def test_words_for_what_brokers_do_not_say() -> None:
    assert why(TimeoutError("timed out")) == "it does not answer"
    assert why(ConnectionRefusedError(111, "Connection refused")) == "Connection refused"
    assert why(ValueError("malformed")) == "ValueError: malformed"
