"""`edgedense explain` as a user types it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.edgedense.test_cli import edgedense, refused, succeeded
from tests.pictures import fill, opened

LABELS = ("ant", "bee", "cow", "dog", "emu")


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("labels") / "labels.txt"
    path.write_text("\n".join(LABELS))
    return path


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    return fill(tmp_path / "pictures", 2)


def written(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.png"))


def heat(folder: Path, name: str = "000-ant") -> np.ndarray:
    return np.asarray(opened(folder / f"{name}-heatmap.png"))


class TestKeras:
    def test_one_class(self, model: Path, labels: Path, pictures: Path, tmp_path: Path) -> None:
        out = tmp_path / "out"
        ended = succeeded("explain", model, pictures, "--labels", labels, "--class", "cow", "--out", out)
        assert written(out) == [
            f"{i}{part}.png" for i in ("000", "001") for part in ("-cow-heatmap", "-cow-overlay", "-explained")
        ]
        first, second = ended.out.splitlines()
        assert first.startswith("cow  ")
        assert first.endswith(f"%  {pictures / '000.png'} -> {out / '000-explained.png'}")
        assert str(pictures / "001.png") in second

    def test_beside_the_pictures(self, model: Path, pictures: Path) -> None:
        before = (pictures / "000.png").read_bytes()
        succeeded("explain", model, pictures / "000.png", "--out", pictures)
        assert (pictures / "000.png").read_bytes() == before
        assert len(written(pictures)) == 5

    def test_several_classes(self, model: Path, labels: Path, pictures: Path, tmp_path: Path) -> None:
        out = tmp_path / "out"
        ended = succeeded(
            "explain", model, pictures / "000.png", "--labels", labels, "--class", "cow", "--class", "ant", "--out", out
        )
        assert [line.split()[0] for line in ended.out.splitlines()] == ["cow", "ant"]
        assert len(written(out)) == 5

    def test_the_best_class_by_default(
        self, model: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        ended = succeeded("explain", model, pictures / "000.png")
        assert len(written(tmp_path / "explained")) == 3
        assert "--labels" in ended.err  # it says that classes are numbered

    def test_labels_beside_the_model(self, model: Path, labels: Path, pictures: Path, tmp_path: Path) -> None:
        shutil.copy(model, tmp_path / "m.keras")
        shutil.copy(labels, tmp_path / "m.labels.txt")
        ended = succeeded("explain", tmp_path / "m.keras", pictures / "000.png", "--out", tmp_path / "out")
        assert ended.out.split()[0] in LABELS
        assert ended.err == ""

    def test_features(self, model: Path, pictures: Path, tmp_path: Path) -> None:
        ended = succeeded("explain", model, pictures, "--features", "--out", tmp_path / "out")
        assert written(tmp_path / "out") == ["000-features.png", "001-features.png"]
        assert ended.out.splitlines() == [str(tmp_path / "out" / f"00{i}-features.png") for i in range(2)]

    @pytest.mark.slow
    def test_features_of_chosen_layers(self, model: Path, pictures: Path, tmp_path: Path) -> None:
        for number, options in enumerate([(), ("--layer", "stem"), ("--layer", "stem", "--layer", "block2")]):
            succeeded("explain", model, pictures / "000.png", "--features", *options, "--out", tmp_path / str(number))
        every, one, two = (np.asarray(opened(tmp_path / str(n) / "000-features.png")).shape[0] for n in range(3))
        assert one < two < every

    @pytest.mark.parametrize(
        "options", [("--layer", "block1"), ("--preprocess", "rescale"), ("--resize", "nearest"), ("--input-size", "64")]
    )
    def test_another_heatmap(
        self, options: tuple[str, ...], model: Path, labels: Path, pictures: Path, tmp_path: Path
    ) -> None:
        usual = (
            "explain",
            model,
            pictures / "000.png",
            "--labels",
            labels,
            *(x for c in LABELS for x in ("--class", c)),
        )
        succeeded(*usual, "--out", tmp_path / "a")
        succeeded(*usual, *options, "--out", tmp_path / "b")
        assert any(
            not np.array_equal(heat(tmp_path / "a", f"000-{c}"), heat(tmp_path / "b", f"000-{c}")) for c in LABELS
        )

    def test_exif(self, model: Path, pictures: Path, tmp_path: Path) -> None:
        exif = Image.Exif()
        exif[0x0112] = 6  # orientation: turn by 90 degrees
        opened(pictures / "000.png").save(tmp_path / "turned.jpg", exif=exif)
        succeeded("explain", model, tmp_path / "turned.jpg", "--exif", "apply", "--out", tmp_path)
        height, width = np.asarray(opened(next(tmp_path.glob("turned-*-overlay.png")))).shape[:2]
        assert height > width  # the picture is 50 high and 60 wide

    def test_a_picture_that_is_none_comes_last(self, model: Path, pictures: Path, tmp_path: Path) -> None:
        (pictures / "0.jpg").write_bytes(b"no picture")
        ended = edgedense("explain", model, pictures, "--out", tmp_path / "out")
        assert ended.code == 2
        assert len(ended.out.splitlines()) == 2
        assert str(pictures / "0.jpg") in ended.err.splitlines()[-1]


@pytest.fixture(scope="module")
def deployed(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("deployed")
    for number, name in enumerate(LABELS):
        fill(folder / "pictures" / name, 1, seed=number)
    succeeded(
        "convert",
        model,
        "--calibration",
        folder / "pictures",
        "--ranges",
        "minmax",
        "--headroom",
        "1",
        "--force",
        "--explain",
        "--out",
        folder / "insects.tflite",
    )
    return folder / "insects.tflite"


class TestDeployed:
    def test_its_labels_and_preprocessing_are_those_of_the_file(
        self, deployed: Path, pictures: Path, tmp_path: Path
    ) -> None:
        ended = succeeded("explain", deployed, pictures, "--class", "cow", "--class", "ant", "--out", tmp_path)
        assert [line.split()[0] for line in ended.out.splitlines()] == ["cow", "ant"] * 2
        assert ended.err == ""
        assert {"000-explained.png", "000-cow-heatmap.png", "001-ant-overlay.png"} <= set(written(tmp_path))

    def test_other_labels(self, deployed: Path, pictures: Path, tmp_path: Path) -> None:
        (tmp_path / "labels.txt").write_text("a\nb\nc\nd\ne\n")
        ended = succeeded(
            "explain", deployed, pictures, "--class", "d", "--labels", tmp_path / "labels.txt", "--out", tmp_path
        )
        assert ended.out.startswith("d  ")

    @pytest.mark.parametrize(
        "options",
        [
            ("--layer", "stem"),
            ("--features",),
            ("--preprocess", "none"),
            ("--resize", "nearest"),
            ("--exif", "apply"),
            ("--input-size", "64"),
        ],
    )
    def test_options_of_keras_models(self, options: tuple[str, ...], deployed: Path, pictures: Path) -> None:
        assert f"a Keras model for {options[0]}" in refused("explain", deployed, pictures, *options)

    def test_device(self, deployed: Path, model: Path, pictures: Path) -> None:
        assert "a device: cpu" in refused("explain", deployed, pictures, "--device", "gpu")
        assert "a .tflite file for --device" in refused("explain", model, pictures, "--device", "coral")


@pytest.fixture
def masks(pictures: Path, tmp_path: Path) -> Path:
    """Of the first picture its upper half is marked; the second has no mask."""
    marked = np.zeros((50, 60), np.uint8)
    marked[:25] = 1
    (tmp_path / "masks").mkdir()
    Image.fromarray(marked).save(tmp_path / "masks" / "000_mask.png")
    return tmp_path / "masks"


class TestMasks:
    @pytest.mark.parametrize("kind", ["keras", "tflite"])
    def test_the_outline_is_drawn_and_the_share_told(
        self, kind: str, model: Path, deployed: Path, labels: Path, pictures: Path, masks: Path, tmp_path: Path
    ) -> None:
        file = model if kind == "keras" else deployed
        out, plain = tmp_path / "out", tmp_path / "plain"
        usual = ("explain", file, pictures, "--labels", labels, "--class", "ant", "--class", "bee")
        ended = succeeded(*usual, "--masks", masks, "--out", out)
        first, second = ended.out.splitlines()
        assert " inside the mask, which covers 50.0%" in first
        assert str(pictures / "000.png") in second
        assert ended.err.splitlines() == [f"edgedense: {masks}: no mask for 1 of 2 pictures, which are left out: 001"]
        assert len(written(out)) == 5  # of the first picture alone
        succeeded(*usual, "--out", plain)
        changed = (heat(out) != heat(plain)).any(axis=(1, 2))
        assert changed[92:95].any()  # the picture is shown 187 pixels high
        assert not changed[:90].any()
        assert not changed[97:].any()

    def test_validate_measures_both_models(self, model: Path, deployed: Path, tmp_path: Path) -> None:
        """Of five pictures, which the file was calibrated on; in each the upper half is marked."""
        data, masks, page = deployed.parent / "pictures", tmp_path / "masks", tmp_path / "report.html"
        marked = np.zeros((50, 60), np.uint8)
        marked[:25] = 1
        for name in LABELS:
            (masks / name).mkdir(parents=True)
            Image.fromarray(marked).save(masks / name / "000.png")
        usual = ("validate", deployed, "--data", data, "--reference", model, "--masks", masks)
        found = json.loads(succeeded(*usual, "--json", "--report", page).out)["masks"]
        assert (found["before"]["model"], found["after"]["model"]) == ("insects.keras", "insects.tflite")
        assert found["area"] == {"value": 0.5, "low": 0.5, "high": 0.5}
        changes = [case["after"]["inside"] - case["before"]["inside"] for case in found["cases"]]
        assert changes == sorted(changes)
        assert found["inside_change"]["value"] == pytest.approx(np.mean(changes))
        assert found["correlation"]["value"] > 0.9  # the same heatmaps, but for quantization
        assert page.read_text().count("data:image/jpeg") >= 10  # both models' heatmaps of five pictures

    def test_faults_come_last_and_are_named(self, model: Path, pictures: Path, masks: Path, tmp_path: Path) -> None:
        Image.new("L", (60, 50)).save(masks / "001.png")
        ended = edgedense("explain", model, pictures, "--masks", masks, "--out", tmp_path / "out")
        assert ended.code == 2
        assert len(ended.out.splitlines()) == 1
        assert f"{masks / '001.png'}, which marks nothing" in ended.err.splitlines()[-1]

    def test_not_with_features(self, model: Path, pictures: Path, masks: Path) -> None:
        assert "--masks with heatmaps" in refused("explain", model, pictures, "--features", "--masks", masks)


class TestRefused:
    def test_an_unknown_class(self, model: Path, pictures: Path) -> None:
        assert "a class of the model: 0, 1, 2, 3, 4; found cat" in last_line(model, pictures, "--class", "cat")

    def test_an_unknown_layer(self, model: Path, pictures: Path) -> None:
        assert "Try: one of block1" in last_line(model, pictures, "--layer", "blok1")

    def test_classes_of_features(self, model: Path, pictures: Path) -> None:
        assert "--class with heatmaps" in refused("explain", model, pictures, "--features", "--class", "a")

    def test_several_layers_of_heatmaps(self, model: Path, pictures: Path) -> None:
        assert "--features" in refused("explain", model, pictures, "--layer", "a", "--layer", "b")

    def test_no_pictures(self, model: Path, tmp_path: Path) -> None:
        assert "does not exist" in refused("explain", model, tmp_path / "nothing")


def last_line(*arguments: object) -> str:
    """The error behind the note that classes are numbered."""
    ended = edgedense("explain", *arguments)
    assert ended.code == 2
    assert ended.out == ""
    return ended.err.splitlines()[-1]
