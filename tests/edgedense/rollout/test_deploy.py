"""A deployment to five OpenSSH servers: what each host ends with, and what is told of it."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

import edgedense
from edgedense.deployed import bundle
from edgedense.device.service.options import UpdateOptions
from edgedense.errors import EdgedenseError
from edgedense.files import sha256
from edgedense.rollout import host as host_module
from edgedense.rollout.options import DeployOptions
from edgedense.rollout.package import Package
from edgedense.rollout.result import Deployment
from tests.device.conftest import COLOURS, RECIPE, make_colour_model
from tests.device.test_validate import golden_file
from tests.edgedense.rollout.conftest import PLACE, Cable, Fleet, Host, free_port
from tests.edgedense.test_cli import edgedense as typed


def write(path: Path, size: int = 0, seed: int = 0) -> Path:
    """A deployed file with so many more bytes in it."""
    more = {"more": random.Random(seed).randbytes(size)}
    path.write_bytes(bundle.pack(make_colour_model(), COLOURS, RECIPE, more))
    return path


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write(tmp_path / "colours.tflite")


@pytest.fixture
def options(fleet: Fleet, wheel: Path) -> DeployOptions:
    return DeployOptions(wheel=wheel, place=PLACE, ssh_config=fleet.config, timeout=90, parallel=2)


@pytest.fixture
def ready(fleet: Fleet, wanted: Package) -> Fleet:
    """All five have the package already: installing takes seconds."""
    for host in fleet.hosts:
        host.have(wanted)
    return fleet


def served(host: Host, model: Path) -> None:
    """As if the service had been installed with the version in use."""
    service = host.home / "services" / "edgedense"
    service.mkdir(parents=True)
    python = str(PLACE / "current" / "bin" / "python")
    entries = {"python": python, "model": sha256(model.read_bytes()), "words": "[]", "state": "active"}
    for name, text in entries.items():
        (service / name).write_text(text)


@contextmanager
def cable(host: Host, after: int, hangs: bool) -> Iterator[int]:
    """The port of a way to the host that ends after so many bytes."""
    made = Cable(host, after, hangs)
    try:
        yield made.port
    finally:
        made.close()


def wait_until(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.1)


def outcomes(deployment: Deployment) -> list[str]:
    return [host.outcome for host in deployment.hosts]


class TestOutcomes:
    @pytest.mark.slow
    def test_a_service_is_installed_then_updated_then_the_same(
        self, ready: Fleet, model: Path, options: DeployOptions, tmp_path: Path
    ) -> None:
        hosts, names = ready.hosts[:2], ready.names[:2]
        first = edgedense.deploy(model, names, options=options)
        assert outcomes(first) == ["installed"] * 2
        assert first.is_good
        again = edgedense.deploy(model, names, options=options)
        assert outcomes(again) == ["same"] * 2
        other = write(tmp_path / "other.tflite", 10)
        second = edgedense.deploy(other, names, options=options)
        assert outcomes(second) == ["updated"] * 2
        for host, result in zip(hosts, second.hosts, strict=True):
            assert (result.before, result.after, result.package) == (first.sha256, second.sha256, "9.9.9")
            assert host.service()["model"] == second.sha256
            assert list(host.models) == ["other.tflite"]

    @pytest.mark.slow
    def test_one_that_refuses_is_told_of_and_the_others_go_on(
        self, ready: Fleet, model: Path, options: DeployOptions, tmp_path: Path
    ) -> None:
        for host in ready.hosts:
            served(host, model)
        (ready.hosts[2].home / "refuses").touch()
        other = write(tmp_path / "other.tflite", 10)
        words = ("--wheel", options.wheel, "--place", options.place, "--ssh-config", options.ssh_config)
        ended = typed("deploy", other, *ready.names, *words, "--max-failures", 2)
        assert ended.code == 1
        rows = [line.split() for line in ended.out.splitlines()]
        told = {row[0]: row[1] for row in rows if row and row[0] in ready.names}
        assert told == {name: "refused" if name == "barn-3" else "updated" for name in ready.names}
        assert "barn-3: expected the golden samples to agree; found 3 of 10 values off" in ended.out
        assert "4 of 5 devices have it." in ended.out
        assert ready.hosts[2].service()["model"] != ready.hosts[3].service()["model"]

    def test_for_programs(self, ready: Fleet, model: Path, options: DeployOptions) -> None:
        words = ("--wheel", options.wheel, "--place", options.place, "--ssh-config", options.ssh_config, "--json")
        ended = typed("deploy", model, "barn-1", *words)
        assert ended.code == 0
        found = json.loads(ended.out)
        (host,) = found["hosts"]
        assert (found["model"], host["host"], host["outcome"]) == ("colours.tflite", "barn-1", "installed")
        assert host["after"] == found["sha256"]


def test_a_shadow_must_end_in_time(model: Path) -> None:
    with pytest.raises(EdgedenseError, match="more seconds than the 30 minutes of --shadow have; found 1800"):
        edgedense.deploy(model, ["barn-1"], update=UpdateOptions(shadow=30))


class TestReaching:
    """Hosts that cannot be worked on, beside one that can."""

    @pytest.mark.slow
    def test_keys_are_checked_on_both_sides(self, ready: Fleet, model: Path, options: DeployOptions) -> None:
        other = ready.hosts[4].public
        ready.know(**{"barn-2": "", "barn-3": other})
        text = ready.config.read_text().replace("Host barn-4\n", f"Host barn-4\n User nobody\n Port {free_port()}\n")
        ready.config.write_text(text)
        (ready.folder / "authorized").rename(ready.folder / "kept")
        try:
            (denied,) = edgedense.deploy(model, ["barn-5"], options=options).hosts
        finally:
            (ready.folder / "kept").rename(ready.folder / "authorized")
        found = edgedense.deploy(model, ready.names, options=replace(options, max_failures=9)).hosts
        assert [host.outcome for host in found] == ["installed", "failed", "failed", "failed", "installed"]
        assert "expected a host key of barn-2 that is known; found an unknown one" in found[1].reason
        assert "expected the host key of barn-3 that is known; found another key" in found[2].reason
        assert "Connection refused" in found[3].reason
        assert "expected barn-5 to accept a key of yours; found permission denied" in denied.reason
        for host in ready.hosts[1:4]:
            assert not host.models

    @pytest.mark.slow
    def test_sudo(self, ready: Fleet, model: Path, options: DeployOptions) -> None:
        """For a user who is not root: with a rule for sudo, without one, and where there is no sudo."""
        words = 'echo "sudo: a password is required" >&2; exit 1'
        for host, program in zip(ready.hosts, (ready.hosts[0].home / "asked", None), strict=False):
            host.program("id", "echo 1000")
            host.program("sudo", words if program is None else f'echo "$1 $2 $3 $4" >>{program}; shift 3; exec "$@"')
        allowed, asks = edgedense.deploy(model, ready.names[:2], options=options).hosts
        assert allowed.outcome == "installed"
        assert set((ready.hosts[0].home / "asked").read_text().splitlines()) == {"-n -H -- python3"}
        assert asks.outcome == "failed"
        assert "expected sudo without a password on barn-2; found sudo wants one" in asks.reason


class TestCuts:
    """What a host has when it did not go well."""

    @pytest.mark.slow
    def test_a_full_disk(self, ready: Fleet, options: DeployOptions, tmp_path: Path) -> None:
        host = ready.hosts[0]
        (host.place / "models").mkdir(parents=True)
        disk = f"mount -t tmpfs -o size=64k tmpfs {PLACE}/models"
        then = f'sh -c "$SSH_ORIGINAL_COMMAND"; find {PLACE}/models -type f >>left; exit'
        (host.home / "first").write_text(f"{disk}\n{then}\n")
        (result,) = edgedense.deploy(write(tmp_path / "large.tflite", 100_000), ["barn-1"], options=options).hosts
        assert result.outcome == "failed"
        assert "No space left on device" in result.reason
        assert (host.home / "left").read_text() == ""
        assert not (host.home / "services").exists()

    @pytest.mark.slow
    @pytest.mark.parametrize("hangs", [False, True], ids=["cut", "hangs"])
    def test_a_connection_that_ends_in_the_middle_of_the_copy(
        self, ready: Fleet, options: DeployOptions, tmp_path: Path, hangs: bool
    ) -> None:
        model = write(tmp_path / "large.tflite", 3_000_000)
        host = ready.hosts[0]
        with cable(host, 1_000_000, hangs) as port:
            ready.reach(**{"barn-1": port})
            began = time.monotonic()
            chosen = replace(options, timeout=5)
            (result,) = edgedense.deploy(model, ["barn-1"], options=chosen).hosts
            assert time.monotonic() - began < 20
        assert result.outcome == "failed"
        assert ("--timeout SECONDS" if hangs else "expected an answer of barn-1") in result.reason
        wait_until(lambda: not host.models)  # the server has seen that nobody is there
        ready.reach()
        (again,) = edgedense.deploy(model, ["barn-1"], options=options).hosts
        assert again.outcome == "installed"
        assert list(host.models) == ["large.tflite"]

    @pytest.mark.slow
    def test_ctrl_c_while_a_host_switches(
        self, ready: Fleet, model: Path, options: DeployOptions, tmp_path: Path
    ) -> None:
        """The host goes on to its end by itself; the others are not begun."""
        edgedense.deploy(model, ["barn-1"], options=options)
        other = write(tmp_path / "other.tflite", 10)
        host = ready.hosts[0]
        (host.home / "slow").touch()
        words = ["deploy", other, *ready.names, "--place", options.place, "--ssh-config", options.ssh_config, "--json"]
        command = [sys.executable, "-m", "edgedense.cli", *map(str, words), "--wheel", str(options.wheel)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            wait_until((host.home / "begun").exists)
            process.send_signal(signal.SIGINT)
            out, _ = process.communicate(timeout=20)
        assert process.returncode == 1
        first, *others = json.loads(out)["hosts"]
        assert first["outcome"] == "failed"
        assert "it was interrupted" in first["reason"]
        assert {host["outcome"] for host in others} == {"not begun"}
        wait_until(lambda: host.service()["model"] == json.loads(out)["sha256"])
        (host.home / "slow").unlink()
        wait_until(lambda: edgedense.deploy(other, ["barn-1"], options=options).hosts[0].outcome == "same")


class TestPackages:
    @pytest.mark.slow
    def test_an_old_edgedense_is_replaced_and_the_service_starts_with_the_new_one(
        self, fleet: Fleet, model: Path, options: DeployOptions, wanted: Package
    ) -> None:
        host, old = fleet.hosts[0], replace(wanted, version="0.0.1", sha256="0" * 64)
        before = host.have(old)
        served(host, model)
        new = host.have(wanted, in_use=False)
        (result,) = edgedense.deploy(model, ["barn-1"], options=options).hosts
        assert (result.outcome, result.package) == ("same", "9.9.9")
        assert host.service()["restarts"] == new
        assert {path.name for path in (host.place / "versions").iterdir()} == {before, new}

    @pytest.mark.slow
    def test_where_the_service_does_not_run_with_the_new_one_the_old_one_comes_back(
        self, fleet: Fleet, model: Path, options: DeployOptions, wanted: Package, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        host, old = fleet.hosts[0], replace(wanted, version="0.0.1", sha256="0" * 64)
        before = host.have(old)
        served(host, model)
        new = host.have(wanted, in_use=False)
        (host.home / "broken").write_text(new)
        monkeypatch.setattr(host_module, "PATIENCE", 1)
        (result,) = edgedense.deploy(model, ["barn-1"], options=options).hosts
        assert result.outcome == "rolled back"
        assert "expected edgedense to run with the new edgedense; found activating (start): waiting" in result.reason
        assert host.service()["restarts"].split() == [new, before]
        assert host.service()["state"] == "active"
        assert os.readlink(host.place / "current") == f"versions/{before}"

    @pytest.mark.slow
    def test_a_wheel_is_installed_where_there_is_none(self, fleet: Fleet, model: Path, options: DeployOptions) -> None:
        """By venv and pip themselves."""
        host = fleet.hosts[0]
        (result,) = edgedense.deploy(model, ["barn-1"], options=replace(options, timeout=120)).hosts
        assert (result.outcome, result.reason) == ("installed", "")
        assert host.service()["python"] == f"{PLACE}/current/bin/python"
        assert not list((host.place / "wheels").rglob("*.whl"))
        (again,) = edgedense.deploy(model, ["barn-1"], options=options).hosts
        assert again.outcome == "same"

    @pytest.mark.slow
    def test_the_service_has_what_the_fleet_file_says(
        self, ready: Fleet, model: Path, options: DeployOptions, tmp_path: Path
    ) -> None:
        path = tmp_path / "barns.toml"
        text = (
            '[defaults]\noptions = ["--smooth", "5"]\n[[device]]\nhost = "barn-1"\nsource = "/dev/video0"\n'
            'user = "camera"\nname = "edgedense"\npublic_key = "barns.pub"\n'
        )
        (tmp_path / "barns.pub").write_text("a key\n")
        path.write_text(text)
        host = ready.hosts[0]
        (result,) = edgedense.deploy(model, fleet=path, options=options).hosts
        assert result.outcome == "installed"
        words = json.loads(host.service()["words"])
        key = PLACE / "services" / "edgedense.pub"
        assert words[:6] == ["--name", "edgedense", "--user", "camera", "--public-key", str(key)]
        assert words[7:] == ["/dev/video0", "--", "--smooth", "5"]
        assert (host.place / "services" / "edgedense.pub").read_text() == "a key\n"
        (alone,) = edgedense.deploy(model, ["barn-1"], options=options).hosts
        assert (alone.outcome, alone.reason) == ("same", "")
        assert json.loads(host.service()["words"]) == words
        path.write_text(text.replace('"5"', '"7"'))
        (changed,) = edgedense.deploy(model, fleet=path, options=options).hosts
        assert (changed.outcome, changed.reason) == ("same", "the service has other options now")
        assert json.loads(host.service()["words"])[7:] == ["/dev/video0", "--", "--smooth", "7"]

    @pytest.mark.slow
    def test_a_service_that_a_person_has_stopped_stays_stopped(
        self, ready: Fleet, model: Path, options: DeployOptions
    ) -> None:
        host = ready.hosts[0]
        served(host, model)
        (host.home / "services" / "edgedense" / "state").write_text("stopped")
        (result,) = edgedense.deploy(model, ["barn-1"], options=options).hosts
        assert (result.outcome, result.reason) == ("same", "edgedense is stopped there, and stays so")
        assert host.service()["state"] == "stopped"


@pytest.mark.slow
def test_the_real_edgedense_on_a_device(
    ready: Fleet, model: Path, options: DeployOptions, wanted: Package, tmp_path: Path
) -> None:
    """`service install` and `service update` themselves, on a device whose systemd and runuser are replaced."""
    host = ready.hosts[0]
    host.clear()
    host.have_real(wanted)
    path = tmp_path / "barns.toml"
    path.write_text('[[device]]\nhost = "barn-1"\nuser = "nobody"\nsource = "0"\noptions = ["--smooth", "5"]\n')
    (first,) = edgedense.deploy(model, fleet=path, options=options).hosts
    assert (first.outcome, first.reason) == ("installed", "")
    unit = (host.home / "units" / "edgedense.service").read_text()
    assert f"ExecStart={PLACE}/current/bin/python -m edgedense.cli run" in unit
    assert " /dev/video0 --json --on-change --smooth 5" in unit
    (again,) = edgedense.deploy(model, fleet=path, options=options).hosts
    assert (again.outcome, again.reason) == ("same", "")
    (refused,) = edgedense.deploy(write(tmp_path / "other.tflite", 10), fleet=path, options=options).hosts
    assert (refused.outcome, refused.before, refused.after) == ("refused", first.after, first.after)
    assert "golden samples" in refused.reason
    other = golden_file(make_colour_model, tmp_path / "golden.tflite")
    patient = UpdateOptions(max_slower=1000)  # the test is of no time
    (updated,) = edgedense.deploy(other, fleet=path, options=options, update=patient).hosts
    assert (updated.outcome, updated.reason) == ("updated", "")
    assert (updated.before, updated.after) == (first.after, sha256(other.read_bytes()))
    assert [check.name for check in updated.checks] == ["signature", "labels", "replay", "latency", "health"]
    assert "limit 1000 times" in updated.checks[3].detail
