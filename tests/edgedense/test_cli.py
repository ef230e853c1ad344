"""The command line: help, convert and inspect as a user types them, errors and exit codes."""

from __future__ import annotations

import contextlib
import inspect
import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import typer
from PIL import Image

from edgedense import cli
from edgedense.converters.calibration import normalization
from edgedense.converters.calibration.pictures import read_calibration
from edgedense.converters.passes import rewriting
from edgedense.converters.quantization import noise
from edgedense.converters.readers.keras import reader as keras_reader
from edgedense.deployed import bundle
from edgedense.deployed.golden import Golden
from edgedense.device.engines.contents import contents
from edgedense.images.preprocessing import Preprocessing
from tests import models
from tests.pictures import fill, picture

ALL = typer.main.get_command(cli.app)
COMMANDS = {name: ALL.get_command(None, name) for name in ALL.list_commands(None)}
CLASSES = ("ant", "bee", "cow", "dog", "emu")
QUICK = ("--ranges", "minmax", "--headroom", "1")  # one candidate
LOGITS = (*QUICK, "--activation", "softmax")  # of a model that ends in logits


@dataclass(frozen=True)
class Ended:
    """A command that ended."""

    code: int
    out: str
    err: str


def edgedense(*arguments: object) -> Ended:
    """The command line in this process, where TensorFlow is imported once."""
    out, err = io.StringIO(), io.StringIO()
    before, sys.argv = sys.argv, ["edgedense", *map(str, arguments)]
    code: Any = 0
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                cli.main()
            except SystemExit as exit_:
                code = exit_.code
    finally:
        sys.argv = before
    return Ended(code or 0, out.getvalue(), err.getvalue())


def succeeded(*arguments: object) -> Ended:
    ended = edgedense(*arguments)
    assert ended.code == 0, ended.err
    return ended


def refused(*arguments: object) -> str:
    """One line on stderr, nothing on stdout, exit code 2; returns the line."""
    ended = edgedense(*arguments)
    assert ended.code == 2, ended
    assert ended.out == ""
    (line,) = ended.err.splitlines()
    assert line.startswith("edgedense: expected ")
    return line


