"""Every option of `edgedense run` that writes can do so in the service, and what it reads is found there."""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import subprocess
import sys
import typing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edgedense.cli.app import app
from edgedense.cli.flags import expanded, flags_of
from edgedense.cli.run import run
from edgedense.device.service import places, systemd
from edgedense.device.versions import models
from edgedense.errors import EdgedenseError

FLAGS = {name: flag for name, flag in flags_of(run).items() if flag.writes or flag.reads}
WRITING = {name: flag for name, flag in FLAGS.items() if flag.writes}
READING = {name: flag for name, flag in FLAGS.items() if flag.reads and name != "model" and not flag.secret}
SECRET = {name: flag for name, flag in FLAGS.items() if flag.secret}
BESIDE = {
    "--monitor": ["--monitor", "state.json"],
    "--preview": ["--preview-address", ":8080"],
    "--mqtt": ["--mqtt", "mqtts://me@broker"],
    "--metrics": ["--metrics", ":9100"],
}  # what an option needs beside it


def test_every_parameter_of_run_that_is_a_path_says_what_is_done_with_it() -> None:
    """An option that writes and is added without saying so would have no writable place in the service."""
    hints = typing.get_type_hints(expanded(run))
    with_paths = {name for name, hint in hints.items() if Path in (hint, *typing.get_args(hint))}
    assert with_paths == set(FLAGS)
    assert {"save", "monitor"} <= set(WRITING)
    assert {"labels", "mqtt_ca", "monitor_baseline"} <= set(READING)
    assert {"preview_token_file", "mqtt_password_file", "metrics_token_file"} == set(SECRET)


def option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def beside(name: str) -> list[str]:
    return BESIDE[FLAGS[name].needs[0]] if FLAGS[name].needs else []


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder of who installs; systemctl and runuser on PATH let everything pass."""
    for name in ("systemctl", "runuser"):
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    monkeypatch.setattr(systemd, "UNITS", tmp_path / "units")
    monkeypatch.setattr(systemd, "TOKENS", tmp_path / "tokens")
    monkeypatch.setattr(places, "STATE", tmp_path / "var" / "lib")
    monkeypatch.setattr(models, "FOLDER", tmp_path / "models")
    monkeypatch.setattr(places, "HIDDEN", ())  # the tests' own folders are below /tmp
    monkeypatch.setattr(systemd.os, "geteuid", lambda: 0)
    monkeypatch.setattr(systemd.shutil, "chown", lambda *_: None)
    monkeypatch.setenv("SUDO_USER", "daemon")
    for folder in ("units", "home"):
        (tmp_path / folder).mkdir()
    monkeypatch.chdir(tmp_path / "home")
    (tmp_path / "home" / "m.tflite").touch()
    return tmp_path / "home"


def installed(*words: str) -> dict[str, str]:
    """The unit's directives."""
    result = CliRunner().invoke(app, ["service", "install", "m.tflite", "rpicam", "--name", "door", "--", *words])
    assert result.exit_code == 0, result.output + str(result.exception)
    lines = (systemd.UNITS / "door.service").read_text().splitlines()
    return {line.partition("=")[0]: line.partition("=")[2] for line in lines if "=" in line and line[0] != "#"}


def given(unit: dict[str, str], name: str) -> Path:
    """What the unit's command gives for an option."""
    words = shlex.split(unit["ExecStart"].replace("%%", "%").replace("$$", "$"))
    return Path(words[words.index(option(name)) + 1])


def writable(unit: dict[str, str]) -> list[Path]:
    """The folders that the service may write to, by systemd.exec(5)."""
    states = [places.STATE / name for name in shlex.split(unit.get("StateDirectory", ""))]
    return states + [Path(path.replace("%%", "%")) for path in shlex.split(unit.get("ReadWritePaths", ""))]


