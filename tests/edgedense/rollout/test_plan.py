"""Which hosts a deployment has, and what a fleet file may say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edgedense.errors import EdgedenseError
from edgedense.rollout.plan import Device, devices, read

BARNS = """\
[defaults]
source = "rpicam"
options = ["--smooth", "5"]
user = "camera"

[[device]]
host = "pi@barn-1"

[[device]]
host = "pi@barn-2"
source = "/dev/video0"
options = []
name = "door"
extras = ["device", "camera"]
"""


@pytest.fixture
def barns(tmp_path: Path) -> Path:
    path = tmp_path / "barns.toml"
    path.write_text(BARNS)
    return path


def test_a_device_has_the_defaults_but_for_what_it_says_itself(barns: Path) -> None:
    first, second = read(barns)
    assert first == Device("pi@barn-1", "edgedense", "rpicam", ("--smooth", "5"), "camera", None, None, True)
    assert second == Device("pi@barn-2", "door", "/dev/video0", (), "camera", None, ("device", "camera"), True)


def test_hosts_alone_have_what_is_usual() -> None:
    assert devices(["barn-1", "barn-2"]) == (Device("barn-1"), Device("barn-2"))


def test_hosts_name_some_of_a_file_in_their_own_order(barns: Path) -> None:
    assert [device.host for device in devices([], barns)] == ["pi@barn-1", "pi@barn-2"]
    (second,) = devices(["pi@barn-2"], barns)
    assert second.name == "door"
    with pytest.raises(EdgedenseError, match="found barn-3"):
        devices(["barn-3"], barns)


@pytest.mark.parametrize("host", ["-oProxyCommand=true", "", "barn 1", "barn\n1", "barn\0"])
def test_a_host_cannot_be_an_option_of_ssh(host: str, tmp_path: Path) -> None:
    with pytest.raises(EdgedenseError, match="a host as ssh knows it"):
        devices([host])


def test_there_must_be_a_host_and_each_once() -> None:
    with pytest.raises(EdgedenseError, match="at least one HOST"):
        devices([])
    with pytest.raises(EdgedenseError, match="found barn-1 more than once"):
        devices(["barn-1", "barn-2", "barn-1"])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("host = ", "a fleet file in TOML"),
        ("[default]\n", "found default"),
        ("device = 5\n", "brackets of another kind"),
        ("[defaults]\nhost = 'a'\n", "found host"),
        ("[[device]]\nname = 'door'\n", "expected a host in [[device]] 1 of"),
        ("[[device]]\nhost = 5\n", "found 5"),
        ("[[device]]\nhost = 'a'\noptions = '--smooth 5'\n", 'options = ["--smooth", "5"]'),
        ("[[device]]\nhost = 'a'\nextras = [1]\n", 'extras = ["device"]'),
        ("[[device]]\nhost = 'a'\ncamera = '0'\n", "found camera"),
        ("[[device]]\nhost = '-a'\n", "a host as ssh knows it"),
        ("[[device]]\nhost = 'a'\n[[device]]\nhost = 'a'\n", "found a more than once"),
    ],
)
def test_what_nobody_understands_is_told_of(text: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "barns.toml"
    path.write_text(text)
    with pytest.raises(EdgedenseError, match=re.escape(told)):
        read(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(EdgedenseError, match="No such file"):
        read(tmp_path / "none.toml")


def test_a_public_key_lies_beside_the_file(tmp_path: Path) -> None:
    path = tmp_path / "barns.toml"
    path.write_text('[defaults]\npublic_key = "barns.pub"\n[[device]]\nhost = "barn-1"\n')
    with pytest.raises(EdgedenseError, match=r"a public key of edgedense sign; found .*barns\.pub: FileNotFoundError"):
        read(path)
    (tmp_path / "barns.pub").write_text("a key\n")
    assert read(path)[0].public_key == "a key\n"
