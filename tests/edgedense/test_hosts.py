from __future__ import annotations

import pytest

from edgedense.hosts import is_loopback


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.8.8", "::1"])
def test_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.4", "pi.local", "localhost.example", ""])
def test_what_others_reach_or_are(host: str) -> None:
    assert not is_loopback(host)
