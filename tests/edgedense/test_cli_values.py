"""A model that gives values, from its file to what `run` prints; and the other things that a file does not say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgedense.deployed import bundle
from edgedense.images.preprocessing import find_images, load_image
from tests import models
from tests.edgedense.test_cli import QUICK, edgedense, refused, succeeded
from tests.pictures import fill

keras = pytest.importorskip("keras")

# int8 noise of some 25 tensors, 0.6 % rms of their ranges in quadrature; on values that stem from features of size 6
# that is 0.04, three sigma of which are:
CLOSE = 0.12


def small(head: models.Head, **parts: Any) -> Any:
    return models.densenet(head=head, body=lambda k, x: models.body(k, x, (1, 1)), **parts)


def two_values(k: Any, x: Any) -> Any:
    """A value that is mostly below 0, and one that is mostly above."""
    return k.layers.Dense(2)(k.layers.GlobalAveragePooling2D()(x))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six pictures in `pictures`, and `values.keras`, which gives two values."""
    folder = tmp_path_factory.mktemp("values")
    fill(folder / "pictures", 6, seed=1)
    small(two_values).save(folder / "values.keras")
    (folder / "names.txt").write_text("width\nheight\n")
    return folder


@pytest.fixture(scope="module")
def deployed(folder: Path) -> Path:
    path = folder / "values.tflite"
    ended = succeeded(
        "convert", folder / "values.keras", "--calibration", folder / "pictures", "--out", path, "--activation", "none",
        "--labels", folder / "names.txt", "--explain",
    )  # fmt: skip
    assert "mean squared error on the other half" in ended.out
    assert "gives values and no probabilities" in ended.out
    assert "KL" not in ended.out
    assert "agrees" not in ended.out
    return path


def of_keras(folder: Path, file: Path | None = None) -> np.ndarray:
    """The model's own values [6, 2] of the pictures, read as a file made of it reads them."""
    recipe = bundle.read(file or folder / "values.tflite").preprocessing
    assert recipe is not None
    pixels = np.stack([load_image(path, recipe) for path in find_images(folder / "pictures")])
    model = keras.models.load_model(folder / "values.keras", compile=False)
    return model.predict(keras.applications.densenet.preprocess_input(pixels.astype(np.float32)), verbose=0)