@pytest.mark.parametrize("name", WRITING)
@pytest.mark.parametrize("place", ["kept", "below/kept", "{outside}/kept", "{outside}/with 100 % $HOME/kept"])
def test_what_an_option_writes_has_a_writable_place_in_the_unit(home: Path, name: str, place: str) -> None:
    outside = home.parent / "outside"
    path = place.format(outside=outside)
    if path.startswith("/"):
        Path(path).parent.mkdir(parents=True)
    unit = installed(option(name), path, *beside(name))
    whole = given(unit, name)
    assert whole == (Path(path) if path.startswith("/") else places.STATE / "door" / path)
    folder = whole if WRITING[name].writes == "folder" else whole.parent
    assert folder in writable(unit)
    assert unit["ProtectSystem"] == "strict"  # nothing else is writable
    if path.startswith("/"):
        assert folder.is_dir()
        assert unit["StateDirectory"] == "door"  # what the service notes of its model is kept there
    else:
        assert shlex.split(unit["StateDirectory"])[0] == "door"  # systemd makes them in this order
        assert "ReadWritePaths" not in unit


@pytest.mark.parametrize("name", READING)
def test_what_an_option_reads_is_resolved_where_it_is_installed(home: Path, name: str) -> None:
    (home / "there").mkdir() if name == "monitor_baseline" else (home / "there").touch()
    unit = installed(option(name), "there", *beside(name))
    assert given(unit, name) == home / "there"
    link = models.FOLDER / "door" / "current.tflite"
    assert unit["ExecStart"].split()[4] == str(link)
    assert link.resolve().name == "m.tflite"
    assert "LoadCredential" not in unit


@pytest.mark.parametrize("name", SECRET)
def test_a_secret_is_handed_over_by_systemd_and_only_root_need_read_it(home: Path, name: str) -> None:
    (home / "a secret").touch()
    (home.parent / "bin" / "runuser").write_text(f'#!/bin/sh\necho "$@" > {home}/asked\n')
    unit = installed(option(name), "a secret", *beside(name))
    credential = option(name).removeprefix("--").removesuffix("-file")
    assert unit["LoadCredential"] == f"{credential}:{home}/a secret"
    assert given(unit, name) == Path(f"%d/{credential}")
    assert "a secret" not in (home / "asked").read_text()
    assert "a secret" not in unit["ExecStart"]


def test_reports_need_no_network_at_boot_and_one_at_the_end(home: Path) -> None:
    (home / "password").touch()
    unit = installed("--mqtt", "mqtts://me@broker/farm", "--mqtt-discovery", "", "--mqtt-every", "30")
    assert unit["After"] == "network.target"
    assert "Wants" not in unit
    words = shlex.split(unit["ExecStart"])
    assert words[words.index("--mqtt") :] == [
        *("--mqtt", "mqtts://me@broker/farm", "--mqtt-every", "30.0", "--mqtt-discovery", "")
    ]


def test_figures_for_the_network_want_a_token_that_stays(home: Path) -> None:
    words = ["service", "install", "m.tflite", "rpicam", "--", "--metrics"]
    refused = CliRunner().invoke(app, [*words, ":9100"])
    assert isinstance(refused.exception, EdgedenseError)
    assert "--metrics-token-file" in str(refused.exception)
    assert CliRunner().invoke(app, [*words, "127.0.0.1:9100"]).exit_code == 0


def test_options_keep_their_values_and_flags(home: Path) -> None:
    unit = installed(
        "--control", "hdr", "--control", "exposure=sport", "--when-moving", "--fps=2.5", "--crop", "square"
    )
    words = shlex.split(unit["ExecStart"])[6:]
    expected = "--json --on-change --when-moving --fps 2.5 --crop square --control hdr --control exposure=sport"
    assert sorted(words) == sorted(expected.split())
    assert words[words.index("hdr") - 1] == words[words.index("exposure=sport") - 1] == "--control"


def test_a_folder_that_is_there_stays_its_owners(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[tuple[Path, str]] = []
    monkeypatch.setattr(systemd.shutil, "chown", lambda path, user: taken.append((path, user)))
    installed("--save", str(home))
    assert taken == []
    installed("--save", str(home / "new" / "unsure"))
    assert taken == [(home / "new" / "unsure", "daemon"), (home / "new", "daemon")]


def test_what_a_service_does_not_see_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "labels.txt").touch()
    monkeypatch.setattr(places, "HIDDEN", (Path("/tmp"), home.resolve()))
    with pytest.raises(EdgedenseError, match="an empty /tmp of its own"):
        places.written(Path("/tmp/unsure"), "folder", "door", "--save")
    with pytest.raises(EdgedenseError, match="of its own"):
        places.read(home / "labels.txt", "--labels")