class TestHelp:
    @pytest.mark.parametrize("name", COMMANDS)
    def test_every_command_and_option_has_a_help_text(self, name: str) -> None:
        command = COMMANDS[name]
        assert command.help
        for parameter in command.params:
            assert getattr(parameter, "help", None), f"{name}: {parameter.name}"
        ended = succeeded(name, "--help")
        for option in command.params:
            if option.param_type_name == "option":
                assert option.opts[0] in ended.out

    def test_without_a_command(self) -> None:
        ended = edgedense()
        assert ended.code == 2
        for name in COMMANDS:
            assert name in ended.err

    def test_help_starts_without_the_converter_and_the_runtime(self) -> None:
        program = (
            "import sys; from edgedense import cli; sys.argv = ['edgedense', 'convert', '--help']\n"
            "try: cli.main()\nexcept SystemExit: pass\n"
            "print(*sys.modules, file=sys.stderr)"
        )
        result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        modules = {name.split(".")[0] for name in result.stderr.split()}
        assert not modules & {"tensorflow", "keras", "tf_keras", "ai_edge_litert", "cv2"}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two pictures for each of five classes. One is marked as lying on its side."""
    folder = tmp_path_factory.mktemp("classes")
    for number, name in enumerate(CLASSES):
        fill(folder / name, 2, seed=number)
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: turn by 90 degrees
    picture(np.random.default_rng(9)).save(folder / "ant" / "turned.jpg", exif=exif)
    return folder


@pytest.fixture(scope="module")
def convert(model: Path, folders: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., bundle.Bundle]:
    """Converts the model with more options; each set of options once."""
    done: dict[tuple[str, ...], bundle.Bundle] = {}

    def run(*options: object) -> bundle.Bundle:
        key = tuple(map(str, options))
        if key not in done:
            out = tmp_path_factory.mktemp("out") / "insects.tflite"
            succeeded("convert", model, "--calibration", folders, "--out", out, *options)
            done[key] = bundle.read(out)
        return done[key]

    return run


def test_convert_end_to_end(model: Path, folders: Path, tmp_path: Path) -> None:
    out = tmp_path / "insects.tflite"
    ended = succeeded("convert", model, "--calibration", folders, "--out", out)
    assert [path.name for path in tmp_path.iterdir()] == ["insects.tflite"]
    for words in ("fold norms", "space to depth", "minmax x 1", "percentile", "mse", "5 labels", "agrees with"):
        assert words in " ".join(ended.out.split())
    assert "edgedense: only 11 pictures" in ended.err
    found = bundle.read(out)
    assert found.labels == CLASSES
    assert found.preprocessing == Preprocessing(32, 32, "densenet")
    result = json.loads(succeeded("run", out, folders / "bee" / "000.png", "--json").out)
    assert result["label"] in CLASSES


class TestConvertOptions:
    """Each changes what is written; a test fails when one is ignored."""

    def test_all_are_tested_here(self) -> None:
        tested = "".join(inspect.getsource(cls) for cls in (TestConvertOptions, TestGateOption, TestForce))
        here = Path(__file__)
        for other in (*here.parent.glob("test_cli_*.py"), here.parents[1] / "device" / "test_choose_thresholds.py"):
            tested += other.read_text()
        for parameter in COMMANDS["convert"].params:
            name = parameter.opts[0]
            if name.startswith("--") and name not in ("--calibration", "--out"):
                assert f'"{name}"' in tested, name

    @pytest.mark.parametrize(
        "options",
        [
            ("--preprocess", "none"),
            ("--preprocess", "rescale"),
            ("--resize", "nearest"),
            pytest.param(("--resize", "pil-bicubic"), marks=pytest.mark.slow),
            ("--fit", "crop"),
            pytest.param(("--fit", "pad"), marks=pytest.mark.slow),
            ("--shorter-side", "37"),
            ("--exif", "apply"),
            ("--target", "coral"),
            ("--output-type", "uint8"),
            ("--ranges", "percentile"),
            pytest.param(("--ranges", "mse"), marks=pytest.mark.slow),
            ("--headroom", "1.5"),
            ("--float-layers", "block1/layer1/growth"),
            ("--calibration-images", "5"),
            ("--input-size", "48"),
        ],
    )
    def test_another_network(self, options: tuple[str, ...], convert: Callable[..., bundle.Bundle]) -> None:
        found, usual = convert(*QUICK, *options), convert(*QUICK)
        assert bundle.without_archive(found.model) != bundle.without_archive(usual.model)
        recipe = json.dumps(found.recipe)
        assert recipe != json.dumps(usual.recipe)
        assert options[1] in recipe or options[0] == "--calibration-images"

    @pytest.mark.slow
    def test_form(self, folders: Path, tmp_path: Path) -> None:
        """The other model of these tests has norms that turn some channels around: those are always depthwise."""
        model = models.densenet()
        for layer in model.layers:
            if type(layer).__name__ == "BatchNormalization":
                layer.set_weights([np.abs(layer.get_weights()[0]), *layer.get_weights()[1:]])
        model.save(tmp_path / "m.keras")
        for options, form in (((), "maximum"), (("--form", "depthwise"), "depthwise")):
            out = tmp_path / f"{form}.tflite"
            succeeded("convert", tmp_path / "m.keras", "--calibration", folders, "--out", out, *QUICK, *options)
            found = bundle.read(out)
            assert form in json.dumps(found.recipe)
            codes = {operator.code for operator in contents(found.model).operators}
            assert ("MAXIMUM" in codes) == (form == "maximum")

    @pytest.mark.slow
    def test_crop_fraction(self, convert: Callable[..., bundle.Bundle]) -> None:
        """Of an input of 32 pixels, 0.8 is a shorter side of 40."""
        found, same = (
            convert(*QUICK, "--crop-fraction", "0.8"),
            convert(*QUICK, "--shorter-side", "40", "--fit", "crop"),
        )
        assert found.preprocessing == Preprocessing(32, 32, "densenet", fit="crop", shorter_side=40)
        assert bundle.without_archive(found.model) == bundle.without_archive(same.model)

    def test_images(self, convert: Callable[..., bundle.Bundle]) -> None:
        assert convert(*QUICK, "--calibration-images", "5").recipe["calibration"]["images"] == 5
        assert convert(*QUICK).recipe["calibration"]["images"] == 11

    @pytest.mark.slow
    def test_input_size(self, convert: Callable[..., bundle.Bundle]) -> None:
        assert contents(convert(*QUICK, "--input-size", "48").model).inputs[0].shape == (1, 48, 48, 3)

    def test_output_type(self, convert: Callable[..., bundle.Bundle]) -> None:
        assert contents(convert(*QUICK, "--output-type", "uint8").model).outputs[0].dtype == "uint8"

    def test_labels(self, convert: Callable[..., bundle.Bundle], tmp_path: Path) -> None:
        (tmp_path / "labels.txt").write_text("one\ntwo\nthree\nfour\nfive\n")
        assert convert(*QUICK, "--labels", tmp_path / "labels.txt").labels == ("one", "two", "three", "four", "five")

    @pytest.mark.slow
    def test_explain(self, convert: Callable[..., bundle.Bundle]) -> None:
        assert len(contents(convert(*QUICK, "--explain").model).outputs) == 2
        assert len(contents(convert(*QUICK).model).outputs) == 1

    @pytest.mark.slow
    def test_golden_images(self, convert: Callable[..., bundle.Bundle]) -> None:
        for options, count in (((), 0), (("--golden-images", "2"), 2)):
            golden = Golden.from_bytes(convert(*QUICK, *options).entries["golden.json"])
            assert len(golden.images) == count

    def test_report(self, model: Path, folders: Path, tmp_path: Path) -> None:
        page = tmp_path / "report.html"
        succeeded("convert", model, "--calibration", folders, "--out", tmp_path / "m.tflite", *QUICK, "--report", page)
        html = page.read_text()
        assert "insects.keras: float against int8" in html
        assert "fold norms" in html


class TestGateOption:
    @pytest.mark.slow
    def test_kept(self, model: Path, folders: Path, tmp_path: Path) -> None:
        out = tmp_path / "m.tflite"
        ended = succeeded(
            "convert",
            model,
            "--calibration",
            folders,
            "--out",
            out,
            *QUICK,
            "--max-drop",
            "100",
            "--validation",
            folders,
        )
        assert "points" in ended.out
        assert "validation_drop_points" in bundle.read(out).recipe["figures"]

    def test_labelled_pictures_are_needed(self, model: Path, folders: Path, tmp_path: Path) -> None:
        usual = ("convert", model, "--calibration", folders, "--out", tmp_path / "m.tflite")
        for options in (("--max-drop", "1"), ("--calibrate-confidence",), ("--operating-point", "0.4")):
            assert f"expected --validation with {options[0]}" in refused(*usual, *options)

    def test_failed(self, model: Path, folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Exit code 1, what was tried is told, and what was there is kept."""
        out = tmp_path / "m.tflite"
        out.write_bytes(b"old")
        source = keras_reader.read(model)
        found = read_calibration(folders, Preprocessing(32, 32, "densenet"))
        pixels = normalization.normalized(found.pixels, "densenet")
        right = source.predict(pixels).argmax(1)
        for i, path in enumerate(found.paths):  # a folder on which the float model is always right
            (tmp_path / "right" / CLASSES[right[i]]).mkdir(parents=True, exist_ok=True)
            (tmp_path / "right" / CLASSES[right[i]] / f"{i}{path.suffix}").write_bytes(path.read_bytes())
        wrong = SimpleNamespace(run=lambda data, pictures: np.eye(5)[np.full(len(pictures), (right[0] + 1) % 5)])
        monkeypatch.setattr("edgedense.converters.quantization.gate.execute", wrong)
        ended = edgedense(
            "convert",
            model,
            "--calibration",
            folders,
            "--out",
            out,
            *QUICK,
            "--max-drop",
            "0.5",
            "--validation",
            tmp_path / "right",
        )
        assert ended.code == 1
        (line,) = (line for line in ended.err.splitlines() if "expected" in line)
        for words in ("a drop in accuracy of at most 0.5 points", "minmax x 1", "depthwise", "operators in float"):
            assert words in line
        assert out.read_bytes() == b"old"
        assert sorted(path.name for path in tmp_path.iterdir()) == ["m.tflite", "right"]

    def test_only_together(self, model: Path, folders: Path, tmp_path: Path) -> None:
        usual = ("convert", model, "--calibration", folders, "--out", tmp_path / "m.tflite")
        refused(*usual, "--max-drop", "1")
        refused(*usual, "--validation", folders)


