"""A systemd service that classifies from boot on."""

from __future__ import annotations

import grp
import os
import pwd
import secrets
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from edgedense.device.camera.sources import Source
from edgedense.errors import DeviceError, EdgedenseError
from edgedense.files import write_atomically

GROUPS = ("video", "render", "plugdev")  # cameras; graphics memory; Coral sticks
UNITS, TOKENS = Path("/etc/systemd/system"), Path("/etc/edgedense")

_UNIT = """\
# Written by edgedense service install; it is written anew by the next one.
[Unit]
Description=edgedense: {description}
{network}StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
ExecStart={command}
Environment=PYTHONSAFEPATH=1 PYTHONDONTWRITEBYTECODE=1
User={user}
SupplementaryGroups={groups}
Restart=always
RestartSec=5
TimeoutStartSec=90
TimeoutStopSec=10
KillMode=mixed
WatchdogSec=30
{credential}LogRateLimitIntervalSec=30s
LogRateLimitBurst=300
UMask=0027
{writable}NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=read-only
PrivateTmp=yes
ProtectProc=invisible
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectHostname=yes
RestrictNamespaces=yes
RestrictSUIDSGID=yes
LockPersonality=yes
CapabilityBoundingSet=
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallArchitectures=native
SystemCallFilter=@system-service adjtimex clock_adjtime
SystemCallErrorNumber=EPERM
# Not PrivateDevices and not ProtectClock: both shut out every device, cameras among them.

[Install]
WantedBy=multi-user.target
"""


@dataclass(frozen=True)
class Service:
    """What is to run: `options` are those of edgedense run, `save` the folder that it may write to.

    `source` is None for the first camera. `has_token` says that the preview page's token comes as a credential.
    """

    name: str
    model: Path
    source: Source | None
    user: str
    options: tuple[str, ...] = ()
    save: Path | None = None
    has_token: bool = False

    @property
    def unit_path(self) -> Path:
        """Where the unit file belongs."""
        return UNITS / f"{self.name}.service"

    @property
    def token_path(self) -> Path:
        """Where the token is kept; only root can read it, and systemd hands it to the service."""
        return TOKENS / f"{self.name}.token"


def unit_text(service: Service) -> str:
    """The unit file."""
    command = [
        sys.executable,
        "-m",
        "edgedense.cli",
        "run",
        str(service.model),
        *([service.source.argument] if service.source else ["--camera"]),
        "--json",
        "--on-change",
    ]
    words = [_quoted(word) for word in (*command, *service.options)]
    if service.has_token:
        words += ["--preview-token-file", "%d/preview-token"]
    is_remote = service.source is not None and service.source.kind in ("http", "rtsp")
    return _UNIT.format(
        description=f"{service.model.name} on {service.source or 'the first camera'}".replace("%", "%%"),
        network="Wants=network-online.target\nAfter=network-online.target\n" if is_remote else "",
        command=" ".join(words),
        user=service.user,
        groups=" ".join(_present_groups()),
        credential=f"LoadCredential=preview-token:{service.token_path}\n" if service.has_token else "",
        writable=f"ReadWritePaths={_quoted(str(service.save))}\n" if service.save else "",
    )


