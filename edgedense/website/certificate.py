"""The certificate of `edgedense web --serve`: made on this machine, and kept, so that a phone must accept it once.

Browsers give the camera to pages alone that came encrypted (HTTPS). Nobody vouches for a machine of a local network,
so that it vouches for itself: the certificate is self-signed, and a browser asks before it takes the page.
"""

from __future__ import annotations

import datetime
import ipaddress
import socket
from dataclasses import dataclass
from pathlib import Path

import ifaddr
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from platformdirs import user_state_path

from edgedense.errors import EdgedenseError
from edgedense.files import write_atomically

FILE = "certificate.pem"  # the key, and the certificate behind it
VALID = datetime.timedelta(days=397)  # more than 398 days is refused by Apple's browsers
_LEFT = datetime.timedelta(days=30)  # a certificate that ends sooner is replaced
_SLOW = datetime.timedelta(days=1)  # by so much another machine's clock may be behind
_OTHERS = 0o077  # the permissions of a file for anybody but its owner


@dataclass(frozen=True)
class Certificate:
    """A certificate in the file `path`, which holds its key too. `names` are the names and addresses of this machine
    that it is for, and `fingerprint` is its SHA-256, as browsers show it: AB:CD:..."""

    path: Path
    names: tuple[str, ...]
    fingerprint: str


def folder() -> Path:
    """Where the certificate is kept: in the user's folder for what programs remember."""
    return user_state_path("edgedense", appauthor=False) / "web"


def certificate(place: Path, names: tuple[str, ...], now: datetime.datetime) -> Certificate:
    """The certificate in the folder `place`, which is made where there is none.

    One that does not hold all `names`, ends soon, is damaged, or whose key others may read is replaced; the new one has
    the names of the old one too, so that who comes back to a network finds it. Addresses of version 6 alone are no
    reason: machines change them from day to day. `now` has a time zone. Raises EdgedenseError when the folder cannot be
    written.
    """
    path = place / FILE
    kept = _read(path)
    lasting = {name for name in names if ":" not in name}
    if kept is not None and lasting <= set(_names(kept)) and kept.not_valid_after_utc - now > _LEFT:
        return _told(path, kept)
    wanted = tuple(dict.fromkeys([*names, *(_names(kept) if kept else ())]))
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EdgedenseError("a folder to keep the certificate in", f"{place}: {error.strerror}") from error
    key = ec.generate_private_key(ec.SECP256R1())
    made = _made(key, wanted, now)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    write_atomically(path, private + made.public_bytes(serialization.Encoding.PEM), mode=0o600)
    return _told(path, made)


def names_of_this_machine() -> tuple[str, ...]:
    """Its names and addresses: first the one by which it reaches the network, then the others of version 4 and 6."""
    host = socket.gethostname().lower()
    found = [str(ip.ip if ip.is_IPv4 else ip.ip[0]) for adapter in ifaddr.get_adapters() for ip in adapter.ips]
    addresses = [address for address in found if not ipaddress.ip_address(address).is_loopback]
    local = [host, *([] if "." in host else [f"{host}.local"]), "localhost", "127.0.0.1", "::1"]
    return tuple(dict.fromkeys([*_outward(), *sorted(addresses), *local]))


def _outward() -> list[str]:
    """The address of the interface that leads out. Nothing is sent: connecting such a socket looks up the way alone."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as way:
        try:
            way.connect(("203.0.113.1", 9))  # an address that is nobody's (RFC 5737)
        except OSError:
            return []
        return [way.getsockname()[0]]


def _read(path: Path) -> x509.Certificate | None:
    """The certificate in a file, None where there is none that can be used with the key beside it."""
    try:
        if path.stat().st_mode & _OTHERS:
            return None
        data = path.read_bytes()
        found = x509.load_pem_x509_certificate(data)
        key = serialization.load_pem_private_key(data, None)
        return found if key.public_key() == found.public_key() else None
    except (OSError, ValueError, TypeError):
        return None


def _told(path: Path, found: x509.Certificate) -> Certificate:
    fingerprint = found.fingerprint(hashes.SHA256()).hex(":").upper()
    return Certificate(path, _names(found), fingerprint)


def _names(found: x509.Certificate) -> tuple[str, ...]:
    extension = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return tuple(str(name.value) for name in extension)


def _made(key: ec.EllipticCurvePrivateKey, names: tuple[str, ...], now: datetime.datetime) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "edgedense web")])
    usage = x509.KeyUsage(True, False, False, False, False, False, False, False, False)  # digital signatures alone
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SLOW)
        .not_valid_after(now - _SLOW + VALID)
        .add_extension(x509.SubjectAlternativeName([_general(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
