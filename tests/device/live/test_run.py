"""`edgedense run` on images, as a user starts it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

CARDS = {"red": (200, 30, 40), "green": (20, 180, 60), "blue": (10, 40, 220)}


def edgedense(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edgedense.cli", *map(str, arguments)]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=60,  # type: ignore[call-overload]
        check=False,
        **options,
    )


@pytest.fixture(scope="module")
def cards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cards")
    for name, colour in CARDS.items():
        Image.new("RGB", (90, 70), colour).save(folder / f"{name}.png")
    return folder


def lines(result: subprocess.CompletedProcess[str]) -> list[dict]:
    assert result.returncode == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_a_folder_as_a_table(colours: Path, cards: Path) -> None:
    result = edgedense("run", colours, cards)
    assert result.returncode == 0, result.stderr
    header, *rows = result.stdout.splitlines()
    assert header.split() == ["label", "score", "latency", "file"]
    assert [row.split()[0] for row in rows] == ["blue", "green", "red"]
    assert [Path(row.split()[-1]) for row in rows] == sorted(cards.iterdir())


def test_files_and_globs_as_json_lines(colours: Path, cards: Path) -> None:
    results = lines(edgedense("run", colours, cards / "red.png", f"{cards}/g*.png", "--json", "--top", "2"))
    assert [result["label"] for result in results] == ["red", "green"]
    assert results[0]["file"] == str(cards / "red.png")
    assert results[0]["score"] > 0.99
    assert results[0]["latency_ms"] > 0
    assert [len(result["top"]) for result in results] == [2, 2]
    assert results[0]["top"][0] == {"label": "red", "score": results[0]["score"]}


def test_a_threshold_leaves_the_label_open(colours: Path, tmp_path: Path) -> None:
    Image.new("RGB", (9, 9), "grey").save(tmp_path / "grey.png")
    assert lines(edgedense("run", colours, tmp_path, "--json"))[0]["label"] == "red"
    result = lines(edgedense("run", colours, tmp_path, "--json", "--threshold", "0.5"))[0]
    assert (result["label"], result["score"], result["top"]) == (None, None, [])
    assert edgedense("run", colours, tmp_path, "--threshold", "0.5").stdout.splitlines()[1].startswith("-")


def test_every_finding_is_printed_and_none_is_marked(findings: Path, tmp_path: Path) -> None:
    for name, colour in {"both": (200, 30, 220), "none": (60, 80, 20), "one": (20, 180, 60)}.items():
        Image.new("RGB", (9, 9), colour).save(tmp_path / f"{name}.png")
    both, none, one = edgedense("run", findings, tmp_path).stdout.splitlines()[1:]
    assert both.startswith("blue ")
    assert both.endswith("both.png  and red 99.3%")
    assert none.startswith("(green) ")
    assert none.endswith("none.png  no finding")
    assert one.startswith("green ")
    assert one.endswith("one.png")
    results = lines(edgedense("run", findings, tmp_path, "--json", "--top", "3"))
    assert [[found["label"] for found in result["findings"]] for result in results] == [["blue", "red"], [], ["green"]]
    assert [len(result["top"]) for result in results] == [3, 3, 3]
    assert [result["label"] for result in results] == ["blue", None, "green"]
    strict = lines(edgedense("run", findings, tmp_path / "both.png", "--json", "--threshold", "0.995"))[0]
    assert [found["label"] for found in strict["findings"]] == ["blue"]


def test_a_single_class_that_is_not_there_is_not_reported_as_seen(
    colour_model: Callable[..., bytes], cards: Path, tmp_path: Path
) -> None:
    (tmp_path / "m.tflite").write_bytes(colour_model(outputs=1))
    (tmp_path / "labels.txt").write_text("blue\n")
    options = ["--labels", tmp_path / "labels.txt"]
    rows = edgedense("run", tmp_path / "m.tflite", cards, *options).stdout.splitlines()[1:]
    assert [row.split()[0] for row in rows] == ["blue", "blue", "(blue)"]  # the green card is more blue than red


def test_labels_are_taken_from_the_file_given(colours: Path, cards: Path, tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("rot\ngrün\nblau\n", "utf-8")
    labels = ["--labels", tmp_path / "labels.txt"]
    assert lines(edgedense("run", colours, cards / "blue.png", "--json", *labels))[0]["label"] == "blau"


def test_an_unreadable_image_does_not_stop_the_others(colours: Path, cards: Path, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"broken")
    result = edgedense("run", colours, tmp_path, cards / "red.png", "--json")
    assert result.returncode == 2
    assert json.loads(result.stdout)["label"] == "red"
    assert "a.png" in result.stderr
    (tmp_path / "b.png").write_bytes(b"broken")
    result = edgedense("run", colours, tmp_path)
    assert result.returncode == 2
    assert "a.png" in result.stderr
    assert "b.png" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.tflite", "missing.png"], "missing.png"),
        (["missing.tflite", "."], "image"),
        (["{colours}", "{cards}", "--labels", "missing.txt"], "missing.txt"),
        (["{colours}", "{cards}", "--device", "gpu"], "gpu"),
        (["{colours}", "{cards}", "--top", "0"], "--top"),
        (["{colours}", "{cards}", "--threshold", "2"], "--threshold"),
        (["{colours}", "{cards}", "--threads", "0"], "--threads"),
        (["{colours}"], "SOURCE"),
    ],
)
def test_wrong_use_ends_with_2_and_no_traceback(
    colours: Path, cards: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    filled = [text.format(colours=colours, cards=cards) for text in arguments]
    result = edgedense("run", *filled, cwd=tmp_path)
    assert result.returncode == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_a_missing_runtime_ends_with_3(colours: Path, cards: Path, tmp_path: Path) -> None:
    for name in ("ai_edge_litert", "tflite_runtime"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise ImportError('not here')")
    result = edgedense("run", colours, cards, env={**os.environ, "PYTHONPATH": str(tmp_path)})
    assert result.returncode == 3
    assert "edgedense[device]" in result.stderr


IMPORTS = """
import sys
from typer.testing import CliRunner
import edgedense.device
from edgedense.cli import app
result = CliRunner().invoke(app, ["run", *sys.argv[1:]])
assert result.exit_code == 0, result.output
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


def test_running_imports_nothing_that_a_raspberry_pi_lacks(colours: Path, cards: Path) -> None:
    command = [sys.executable, "-c", IMPORTS, colours, cards]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    loaded = set(result.stdout.split())
    assert "ai_edge_litert" in loaded
    assert not loaded & {"tensorflow", "keras", "tf_keras", "cv2", "av", "starlette", "uvicorn", "sklearn"}
