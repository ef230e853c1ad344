"""Five devices: an OpenSSH server on the loopback for each, with a folder that stands for its file system."""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import venv
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from edgedense.rollout import on_device, package
from edgedense.rollout.package import Package
from tests.edgedense.rollout import stand_in

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
SSHD = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
HOSTS = 5
PLACE = Path("/mnt/edgedense")  # on every device; a service could not see it in /tmp
_CONFIG = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {key}
AuthorizedKeysFile {authorized}
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PidFile none
ForceCommand exec {unshare} sh {login}
"""


# What a session does first. Each device sees its own folder at the same place, by a mount that no one else sees.
_LOGIN = """\
cd {home} && mount --bind {home}/mnt /mnt || exit
export HOME={home} PATH={home}/bin:/usr/bin:/bin
. ./first
exec sh -c "$SSH_ORIGINAL_COMMAND"
"""


def free_port() -> int:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return int(opened.getsockname()[1])


def make_key(path: Path) -> str:
    """A key pair; returns the public one, without its comment."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    return " ".join(Path(f"{path}.pub").read_text().split()[:2])


@dataclass
class Host:
    """A device: `home` is its file system, and the folder for edgedense is in it."""

    name: str
    port: int
    home: Path
    public: str
    server: subprocess.Popen[bytes] = field(repr=False)

    @property
    def place(self) -> Path:
        """Where edgedense's folder lies for us; the device sees it at PLACE."""
        return self.home / "mnt" / "edgedense"

    @property
    def models(self) -> dict[str, bytes]:
        """Every file below models/, also one that is not whole."""
        return {path.name: path.read_bytes() for path in (self.place / "models").rglob("*") if path.is_file()}

    def service(self, name: str = "edgedense") -> dict[str, str]:
        """What the service is, as stand_in.py writes it: python, model, words, state, and restarts once there were."""
        return {path.name: path.read_text().strip() for path in (self.home / "services" / name).iterdir()}

    def program(self, name: str, text: str) -> None:
        """Put a program on the device's PATH."""
        path = self.home / "bin" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def have(self, wanted: Package, extras: tuple[str, ...] = ("device",), in_use: bool = True) -> str:
        """As if the package had been installed there; returns the name of its version."""
        key = on_device._key(wanted.to_dict(), list(extras))
        folder = self.place / "versions" / key
        (folder / "bin").mkdir(parents=True)
        python = f'STAND_IN="$0" exec {sys.executable} {HERE / "stand_in.py"} "$@"'
        # -m edgedense.cli are its first two words
        (folder / "bin" / "python").write_text(f"#!/bin/sh\nshift 2\n{python}\n")
        (folder / "bin" / "python").chmod(0o755)
        entries = {"version": wanted.version, "sha256": wanted.sha256, "extras": list(extras)}
        (folder / on_device.PACKAGE).write_text(json.dumps(entries))
        if in_use:
            on_device._link(self.place, key)
        return key

    def have_real(self, wanted: Package) -> None:
        """As if this checkout had been installed there under the name of `wanted`, with systemd and runuser replaced.

        The units and /var/lib of the device are folders of its home."""
        key = self.have(wanted)
        folder = self.place / "versions" / key
        shutil.rmtree(folder / "bin")
        venv.create(folder, symlinks=True)
        (packages,) = folder.glob("lib/python*/site-packages")
        paths = [str(ROOT), *(path for path in sys.path if path.endswith("-packages"))]
        (packages / "tests.pth").write_text("".join(f"{path}\n" for path in paths))
        self.program("systemctl", f". {HERE / 'systemctl_of_units.sh'}")
        self.program("runuser", 'shift 3; exec "$@"')  # -u USER --
        for name, where in (("units", "/etc/systemd/system"), ("state", "/var/lib")):
            (self.home / name).mkdir()
            with (self.home / "first").open("a") as file:
                file.write(f"mount --bind {self.home / name} {where}\n")

    def clear(self) -> None:
        """A device as it comes from the card: systemd and Python, and nothing else."""
        shutil.rmtree(self.home, ignore_errors=True)
        self.place.mkdir(parents=True)
        (self.home / "first").write_text("")  # what else a session does first
        self.program("python3", f'exec {sys.executable} "$@"')
        self.program("systemctl", f". {HERE / 'systemctl.sh'}")


