"""`edgedense web` and `edgedense.web`, as they are typed."""

from __future__ import annotations

import json
import re
import signal
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import edgedense
from edgedense.deployed import bundle
from edgedense.device.engines.edgetpu import CUSTOM_OPERATOR
from edgedense.errors import EdgedenseError
from tests.device.conftest import COLOURS, RECIPE
from tests.edgedense.test_cli import refused, succeeded
from tests.edgedense.website.conftest import colour_model, colours, findings, on_loopback, package

__all__ = ["colour_model", "colours", "findings", "on_loopback", "package"]


def told(folder: Path) -> dict:
    return json.loads((folder / "site.json").read_bytes())


class TestFolder:
    def test_made_and_made_again(self, colours: Path, package: Path, tmp_path: Path) -> None:
        out = tmp_path / "site"
        ended = succeeded("web", colours, "--out", out, "--runtime", package)
        assert re.fullmatch(rf"{re.escape(str(out))}: 0\.\d MB in \d+ files\n", ended.out)
        first = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
        assert told(out)["title"] == "colours"
        succeeded("web", colours, "--out", out, "--runtime", package)
        assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == first

    def test_options(self, findings: Path, package: Path, tmp_path: Path) -> None:
        out, labels = tmp_path / "site", tmp_path / "labels.txt"
        labels.write_text("rot\ngrün\nblau\n")
        usual = ("web", findings, "--out", out, "--runtime", package)
        succeeded(*usual)
        assert (told(out)["rule"]["kind"], told(out)["rule"]["thresholds"]) == ("each", [0.5] * 3)
        succeeded(*usual, "--title", "Karten", "--labels", labels, "--threshold", "0.25")
        assert told(out)["title"] == "Karten"
        assert told(out)["rule"]["labels"] == ["rot", "grün", "blau"]
        assert told(out)["rule"]["thresholds"] == [0.25] * 3

    def test_a_folder_of_somebody_else(self, colours: Path, package: Path, tmp_path: Path) -> None:
        (tmp_path / "thesis.doc").write_text("years")
        assert "which holds" in refused("web", colours, "--out", tmp_path, "--runtime", package)
        assert (tmp_path / "thesis.doc").read_text() == "years"

    def test_nothing_is_left_of_a_site_that_cannot_be_made(self, colours: Path, package: Path, tmp_path: Path) -> None:
        package.write_bytes(b"cut")
        refused("web", colours, "--out", tmp_path / "site", "--runtime", package)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["package.tgz"]


def test_single_file(colours: Path, package: Path, tmp_path: Path) -> None:
    out = tmp_path / "cards.html"
    ended = succeeded("web", colours, "--out", out, "--single-file", "--runtime", package)
    assert re.fullmatch(rf"{re.escape(str(out))}: 0\.\d MB\n", ended.out)
    assert 'id="model.tflite" data-packed="gzip">' in out.read_text()


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ((), "neither --out nor --serve"),
        (("--out", "a.html", "--single-file", "--serve"), "expected --serve, or --single-file; found both"),
        (("--out", "page", "--single-file"), "--out page.html"),
        (("--out", "missing/a.html", "--single-file"), "missing, which does not exist"),
        (("--out", "missing/site"), "missing, which does not exist"),
        (("--out", "site", "--address", ":8443"), "--serve with --address"),
        (("--single-file", "--serve"), "--out with --single-file"),
        (("--out", "site", "--threshold", "1.5"), "--threshold to be from 0 to 1"),
        (("--serve", "--address", "8443"), "--address HOST:PORT"),
        (("--out", "site", "--title", " "), "a title"),
        (("--out", "site", "--labels", "labels.txt"), "labels.txt"),
    ],
)
def test_refused(
    colours: Path, package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], found: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert found in refused("web", colours, "--runtime", package, *options)
    assert [path.name for path in tmp_path.iterdir()] == ["package.tgz"]


class TestFilesThatAreNotShown:
    def test_another_tools(self, colour_model: Callable[..., bytes], package: Path, tmp_path: Path) -> None:
        path = tmp_path / "m.tflite"
        path.write_bytes(colour_model())
        line = refused("web", path, "--out", tmp_path / "site", "--runtime", package)
        assert line.endswith("found m.tflite without a recipe. Try: make the file with edgedense convert")

    def test_one_compiled_for_an_edge_tpu(
        self, colour_model: Callable[..., bytes], package: Path, tmp_path: Path
    ) -> None:
        """The compiler leaves the name of its operator in the file, by which it is known."""
        path = tmp_path / "m_edgetpu.tflite"
        path.write_bytes(bundle.pack(colour_model() + CUSTOM_OPERATOR, COLOURS, RECIPE))
        line = refused("web", path, "--out", tmp_path / "site", "--runtime", package)
        assert "m_edgetpu.tflite, compiled for an Edge TPU. Try: the file that was given to the compiler" in line

    def test_a_recipe_for_another_input(
        self, colour_model: Callable[..., bytes], package: Path, tmp_path: Path
    ) -> None:
        path = tmp_path / "m.tflite"
        recipe = {"preprocessing": {**RECIPE["preprocessing"], "height": 12}}  # type: ignore[dict-item]
        path.write_bytes(bundle.pack(colour_model(), COLOURS, recipe))
        assert "a recipe for the model's input" in refused("web", path, "--out", tmp_path / "s", "--runtime", package)

    def test_what_is_no_model(self, package: Path, tmp_path: Path) -> None:
        (tmp_path / "m.tflite").write_bytes(b"PNG")
        assert "a .tflite file" in refused("web", tmp_path / "m.tflite", "--out", tmp_path / "s", "--runtime", package)


