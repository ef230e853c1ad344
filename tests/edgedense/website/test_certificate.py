"""The certificate of a machine in a local network: for all of its names, kept, and its key nobody else's."""

from __future__ import annotations

import datetime
import ipaddress
import stat
from pathlib import Path

import pytest

from edgedense.errors import EdgedenseError

pytest.importorskip("cryptography")
pytest.importorskip("ifaddr")
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from edgedense.website.certificate import certificate, names_of_this_machine

NAMES = ("192.168.1.20", "fe80::1", "workstation", "workstation.local", "localhost", "127.0.0.1", "::1")
NOW = datetime.datetime(2026, 3, 1, tzinfo=datetime.timezone.utc)
DAY = datetime.timedelta(days=1)


def read(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_what_a_browser_looks_for(tmp_path: Path) -> None:
    """The limits of Apple's browsers: at most 398 days, names as alternative names, for servers. Clocks may be slow."""
    made = certificate(tmp_path / "web", NAMES, NOW)
    found = read(made.path)
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["workstation", "workstation.local", "localhost"]
    assert names.get_values_for_type(x509.IPAddress) == [
        ipaddress.ip_address(name) for name in ("192.168.1.20", "fe80::1", "127.0.0.1", "::1")
    ]
    assert (found.not_valid_before_utc, found.not_valid_after_utc) == (NOW - DAY, NOW + 396 * DAY)
    usage = found.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.SERVER_AUTH]
    assert not found.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    found.verify_directly_issued_by(found)
    assert made.names == NAMES
    assert len(made.fingerprint) == 32 * 3 - 1


def test_the_key_is_its_owners_alone(tmp_path: Path) -> None:
    path = certificate(tmp_path, NAMES, NOW).path
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [item.name for item in tmp_path.iterdir()] == [path.name]


def test_a_phone_is_asked_once(tmp_path: Path) -> None:
    first = certificate(tmp_path, NAMES, NOW)
    assert certificate(tmp_path, NAMES, NOW + 365 * DAY) == first
    assert certificate(tmp_path, NAMES[2:], NOW) == first
    assert certificate(tmp_path, ("fd00::7", *NAMES), NOW) == first  # addresses of version 6 change every day


def test_when_it_is_asked_again(tmp_path: Path) -> None:
    first = certificate(tmp_path, NAMES, NOW)
    moved = certificate(tmp_path, ("10.0.0.5", "localhost"), NOW)
    assert moved.fingerprint != first.fingerprint
    assert set(moved.names) == {"10.0.0.5", *NAMES}
    assert certificate(tmp_path, NAMES, NOW) == moved  # back in the first network
    assert certificate(tmp_path, NAMES, NOW + 367 * DAY).fingerprint != moved.fingerprint  # 30 days are left


@pytest.mark.parametrize("damage", ["cut", "empty", "open to others", "another's key"])
def test_what_cannot_be_used_is_replaced(tmp_path: Path, damage: str) -> None:
    first = certificate(tmp_path, NAMES, NOW)
    data = first.path.read_bytes()
    if damage == "cut":
        first.path.write_bytes(data[:-100])
    elif damage == "empty":
        first.path.write_bytes(b"")
    elif damage == "open to others":
        first.path.chmod(0o640)
    else:
        other = certificate(tmp_path / "other", NAMES, NOW).path.read_bytes()
        first.path.write_bytes(
            other.partition(b"-----BEGIN CERT")[0] + b"".join(data.partition(b"-----BEGIN CERT")[1:])
        )
    again = certificate(tmp_path, NAMES, NOW)
    assert again.fingerprint != first.fingerprint
    assert stat.S_IMODE(again.path.stat().st_mode) == 0o600


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EdgedenseError, match="a folder to keep the certificate in"):
        certificate(tmp_path / "file" / "web", NAMES, NOW)


def test_this_machine() -> None:
    names = names_of_this_machine()
    assert {"localhost", "127.0.0.1", "::1"} <= set(names)
    assert len(set(names)) == len(names)
