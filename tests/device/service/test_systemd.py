"""The systemd service: its unit, and how it is installed, asked about and removed."""

from __future__ import annotations

import grp
import os
import pwd
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from edgedense.cli import app
from edgedense.device.camera.sources import Source
from edgedense.device.service import places
from edgedense.device.service import systemd as module
from edgedense.device.service.places import Place
from edgedense.device.service.systemd import Service, install, remove, service_user, status, unit_text
from edgedense.device.versions import models
from edgedense.errors import DeviceError, EdgedenseError
from tests.device.conftest import Rpicam

RPICAM = Source("rpicam", "0")


def directives(text: str) -> dict[str, str]:
    lines = [line for line in text.splitlines() if "=" in line and not line.startswith("#")]
    names = [line.partition("=")[0] for line in lines]
    assert len(names) == len(set(names))
    return {line.partition("=")[0]: line.partition("=")[2] for line in lines}


def command(text: str) -> list[str]:
    """ExecStart's words as systemd sees them."""
    return [word.replace("$$", "$").replace("%%", "%") for word in shlex.split(directives(text)["ExecStart"])]


@pytest.fixture
def whole(tmp_path: Path) -> Service:
    """A service that uses everything."""
    unsure, state = Path("/srv/unsure"), Path("/var/lib/edgedense-test/state.json")
    (tmp_path / "a model.tflite").write_bytes(b"a model")
    return Service(
        "edgedense-test",
        tmp_path / "a model.tflite",
        RPICAM,
        "daemon",
        ("--smooth", "5", "--preview-address", ":8080", "--save", str(unsure), "--monitor", str(state)),
        (Path("/etc/hostname"),),
        (Place(unsure, unsure, "folder", False), Place(state, state.parent, "file", True)),
        True,
    )


