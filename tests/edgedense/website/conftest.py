"""A site of the tiny file that tells colours apart, with a runtime of a few bytes in the place of LiteRT's 28 MB."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from edgedense.deployed import bundle
from edgedense.device.engines.contents import contents
from edgedense.device.prediction import rule
from edgedense.device.preview import address
from edgedense.device.preview.address import Address
from edgedense.files import sha256
from edgedense.website import runtime, site
from edgedense.website.site import Site
from tests.device.conftest import COLOURS, colour_model, colours, explained_colours, findings

__all__ = ["colour_model", "colours", "explained_colours", "findings"]
LITERT = {name: name.encode() for name in runtime.FILES}


def packed(files: Mapping[str, bytes]) -> bytes:
    """An npm package with these files in its folder wasm/."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz") as package:
        for name, data in files.items():
            info = tarfile.TarInfo(f"package/wasm/{name}")
            info.size = len(data)
            package.addfile(info, io.BytesIO(data))
    return target.getvalue()


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The npm package with the small runtime, whose hashes are the ones that are known for the length of the test."""
    monkeypatch.setattr(runtime, "FILES", {name: sha256(data) for name, data in LITERT.items()})
    path = tmp_path / "package.tgz"
    path.write_bytes(packed(LITERT))
    return path


def made(path: Path, title: str = "cards") -> Site:
    """The site of a file that tells COLOURS apart, each alone where its name says so."""
    content = bundle.read(path)
    activation = content.recipe.get("activation", "softmax")
    return site.make(path.name, title, content, contents(content.model), rule(COLOURS, activation, 3), LITERT)


@pytest.fixture
def on_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever address a server is given, nobody but this machine can reach it."""
    bound = address.bound
    monkeypatch.setattr(address, "bound", lambda where, option: bound(Address("127.0.0.1", where.port), option))


@pytest.fixture(scope="session")
def cards(colours: Path) -> Site:
    """The site of the deployed file."""
    return made(colours)
