"""Who gets the figures, and in which format."""

from __future__ import annotations

import contextlib
import logging
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("prometheus_client")
pytest.importorskip("starlette")
from edgedense.device.metrics.options import MetricsOptions
from edgedense.device.metrics.server import serving
from edgedense.device.prediction import Rule
from edgedense.errors import DeviceError, EdgedenseError

RULE = Rule(("red", "green"), (float("-inf"),) * 2)
TOKEN = "a-token-of-some-length"


@contextlib.contextmanager
def served(tmp_path: Path, caplog: pytest.LogCaptureFixture, address: str, token: str | None = None) -> Iterator[str]:
    """The sentence that tells where the figures are."""
    (tmp_path / "m.tflite").write_bytes(b"a model")
    (tmp_path / "token").write_text(token or "")
    options = MetricsOptions(address, tmp_path / "token" if token else None)
    with caplog.at_level(logging.INFO, "edgedense"), serving(options, tmp_path / "m.tflite", RULE, "rpicam:0", None):
        yield caplog.messages[-1]


def ask(told: str, path: str = "/metrics", **headers: str) -> tuple[int, str, str]:
    """(status, kind, text)."""
    port = re.search(r":(\d+)/metrics", told)
    assert port
    request = urllib.request.Request(f"http://127.0.0.1:{port[1]}{path}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, "", ""


def test_this_machine_gets_them(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with served(tmp_path, caplog, "127.0.0.1:0") as told:
        assert re.fullmatch(r"figures for Prometheus at http://127.0.0.1:\d+/metrics", told)
        status, kind, text = ask(told)
        assert (status, kind.split(";")[0]) == (200, "text/plain")
        assert 'model="m.tflite"' in text
        assert ask(told, "/")[2].startswith("# HELP")  # a browser is led there
        assert ask(told, Accept="application/openmetrics-text; version=1.0.0")[1].startswith(
            "application/openmetrics-text"
        )
        # A web page whose name resolves to this machine.
        assert ask(told, Host="evil.example")[0] == 403


def test_others_need_the_token(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with served(tmp_path, caplog, "0.0.0.0:0", TOKEN) as told:
        assert told.endswith(f"/metrics with the token from {tmp_path}/token")
        assert TOKEN not in told
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {TOKEN}"}):
            assert ask(told, **headers)[0] == 403
        for scheme in ("Bearer", "bearer"):
            assert ask(told, Authorization=f"{scheme} {TOKEN}")[0] == 200
        assert ask(told, f"/metrics?token={TOKEN}x")[0] == 403


def test_a_new_token_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with served(tmp_path, caplog, "0.0.0.0:0") as told:
        token = told.rpartition(" with the token ")[2]
        assert len(token) >= 20
        assert ask(told, Authorization=f"Bearer {token}")[0] == 200


def test_wrong_options(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(EdgedenseError, match="--metrics HOST:PORT"), served(tmp_path, caplog, "9100"):
        pass
    with pytest.raises(EdgedenseError, match="12 or more"), served(tmp_path, caplog, "127.0.0.1:0", "short"):
        pass
    with served(tmp_path, caplog, "127.0.0.1:0") as told:
        port = re.findall(r":(\d+)/", told)[0]
        with pytest.raises(DeviceError, match="free"), served(tmp_path, caplog, f"127.0.0.1:{port}"):
            pass
