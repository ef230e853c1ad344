"""The commands `validate` and `compare` on a device: real files, no TensorFlow, no reference."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgedense import cli
from edgedense.deployed import bundle
from edgedense.errors import EdgedenseError, GateError
from edgedense.images.preprocessing import Preprocessing

LEVELS = {"red": (200, 40, 40), "green": (40, 200, 40), "blue": (40, 40, 200)}


@pytest.fixture
def cards(tmp_path: Path) -> Path:
    """Two red cards, one of which is green in truth, and two blue ones."""
    folder = tmp_path / "cards"
    for name, colours in {"red": ("red", "green"), "blue": ("blue", "blue")}.items():
        (folder / name).mkdir(parents=True)
        for i, colour in enumerate(colours):
            Image.new("RGB", (70, 50), LEVELS[colour]).save(folder / name / f"{i}.png")
    return folder


def call(*arguments: object) -> None:
    cli.app([str(a) for a in arguments], standalone_mode=False)


def test_measures_without_reference(colours: Path, cards: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call("validate", colours, "--data", cards, "--json")
    out, err = capsys.readouterr()
    result = json.loads(out)
    assert result["evaluation"]["accuracy"] == 0.75
    assert result["evaluation"]["confusion"] == [[1, 1, 0], [0, 0, 0], [0, 0, 2]]
    assert result["drift"] is None
    assert result["recipe"]["preprocessing"]["height"] == 48
    assert "green" in err  # the class without a folder


def test_another_engine_measures_the_same(
    colours: Path, cards: Path, proved: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("openvino")
    call("validate", colours, "--data", cards, "--json", "--device", "openvino")
    assert json.loads(capsys.readouterr().out)["evaluation"]["confusion"] == [[1, 1, 0], [0, 0, 0], [0, 0, 2]]
    call("validate", proved("m.tflite"), "--json", "--device", "openvino")
    assert json.loads(capsys.readouterr().out)["run_with"].startswith("openvino ")


def test_thresholds_are_chosen_with_the_usual_engine_alone(colours: Path, cards: Path, tmp_path: Path) -> None:
    words = ("--operating-point", "0.5", "--out", tmp_path / "out.tflite", "--device", "openvino")
    with pytest.raises(EdgedenseError, match=r"--operating-point alone.*found --device"):
        call("validate", colours, "--data", cards, *words)


def test_a_table_for_people(colours: Path, cards: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call("validate", colours, "--data", cards)
    assert "75.00 %" in capsys.readouterr().out


def test_labels_replace_those_of_the_file(
    colours: Path, cards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "labels.txt").write_text("blue\ngreen\nred\n")
    call("validate", colours, "--data", cards, "--json", "--labels", tmp_path / "labels.txt")
    assert json.loads(capsys.readouterr().out)["evaluation"]["accuracy"] == 0


def test_an_unknown_class_folder_is_an_error(colours: Path, cards: Path) -> None:
    (cards / "red").rename(cards / "Red")
    with pytest.raises(EdgedenseError, match="rename Red to red"):
        call("validate", colours, "--data", cards)


def test_a_file_without_labels_says_how_to_name_them(
    colour_model: Callable[..., bytes], cards: Path, tmp_path: Path
) -> None:
    (tmp_path / "bare.tflite").write_bytes(colour_model())
    with pytest.raises(EdgedenseError, match="--labels"):
        call("validate", tmp_path / "bare.tflite", "--data", cards)


def test_a_gate_needs_something_to_measure_from(colours: Path, cards: Path) -> None:
    with pytest.raises(EdgedenseError, match="--reference"):
        call("validate", colours, "--data", cards, "--max-drop", 1)


@pytest.fixture
def swapped(colour_model: Callable[..., bytes], tmp_path: Path) -> Path:
    """A file that calls red what is blue and the other way round."""
    content = colour_model()
    weights = (0.05 * np.eye(3, dtype=np.float32)).tobytes()
    assert content.count(weights) == 1
    path = tmp_path / "swapped.tflite"
    spoiled = content.replace(weights, (0.05 * np.eye(3, dtype=np.float32)[::-1]).tobytes())
    recipe = {"edgedense": "0.1.0", "preprocessing": Preprocessing(48, 64, "none").to_dict()}
    path.write_bytes(bundle.pack(spoiled, labels=("red", "green", "blue"), recipe=recipe))
    return path


@pytest.mark.parametrize("command", ["validate", "compare"])
def test_a_report_that_cannot_be_written_is_told_of_before_anything_is_measured(
    command: str, colours: Path, cards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measured(*_: object, **__: object) -> None:
        raise AssertionError("it was measured first")

    monkeypatch.setattr("edgedense.measures.validation.judge", measured)
    files = [colours] if command == "validate" else [colours, colours]
    with pytest.raises(EdgedenseError, match="mkdir -p"):
        call(command, *files, "--data", cards, "--report", tmp_path / "missing" / "page.html")


def test_a_report_on_the_device_is_one_page(colours: Path, cards: Path, tmp_path: Path) -> None:
    call("compare", colours, colours, "--data", cards, "--report", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text("utf-8")
    assert "All figures, and what they mean" in page
    assert "colours.tflite" in page


def test_compare_finds_no_difference_in_one_file(
    colours: Path, cards: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call("compare", colours, colours, "--data", cards, "--json", "--max-drop", 0)
    result = json.loads(capsys.readouterr().out)
    drift = result["drift"]
    assert {layer["sqnr_db"] for layer in result["layer_noise"]} == {120.0}
    assert (drift["agreement"], drift["kl_mean"], drift["changed"]) == (1, 0, [])


def test_compare_fails_the_gate_after_it_has_reported(
    colours: Path, swapped: Path, cards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "report.html"
    with pytest.raises(GateError, match="75"):
        call("compare", colours, swapped, "--data", cards, "--max-drop", 50, "--report", page)
    out = capsys.readouterr().out
    assert "swapped.tflite" in out
    assert "noisiest layer" in out
    assert page.read_text().count("data:image/jpeg") == 3
    call("compare", colours, swapped, "--data", cards, "--max-drop", 75)


def test_compare_wants_the_same_labels(
    colours: Path, colour_model: Callable[..., bytes], cards: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.tflite"
    other.write_bytes(bundle.pack(colour_model(), labels=("red", "green", "violet"), recipe={}))
    with pytest.raises(EdgedenseError, match="same labels"):
        call("compare", colours, other, "--data", cards)


def test_validating_on_a_device_imports_no_tensorflow(colours: Path, cards: Path) -> None:
    program = (
        "import sys; from edgedense import cli\n"
        f"cli.app(['validate', {str(colours)!r}, '--data', {str(cards)!r}], standalone_mode=False)\n"
        "sys.exit(str([m for m in ('tensorflow', 'keras', 'cv2', 'sklearn') if m in sys.modules] or ''))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stderr.strip().splitlines()[-1:] in ([], ["edgedense: no pictures of 1 of the model's classes: green"])
    assert "75.00 %" in done.stdout


def golden_file(colour_model: Callable[..., bytes], path: Path) -> Path:
    """A deployed file that carries golden samples made here."""
    import platform

    from edgedense.deployed import golden
    from edgedense.device.engines.interpreter import find_runtime, make_interpreter
    from edgedense.device.engines.replay import keeping_interpreter

    model, runtime = colour_model(), find_runtime()
    invoke = golden.raw_invoke(make_interpreter(model))
    made = golden.record(
        invoke,
        lambda pixels: np.concatenate([invoke(image[None]) for image in pixels]),
        height=48,
        width=64,
        step=golden.FLOAT_STEP,
        runtime=f"{runtime.name} {runtime.version}",
        machine=platform.machine(),
        layers=lambda pixels: golden.layer_levels(keeping_interpreter(model), pixels),
    )
    recipe = {"preprocessing": Preprocessing(48, 64, "none").to_dict()}
    entries = {golden.ENTRY: made.to_bytes()}
    path.write_bytes(bundle.pack(model, ("red", "green", "blue"), recipe, entries))
    return path


def test_golden_samples_replay_to_the_bit(
    colour_model: Callable[..., bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = golden_file(colour_model, tmp_path / "golden.tflite")
    call("validate", path, "--json")
    result = json.loads(capsys.readouterr().out)
    assert result["bit_equal"]
    assert result["passed"]
    call("validate", path)
    assert "equal to the bit" in capsys.readouterr().out


def test_golden_samples_catch_a_spoiled_file_and_name_the_layer(
    colour_model: Callable[..., bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = golden_file(colour_model, tmp_path / "golden.tflite")
    weights = (0.05 * np.eye(3, dtype=np.float32)).tobytes()
    path.write_bytes(path.read_bytes().replace(weights, (0.1 * np.eye(3, dtype=np.float32)).tobytes()))
    with pytest.raises(GateError, match="first layer that differs"):
        call("validate", path)
    assert "failed" in capsys.readouterr().out


def test_a_file_without_golden_samples_asks_for_data(colours: Path) -> None:
    with pytest.raises(EdgedenseError, match="--data"):
        call("validate", colours)


def test_options_that_need_images_are_not_ignored_without_them(colours: Path, tmp_path: Path) -> None:
    with pytest.raises(EdgedenseError, match="--data"):
        call("validate", colours, "--report", tmp_path / "report.html")


def test_a_single_sigmoid_is_a_binary_head_with_ranking_figures(
    colour_model: Callable[..., bytes], cards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "binary.tflite"
    recipe = {"preprocessing": Preprocessing(48, 64, "none").to_dict(), "activation": "sigmoid"}
    path.write_bytes(bundle.pack(colour_model(outputs=1), ("red", "blue"), recipe))
    call("compare", path, path, "--data", cards, "--json")
    result = json.loads(capsys.readouterr().out)
    # One "red" card is green, which is as blue as it is red: 0.5, still below the blue ones.
    assert result["evaluation"]["rankings"] == [{"positive": "blue", "auroc": 1.0, "average_precision": 1.0}]
    assert result["drift"]["thresholds"][0]["after"] == 0.5
    call("validate", path, "--data", cards)
    assert "AUROC, blue" in capsys.readouterr().out


def test_a_file_with_several_findings_is_measured_class_by_class(
    findings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Red is seen in the red and in the yellow card, green in the yellow one; of the last card nobody knows it."""
    cards = {"red": ((200, 0, 0), "1,0,0"), "yellow": ((180, 160, 0), "1,1,0"), "black": ((0, 0, 0), "0,,0")}
    for name, (colour, _) in cards.items():
        Image.new("RGB", (64, 48), colour).save(tmp_path / f"{name}.png")
    rows = [f"{name}.png,p{number},{labels}" for number, (name, (_, labels)) in enumerate(cards.items())]
    table = tmp_path / "cards.csv"
    table.write_text("\n".join(["file,patient,red,green,blue", *rows]) + "\n")
    call("compare", findings, findings, "--data", table, "--max-drop", "0", "--json", "--report", tmp_path / "r.html")
    result = json.loads(capsys.readouterr().out)
    assert result["evaluation"] is None
    assert (result["findings"]["patients"], result["patients"]) == (3, 3)
    red, green, blue = result["findings"]["scored"]["classes"]
    assert [one["figures"]["sensitivity"]["value"] for one in (red, green, blue)] == [1, 1, None]
    assert (green["positives"], green["negatives"], green["unknown"]) == (1, 1, 1)
    assert result["findings"]["change"]["agreement_of_images"] == 1
    assert result["gate"] == {"max_drop": 0, "drop": 0, "of": "mean AUROC", "passed": True}
    page = (tmp_path / "r.html").read_text("utf-8")
    assert "AUROC, class by class" in page
    assert "Confusion" not in page
    call("validate", findings, "--data", table)
    assert "Decisions at the thresholds" in capsys.readouterr().out