# The programs that systemd would run: a namespace in which everything is read-only but what the unit names. Arguments:
# the writable folders, a line each; then the command.
_SANDBOX = """
import pathlib, subprocess, sys
folders, *command = sys.argv[1:]
mount = lambda *words: subprocess.run(["mount", *words], check=True)
mount("--make-rprivate", "/")
for folder in folders.split("\\n") if folders else []:
    mount("--bind", folder, folder)
for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
    target = line.split()[4].encode().decode("unicode_escape")
    if target not in folders.split("\\n") and not target.startswith(("/proc", "/sys", "/dev")):
        subprocess.run(["mount", "-o", "remount,bind,ro", target], capture_output=True)
sys.exit(subprocess.run(command).returncode)
"""


def sandboxed(folders: list[Path], *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command as the unit would, without root's rights over files."""
    words = ["unshare", "-m" if os.geteuid() == 0 else "-Urm", sys.executable, "-c", _SANDBOX]
    return subprocess.run(
        [*words, "\n".join(map(str, folders)), *command], capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture
def needs_namespaces() -> None:
    if not shutil.which("unshare") or sandboxed([], "true").returncode:
        pytest.skip("needs mount namespaces")


@pytest.mark.usefixtures("needs_namespaces")
@pytest.mark.slow
def test_in_a_read_only_system_the_units_command_keeps_its_state(
    home: Path, colours: Path, network_camera: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(colours, home / "m.tflite")
    words = ["--monitor", "state.json", "--save", "unsure", "--save-below", "1", "--save-floor", "0"]
    result = CliRunner().invoke(app, ["service", "install", "m.tflite", f"{network_camera}/short", "--", *words])
    assert result.exit_code == 0, result.output + str(result.exception)
    lines = (systemd.UNITS / "edgedense.service").read_text().splitlines()
    unit = {line.partition("=")[0]: line.partition("=")[2] for line in lines if "=" in line and line[0] != "#"}
    for folder in writable(unit):
        folder.mkdir(parents=True, exist_ok=True)  # as systemd does for StateDirectory=
    # In the foreground: else the signal goes to the whole group too, and a second one ends the program at once.
    command = ["timeout", "--foreground", "--signal", "INT", "4", *shlex.split(unit["ExecStart"])]
    monkeypatch.setenv("EDGEDENSE_MODELS", str(models.FOLDER / "edgedense"))  # as the unit and systemd set them
    monkeypatch.setenv("STATE_DIRECTORY", str(places.STATE / "edgedense"))
    state, unsure = places.STATE / "edgedense" / "state.json", places.STATE / "edgedense" / "unsure"
    refused = sandboxed([], *command)
    assert "Read-only file system" in refused.stderr
    assert not state.exists()
    allowed = sandboxed(writable(unit), *command)
    assert "frames classified" in allowed.stderr, allowed.stderr
    assert f'"model": "{models.Models.of("edgedense").current.sha256}"' in state.read_text()  # type: ignore[union-attr]
    assert list(unsure.glob("*.jpg"))


def test_learning_from_a_baseline_asks_systemd_to_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from edgedense.device.service import notify

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(tmp_path / "notify"))
        server.setblocking(False)
        notifier = notify.Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify")})
        for _ in range(3):
            notifier.starting("learning")
        assert server.recv(1000) == b"EXTEND_TIMEOUT_USEC=60000000\nSTATUS=learning"
        with pytest.raises(BlockingIOError):
            server.recv(1000)
        monkeypatch.setattr(notify, "_STARTING", 0.0)
        notifier.starting("learning")
        notifier.close()
        assert server.recv(1000).startswith(b"EXTEND_TIMEOUT_USEC=")
