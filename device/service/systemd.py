"""A systemd service that classifies from boot on."""

from __future__ import annotations

import grp
import os
import pwd
import re
import secrets
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from edgedense.device.camera.sources import Source
from edgedense.device.service import admission, places
from edgedense.device.service.places import Place
from edgedense.device.versions import models
from edgedense.device.versions.models import Models
from edgedense.errors import DeviceError, EdgedenseError
from edgedense.files import write_atomically

GROUPS = ("video", "render", "plugdev")  # cameras; graphics memory; Coral sticks
UNITS, TOKENS = Path("/etc/systemd/system"), Path("/etc/edgedense")  # the latter holds public keys too

_UNIT = """\
# Written by edgedense service install; it is written anew by the next one.
[Unit]
Description=edgedense: {description}
{network}StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
ExecStart={command}
ExecStopPost={guard}
Environment={environment}
User={user}
SupplementaryGroups={groups}
Restart=always
RestartSec=5
# For slow boards: a Python that is read from a slow card, at the start and for ExecStopPost.
TimeoutStartSec=300
TimeoutStopSec=30
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
class Secret:
    """A file that root alone may be able to read: systemd hands its content to the service, and `option` of edgedense
    run gets where it lies then."""

    option: str
    path: Path

    @property
    def name(self) -> str:
        """What systemd calls it: "mqtt-password" of --mqtt-password-file."""
        return self.option.removeprefix("--").removesuffix("-file")


@dataclass(frozen=True)
class Service:
    """What is to run: `options` are those of edgedense run, with whole paths, but for `secrets`.

    `model` is copied to where only root writes. The user must be able to read `reads`, and may write to `places`.
    `source` is None for the first camera. `has_token` says that the preview page's token comes as a credential. With a
    `public_key` the service takes no model that was not signed with its private key.
    """

    name: str
    model: Path
    source: Source | None
    user: str
    options: tuple[str, ...] = ()
    reads: tuple[Path, ...] = ()
    places: tuple[Place, ...] = ()
    has_token: bool = False
    public_key: Path | None = None
    secrets: tuple[Secret, ...] = ()

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", self.name):
            raise EdgedenseError("a service's name of letters, digits and - _ .", repr(self.name), "--name door")
        if self.name == models.FOLDER.name:
            raise EdgedenseError("a name for the service", f"{self.name}, whose folder holds models", "--name door")

    @property
    def device(self) -> str:
        """What runs the model, the option --device."""
        return self.options[self.options.index("--device") + 1] if "--device" in self.options else "cpu"

    @property
    def unit_path(self) -> Path:
        """Where the unit file belongs."""
        return UNITS / f"{self.name}.service"

    @property
    def token_path(self) -> Path:
        """Where the token is kept; only root can read it, and systemd hands it to the service."""
        return TOKENS / f"{self.name}.token"

    @property
    def credentials(self) -> tuple[Secret, ...]:
        """All that systemd hands to it."""
        return ((Secret("--preview-token-file", self.token_path),) if self.has_token else ()) + self.secrets

    @property
    def key_path(self) -> Path:
        """Where the public key is kept, by which updates are verified; everybody may read it."""
        return TOKENS / f"{self.name}.pub"

    @property
    def models(self) -> Models:
        """Where its models are kept."""
        return Models.of(self.name)

    @property
    def state_folder(self) -> Path:
        """Where relative paths of what it writes begin. systemd makes it for the service's user."""
        return places.STATE / self.name


def unit_text(service: Service) -> str:
    """The unit file."""
    command = [
        sys.executable,
        "-m",
        "edgedense.cli",
        "run",
        str(service.models.link),
        *([service.source.argument] if service.source else ["--camera"]),
        "--json",
        "--on-change",
    ]
    words = [_quoted(word) for word in (*command, *service.options)]
    for secret in service.credentials:
        words += [secret.option, f"%d/{secret.name}"]
    # The path goes to the line's end as it is: quotes would be a part of it.
    loaded = (f"LoadCredential={one.name}:{str(one.path).replace('%', '%%')}\n" for one in service.credentials)
    return _UNIT.format(
        description=f"{service.name} on {service.source or 'the first camera'}".replace("%", "%%"),
        guard=guard(service),
        environment=environment(service),
        network=_network(service),
        command=" ".join(words),
        user=service.user,
        groups=" ".join(_present_groups()),
        credential="".join(loaded),
        writable=_writable(service),
    )


def _network(service: Service) -> str:
    """A camera in the network is waited for at boot. A broker is not: the picture is classified without it. But at the
    end the service goes before the network does, so that it can say goodbye."""
    if service.source is not None and service.source.kind in ("http", "rtsp"):
        return "Wants=network-online.target\nAfter=network-online.target\n"
    return "After=network.target\n" if "--mqtt" in service.options else ""


def guard(service: Service) -> str:
    """The command that takes back a model that fails. The plus sign: systemd runs it as root, outside of the unit's
    walls."""
    words = (sys.executable, "-m", "edgedense.device.versions.guard", service.models.folder, service.state_folder)
    return "+" + " ".join(_quoted(str(word)) for word in words)


def environment(service: Service) -> str:
    """The variables of the unit's processes."""
    return f"PYTHONSAFEPATH=1 PYTHONDONTWRITEBYTECODE=1 EDGEDENSE_MODELS={service.models.folder}"


def _writable(service: Service) -> str:
    """What the service may write to, although it sees the rest of the system read-only."""
    states = {service.state_folder} | {place.folder for place in service.places if place.in_state}
    others = {place.folder for place in service.places if not place.in_state}
    names = [_quoted_path(str(folder.relative_to(places.STATE))) for folder in sorted(states)]
    lines = [f"StateDirectory={' '.join(names)}\nStateDirectoryMode=0750\n"]
    if others:
        lines.append(f"ReadWritePaths={' '.join(_quoted_path(str(folder)) for folder in sorted(others))}\n")
    return "".join(lines)