@pytest.fixture(scope="module")
def sorted_by_the_model(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A model, and pictures in folders by what it says of them when they are scaled to 0..1."""
    folder = tmp_path_factory.mktemp("trained")
    pictures = fill(folder / "unsorted", 40)
    model = models.densenet(head=lambda k, x: k.layers.Dense(2)(k.layers.GlobalAveragePooling2D()(x)))
    found = read_calibration(pictures, Preprocessing(32, 32, "rescale"))
    pixels = normalization.normalized(found.pixels, "rescale")
    kernel, bias = model.layers[-1].get_weights()
    logits = model.predict(pixels, verbose=0)
    model.layers[-1].set_weights([kernel, bias - np.median(logits, axis=0)])  # half of the pictures to each class
    for path, scores in zip(found.paths, model.predict(pixels, verbose=0), strict=True):
        place = folder / "sorted" / CLASSES[scores.argmax()]
        place.mkdir(parents=True, exist_ok=True)
        path.rename(place / path.name)
    model.save(folder / "model.keras")
    return folder / "model.keras", folder / "sorted"


class TestForce:
    """A model that is right on all pictures scaled to 0..1, and told to be normalized otherwise."""

    def test_stops_and_names_the_better_choice(self, sorted_by_the_model: tuple[Path, Path], tmp_path: Path) -> None:
        model, pictures = sorted_by_the_model
        line = refused("convert", model, "--calibration", pictures, "--out", tmp_path / "m.tflite", *LOGITS)
        assert "--preprocess rescale --resize bilinear --fit stretch scores 100.0 %" in line
        assert "--force" in line
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.slow
    def test_goes_on(self, sorted_by_the_model: tuple[Path, Path], tmp_path: Path) -> None:
        model, pictures = sorted_by_the_model
        out = tmp_path / "m.tflite"
        succeeded("convert", model, "--calibration", pictures, "--out", out, *LOGITS, "--force")
        assert bundle.read(out).recipe["preprocessing"]["normalize"] == "densenet"

    @pytest.mark.slow
    def test_the_better_choice_is_let_through(self, sorted_by_the_model: tuple[Path, Path], tmp_path: Path) -> None:
        model, pictures = sorted_by_the_model
        succeeded(
            "convert",
            model,
            "--calibration",
            pictures,
            "--out",
            tmp_path / "m.tflite",
            *LOGITS,
            "--preprocess",
            "rescale",
        )


class TestInspect:
    def test_a_keras_model(self, model: Path) -> None:
        ended = succeeded("inspect", model)
        for words in ("block1", "transition1", "2 dense layers", "8,815"):
            assert words in " ".join(ended.out.split())

    def test_at_another_size(self, model: Path) -> None:
        """Twice the width and height: the same parameters, four times the work of every convolution."""
        usual, larger = (succeeded("inspect", model, *size).out for size in ((), ("--input-size", "64")))
        assert "8,815" in usual
        assert "8,815" in larger
        assert usual != larger

    def test_a_deployed_file(self, convert: Callable[..., bundle.Bundle], tmp_path: Path) -> None:
        (tmp_path / "m.tflite").write_bytes(convert(*QUICK).model)
        words = " ".join(succeeded("inspect", tmp_path / "m.tflite").out.split())
        for expected in (
            "CONV_2D 3 int8",
            "SOFTMAX 1 float32",
            "input image 1 x 32 x 32 x 3 uint8",
            "TFLite metadata: yes",
            "labels: ant, bee",
            "preprocessing.normalize densenet",
        ):
            assert expected in words

    @pytest.fixture
    def deployed(self, convert: Callable[..., bundle.Bundle], tmp_path: Path) -> Path:
        (tmp_path / "m.tflite").write_bytes(convert(*QUICK).model)
        return tmp_path / "m.tflite"

    def test_layers(self, deployed: Path, model: Path, folders: Path, tmp_path: Path) -> None:
        usual = ("inspect", deployed, "--layers", "--reference", model, "--data", folders)
        words = succeeded(*usual, "--noise-images", "2", "--report", tmp_path / "noise.html").out
        assert "block1/layer1/bottleneck" in words
        assert "block1/layer1/bottleneck" in (tmp_path / "noise.html").read_text()
        assert succeeded(*usual, "--noise-images", "1").out != words

    def test_layers_needs_all_it_compares_with(self, deployed: Path, model: Path, folders: Path) -> None:
        refused("inspect", deployed, "--layers")
        refused("inspect", deployed, "--layers", "--reference", model)
        refused("inspect", deployed, "--reference", model)
        refused("inspect", deployed, "--data", folders)

    def test_layers_of_a_file_whose_int8_weights_version_0_1_trained(
        self, deployed: Path, model: Path, folders: Path
    ) -> None:
        found = bundle.read(deployed)
        recipe = {**found.recipe, "steps": [{"name": "as trained"}, {"name": "QAT"}]}
        flatbuffer = bundle.without_archive(found.model)
        deployed.write_bytes(bundle.pack(flatbuffer, found.labels, recipe, {noise.ENTRY: found.entries[noise.ENTRY]}))
        line = refused("inspect", deployed, "--layers", "--reference", model, "--data", folders)
        assert "made with other weights: QAT" in line
        assert "QAT" in succeeded("inspect", deployed).out


class TestErrors:
    @pytest.fixture
    def usual(self, model: Path, folders: Path, tmp_path: Path) -> tuple[object, ...]:
        return "convert", model, "--calibration", folders, "--out", tmp_path / "m.tflite"

    @pytest.fixture(autouse=True)
    def nothing_is_written(self, tmp_path: Path) -> Iterator[None]:
        yield
        assert not list(tmp_path.glob("*.tflite"))
        assert not list(tmp_path.glob(".*"))

    def test_model(self, folders: Path, tmp_path: Path) -> None:
        options = ("--calibration", folders, "--out", tmp_path / "m.tflite")
        assert "missing.keras" in refused("convert", tmp_path / "missing.keras", *options)
        (tmp_path / "text.keras").write_text("no model")
        refused("convert", tmp_path / "text.keras", *options)
        refused("convert", tmp_path, *options)

    def test_calibration(self, model: Path, tmp_path: Path) -> None:
        options = ("--out", tmp_path / "m.tflite", "--calibration")
        assert "no folder" in refused("convert", model, *options, tmp_path / "missing")
        (tmp_path / "empty").mkdir()
        refused("convert", model, *options, tmp_path / "empty")

    def test_out(self, model: Path, folders: Path, tmp_path: Path) -> None:
        usual = ("convert", model, "--calibration", folders, "--out")
        before = model.read_bytes()
        assert "FILE.tflite" in refused(*usual, model)
        assert model.read_bytes() == before
        assert "mkdir -p" in refused(*usual, tmp_path / "missing" / "m.tflite")
        (tmp_path / "folder.tflite").mkdir()
        assert "which is a folder" in refused(*usual, tmp_path / "folder.tflite")
        (tmp_path / "folder.tflite").rmdir()

    def test_report(self, usual: tuple[object, ...], tmp_path: Path) -> None:
        assert "mkdir -p" in refused(*usual, "--report", tmp_path / "missing" / "page.html")

    def test_labels(self, usual: tuple[object, ...], tmp_path: Path) -> None:
        refused(*usual, "--labels", tmp_path / "missing.txt")
        (tmp_path / "labels.txt").write_text("one\ntwo\n")
        assert "5 labels" in refused(*usual, "--labels", tmp_path / "labels.txt")

    def test_inspect(self, tmp_path: Path) -> None:
        refused("inspect", tmp_path / "missing.tflite")
        refused("inspect", tmp_path / "missing.keras")
        (tmp_path / "text.tflite").write_text("no model at all")
        refused("inspect", tmp_path / "text.tflite")
        (tmp_path / "text.tflite").write_bytes(b"\xf0\x00\x00\x00TFL3" + bytes(20))
        refused("inspect", tmp_path / "text.tflite")
        (tmp_path / "text.tflite").unlink()

    @pytest.mark.parametrize(
        "options",
        [
            ("--resize", "cubic"),
            ("--headroom", "0.5"),
            ("--calibration-images", "1"),
            ("--no-such-option",),
            ("--max-drop", "-1"),
        ],
    )
    def test_usage(self, usual: tuple[object, ...], options: tuple[str, ...]) -> None:
        ended = edgedense(*usual, *options)
        assert (ended.code, ended.out) == (2, "")
        assert options[0] in ended.err
        assert "Traceback" not in ended.err


class TestFailureAfterTheWork:
    def test_what_was_there_is_kept(
        self, model: Path, folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A defect has an exit code of its own, and neither file is written."""
        out = tmp_path / "m.tflite"
        out.write_bytes(b"old")

        def fail(*_: object) -> str:
            raise ZeroDivisionError

        monkeypatch.setattr("edgedense.converters.conversion_page.to_html", fail)
        ended = edgedense(
            "convert", model, "--calibration", folders, "--out", out, *QUICK, "--report", tmp_path / "page.html"
        )
        assert ended.code == 70
        assert "ZeroDivisionError" in ended.err
        assert "report it" in ended.err
        assert [path.name for path in tmp_path.iterdir()] == ["m.tflite"]
        assert out.read_bytes() == b"old"

    def test_a_pass_that_is_wrong_is_named(
        self, model: Path, folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def slip(network: Any) -> Any:
            conv = replace(network.stem.conv, bias=network.stem.conv.bias + 1e-2)
            return replace(network, stem=replace(network.stem, conv=conv))

        monkeypatch.setattr(rewriting, "DEPLOY", (*rewriting.DEPLOY, slip))
        line = refused("convert", model, "--calibration", folders, "--out", tmp_path / "m.tflite", *QUICK)
        assert "the step 'slip'" in line
        assert list(tmp_path.iterdir()) == []