def test_without_the_option_nothing_is_guessed(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "m.tflite"
    said = refused("convert", folder / "values.keras", "--calibration", folder / "pictures", "--out", out)
    assert "--activation none" in said
    assert not out.exists()


def test_run_prints_the_models_own_values(folder: Path, deployed: Path) -> None:
    lines = succeeded("run", deployed, folder / "pictures", "--json").out.splitlines()
    found = np.array([[json.loads(line)["values"][name] for name in ("width", "height")] for line in lines])
    assert np.abs(found - of_keras(folder)).max() < CLOSE
    assert (found < 0).any()  # which a threshold of 0 would hide
    header, *rows = succeeded("run", deployed, folder / "pictures").out.splitlines()
    assert header.split()[:2] == ["label", "value"]
    for row, (width, height) in zip(rows, found, strict=True):
        assert row.split()[:2] == ["width", f"{width:.4g}"]
        assert row.endswith(f"(height {height:.4g})")
    assert "%" not in "".join(rows)


@pytest.mark.parametrize("option", [("--top", 2), ("--threshold", 0.5), ("--monitor", "state.json")])
def test_run_refuses_what_needs_classes(folder: Path, deployed: Path, option: tuple[str, object]) -> None:
    said = refused_after_notes("run", deployed, folder / "pictures", *option)
    assert f"tells classes apart for {option[0]}; found one that gives values" in said


def refused_after_notes(*arguments: object) -> str:
    ended = edgedense(*arguments)
    assert (ended.code, ended.out) == (2, "")
    return ended.err.splitlines()[-1]


def test_validate_tells_how_far_the_values_move(folder: Path, deployed: Path) -> None:
    arguments = ("validate", deployed, "--data", folder / "pictures", "--reference", folder / "values.keras")
    found = json.loads(succeeded(*arguments, "--json").out)
    wanted = of_keras(folder)
    assert (found["before"], found["after"], found["images"]) == ("values.keras", "values.tflite", 6)
    for number, entry in enumerate(found["values"]):
        assert entry["name"] == ("width", "height")[number]
        assert entry["lowest"] == pytest.approx(wanted[:, number].min(), abs=1e-5)
        assert 0 < entry["mean"] <= entry["worst"] < CLOSE
    shown = succeeded(*arguments).out
    assert "width" in shown
    assert "accuracy" not in shown


@pytest.mark.parametrize(("option", "word"), [(("--max-drop", 1), "--max-drop"), (("--report", "r.html"), "--report")])
def test_validate_refuses_what_needs_classes(
    folder: Path, deployed: Path, option: tuple[str, object], word: str
) -> None:
    arguments = ("validate", deployed, "--data", folder / "pictures", "--reference", folder / "values.keras")
    said = refused_after_notes(*arguments, *option)
    assert "tells classes apart for" in said
    assert word in said


def test_validate_needs_a_reference_for_values(folder: Path, deployed: Path) -> None:
    assert "--reference MODEL.keras" in refused_after_notes("validate", deployed, "--data", folder / "pictures")


def test_golden_samples_of_values_replay(deployed: Path) -> None:
    found = json.loads(succeeded("validate", deployed, "--json").out)
    assert found["passed"]
    assert found["bit_equal"]
    assert found["kl_here"] is None
    assert 0 < found["error_here"] < 30  # steps of 1/256 of what the calibration pictures span
    assert "mean steps from the float model" in succeeded("validate", deployed).out


def test_compare_tells_how_far_two_files_are_apart(folder: Path, deployed: Path) -> None:
    found = json.loads(succeeded("compare", deployed, deployed, "--data", folder / "pictures", "--json").out)
    assert [entry["worst"] for entry in found["values"]] == [0, 0]


def test_integer_values_are_rounded_to_steps_of_the_file(folder: Path, tmp_path: Path, deployed: Path) -> None:
    out = tmp_path / "m.tflite"
    succeeded(
        "convert", folder / "values.keras", "--calibration", folder / "pictures", "--out", out, "--activation", "none",
        "--output-type", "uint8", *QUICK,
    )  # fmt: skip
    lines = succeeded("run", out, folder / "pictures", "--json").out.splitlines()
    found = np.array([list(json.loads(line)["values"].values()) for line in lines])
    wanted = of_keras(folder)
    assert np.abs(found - wanted).max() < CLOSE + np.ptp(wanted) / 255
    assert json.loads(succeeded("validate", out, "--json").out)["passed"]


def test_explain_shows_what_raises_each_value(folder: Path, deployed: Path, tmp_path: Path) -> None:
    picture = find_images(folder / "pictures")[0]
    for model, more in ((deployed, ()), (folder / "values.keras", ("--activation", "none"))):
        rows = succeeded("explain", model, picture, "--out", tmp_path / "explained", *more).out.splitlines()
        assert len(rows) == 2
        assert "%" not in "".join(rows)
        assert float(rows[0].split()[1]) == pytest.approx(of_keras(folder)[0, 0], abs=CLOSE)
    assert "--activation none" in refused("explain", folder / "values.keras", picture, "--out", tmp_path / "explained")


def test_inspect_layers_opens_the_model_as_the_recipe_says(folder: Path, deployed: Path) -> None:
    found = succeeded(
        "inspect", "--layers", deployed, "--reference", folder / "values.keras", "--data", folder / "pictures",
        "--noise-images", 2,
    )  # fmt: skip
    assert "signal to noise" in found.out
    assert "Dense 2" in succeeded("inspect", folder / "values.keras").out  # which needs no activation


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--max-drop", 1, "--validation", "pictures"), "--max-drop and --validation"),
        (("--report", "r.html"), "--report"),
    ],
)
def test_convert_refuses_what_needs_classes(
    folder: Path, tmp_path: Path, options: tuple[object, ...], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    out = tmp_path / "m.tflite"
    said = refused(
        "convert", "values.keras", "--calibration", "pictures", "--out", out, "--activation", "none", *options
    )
    assert f"classes apart for {words}" in said
    assert not out.exists()


def test_another_number_of_labels_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "three.txt").write_text("a\nb\nc\n")
    out = tmp_path / "m.tflite"
    said = refused(
        "convert", folder / "values.keras", "--calibration", folder / "pictures", "--out", out, "--activation", "none",
        "--labels", tmp_path / "three.txt",
    )  # fmt: skip
    assert "2 labels" in said