def certified(place: Path) -> ssl.SSLContext:
    """Trusts the certificate in the state folder `place` alone."""
    return ssl.create_default_context(cafile=str(place / "edgedense/web/certificate.pem"))


def scanned(code: str) -> str:
    """What a QR code of half blocks says: a whole block is light above and below, a space dark."""
    cv2 = pytest.importorskip("cv2")
    halves = {"█": (255, 255), "▀": (255, 0), "▄": (0, 255), " ": (0, 0)}
    rows = [[halves[block][half] for block in line] for line in code.splitlines() if line for half in (0, 1)]
    picture = np.kron(np.array(rows, np.uint8), np.ones((8, 8), np.uint8))
    text: str = cv2.QRCodeDetector().detectAndDecode(picture)[0]
    return text


class TestServe:
    @pytest.fixture(autouse=True)
    def state(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """A state folder of the test's own; skips without the libraries of the extra."""
        for library in ("starlette", "uvicorn", "cryptography", "segno", "ifaddr"):
            pytest.importorskip(library)
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
        return tmp_path / "state"

    @pytest.fixture
    def asked(self, state: Path, monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
        """What somebody on the network gets of site.json; then Ctrl+C is pressed."""
        from edgedense.website.server import SiteServer

        found: list[bytes] = []

        def wait(server: SiteServer) -> None:
            address = re.sub("//[^:]*:", "//localhost:", server.url)
            with urllib.request.urlopen(f"{address}site.json", context=certified(state), timeout=20) as answer:
                found.append(answer.read())
            raise KeyboardInterrupt

        monkeypatch.setattr(SiteServer, "wait", wait)
        return found

    def test_on_every_interface(self, colours: Path, package: Path, asked: list[bytes], on_loopback: None) -> None:
        ended = succeeded("web", colours, "--serve", "--address", ":0", "--runtime", package)
        assert json.loads(asked[0])["title"] == "colours"
        code, scheme, rest = ended.out.partition("https://")
        assert re.match(r"[^/\s]+:\d+/\n\nOpen it on a phone", rest)
        assert scanned(code) == scheme + rest.splitlines()[0]
        assert re.search(r"^([0-9A-F]{2}:){31}[0-9A-F]{2}$", ended.out, re.MULTILINE)
        assert ended.err.endswith("ended\n")

    def test_for_this_machine_and_written_too(
        self, colours: Path, package: Path, asked: list[bytes], tmp_path: Path
    ) -> None:
        address = ("--serve", "--address", "127.0.0.1:0")
        ended = succeeded("web", colours, "--out", tmp_path / "site", *address, "--runtime", package)
        assert "This machine alone can open it" in ended.out
        assert "█" not in ended.out
        assert (tmp_path / "site/site.json").read_bytes() == asked[0]

    def test_without_the_extra(
        self, colours: Path, package: Path, monkeypatch: pytest.MonkeyPatch, state: Path
    ) -> None:
        monkeypatch.setitem(sys.modules, "segno", None)
        assert "pip install 'edgedense[web]'" in refused("web", colours, "--serve", "--runtime", package)

    @pytest.mark.slow
    def test_a_process_until_ctrl_c(self, colours: Path, state: Path) -> None:
        """With LiteRT's own files, in whatever state the user's cache is."""
        command = [sys.executable, "-m", "edgedense.cli", "web", str(colours), "--serve", "--address", "localhost:0"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            try:
                url = process.stdout.readline().strip()
                file = f"{url}runtime/litert_wasm_internal.wasm"
                with urllib.request.urlopen(file, context=certified(state), timeout=20) as answer:
                    assert answer.headers["Content-Type"] == "application/wasm"
                    assert answer.read(4) == b"\0asm"
                process.send_signal(signal.SIGINT)
                assert process.wait(20) == 0
            finally:
                process.kill()


class TestFromPython:
    def test_a_site(self, colours: Path, package: Path, tmp_path: Path) -> None:
        site = edgedense.web(str(colours), title="Cards", labels=["r", "g", "b"], runtime=package)
        assert site.title == "Cards"
        assert json.loads(site.files["site.json"])["rule"]["labels"] == ["r", "g", "b"]
        site.save(tmp_path / "site")
        assert told(tmp_path / "site")["title"] == "Cards"
        assert site.to_html().startswith("<!doctype html>")

    def test_a_threshold_out_of_its_limits(self, colours: Path, package: Path) -> None:
        with pytest.raises(EdgedenseError, match="--threshold to be from 0 to 1"):
            edgedense.web(colours, threshold=2, runtime=package)
