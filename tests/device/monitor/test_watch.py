"""`edgedense run --monitor`, on images."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgedense import cli
from edgedense.device.classifier import Classifier
from edgedense.device.monitor.drift import Alert, Monitor
from edgedense.device.monitor.watch import Watch
from edgedense.errors import EdgedenseError
from edgedense.images.preprocessing import load_image

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
    with pytest.raises(EdgedenseError, match="--monitor with --monitor-baseline"):
        call("run", colours, tmp_path, "--monitor-baseline", tmp_path)


def test_a_state_that_cannot_be_written_is_found_out_at_once(colours: Path, tmp_path: Path) -> None:
    with pytest.raises(EdgedenseError, match="folder"):
        call("run", colours, cards(tmp_path / "few", 1, 0), "--monitor", tmp_path / "none" / "state.json")


def test_what_a_power_cut_left_of_a_state_is_removed(colours: Path, tmp_path: Path) -> None:
    left = tmp_path / ".state.json.x7_k2abc"
    left.write_bytes(b"{")
    os.utime(left, (0, 0))
    with Classifier(colours) as classifier:
        Watch(tmp_path / "state.json", classifier, classifier.rule())
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]


def test_learning_from_a_baseline_says_for_each_image_that_it_goes_on(colours: Path, tmp_path: Path) -> None:
    """Under systemd, which would take a long start for one that failed."""
    heard: list[None] = []
    with Classifier(colours) as classifier:
        baseline = cards(tmp_path / "usual", 200, 0)
        Watch(tmp_path / "s.json", classifier, classifier.rule(), baseline=baseline, busy=lambda: heard.append(None))
    assert len(heard) == 200


def test_a_file_that_scores_classes_alone_is_watched_by_its_findings(
    findings: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    usual, dark = cards(tmp_path / "usual", 200, 0, light=0.8), cards(tmp_path / "dark", 100, 1, light=0.3)
    told: list[Alert] = []
    with Classifier(findings) as classifier:
        watch = Watch(tmp_path / "s.json", classifier, classifier.rule(), baseline=usual, alerted=told.append)
        assert (watch.is_learning, watch.moved) == (False, ())
        given = []
        for path in sorted(dark.iterdir()):
            pixels = load_image(path, classifier.preprocessing)
            given.append(watch.offer(classifier.classify(pixels), pixels))
    assert [alert for alert in given if alert] == told
    assert "brightness" in watch.moved
    assert any("nearly every answer is no finding" in alert.message for alert in told)
    assert [record.getMessage() for record in caplog.records] == [f"drift: {alert.message}" for alert in told]