@pytest.fixture(scope="module")
def measured(folder: Path) -> Path:
    """A file of values in millimetres, and `right.csv`, which has the model's own values of the pictures, each a little
    off: the first of `width` is unknown, and pictures come in pairs of one patient."""
    out = folder / "millimetres.tflite"
    succeeded(
        "convert", folder / "values.keras", "--calibration", folder / "pictures", "--out", out, "--activation", "none",
        "--labels", folder / "names.txt", "--unit", "mm", *QUICK,
    )  # fmt: skip
    recipe = bundle.read(out).preprocessing
    assert recipe is not None
    rows = ["file,patient,height,width"]
    for number, (path, (width, height)) in enumerate(
        zip(find_images(folder / "pictures"), of_keras(folder, out), strict=True)
    ):
        shown = "" if number == 0 else f"{width + number}"
        rows.append(f"{path.name},{number // 2},{height - 1},{shown}")
    (folder / "right.csv").write_text("\n".join(rows) + "\n")
    return out


def test_run_names_the_unit(folder: Path, measured: Path) -> None:
    assert bundle.read(measured).recipe["unit"] == "mm"
    lines = [json.loads(line) for line in succeeded("run", measured, folder / "pictures", "--json").out.splitlines()]
    assert {line["unit"] for line in lines} == {"mm"}
    _, row, *_ = succeeded("run", measured, folder / "pictures").out.splitlines()
    width, height = lines[0]["values"].values()
    assert row.split()[:3] == ["width", f"{width:.4g}", "mm"]
    assert row.endswith(f"(height {height:.4g} mm)")


def test_validate_measures_values_against_a_table(folder: Path, measured: Path, tmp_path: Path) -> None:
    """The file is off by the table's own differences, and by what int8 does to it."""
    data = ("validate", measured, "--data", folder / "right.csv", "--images", folder / "pictures")
    found = json.loads(succeeded(*data, "--json").out)
    assert (found["models"], found["images"], found["patients"]) == (["millimetres.tflite"], 6, 3)
    width, height = found["values"]
    assert (width["name"], width["errors"][0]["images"], width["worse"]) == ("width", 5, None)
    assert width["errors"][0]["mean_absolute"]["value"] == pytest.approx(3, abs=CLOSE)  # 1 to 5 too little
    assert width["errors"][0]["bias"]["value"] == pytest.approx(-3, abs=CLOSE)
    assert height["errors"][0]["bias"]["value"] == pytest.approx(1, abs=CLOSE)
    assert height["errors"][0]["bias"]["low"] is not None
    assert width["pictures"][0]["image"] == "005.png"
    page = tmp_path / "values.html"
    ended = succeeded(*data, "--reference", folder / "values.keras", "--report", page)
    for words in ("width, in mm", "R²", "Largest errors, height, in mm", "6 images of 3 patients"):
        assert words in ended.out
    assert "accuracy" not in ended.out
    text = page.read_text("utf-8")
    for words in ("Bland-Altman", "millimetres.tflite", "values.keras", "data:image/jpeg", "Signal-to-noise"):
        assert words in text


def test_compare_measures_values_against_a_table(folder: Path, deployed: Path, measured: Path) -> None:
    data = ("--data", folder / "right.csv", "--images", folder / "pictures", "--json")
    found = json.loads(succeeded("compare", deployed, measured, *data).out)
    assert found["unit"] == "mm"
    assert abs(found["values"][0]["worse"]["value"]) < CLOSE
    assert len(found["differences"]) == 2


def test_values_in_two_units_are_not_compared(folder: Path, measured: Path, tmp_path: Path) -> None:
    content = bundle.read(measured)
    other = tmp_path / "inches.tflite"
    recipe = {**content.recipe, "unit": "inches"}
    entries = {name: data for name, data in content.entries.items() if name not in (bundle.LABELS, bundle.RECIPE)}
    other.write_bytes(bundle.pack(bundle.without_archive(content.model), content.labels, recipe, entries))
    assert "found mm and inches" in refused("compare", measured, other, "--data", folder / "pictures")


def test_values_need_a_table_or_a_reference(folder: Path, measured: Path) -> None:
    said = refused_after_notes("validate", measured, "--data", folder / "pictures")
    assert "a table with the right values, or --reference" in said
    table = ("--data", folder / "right.csv", "--images", folder / "pictures")
    reference = ("--reference", folder / "values.keras")
    assert "--max-drop" in refused_after_notes("validate", measured, *table, *reference, "--max-drop", 1)