def _quoted(word: str) -> str:
    """A word of a command: no specifiers, no variables, one word (systemd.service(5), COMMAND LINES)."""
    return _quoted_path(word).replace("$", "$$")


def _quoted_path(word: str) -> str:
    """A path in a unit file: no specifiers, one word. Variables are known in commands alone."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
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
    """Keep the model, write the unit, start it, and have it start at boot. Returns the preview page's token, if any.

    Raises EdgedenseError when this is not root, the user cannot read what it needs or the model is not signed although
    there is a key, DeviceError when systemd does not take the unit.
    """
    require_root()
    files = admission.files_of(service.model, service.device)
    admission.require_signed(files, service.public_key or service.key_path)
    _require_access(service)
    for place in service.places:
        _make(place, service.user)
    if service.public_key is not None:
        admission.keep_key(service.public_key, service.key_path)
    admission.install(service.models, files, service.key_path)
    token = _kept_token(service.token_path) if service.has_token else None
    write_atomically(service.unit_path, unit_text(service).encode())
    service.unit_path.chmod(0o644)
    systemctl("daemon-reload")
    systemctl("enable", service.name)
    systemctl("restart", "--no-block", service.name)  # it is ready only when the camera is
    return token


def _make(place: Place, user: str) -> None:
    """Make a folder that is missing, for the user. One that is there stays its owner's."""
    missing = [folder for folder in (place.folder, *place.folder.parents) if not folder.exists()]
    if place.in_state or not missing:
        return
    place.folder.mkdir(parents=True)
    for folder in missing:
        shutil.chown(folder, user)


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


def require_root() -> None:
    """Raise EdgedenseError where this is another user, with the command for root."""
    if os.geteuid() != 0:
        # The whole path: sudo does not look into virtual environments.
        arguments = shlex.join(sys.argv[1:])
        raise EdgedenseError(
            "root, who alone can change services", "another user", f"sudo {sys.executable} -m edgedense.cli {arguments}"
        )


# Run as the service's user; arguments: so many paths to read, then those paths, then folders to write to.
_ACCESS = """
import os, sys
import edgedense.device.classifier
count = int(sys.argv[1])
for path in sys.argv[2:2 + count]:
    os.listdir(path) if os.path.isdir(path) else open(path).close()
for folder in sys.argv[2 + count:]:
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(13, "Permission to write denied", folder)
"""


def _require_access(service: Service) -> None:
    """A home folder is closed to other users on Raspberry Pi OS, with everything in it."""
    reads = [str(path) for path in service.reads]
    folders = [place.folder for place in service.places if not place.in_state]
    for place in service.places:
        is_folder = place.folder.is_dir() or (place.kind == "folder" and not place.folder.exists())  # it will be made
        if not place.in_state and not is_folder:
            raise EdgedenseError(
                f"a folder to write {place.path.name} in" if place.kind == "file" else "a folder to write in",
                f"{place.folder}, which {'is a file' if place.folder.exists() else 'does not exist'}",
                f"a relative path, which is kept in {service.state_folder}",
            )
    written = [str(folder) for folder in folders if folder.exists()]
    command = ["runuser", "-u", service.user, "--", sys.executable, "-c", _ACCESS, str(len(reads)), *reads, *written]
    result = subprocess.run(command, cwd="/", capture_output=True, text=True, check=False)
    if result.returncode:
        why = (result.stderr.strip().splitlines() or ["it failed"])[-1]
        raise EdgedenseError(
            f"that {service.user} can "
            + "".join(
                f"{what} {', '.join(paths)}, " for what, paths in (("read", reads), ("write to", written)) if paths
            )
            + f"run {sys.executable}",
            why,
            "--user with their owner's name, or move them out of a home folder",
        )


def remove(name: str) -> Path:
    """Stop the service and delete its unit, token and public key, but neither its models and their history nor what it
    wrote: the path of its state folder.

    Raises EdgedenseError when there is no such service.
    """
    require_root()
    service = Service(name, Path(), None, "")
    if not service.unit_path.is_file():
        raise EdgedenseError("a service to remove", f"no {service.unit_path}")
    systemctl("disable", "--now", name)
    service.unit_path.unlink()
    service.token_path.unlink(missing_ok=True)
    service.key_path.unlink(missing_ok=True)
    systemctl("daemon-reload")
    return service.state_folder


@dataclass(frozen=True)
class ServiceStatus:
    """What systemd says: its states, the service's own words, how often it was restarted since it was started, and the
    name of this start."""

    name: str
    is_installed: bool
    state: str
    says: str
    since: str
    restarts: int
    invocation: str = ""

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
    output = systemctl(
        "show",
        name,
        "--property",
        "LoadState,ActiveState,SubState,StatusText,ActiveEnterTimestamp,NRestarts,InvocationID",
    )
    entries = dict(line.partition("=")[::2] for line in output.splitlines())
    return ServiceStatus(
        name,
        entries.get("LoadState") == "loaded",
        f"{entries.get('ActiveState', 'unknown')} ({entries.get('SubState', 'unknown')})",
        entries.get("StatusText", ""),
        entries.get("ActiveEnterTimestamp", ""),
        int(entries.get("NRestarts") or 0),
        entries.get("InvocationID", ""),
    )


def systemctl(*arguments: str) -> str:
    """What the program of that name prints. Raises DeviceError where it fails or is missing."""
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