@dataclass
class Fleet:
    """The devices, and the configuration of ssh that knows them."""

    hosts: list[Host]
    folder: Path

    @property
    def config(self) -> Path:
        return self.folder / "config"

    @property
    def names(self) -> list[str]:
        return [host.name for host in self.hosts]

    def know(self, **others: str) -> None:
        """Write the known hosts, with other keys for those that are named; an empty one is not known."""
        keys = {host.name: host.public for host in self.hosts} | others
        lines = [f"[127.0.0.1]:{host.port} {keys[host.name]}\n" for host in self.hosts if keys[host.name]]
        (self.folder / "known").write_text("".join(lines))

    def reach(self, **ports: int) -> None:
        """Write the configuration of ssh, with other ports for those that are named."""
        text = (
            f"Host *\n HostName 127.0.0.1\n User {getpass.getuser()}\n IdentityFile {self.folder / 'user'}\n"
            f" IdentitiesOnly yes\n UserKnownHostsFile {self.folder / 'known'}\n GlobalKnownHostsFile /dev/null\n"
        )
        for host in self.hosts:
            alias = f" HostKeyAlias [127.0.0.1]:{host.port}\n" if host.name in ports else ""
            text += f"Host {host.name}\n Port {ports.get(host.name, host.port)}\n{alias}"
        self.config.write_text(text)


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    if SSHD is None:
        pytest.skip("needs the system package openssh-server")
    folder = tmp_path_factory.mktemp("fleet")
    user = make_key(folder / "user")
    (folder / "authorized").write_text(user + "\n")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # the service's start makes it, which a container has not
    hosts = [_start(f"barn-{number}", folder) for number in range(1, HOSTS + 1)]
    try:
        for host in hosts:
            _wait(host)
        yield Fleet(hosts, folder)
    finally:
        for host in hosts:
            host.server.terminate()
        for host in hosts:
            host.server.wait()


def _start(name: str, folder: Path) -> Host:
    public, port, home = make_key(folder / f"{name}.key"), free_port(), folder / name
    config, login = folder / f"{name}.conf", folder / f"{name}.login"
    login.write_text(_LOGIN.format(home=home))
    paths = {"key": folder / f"{name}.key", "authorized": folder / "authorized", "login": login}
    unshare = "unshare -m" if os.geteuid() == 0 else "unshare -Urm"
    config.write_text(_CONFIG.format(port=port, unshare=unshare, **paths))
    command = [str(SSHD), "-D", "-f", str(config), "-E", str(folder / f"{name}.log")]
    return Host(name, port, home, public, subprocess.Popen(command))


def _wait(host: Host) -> None:
    end = time.monotonic() + 10
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", host.port)):
            return
        assert time.monotonic() < end, f"{host.name} does not listen"
        time.sleep(0.02)


@pytest.fixture
def fleet(servers: Fleet) -> Fleet:
    """Five devices without anything, which are known and let us in."""
    for host in servers.hosts:
        host.clear()
    servers.know()
    servers.reach()
    return servers


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of the stand-in. Its Python tells the unit where it is, as the real one does by sys.executable."""
    name, version = "edgedense", stand_in.VERSION
    path = tmp_path_factory.mktemp("wheel") / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    main = "import os, sys\nos.environ['STAND_IN'] = sys.executable\n" + (HERE / "stand_in.py").read_text()
    contents = {
        f"{name}/__init__.py": "",
        f"{name}/cli/__init__.py": "",
        f"{name}/cli/__main__.py": main,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nProvides-Extra: device\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    with zipfile.ZipFile(path, "w") as archive:
        for entry, text in {**contents, f"{info}/RECORD": "".join(f"{entry},,\n" for entry in contents)}.items():
            archive.writestr(zipfile.ZipInfo(entry), text)
    return path


@pytest.fixture
def wanted(wheel: Path) -> Package:
    return package.of_wheel(wheel)


class Cable:
    """A way to a host that is cut, or hangs, once so many bytes went to it."""

    def __init__(self, host: Host, after: int, hangs: bool = False) -> None:
        self._host, self._after, self._hangs = host, after, hangs
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        self._ends: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                far = socket.create_connection(("127.0.0.1", self._host.port))
                self._ends += [near, far]
                for source, target, limit in ((near, far, self._after), (far, near, None)):
                    thread = threading.Thread(target=self._carry, args=(source, target, limit))
                    self._threads.append(thread)
                    thread.start()

    def _carry(self, source: socket.socket, target: socket.socket, limit: int | None) -> None:
        carried = 0
        with contextlib.suppress(OSError):
            while block := source.recv(4096):
                carried += len(block)
                if limit is not None and carried > limit:
                    if self._hangs:
                        return
                    break
                target.sendall(block)
            for end in (source, target):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        for end in (self._listening, *self._ends):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        for thread in self._threads:
            thread.join()