def test_pairs_say_the_right_values_too(folder: Path, measured: Path) -> None:
    from edgedense import validate

    pairs = ((path, (0.0, float("nan"))) for path in find_images(folder / "pictures"))
    report = validate(measured, pairs)
    assert [value.name for value in report.values] == ["width"]  # type: ignore[union-attr]


@pytest.mark.parametrize(("unit", "words"), [("", "a unit of"), ("two\nlines", "a unit of"), ("m" * 33, "a unit of")])
def test_a_unit_that_would_spoil_a_line_is_refused(folder: Path, tmp_path: Path, unit: str, words: str) -> None:
    out = tmp_path / "m.tflite"
    said = refused(
        "convert", folder / "values.keras", "--calibration", folder / "pictures", "--out", out, "--activation", "none",
        "--unit", unit,
    )  # fmt: skip
    assert words in said


def test_a_unit_is_for_values(folder: Path, tmp_path: Path) -> None:
    said = refused(
        "convert", folder / "values.keras", "--calibration", folder / "pictures", "--out", tmp_path / "m.tflite",
        "--activation", "softmax", "--unit", "mm",
    )  # fmt: skip
    assert "values for --unit; found one that ends in softmax" in said


@pytest.mark.slow
def test_pruned_values_are_measured_by_their_error(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "m.tflite"
    models.densenet(head=two_values).save(tmp_path / "model.keras")
    ended = succeeded(
        "convert", tmp_path / "model.keras", "--calibration", folder / "pictures", "--out", out, "--activation", "none",
        "--prune-channels", 0.1, *QUICK,
    )  # fmt: skip
    assert "error" in ended.out
    first, last = bundle.read(out).recipe["steps"]
    assert "agreement" not in first
    assert 0 < first["error"] < last["error"]


def lambda_model(k: Any, x: Any) -> Any:
    return k.layers.Lambda(lambda x: x / 127.5 - 1, name="code")(x)


@pytest.mark.slow
def test_every_command_opens_a_trusted_model(folder: Path, tmp_path: Path) -> None:
    model, out, pictures = tmp_path / "code.keras", tmp_path / "m.tflite", folder / "pictures"
    small(models.softmax_head, before=lambda_model).save(model)
    fill(tmp_path / "data" / "0", 2, seed=3)
    labelled = ("--data", tmp_path / "data", "--reference", model)
    noise = ("--layers", out, "--reference", model, "--data", pictures, "--noise-images", 1)
    commands: list[tuple[object, ...]] = [
        ("convert", model, "--calibration", pictures, "--out", out, *QUICK),
        ("inspect", model),
        ("inspect", *noise),
        ("validate", out, *labelled),
        ("explain", model, find_images(pictures)[0], "--out", tmp_path / "explained"),
    ]
    for command in commands:
        trusted = edgedense(*command, "--trust-model")
        assert trusted.code == 0, (command, trusted.err)
        plain = edgedense(*command)
        assert plain.code == 2
        assert "Lambda layer 'code'" in plain.err
        assert "--trust-model" in plain.err
    assert bundle.read(out).recipe["source"]["trusted"] is True


@pytest.mark.slow
def test_every_command_takes_the_named_output(folder: Path, tmp_path: Path) -> None:
    image = keras.Input((32, 32, 3))
    x = keras.layers.GlobalAveragePooling2D()(models.body(keras, models.stem(keras, image), (1, 1)))
    heads = [keras.layers.Dense(4, activation="softmax", name="kind")(x), keras.layers.Dense(1, name="age")(x)]
    models.randomized(keras.Model(image, heads), 0).save(tmp_path / "two.keras")
    model, out, pictures = tmp_path / "two.keras", tmp_path / "m.tflite", folder / "pictures"
    convert = ("convert", model, "--calibration", pictures, "--out", out, *QUICK)
    for command in (convert, ("inspect", model), ("explain", model, pictures, "--out", tmp_path / "explained")):
        assert "kind [4], age [1]" in refused(*command)
    assert "Dense 4" in succeeded("inspect", model, "--output", "kind").out
    succeeded(*convert, "--output", "age", "--activation", "none")
    recipe = bundle.read(out).recipe
    assert (recipe["source"]["output"], recipe["activation"]) == ("age", "none")
    found = json.loads(succeeded("validate", out, "--data", pictures, "--reference", model, "--json").out)
    assert [entry["name"] for entry in found["values"]] == ["value"]
    assert found["values"][0]["worst"] < CLOSE
    assert "it has" in refused("inspect", "--layers", out, "--output", "age", "--data", pictures, "--reference", model)
