"""Which hosts there are, and how the service on each is to be installed."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from edgedense.errors import EdgedenseError, first_line, listed

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

EXTRAS = ("device",)


@dataclass(frozen=True)
class Device:
    """A host as ssh knows it, and its service.

    The service is installed with `source`, `options` (of `edgedense run`) and `user`: `source` None is the first
    camera, `user` None the one who logs in. `public_key` is the content of a file by which it verifies signatures,
    None for one that verifies none. `extras` are those of the package; None keeps those that are there, and
    takes EXTRAS where there is no package. `is_told` says that a fleet file tells what the service is to have, so that
    one which has something else is changed.
    """

    host: str
    name: str = "edgedense"
    source: str | None = None
    options: tuple[str, ...] = ()
    user: str | None = None
    public_key: str | None = None
    extras: tuple[str, ...] | None = None
    is_told: bool = False


_KEYS = {field.name for field in fields(Device)} - {"is_told"}
_LISTS = {"options", "extras"}


def devices(hosts: Sequence[str], fleet: Path | str | None = None) -> tuple[Device, ...]:
    """The devices of the file `fleet`, or those of them that are named by `hosts`; without a file the hosts alone.

    Raises EdgedenseError where there is no host, or one twice, or one that the file does not know.
    """
    for host in hosts:
        _check_host(host)
    if fleet is None:
        found = tuple(map(Device, hosts))
    else:
        known = {device.host: device for device in read(fleet)}
        if strangers := [host for host in hosts if host not in known]:
            raise EdgedenseError(f"hosts of {fleet}: {listed(known)}", listed(strangers), "add a [[device]] for each")
        found = tuple(known[host] for host in hosts) if hosts else tuple(known.values())
    if not found:
        raise EdgedenseError("at least one HOST, or --fleet FILE.toml", "none", "edgedense deploy MODEL user@host")
    _check_once([device.host for device in found], "the command")
    return found


def read(path: Path | str) -> tuple[Device, ...]:
    """The devices of a fleet file: a table `defaults`, and one `[[device]]` with a `host` for each.

    What a device says goes before what stands in `defaults`. Raises EdgedenseError for a file that is not there, is no
    TOML, or says what nobody understands.
    """
    try:
        content = tomllib.loads(Path(path).read_text("utf-8"))
    except OSError as error:
        raise EdgedenseError("a fleet file", f"{path}: {error.strerror}", "check the path") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise EdgedenseError("a fleet file in TOML", f"{path}: {error}") from error
    if strange := set(content) - {"defaults", "device"}:
        raise EdgedenseError(f"[defaults] and [[device]] in {path}", listed(sorted(strange)))
    defaults, each = content.get("defaults", {}), content.get("device", [])
    if not isinstance(defaults, dict) or not isinstance(each, list) or not all(isinstance(one, dict) for one in each):
        raise EdgedenseError(f"one [defaults] and several [[device]] in {path}", "brackets of another kind")
    _check_entries(defaults, f"[defaults] of {path}", _KEYS - {"host"})
    found = []
    for number, one in enumerate(each, 1):
        where = f"[[device]] {number} of {path}"
        _check_entries(one, where, _KEYS)
        if "host" not in one:
            raise EdgedenseError(f"a host in {where}", "none", 'host = "user@name"')
        _check_host(one["host"])
        found.append(_device({**defaults, **one}, Path(path).parent))
    _check_once([device.host for device in found], str(path))
    return tuple(found)


def _device(entries: Mapping[str, Any], folder: Path) -> Device:
    """A device of a file in `folder`, where the names of other files begin."""
    fitting: dict[str, Any] = {key: tuple(value) if key in _LISTS else value for key, value in entries.items()}
    if "public_key" in entries:
        fitting["public_key"] = _key(folder / entries["public_key"])
    return Device(**fitting, is_told=True)


def _key(path: Path) -> str:
    """The content of a public key, which `edgedense sign` has written; it is read on the device."""
    try:
        return path.read_text("ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise EdgedenseError(
            "a public key of edgedense sign", f"{path}: {first_line(error)}", "check the path"
        ) from error


def _check_entries(entries: Mapping[str, Any], where: str, known: set[str]) -> None:
    if strange := set(entries) - known:
        raise EdgedenseError(f"{', '.join(sorted(known))} in {where}", listed(sorted(strange)))
    for key, value in entries.items():
        is_right = (
            isinstance(value, list) and all(isinstance(word, str) for word in value)
            if key in _LISTS
            else isinstance(value, str) and value != ""
        )
        if not is_right:
            wanted = '["--smooth", "5"]' if key == "options" else '["device"]' if key == "extras" else '"TEXT"'
            raise EdgedenseError(f"{key} = {wanted} in {where}", repr(value))


def _check_host(host: str) -> None:
    """A host that begins with - would be an option of ssh."""
    if not host or host.startswith("-") or any(letter.isspace() or not letter.isprintable() for letter in host):
        raise EdgedenseError("a host as ssh knows it, such as user@name", repr(host))


def _check_once(hosts: Sequence[str], where: str) -> None:
    if doubled := [host for host in dict.fromkeys(hosts) if hosts.count(host) > 1]:
        raise EdgedenseError(f"each host once in {where}", f"{listed(doubled)} more than once")