def test_the_unit_is_what_systemd_wants(whole: Service, tmp_path: Path) -> None:
    if not shutil.which("systemd-analyze"):
        pytest.skip("needs the system package systemd")
    path = tmp_path / "edgedense-test.service"
    path.write_text(unit_text(whole))
    result = subprocess.run(["systemd-analyze", "verify", path], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    path.write_text(unit_text(whole).replace("Restart=always", "Restart=sometimes"))  # the check itself works
    assert (
        "restart"
        in subprocess.run(["systemd-analyze", "verify", path], capture_output=True, text=True, check=False).stderr
    )


def test_the_unit_restarts_for_ever_and_is_watched(whole: Service) -> None:
    found = directives(unit_text(whole))
    assert found["Type"] == "notify"
    assert found["Restart"] == "always"
    assert found["StartLimitIntervalSec"] == "0"
    assert int(found["WatchdogSec"]) > 0
    assert found["WantedBy"] == "multi-user.target"
    assert int(found["LogRateLimitBurst"]) > 0
    assert found["LogRateLimitIntervalSec"]


def test_the_unit_runs_unprivileged_in_the_groups_that_cameras_need(
    whole: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything = [grp.struct_group((name, "x", 1, [])) for name in ("video", "render", "plugdev", "games")]
    monkeypatch.setattr(module.grp, "getgrall", lambda: everything)
    found = directives(unit_text(whole))
    assert found["User"] == "daemon"
    assert found["SupplementaryGroups"] == "video render plugdev"
    monkeypatch.setattr(module.grp, "getgrall", lambda: everything[:1])  # one that is missing would stop the start
    assert directives(unit_text(whole))["SupplementaryGroups"] == "video"


def test_the_unit_is_hardened_and_still_sees_cameras(whole: Service) -> None:
    found = directives(unit_text(whole))
    for name in (
        "NoNewPrivileges",
        "PrivateTmp",
        "ProtectKernelTunables",
        "ProtectKernelModules",
        "ProtectControlGroups",
        "RestrictNamespaces",
        "RestrictSUIDSGID",
        "LockPersonality",
    ):
        assert found[name] == "yes"
    assert found["ProtectSystem"] == "strict"
    assert found["CapabilityBoundingSet"] == ""
    # Each of these closes /dev to cameras; ProtectClock does by the DeviceAllow= that it implies.
    assert not {"PrivateDevices", "ProtectClock", "DeviceAllow", "DevicePolicy"} & set(found)
    # Without these the question whether the clock is synchronized would end the process.
    assert "adjtimex" in found["SystemCallFilter"]
    assert found["SystemCallErrorNumber"] == "EPERM"


def test_the_token_is_a_credential_and_not_on_the_command_line(whole: Service) -> None:
    found = directives(unit_text(whole))
    assert found["LoadCredential"] == "preview-token:/etc/edgedense/edgedense-test.token"
    assert found["ExecStart"].endswith("--preview-token-file %d/preview-token")
    assert found["ReadWritePaths"] == "/srv/unsure"
    assert found["StateDirectory"] == "edgedense-test"
    bare = directives(unit_text(Service("a", Path("/m.tflite"), None, "daemon")))
    assert not {"LoadCredential", "ReadWritePaths", "Wants"} & set(bare)
    assert bare["ExecStart"].endswith("/var/lib/edgedense-models/a/current.tflite --camera --json --on-change")


def test_words_reach_the_program_as_they_are(tmp_path: Path) -> None:
    name = 'odd $HOME %n "name" \\ ;.txt'
    source = Source("http", "http://h/?a=1&b=%20")
    text = unit_text(Service("a", tmp_path / "m.tflite", source, "daemon", ("--labels", str(tmp_path / name))))
    assert command(text) == [
        *(sys.executable, "-m", "edgedense.cli", "run", "/var/lib/edgedense-models/a/current.tflite"),
        *("http://h/?a=1&b=%20", "--json", "--on-change", "--labels", str(tmp_path / name)),
    ]
    assert directives(text)["After"] == "network-online.target"


def test_the_command_tells_systemd_that_it_is_ready(
    colours: Path, rpicam: Rpicam, tmp_path: Path, notify_socket: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The unit's own command before a real notify socket, with a credential as systemd places it."""
    (tmp_path / "preview-token").write_text("a-token-of-some-length\n")
    service = Service("a", colours, RPICAM, "daemon", ("--preview-address", "127.0.0.1:0"), has_token=True)
    monkeypatch.setattr(models, "FOLDER", tmp_path / "models")
    service.models.switch(service.models.keep({"colours.tflite": colours.read_bytes()}), None)
    words = [word.replace("%d", str(tmp_path)) for word in command(unit_text(service))]
    server = notify_socket
    server.settimeout(30)
    environment = {
        **os.environ,
        "NOTIFY_SOCKET": str(tmp_path / "notify"),
        "WATCHDOG_USEC": "1000000",
        "EDGEDENSE_MODELS": str(tmp_path / "models" / "a"),
        "STATE_DIRECTORY": str(tmp_path),
        "PYTHONSAFEPATH": "1",
    }
    with subprocess.Popen(
        words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            heard = [server.recv(1000).decode()]
            while not {"READY=1", "WATCHDOG=1"} <= {line for text in heard for line in text.splitlines()}:
                heard.append(server.recv(1000).decode())
            process.send_signal(signal.SIGTERM)
            assert process.wait(5) == 0
            assert "with the token from" in process.stderr.read()  # type: ignore[union-attr]
        finally:
            process.kill()


@pytest.fixture
def systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Programs on PATH that note how they are called: systemctl, and runuser, which lets everything pass."""
    log = tmp_path / "calls"
    log.touch()
    (tmp_path / "bin").mkdir(exist_ok=True)
    answer = "LoadState=loaded\\nActiveState=active\\nSubState=running\\nStatusText=red seen\\nNRestarts=2\\n"
    for name in ("systemctl", "runuser"):
        program = tmp_path / "bin" / name
        program.write_text(f'#!/bin/sh\necho {name} "$1" >> {log}\n[ "$1" = show ] && printf "{answer}"\nexit 0\n')
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    monkeypatch.setattr(module, "UNITS", tmp_path / "units")
    monkeypatch.setattr(module, "TOKENS", tmp_path / "tokens")
    monkeypatch.setattr(places, "STATE", tmp_path / "state")
    monkeypatch.setattr(models, "FOLDER", tmp_path / "models")
    monkeypatch.setattr(places, "HIDDEN", ())  # the tests' own folders are below /tmp
    (tmp_path / "units").mkdir()
    monkeypatch.setattr(module.os, "geteuid", lambda: 0)
    monkeypatch.setenv("SUDO_USER", "daemon")
    return log


def without_places(service: Service) -> Service:
    return replace(service, places=())


def test_install_writes_the_unit_and_keeps_the_token(whole: Service, systemctl: Path, tmp_path: Path) -> None:
    service = without_places(whole)
    token = install(service)
    assert token is not None
    assert len(token) >= 20
    assert (tmp_path / "tokens" / "edgedense-test.token").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "units" / "edgedense-test.service").read_text() == unit_text(service)
    assert (tmp_path / "units" / "edgedense-test.service").stat().st_mode & 0o777 == 0o644
    assert token not in unit_text(service)
    assert systemctl.read_text().split("\n") == [
        "runuser -u",
        "systemctl daemon-reload",
        "systemctl enable",
        "systemctl restart",
        "",
    ]
    assert install(service) == token


def test_the_unit_takes_a_model_back_that_failed(systemctl: Path, tmp_path: Path) -> None:
    """What systemd runs when the service has ended, as it runs it (systemd.exec(5), Environment Variables)."""
    service = Service("door", tmp_path / "m.tflite", RPICAM, "daemon")
    kept = service.models
    kept.switch(kept.keep({"new.tflite": b"new"}), kept.keep({"old.tflite": b"old"}))
    words = shlex.split(directives(unit_text(service))["ExecStopPost"])
    assert words[0] == f"+{sys.executable}"  # as root
    environment = {**os.environ, "SERVICE_RESULT": "exit-code", "EXIT_CODE": "exited", "EXIT_STATUS": "1"}
    done = subprocess.run([words[0][1:], *words[1:]], env=environment, capture_output=True, text=True, check=True)
    assert "new.tflite" in done.stdout
    assert kept.current is not None
    assert kept.current.path.name == "old.tflite"


def test_with_a_public_key_only_a_signed_model_is_installed(
    whole: Service, systemctl: Path, tmp_path: Path, colours: Path
) -> None:
    pytest.importorskip("cryptography")
    from edgedense.deployed import keys, signature

    public = keys.make(tmp_path / "fleet.key")
    service = replace(without_places(whole), model=tmp_path / "m.tflite", public_key=public)
    service.model.write_bytes(colours.read_bytes())
    with pytest.raises(EdgedenseError, match="not signed"):
        install(service)
    assert list(module.UNITS.iterdir()) == []
    assert not service.key_path.exists()
    service.model.write_bytes(signature.signed(colours.read_bytes(), keys.read_private(tmp_path / "fleet.key")))
    install(service)
    assert service.key_path.read_bytes() == public.read_bytes()
    service.model.write_bytes(colours.read_bytes())
    with pytest.raises(EdgedenseError, match="not signed"):  # the key is still there
        install(replace(service, public_key=None))
    remove(service.name)
    assert not service.key_path.exists()


def test_remove_leaves_nothing(whole: Service, systemctl: Path, tmp_path: Path) -> None:
    install(without_places(whole))
    remove("edgedense-test")
    assert list((tmp_path / "units").iterdir()) == list((tmp_path / "tokens").iterdir()) == []
    assert "systemctl disable" in systemctl.read_text()
    with pytest.raises(EdgedenseError, match="no "):
        remove("edgedense-test")


def test_status_is_what_systemd_says(systemctl: Path) -> None:
    found = status("edgedense")
    assert found.is_active
    assert str(found) == "edgedense: active (running), restarted 2 times\nred seen"


def test_a_system_without_systemd_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DeviceError, match="systemd"):
        status("edgedense")


def test_only_root_installs(whole: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.os, "geteuid", lambda: 1000)
    for call in (lambda: install(whole), lambda: remove("edgedense")):
        with pytest.raises(EdgedenseError, match="sudo"):
            call()


def test_a_user_who_cannot_read_the_model_is_refused(whole: Service, systemctl: Path) -> None:
    (systemctl.parent / "bin" / "runuser").write_text("#!/bin/sh\necho 'PermissionError: model' >&2; exit 1\n")
    with pytest.raises(EdgedenseError, match="PermissionError: model"):
        install(whole)
    assert list(module.UNITS.iterdir()) == []


def test_the_user_is_who_calls_sudo_and_never_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SUDO_USER", raising=False)
    with pytest.raises(EdgedenseError, match="--user"):
        service_user(None)
    name = next(entry.pw_name for entry in pwd.getpwall() if entry.pw_uid != 0)
    monkeypatch.setenv("SUDO_USER", name)
    assert service_user(None) == name
    for wrong in ("root", "no-such-user"):
        with pytest.raises(EdgedenseError):
            service_user(wrong)


def cli(*words: str) -> Result:
    return CliRunner().invoke(app, ["service", *words])


def test_the_command_line_installs_with_options(systemctl: Path, tmp_path: Path, colours: Path) -> None:
    result = cli(
        "install", str(colours), "rpicam:1", "--name", "door", "--", "--smooth", "5", "--preview-address", "0.0.0.0:80"
    )
    assert result.exit_code == 0, result.output + str(result.exception)
    text = (tmp_path / "units" / "door.service").read_text()
    assert command(text)[4:] == [
        str(tmp_path / "models" / "door" / "current.tflite"),
        "rpicam:1",
        "--json",
        "--on-change",
        "--smooth",
        "5",
        "--preview-address",
        "0.0.0.0:80",
        "--preview-token-file",
        "%d/preview-token",
    ]
    assert re.search(r"token is \S{20,}", result.output)
    assert cli("status", "--name", "door").exit_code == 0
    assert cli("remove", "--name", "door").exit_code == 0


def test_without_a_source_the_first_camera_is_taken(systemctl: Path, tmp_path: Path, colours: Path) -> None:
    assert cli("install", str(colours)).exit_code == 0
    assert "--camera --json --on-change\n" in (tmp_path / "units" / "edgedense.service").read_text()
    result = cli("install", str(colours), "--", "--smooth", "3", "--preview")
    assert result.exit_code == 0
    text = (tmp_path / "units" / "edgedense.service").read_text()
    assert "--camera --json --on-change --smooth 3 --preview\n" in text  # on loopback: no token
    assert "token" not in result.output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["{model}", "photos"], "camera"),
        (["{model}", "--", "--smooth", "0"], "--smooth"),
        (["{model}", "--", "--sooth", "1"], "--sooth"),
        (["{model}", "--", "--save", "../unsure"], "within"),
        (["{model}", "--", "--save", "~/unsure"], "home folder written out"),
        (["{model}", "--", "--save", "{model}"], "which is a file"),
        (["{model}", "--", "--save", "a:b"], "colon"),
        (["{model}", "--", "--monitor", "."], "name of a file"),
        (["{model}", "--", "--monitor", "/state.json"], "may own"),
        (["{model}", "--", "--monitor", "/no/such/folder/state.json"], "kept in"),
        (["{model}", "--", "--labels", "none.txt"], "--labels; found none.txt"),
        (["{model}", "--", "--preview", "--preview-token-file", "x"], "--preview-token-file; found x"),
        (["{model}", "--", "--monitor", "s.json", "--monitor-baseline", "none"], "--monitor-baseline; found none"),
        (["none.tflite"], "MODEL; found none.tflite"),
        (["{model}", "rpicam", "--", "--camera"], "name one source"),
        (["{model}", "rpicam", "--", "photo.jpg"], "name one source"),
        (["{model}", "--name", "../door"], "name of letters"),
        (["{model}", "--name", "models"], "whose folder holds models"),
        (["{model}", "--public-key", "none.pub"], "none.pub"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_written(
    systemctl: Path, colours: Path, words: list[str], message: str
) -> None:
    result = cli("install", *(word.format(model=colours) for word in words))
    assert result.exit_code != 0
    assert message in result.output + str(result.exception)
    assert list(module.UNITS.iterdir()) == []