def test_a_model_card_is_written_and_stands_in_the_report(
    colours: Path, cards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    card, page = tmp_path / "card.md", tmp_path / "report.html"
    stated = ("--owner", "Ward 7", "--licence", "none", "--population", "Cards.", "--not-for", "people")
    call("validate", colours, "--data", cards, "--card", card, "--report", page, *stated, "--intended-use", "Sorting")
    text = card.read_text("utf-8")
    assert text.startswith("# Model card: colours.tflite\n")
    for part in ("| owner | Ward 7 |", "| not for | people |", "| intended use | Sorting |", "| licence | none |"):
        assert part in text
    assert hashlib.sha256(colours.read_bytes()).hexdigest() in text
    assert "Where they come from: Cards.\n" in text
    assert "Ward 7" in page.read_text("utf-8")
    assert "model card: " in capsys.readouterr().err
    with pytest.raises(EdgedenseError, match="--card with --owner"):
        call("validate", colours, "--data", cards, "--owner", "Ward 7")
    with pytest.raises(EdgedenseError, match="images to measure on"):
        call("validate", colours, "--card", card)


def test_two_files_with_different_thresholds_are_judged_by_those_of_the_first(
    findings: Path, cards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content, other = bundle.read(findings), tmp_path / "other.tflite"
    recipe = {**content.recipe, "thresholds": [0.1, 0.2, 0.3]}
    other.write_bytes(bundle.pack(bundle.without_archive(content.model), content.labels, recipe))
    call("compare", findings, other, "--data", cards, "--json")
    out, err = capsys.readouterr()
    assert "both are judged by those of findings.tflite" in err
    assert [one["threshold"] for one in json.loads(out)["findings"]["scored"]["classes"]] == [0.5, 0.5, 0.5]
    call("compare", findings, findings, "--data", cards, "--json")
    assert "thresholds" not in capsys.readouterr().err
