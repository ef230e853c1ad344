"""The public functions as another program calls them: `import edgedense`, and nothing else of it."""

from __future__ import annotations

import ast
import inspect
import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import edgedense
from edgedense.deployed import bundle
from tests import models
from tests.pictures import fill, opened

CLASSES = ("ant", "bee", "cow", "dog", "emu")
ALIGNMENT = 16  # bytes: buffers within a flatbuffer begin at multiples of it
QUICK = {"ranges": "minmax", "headroom": 1.0}  # one candidate


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two pictures for each of five classes."""
    folder = tmp_path_factory.mktemp("classes")
    for number, name in enumerate(CLASSES):
        fill(folder / name, 2, seed=number)
    return folder


@pytest.fixture(scope="module")
def labelled(folders: Path) -> list[tuple[Path, str]]:
    """The same pictures as pairs."""
    return [(path, path.parent.name) for path in sorted(folders.glob("*/*.png"))]


@pytest.fixture(scope="module")
def conversion(model: Path, folders: Path) -> edgedense.Conversion:
    return edgedense.convert(model, folders, explain=True, **QUICK)


@pytest.fixture(scope="module")
def file(conversion: edgedense.Conversion, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("out") / "insects.tflite"
    conversion.save(path)
    return path


def pixels(path: Path) -> np.ndarray:
    return np.asarray(opened(path).convert("RGB"))


def code(conversion: edgedense.Conversion) -> bytes:
    """The network alone, without what is recorded of how it was made."""
    return bundle.without_archive(conversion.data)


class TestDoor:
    def test_it_opens_without_what_is_heavy(self) -> None:
        program = (
            "import sys, edgedense; dir(edgedense); print(*sys.modules)\n"
            "edgedense.Classifier, edgedense.load_image, edgedense.validate, edgedense.EdgedenseError\n"
            "print(*sys.modules)"
        )
        result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        at_once, on_a_device = (set(line.split()) for line in result.stdout.splitlines())
        assert {name for name in at_once if name.startswith("edgedense")} == {"edgedense"}
        assert not at_once & {"numpy", "PIL", "rich", "typer", "tensorflow", "keras", "ai_edge_litert"}
        assert not on_a_device & {"rich", "typer", "tensorflow", "keras", "tf_keras", "cv2", "ai_edge_litert"}
        assert not [name for name in on_a_device if name.startswith("edgedense.converters")]

    def test_type_checkers_see_the_names_that_are_loaded(self) -> None:
        tree = ast.parse(Path(str(edgedense.__file__)).read_text("utf-8"))
        (for_types,) = (node for node in tree.body if isinstance(node, ast.If))
        imported = {
            str(alias.asname): str(node.module)
            for node in for_types.body
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
        assert imported == edgedense._PLACES
        assert edgedense.__all__ == list(edgedense._PLACES)
        assert set(edgedense.__all__) <= set(dir(edgedense))

    @pytest.mark.parametrize("name", edgedense.__all__)
    def test_every_name_is_there_with_types_and_a_docstring(self, name: str) -> None:
        found = getattr(edgedense, name)
        assert found.__module__ == edgedense._PLACES[name]
        assert found.__doc__
        if inspect.isclass(found):
            called = [member for key, member in vars(found).items() if inspect.isfunction(member) and key[0] != "_"]
            assert [member.__name__ for member in called if not member.__doc__] == []
        else:
            called = [found]
        for function in called:
            signature = inspect.signature(function)
            assert signature.return_annotation is not inspect.Signature.empty
            for parameter in signature.parameters.values():
                assert parameter.name == "self" or parameter.annotation is not inspect.Parameter.empty

    def test_another_name(self) -> None:
        with pytest.raises(AttributeError, match="has no attribute 'quantise'"):
            edgedense.quantise  # noqa: B018


class TestConvert:
    @pytest.mark.slow
    def test_the_command_writes_the_same_file(
        self, conversion: edgedense.Conversion, model: Path, folders: Path, tmp_path: Path
    ) -> None:
        from tests.edgedense.test_cli import succeeded

        out = tmp_path / "m.tflite"
        options = ("--explain", "--ranges", "minmax", "--headroom", "1")
        ended = succeeded("convert", model, "--calibration", folders, "--out", out, *options)
        assert out.read_bytes() == conversion.data
        assert ended.err.splitlines() == [f"edgedense: {note}" for note in conversion.notes]

    def test_what_it_gives(self, conversion: edgedense.Conversion) -> None:
        assert conversion.labels == CLASSES
        assert conversion.figures["images"] == 10
        assert "only 10 pictures" in conversion.notes[0]

    def test_pairs_are_as_good_as_folders(
        self, conversion: edgedense.Conversion, model: Path, labelled: list[tuple[Path, str]]
    ) -> None:
        assert edgedense.convert(model, labelled, explain=True, **QUICK).data == conversion.data

    @pytest.mark.slow
    def test_paths_arrays_and_images(self, model: Path, labelled: list[tuple[Path, str]], tmp_path: Path) -> None:
        paths = [path for path, _ in labelled]
        folder = tmp_path / "flat"
        folder.mkdir()
        for number, path in enumerate(paths):
            (folder / f"{number}.png").write_bytes(path.read_bytes())
        usual = edgedense.convert(model, folder, **QUICK)
        assert edgedense.convert(model, sorted(folder.iterdir()), **QUICK).data == usual.data
        arrays = edgedense.convert(model, [pixels(path) for path in paths], **QUICK)
        images = edgedense.convert(model, (opened(path) for path in paths), **QUICK)
        assert code(arrays) == code(images) == code(usual)
        assert arrays.data == images.data
        assert "float against int8" in edgedense.to_html(arrays)
        assert arrays.recipe["calibration"]["sha256"] != usual.recipe["calibration"]["sha256"]

    @pytest.mark.slow
    def test_of_a_generator_the_first_are_taken(self, model: Path, labelled: list[tuple[Path, str]]) -> None:
        paths = [path for path, _ in labelled]
        taken = iter(paths)
        first = edgedense.convert(model, taken, calibration_images=4, **QUICK)
        assert first.notes[-2] == "only the first 4 pictures were taken: a list would be taken from evenly"
        assert list(taken) == paths[5:]  # one was looked at, to know whether there are more
        assert code(first) == code(edgedense.convert(model, paths[:4], **QUICK))
        assert code(first) != code(edgedense.convert(model, paths, calibration_images=4, **QUICK))

    @pytest.mark.slow
    @pytest.mark.parametrize("module", ["keras", "tf_keras"])
    def test_a_model_in_memory(self, module: str, folders: Path, tmp_path: Path) -> None:
        """It is left as it was, and converts to the same network as its file."""
        keras = __import__(module)
        model = models.densenet(keras)
        before = [weight.copy() for weight in model.get_weights()]
        found = edgedense.convert(model, folders, **QUICK)
        assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), before, strict=True))
        model.save(tmp_path / f"{model.name}.keras")
        usual = edgedense.convert(tmp_path / f"{model.name}.keras", folders, **QUICK)
        # The deployed file carries the name of the model's file, or of the model. All else is alike.
        sizes = found.figures.pop("flatbuffer_bytes"), usual.figures.pop("flatbuffer_bytes")
        assert abs(sizes[0] - sizes[1]) <= len(".keras") + 2 * ALIGNMENT
        assert found.figures == usual.figures
        assert np.array_equal(found.outcome.after, usual.outcome.after)
        assert found.recipe["source"]["hashed"] == "weights"
        assert found.recipe["source"]["name"] == model.name

    @pytest.mark.slow
    def test_a_model_in_memory_at_another_size(self, folders: Path, tmp_path: Path) -> None:
        model = models.densenet()
        found = edgedense.convert(model, folders, size=(48, 48), force=True, **QUICK)
        assert [stage.name for stage in found.stages] == ["as trained", "input size"]
        assert found.recipe["preprocessing"]["height"] == 48

    def test_options_by_keyword_and_as_an_object(self, model: Path, folders: Path) -> None:
        options = edgedense.Options(output_type="uint8", ranges="minmax")
        found = edgedense.convert(model, folders, options=options, headroom=1.5)
        assert found.recipe["options"]["output_type"] == "uint8"
        assert found.recipe["options"]["attempt"]["ranges"]["headroom"] == 1.5

    @pytest.mark.slow
    def test_options_within_options(self, model: Path, folders: Path) -> None:
        """A keyword may belong to a dataclass that `Options` holds."""
        found = edgedense.convert(model, folders, prune_channels=0.1, importance="l1", force=True, **QUICK)
        assert [stage.name for stage in found.stages] == ["as trained", "prune"]
        assert found.recipe["steps"][1]["parameters"]["importance"] == "l1"

    def test_an_unknown_option(self, model: Path, folders: Path) -> None:
        with pytest.raises(TypeError, match=r"unexpected option 'sharpen'; there are .*\bheadroom\b.*\bimportance\b"):
            edgedense.convert(model, folders, sharpen=True)

    @pytest.mark.parametrize(
        ("calibration", "found"),
        [
            ([], "the list is empty"),
            (["nowhere.png"], "nowhere.png, where there is no file"),
            ([np.zeros((8, 8, 3), np.float32)], r"float32 \[8, 8, 3\] as picture 0"),
            (np.zeros((4, 8, 8, 2), np.uint8), r"uint8 \[8, 8, 2\] as picture 0"),
            ([(np.zeros((8, 8, 3), np.uint8), 1)], "found 1"),
            ([("a.png", "ant"), "b.png"], "str as item 1"),
        ],
    )
    def test_calibration_that_is_none(self, model: Path, calibration: object, found: str) -> None:
        with pytest.raises(edgedense.EdgedenseError, match=found):
            edgedense.convert(model, calibration, **QUICK)  # type: ignore[arg-type]

    def test_something_that_is_no_model(self, folders: Path) -> None:
        with pytest.raises(edgedense.EdgedenseError, match="an object of the class dict"):
            edgedense.convert({}, folders)

    @pytest.mark.slow
    def test_the_gate(self, model: Path, folders: Path, labelled: list[tuple[Path, str]]) -> None:
        with pytest.raises(edgedense.EdgedenseError, match="--max-drop alone"):
            edgedense.convert(model, folders, max_drop=1.0)
        usual = edgedense.convert(model, folders, max_drop=100, validation=folders, **QUICK)
        pairs = [(pixels(path), CLASSES.index(name)) for path, name in labelled]
        assert edgedense.convert(model, folders, max_drop=100, validation=pairs, **QUICK).data == usual.data
        assert "validation_drop_points" in usual.figures

    def test_it_is_saved_whole_under_a_name_of_its_own(self, conversion: edgedense.Conversion, tmp_path: Path) -> None:
        conversion.save(tmp_path / "m.tflite")
        assert (tmp_path / "m.tflite").read_bytes() == conversion.data
        with pytest.raises(edgedense.EdgedenseError, match=r"--out .*m\.tflite"):
            conversion.save(tmp_path / "m.keras")
        assert [path.name for path in tmp_path.iterdir()] == ["m.tflite"]


class TestTelling:
    def test_nothing_is_printed_and_nothing_written(
        self,
        model: Path,
        folders: Path,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.chdir(tmp_path)
        edgedense.convert(model, folders, **QUICK)
        assert capsys.readouterr() == ("", "")  # from Python: LiteRT's native code writes a line when it first runs
        assert list(tmp_path.iterdir()) == []

    def test_remarks_are_logged(self, model: Path, folders: Path, caplog: pytest.LogCaptureFixture) -> None:
        found = edgedense.convert(model, folders, **QUICK)
        logged = [record.getMessage() for record in caplog.records if record.name == "edgedense"]
        assert logged == list(found.notes)
        assert {record.levelno for record in caplog.records} == {logging.WARNING}

    @pytest.mark.slow
    def test_every_step_begins_and_ends(self, model: Path, folders: Path) -> None:
        calls: list[tuple[str, int, int]] = []
        edgedense.convert(model, folders, progress=lambda *call: calls.append(call), **QUICK)
        steps = {step for step, _, _ in calls}
        assert {"reading calibration pictures", "measuring ranges", "choosing ranges", "checking the result"} <= steps
        for step in steps:
            own = [(done, total) for name, done, total in calls if name == step]
            assert own[0][0] == 0
            assert own[-1][0] == own[-1][1]
            assert own == sorted(own)

    def test_raising_in_the_callback_ends_the_work(self, model: Path, folders: Path) -> None:
        def stop(step: str, done: int, total: int) -> None:
            if step == "measuring ranges":
                raise InterruptedError(step)

        with pytest.raises(InterruptedError, match="measuring ranges"):
            edgedense.convert(model, folders, progress=stop, **QUICK)

    @pytest.mark.slow
    def test_nobody_is_told_afterwards(self, model: Path, folders: Path) -> None:
        calls: list[object] = []
        edgedense.convert(model, folders, progress=lambda *call: calls.append(call), **QUICK)
        told = len(calls)
        edgedense.convert(model, folders, **QUICK)
        assert len(calls) == told


class TestValidate:
    def test_folder_pairs_and_arrays(self, file: Path, folders: Path, labelled: list[tuple[Path, str]]) -> None:
        report = edgedense.validate(file, folders)
        assert report.evaluation.images == 10
        assert report.drift is None
        assert edgedense.validate(file, labelled) == report
        arrays = [(pixels(path), CLASSES.index(name)) for path, name in labelled]
        assert edgedense.validate(file, arrays) == report

    def test_against_the_model(self, file: Path, model: Path, folders: Path, caplog: pytest.LogCaptureFixture) -> None:
        report = edgedense.validate(file, folders, reference=model, max_drop=100, layer_noise=True)
        assert report.drift is not None
        assert report.gate is not None
        assert report.gate.passed
        assert report.drift.agreement >= 0.9
        assert dict(report.layer_noise)["stem/conv"] > 20
        assert caplog.records == []

    @pytest.mark.slow
    def test_against_a_model_in_memory(self, folders: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        model = models.densenet(seed=3)
        edgedense.convert(model, folders, **QUICK).save(tmp_path / "m.tflite")
        caplog.clear()
        report = edgedense.validate(tmp_path / "m.tflite", folders, reference=model)
        assert report.drift is not None
        assert report.drift.before.model == model.name
        assert caplog.records == []
        edgedense.validate(tmp_path / "m.tflite", folders, reference=models.densenet(seed=4))
        assert "names another source" in caplog.text

    def test_a_gate_that_is_not_kept_is_told_and_not_raised(
        self, file: Path, model: Path, labelled: list[tuple[Path, str]]
    ) -> None:
        report = edgedense.validate(file, labelled, reference=model, max_drop=-101)  # no file can be so much better
        assert report.gate is not None
        assert not report.gate.passed

    def test_golden_samples(self, file: Path) -> None:
        replay = edgedense.validate(file)
        assert replay.passed
        assert replay.bit_equal

    def test_what_does_not_go_together(self, file: Path, folders: Path) -> None:
        with pytest.raises(edgedense.EdgedenseError, match="images to measure on"):
            edgedense.validate(file, max_drop=1)  # type: ignore[call-overload]
        with pytest.raises(edgedense.EdgedenseError, match="--max-drop alone"):
            edgedense.validate(file, folders, max_drop=1)
        with pytest.raises(edgedense.EdgedenseError, match="layer_noise alone"):
            edgedense.validate(file, folders, layer_noise=True)

    @pytest.mark.parametrize(
        ("label", "found"), [("fly", "'fly'"), (5, "found 5"), (-1, "found -1"), (1.0, "found 1.0")]
    )
    def test_a_label_that_is_none(self, file: Path, folders: Path, label: object, found: str) -> None:
        with pytest.raises(edgedense.EdgedenseError, match=found):
            edgedense.validate(file, [(folders / "ant" / "000.png", label)])  # type: ignore[list-item]

    def test_labels_of_ones_own(self, file: Path, labelled: list[tuple[Path, str]]) -> None:
        names = [name.upper() for name in CLASSES]
        pairs = [(path, name.upper()) for path, name in labelled]
        report = edgedense.validate(file, pairs, labels=names)
        assert [row.name for row in report.evaluation.per_class] == names

    def test_classes_without_pictures_are_told(
        self, file: Path, folders: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        edgedense.validate(file, [(folders / "ant" / "000.png", "ant")])
        assert "4 of the model's classes: bee, cow, dog, emu" in caplog.text


class TestCompare:
    def test_a_file_with_itself(self, file: Path, labelled: list[tuple[Path, str]]) -> None:
        report = edgedense.compare(file, file, labelled, max_drop=0)
        assert report.drift is not None
        assert report.drift.kl_mean == 0
        assert report.gate is not None
        assert report.gate.passed
        assert {ratio for _, ratio in report.layer_noise} == {120.0}

    def test_other_labels(self, file: Path, model: Path, folders: Path, tmp_path: Path) -> None:
        other = tmp_path / "other.tflite"
        edgedense.convert(model, folders, labels=["a", "b", "c", "d", "e"], force=True, **QUICK).save(other)
        with pytest.raises(edgedense.EdgedenseError, match="same labels"):
            edgedense.compare(file, other, folders)


class TestInspect:
    def test_a_model(self, model: Path) -> None:
        summary = edgedense.inspect(model)
        assert isinstance(summary, edgedense.Summary)
        assert summary.parameters == 8815
        larger = edgedense.inspect(models.densenet(), size=(64, 64))
        assert isinstance(larger, edgedense.Summary)
        assert (larger.parameters, larger.macs > 3 * summary.macs) == (8815, True)

    def test_a_file(self, file: Path) -> None:
        found = edgedense.inspect(file)
        assert isinstance(found, edgedense.DeployedFile)
        assert found.bundle.labels == CLASSES
        assert found.contents.inputs[0].shape == (1, 32, 32, 3)

    def test_layers(self, file: Path, model: Path, folders: Path) -> None:
        found = edgedense.inspect_layers(file, model, folders, noise_images=4)
        chosen = sorted(folders.glob("*/*.png"))
        some = [pixels(chosen[i]) for i in (0, 3, 6, 9)]
        assert edgedense.inspect_layers(file, model, some) == found
        assert found[0][0] == "stem/space_to_depth"


class TestExplain:
    def test_a_file_on_arrays(self, file: Path, labelled: list[tuple[Path, str]], tmp_path: Path) -> None:
        paths = [path for path, _ in labelled[:2]]
        by_path = list(edgedense.explain(file, paths, classes=["bee"]))
        by_array = list(edgedense.explain(file, [pixels(path) for path in paths], classes=["bee"]))
        for one, other in zip(by_path, by_array, strict=True):
            assert np.array_equal(one.heats[0].values, other.heats[0].values)
        assert [str(one.path) for one in by_array] == ["picture 0", "picture 1"]
        written = by_array[1].save(tmp_path)
        assert [path.name for path in written] == [
            "picture 1-bee-heatmap.png",
            "picture 1-bee-overlay.png",
            "picture 1-explained.png",
        ]
        assert all(path.is_file() for path in written)

    def test_a_model_in_memory(self, file: Path, model: Path, folders: Path) -> None:
        (by_path,) = edgedense.explain(model, folders / "ant" / "000.png", labels=CLASSES, classes=["bee"])
        (found,) = edgedense.explain(models.densenet(), folders / "ant" / "000.png", labels=CLASSES, classes=["bee"])
        assert np.array_equal(found.heats[0].values, by_path.heats[0].values)
        (deployed,) = edgedense.explain(file, folders / "ant" / "000.png", classes=["bee"])
        assert deployed.heats[0].score == pytest.approx(found.heats[0].score, abs=0.1)  # int8 against float

    def test_mistakes_are_told_before_the_first_picture(self, file: Path, model: Path, folders: Path) -> None:
        with pytest.raises(edgedense.EdgedenseError, match="a Keras model for --layer"):
            edgedense.explain(file, folders, layer="stem")
        with pytest.raises(edgedense.EdgedenseError, match=r"a \.tflite file for --device"):
            edgedense.explain(model, folders, device="coral")
        with pytest.raises(edgedense.EdgedenseError, match="a Keras model for --features"):
            edgedense.feature_maps(file, folders)

    def test_unreadable_pictures(self, file: Path, folders: Path, tmp_path: Path) -> None:
        bad = tmp_path / "bad.png"
        bad.write_bytes(b"no picture")
        problems: list[edgedense.EdgedenseError] = []
        good = folders / "ant" / "000.png"
        found = list(edgedense.explain(file, [bad, good], unreadable=problems.append))
        assert [one.path for one in found] == [good]
        assert "bad.png" in problems[0].found
        with pytest.raises(edgedense.EdgedenseError, match=r"bad\.png"):
            list(edgedense.explain(file, [bad, good]))

    def test_feature_maps(self, model: Path, folders: Path, tmp_path: Path) -> None:
        (found,) = edgedense.feature_maps(model, pixels(folders / "ant" / "000.png")[None], layers=["stem", "block1"])
        assert [(name, values.shape[2]) for name, values in found.maps] == [("stem", 12), ("block1", 28)]
        assert [path.name for path in found.save(tmp_path)] == ["picture 0-features.png"]


class TestPage:
    @pytest.mark.slow
    def test_of_a_comparison(self, file: Path, model: Path, folders: Path, tmp_path: Path) -> None:
        other = tmp_path / "other.tflite"
        edgedense.convert(models.densenet(seed=5), folders, force=True, **QUICK).save(other)
        pairs = [(pixels(path), path.parent.name) for path in sorted(folders.glob("*/*.png"))]
        report = edgedense.compare(file, other, pairs)
        assert report.drift is not None
        changed = len(report.drift.changed)
        assert changed > 0
        assert edgedense.to_html(report, pairs).count("data:image/jpeg") == changed
        assert "data:image/jpeg" not in edgedense.to_html(report)
        assert edgedense.to_html(edgedense.compare(file, other, folders), folders).count("data:image/jpeg") == changed

    def test_of_a_conversion(self, conversion: edgedense.Conversion) -> None:
        assert "float against int8" in edgedense.to_html(conversion)


class TestClassifier:
    def test_as_in_the_docstring(self, file: Path, folders: Path) -> None:
        with edgedense.Classifier(file) as classifier:
            scores = classifier.classify(edgedense.load_image(folders / "ant" / "000.png", classifier.preprocessing))
        assert scores.shape == (5,)
        assert scores.sum() == pytest.approx(1, abs=1e-5)  # a float32 softmax
