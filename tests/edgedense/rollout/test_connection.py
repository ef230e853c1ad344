"""What ssh and sudo say is told so that it can be mended; how ssh is called. test_deploy.py has the real ones."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from edgedense.errors import EdgedenseError
from edgedense.rollout.connection import Connection


@pytest.fixture
def connection(tmp_path: Path) -> Connection:
    return Connection("barn-1", tmp_path / "0", time.monotonic() + 5, threading.Event(), Path("barns.conf"))


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("Host key verification failed.\r\n", "a host key of barn-1 that is known"),
        ("@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.\n", "another key"),
        ("pi@barn-1: Permission denied (publickey).\n", "ssh-copy-id barn-1"),
        ("sudo: a password is required\n", "sudo without a password on barn-1"),
        ("sh: 1: exec: sudo: not found\n", "root, or sudo, on barn-1"),
        ("sh: 1: exec: python3: not found\n", "Python 3 on barn-1"),
        ("a banner\nssh: connect to host barn-1 port 22: No route to host\n\n", "port 22: No route to host"),
        ("", "the connection was cut"),
    ],
)
def test_what_goes_wrong_is_told_with_what_mends_it(connection: Connection, said: str, told: str) -> None:
    assert told in str(connection._problem(said.encode()))


def test_ssh_asks_nothing_and_checks_keys_as_the_user_says(connection: Connection) -> None:
    for words in (connection._ssh("yes", "-N"), connection._ssh("no", "--", "true")):
        assert words[:3] == ["ssh", "-F", "barns.conf"]
        assert "BatchMode=yes" in words
        assert not any("HostKey" in word or "KnownHosts" in word for word in words)
        assert words[words.index("--") + 1] == "barn-1"


def test_without_ssh_no_host_is_tried(connection: Connection, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EdgedenseError, match="OpenSSH's client"):
        connection.__enter__()