def _quoted(word: str) -> str:
    """A word for a unit file: no specifiers, no variables, one word (systemd.service(5), COMMAND LINES)."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"' if escaped != word or not escaped or set(escaped) & set(" \t;'#") else escaped


def _present_groups() -> tuple[str, ...]:
    """A unit that names a group which the system does not have would not start."""
    known = {group.gr_name for group in grp.getgrall()}
    return tuple(name for name in GROUPS if name in known)


def service_user(named: str | None) -> str:
    """The user to run as: the one named, else who called sudo. Raises EdgedenseError for root and for nobody."""
    user = named or os.environ.get("SUDO_USER")
    if not user:
        raise EdgedenseError("a user for the service to run as", "none", "--user NAME")
    try:
        is_root = pwd.getpwnam(user).pw_uid == 0
    except KeyError:
        raise EdgedenseError("a user of this system", user, f"sudo useradd --system --no-create-home {user}") from None
    if is_root:
        raise EdgedenseError("an unprivileged user", user, "--user NAME")
    return user


def install(service: Service) -> str | None:
    """Write the unit, start it, and have it start at boot. Returns the preview page's token, if it has one.

    Raises EdgedenseError when this is not root or the user cannot read what it needs, DeviceError when systemd
    does not take the unit.
    """
    _require_root()
    _require_access(service)
    if service.save:
        service.save.mkdir(parents=True, exist_ok=True)
        shutil.chown(service.save, service.user)
    token = _kept_token(service.token_path) if service.has_token else None
    write_atomically(service.unit_path, unit_text(service).encode())
    service.unit_path.chmod(0o644)
    _systemctl("daemon-reload")
    _systemctl("enable", service.name)
    _systemctl("restart", "--no-block", service.name)  # it is ready only when the camera is
    return token


def _kept_token(path: Path) -> str:
    """The token of an earlier installation, or a new one."""
    if path.is_file():
        return path.read_text().strip()
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    token = secrets.token_urlsafe(16)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(token + "\n")
    return token


def _require_root() -> None:
    if os.geteuid() != 0:
        # The whole path: sudo does not look into virtual environments.
        arguments = " ".join(sys.argv[1:])
        raise EdgedenseError(
            "root, who alone can change services", "another user", f"sudo {sys.executable} -m edgedense.cli {arguments}"
        )


def _require_access(service: Service) -> None:
    """A home folder is closed to other users on Raspberry Pi OS, with everything in it."""
    check = "import sys; import edgedense.device; open(sys.argv[1]).close()"
    command = ["runuser", "-u", service.user, "--", sys.executable, "-c", check, str(service.model)]
    result = subprocess.run(command, cwd="/", capture_output=True, text=True, check=False)
    if result.returncode:
        why = (result.stderr.strip().splitlines() or ["it failed"])[-1]
        raise EdgedenseError(
            f"that {service.user} can read {service.model} and run {sys.executable}",
            why,
            "--user with their owner's name, or move them out of a home folder",
        )


def remove(name: str) -> None:
    """Stop the service and delete its unit and token. Raises EdgedenseError when there is none."""
    _require_root()
    service = Service(name, Path(), None, "")
    if not service.unit_path.is_file():
        raise EdgedenseError("a service to remove", f"no {service.unit_path}")
    _systemctl("disable", "--now", name)
    service.unit_path.unlink()
    service.token_path.unlink(missing_ok=True)
    _systemctl("daemon-reload")


@dataclass(frozen=True)
class ServiceStatus:
    """What systemd says: its states, the service's own words, and how often it was restarted since it was started."""

    name: str
    is_installed: bool
    state: str
    says: str
    since: str
    restarts: int

    @property
    def is_active(self) -> bool:
        """Whether it runs and has told that it is ready."""
        return self.state == "active (running)"

    def __str__(self) -> str:
        if not self.is_installed:
            return f"{self.name}: not installed"
        since = f" since {self.since}" if self.since else ""
        says = f"\n{self.says}" if self.says else ""
        return f"{self.name}: {self.state}{since}, restarted {self.restarts} times{says}"


def status(name: str) -> ServiceStatus:
    """Ask systemd. Raises DeviceError when there is none."""
    output = _systemctl(
        "show", name, "--property", "LoadState,ActiveState,SubState,StatusText,ActiveEnterTimestamp,NRestarts"
    )
    entries = dict(line.partition("=")[::2] for line in output.splitlines())
    return ServiceStatus(
        name,
        entries.get("LoadState") == "loaded",
        f"{entries.get('ActiveState', 'unknown')} ({entries.get('SubState', 'unknown')})",
        entries.get("StatusText", ""),
        entries.get("ActiveEnterTimestamp", ""),
        int(entries.get("NRestarts") or 0),
    )


def _systemctl(*arguments: str) -> str:
    try:
        result = subprocess.run(["systemctl", *arguments], capture_output=True, text=True, timeout=60, check=False)
    except FileNotFoundError:
        raise DeviceError("systemd", "no systemctl on PATH") from None
    except subprocess.TimeoutExpired:
        raise DeviceError("an answer from systemd", f"none to systemctl {arguments[0]} in a minute") from None
    if result.returncode:
        why = " ".join(result.stderr.split()) or f"exit status {result.returncode}"
        raise DeviceError(f"systemctl {' '.join(arguments)} to work", why)
    return result.stdout
