"""`edgedense run --monitor`, on images."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgedense import cli
from edgedense.device.monitor.drift import Monitor
from edgedense.errors import EdgedenseError

COLOURS = ("red", "green", "blue")


def cards(folder: Path, count: int, seed: int, light: float = 1.0) -> Path:
    """Cards of random colour and shade, with a little texture."""
    folder.mkdir()
    rng = np.random.default_rng(seed)
    for i in range(count):
        picture = rng.normal(90, 8, (48, 64, 3)) + 60 * rng.random()
        picture[..., rng.integers(3)] += 60
        Image.fromarray((picture * light).clip(0, 255).astype(np.uint8)).save(folder / f"{i:04d}.png", compress_level=0)
    return folder


def call(*arguments: object) -> None:
    cli.app([str(a) for a in arguments], standalone_mode=False)


def test_learns_from_a_folder_keeps_its_state_and_alerts(
    colours: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    usual, dark = cards(tmp_path / "usual", 240, 0), cards(tmp_path / "dark", 120, 1, light=0.4)
    state = tmp_path / "state.json"
    call("run", colours, usual, "--monitor", state, "--monitor-baseline", usual, "--json")
    out, err = capsys.readouterr()
    assert "drift" not in err
    assert '"alert"' not in out
    assert not Monitor.load(state, COLOURS).learning
    call("run", colours, dark, "--monitor", state, "--json")  # a second run goes on where the first ended
    out, err = capsys.readouterr()
    assert "drift: the pictures got darker" in err
    alerts = [json.loads(line) for line in out.splitlines() if '"alert"' in line]
    assert "the pictures got darker" in alerts[0]["alert"]
    call("run", colours, dark, "--monitor", state, "--json")
    assert "drift" not in capsys.readouterr().err  # told once


def test_learns_on_site_without_a_baseline(colours: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call("run", colours, cards(tmp_path / "few", 3, 0), "--monitor", tmp_path / "state.json")
    assert "learns what is usual" in capsys.readouterr().err
    assert Monitor.load(tmp_path / "state.json", COLOURS).samples == 3


def test_a_baseline_of_too_few_images_is_an_error(colours: Path, tmp_path: Path) -> None:
    few = cards(tmp_path / "few", 3, 0)
    with pytest.raises(EdgedenseError, match="200 samples"):
        call("run", colours, few, "--monitor", tmp_path / "state.json", "--monitor-baseline", few)


def test_a_baseline_without_a_monitor_is_an_error(colours: Path, tmp_path: Path) -> None:
    with pytest.raises(EdgedenseError, match="--monitor STATE"):
        call("run", colours, tmp_path, "--monitor-baseline", tmp_path)


def test_a_state_that_cannot_be_written_is_found_out_at_once(colours: Path, tmp_path: Path) -> None:
    with pytest.raises(EdgedenseError, match="folder"):
        call("run", colours, cards(tmp_path / "few", 1, 0), "--monitor", tmp_path / "none" / "state.json")
