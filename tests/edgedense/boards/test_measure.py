"""Times that are measured on a host, over SSH to an OpenSSH server on the loopback."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from edgedense.boards import measure as module
from edgedense.boards.kept import Kept
from edgedense.boards.measure import measure
from edgedense.deployed import bundle
from edgedense.errors import EdgedenseError
from edgedense.files import sha256
from edgedense.rollout.connection import HostError
from edgedense.rollout.options import DeployOptions
from edgedense.rollout.package import Package
from tests.device.conftest import COLOURS, RECIPE, make_colour_model
from tests.edgedense.rollout.conftest import PLACE, Fleet, Host


@pytest.fixture
def options(fleet: Fleet, wheel: Path) -> DeployOptions:
    return DeployOptions(wheel=wheel, place=PLACE, ssh_config=fleet.config, timeout=90)


@pytest.fixture
def host(fleet: Fleet, wanted: Package) -> Host:
    fleet.hosts[0].have(wanted)
    return fleet.hosts[0]


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path / "kept")


def write(path: Path, more: bytes = b"") -> Path:
    """A deployed file, with `more` in its archive."""
    path.write_bytes(bundle.pack(make_colour_model(), COLOURS, RECIPE, {"more": more}))
    return path


def measured(host: Host) -> list[str]:
    """The SHA-256 of each model that was measured there, and the options."""
    path = host.home / "measured"
    return path.read_text().splitlines() if path.exists() else []


def test_a_file_is_measured_there_once(
    host: Host, options: DeployOptions, kept: Kept, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    one, same = write(tmp_path / "one.tflite"), write(tmp_path / "same.tflite", b"labels take no time")
    (host.home / "slow").touch()
    with caplog.at_level(logging.WARNING, "edgedense"):
        (first,) = measure([one], host.name, options, kept)
    assert "it got hot" in caplog.text
    assert first.milliseconds == one.stat().st_size / 1000
    assert (first.is_estimate, first.instructions, first.error) == (False, None, None)
    assert measure([one, same], host.name, options, kept) == [first, first]
    assert measured(host) == [f"{sha256(one.read_bytes())} --threads 1 --duration {module.SECONDS} --json"]
    assert not list((host.place / "measured").iterdir())  # the model does not stay there


@pytest.mark.slow
def test_another_runtime_is_another_board(host: Host, options: DeployOptions, kept: Kept, tmp_path: Path) -> None:
    file = write(tmp_path / "one.tflite")
    measure([file], host.name, options, kept)
    (python,) = host.place.glob("versions/*/bin/python")
    text = python.read_text()
    assert "shift 2\n" in text
    python.write_text(text.replace("shift 2\n", 'shift 2\n[ $# = 0 ] && echo "ai-edge-litert 9" && exit\n'))
    measure([file], host.name, options, kept)
    assert len(measured(host)) == 2


@pytest.mark.slow
def test_edgedense_is_installed_where_it_is_missing(
    fleet: Fleet, options: DeployOptions, kept: Kept, wanted: Package, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What a deployment installs is tested with deployments; here it is what is sent before the model."""
    host = fleet.hosts[1]
    brought = []

    def bring(*given: object) -> None:
        brought.append(given[2])
        host.have(wanted)

    monkeypatch.setattr("edgedense.rollout.host.bring", bring)
    (first,) = measure([write(tmp_path / "one.tflite")], host.name, options, kept)
    assert brought == [wanted]
    assert first.milliseconds > 0


def test_a_model_that_does_not_run_there(host: Host, options: DeployOptions, kept: Kept, tmp_path: Path) -> None:
    (host.home / "refuses").touch()
    with pytest.raises(HostError, match=r"edgedense benchmark to run the model.*found none"):
        measure([write(tmp_path / "one.tflite")], host.name, options, kept)
    assert not list((host.place / "measured").iterdir())
    assert not list(kept.folder.rglob("*.json"))


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda fleet: fleet.know(**{"barn-1": ""}), "a host key of barn-1 that is known"),
        (lambda fleet: fleet.reach(**{"barn-1": 1}), "an answer of barn-1"),
    ],
)
def test_a_host_that_is_not_reached(
    fleet: Fleet, options: DeployOptions, kept: Kept, tmp_path: Path, spoil: Callable[[Fleet], None], sentence: str
) -> None:
    spoil(fleet)
    with pytest.raises(HostError, match=sentence):
        measure([write(tmp_path / "one.tflite")], "barn-1", options, kept)


def test_what_is_no_file_or_no_host(options: DeployOptions, kept: Kept, tmp_path: Path) -> None:
    with pytest.raises(EdgedenseError, match=r"a \.tflite file"):
        measure([tmp_path / "missing.tflite"], "barn-1", options, kept)
    with pytest.raises(EdgedenseError, match="a host as ssh knows it"):
        measure([write(tmp_path / "one.tflite")], "-oProxyCommand=x", options, kept)


@pytest.mark.slow
def test_the_real_edgedense_measures_there(
    fleet: Fleet, wanted: Package, options: DeployOptions, kept: Kept, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """edgedense benchmark runs in the host's own process, on the machine of this test."""
    host = fleet.hosts[2]
    host.have_real(wanted)
    monkeypatch.setattr(module, "SECONDS", 1.0)
    (found,) = measure([write(tmp_path / "one.tflite")], host.name, options, kept)
    assert 0 < found.milliseconds < 1000  # a network of one operator
    (entry,) = kept.folder.rglob("*.json")
    assert '"runtime": "ai-edge-litert' in entry.read_text()
