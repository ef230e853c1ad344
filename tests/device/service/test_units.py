"""Unit files as they are found: what their command runs, and how one of an earlier version is brought up to date."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from edgedense.device.camera.sources import Source
from edgedense.device.service import systemd, units
from edgedense.device.service.systemd import Service, unit_text
from edgedense.errors import EdgedenseError

ODD = '/home/anna/odd $HOME %n "name" \\ ;.tflite'


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Service:
    monkeypatch.setattr(systemd, "UNITS", tmp_path)
    options = ("--device", "auto", "--labels", "/srv/a b.txt", "--threads", "2")
    return Service("door", Path("m.tflite"), Source("http", "http://h/?b=%20"), "daemon", options)


def earlier(service: Service) -> str:
    """The unit as the version before would have written it, for a file with an odd name."""
    lines = unit_text(service).replace(str(service.models.link), systemd._quoted(ODD)).splitlines(keepends=True)
    kept = [line for line in lines if not line.startswith(("ExecStopPost=", "StateDirectory"))]
    return "".join(kept).replace(f" EDGEDENSE_MODELS={service.models.folder}", "")


def test_the_command_is_read_as_the_program_gets_it(service: Service) -> None:
    service.unit_path.write_text(unit_text(service))
    found = units.read(service)
    assert (found.user, found.model) == ("daemon", service.models.link)
    assert found.words[5] == "http://h/?b=%20"
    assert [found.option(name) for name in ("--device", "--labels", "--threads", "--top")] == [
        *("auto", "/srv/a b.txt", "2", None)
    ]


def test_a_unit_of_an_earlier_version_names_the_link_and_what_takes_a_model_back(service: Service) -> None:
    service.unit_path.write_text(earlier(service))
    found = units.read(service)
    assert found.model == Path(ODD)
    assert sorted(units.modernized(found.text, service).splitlines()) == sorted(unit_text(service).splitlines())


def test_a_unit_of_this_version_stays_as_it_is(service: Service) -> None:
    assert units.modernized(unit_text(service), service) == unit_text(service)


@pytest.mark.parametrize("command", ["", "ExecStart=/bin/sleep 5", f"ExecStart={sys.executable} -m edgedense.cli run"])
def test_anybody_elses_unit_is_not_touched(service: Service, command: str) -> None:
    with pytest.raises(EdgedenseError, match="No such file"):
        units.read(service)
    service.unit_path.write_text(f"[Service]\n{command}\n")
    with pytest.raises(EdgedenseError, match="another command"):
        units.read(service)
