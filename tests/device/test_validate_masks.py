"""Where a deployed file looks: of one whose feature map is the picture, so that a class is where its colour is."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import edgedense
from edgedense.api import masks as looking
from edgedense.deployed import bundle, gradcam
from edgedense.device.classifiers import Classifiers
from edgedense.errors import EdgedenseError
from edgedense.measures.labelled import LabelledImages, of_classes
from tests.device.conftest import COLOURS, RECIPE, make_colour_model

LEFT = np.zeros((48, 64), np.uint8)
LEFT[:, :16] = 1  # a quarter of the picture


def halves(left: tuple[int, int, int], right: tuple[int, int, int]) -> Image.Image:
    """Two colours side by side, as large as the network's input."""
    pixels = np.zeros((48, 64, 3), np.uint8)
    pixels[:, :32], pixels[:, 32:] = left, right
    return Image.fromarray(pixels)


RED, BLUE = (200, 0, 0), (0, 0, 200)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """One red half and one blue half each; what is marked is the left quarter. A third picture has no mask."""
    for name, picture in {
        "red/1.png": halves(RED, BLUE),  # half of the red is inside
        "blue/2.png": halves(RED, BLUE),  # no blue is inside
        "blue/3.png": halves(BLUE, RED),
    }.items():
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.save(path)
    for name in ("red/1_mask.png", "blue/2.png"):
        path = tmp_path / "masks" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(LEFT).save(path)
    return tmp_path / "data"


def test_the_share_inside_and_the_peak(explained_colours: Path, data: Path, caplog: pytest.LogCaptureFixture) -> None:
    report = edgedense.validate(explained_colours, data, masks=data.parent / "masks")
    assert isinstance(report, edgedense.Report)
    found = report.masks
    assert found
    assert found.before is None
    assert found.images == 2
    assert found.area.value == 0.25
    by_name = {case.image: case for case in found.cases}
    assert (by_name["red/1.png"].label, by_name["blue/2.png"].label) == ("red", "blue")  # the class that it shows
    assert by_name["red/1.png"].after.inside == pytest.approx(0.5)
    assert by_name["red/1.png"].after.hit
    assert by_name["blue/2.png"].after.inside == 0
    assert not by_name["blue/2.png"].after.hit
    assert found.after.inside.value == pytest.approx(0.25)
    assert found.cases[0].image == "blue/2.png"
    assert "1 of 3 pictures without a mask are left out: blue/3.png" in caplog.text


def test_the_pictures_of_a_page_show_the_outline(explained_colours: Path, data: Path) -> None:
    report = edgedense.validate(explained_colours, data, masks=data.parent / "masks")
    assert isinstance(report, edgedense.Report)
    assert report.masks
    assert [len(case.pictures) for case in report.masks.cases] == [1, 1]
    page = edgedense.to_html(report, data)
    assert page.count("data:image/jpeg") == 2
    assert "blue: 0.0% inside" in page
    assert "pictures" not in report.to_dict()["masks"]["cases"][0]


def test_all_faults_are_named(explained_colours: Path, data: Path) -> None:
    masks = data.parent / "masks"
    Image.new("L", (64, 48)).save(masks / "red" / "1_mask.png")
    Image.new("L", (64, 64), 1).save(masks / "blue" / "2.png")
    with pytest.raises(EdgedenseError, match=r"(?s)2 that do not:.*2\.png of 64x64 .*1_mask\.png, which marks nothing"):
        edgedense.validate(explained_colours, data, masks=masks)


def test_a_file_without_heatmaps(colours: Path, data: Path) -> None:
    with pytest.raises(EdgedenseError, match="--explain"):
        edgedense.validate(colours, data, masks=data.parent / "masks")


def test_masks_without_pictures(explained_colours: Path, data: Path) -> None:
    with pytest.raises(EdgedenseError, match="--data"):
        edgedense.validate(explained_colours, masks=data.parent / "masks")  # type: ignore[call-overload]


def focus(images: LabelledImages, file: Path, masks: Path) -> object:
    with Classifiers(file, threads=1) as classifiers:
        return looking.focus(masks, images, classifiers, ["m.tflite"], None)


class TestSeveral:
    @pytest.fixture
    def images(self, data: Path) -> LabelledImages:
        """The first picture shows red and blue, the second nothing that is known, of one patient each."""
        names = ("red/1.png", "blue/2.png")
        found = of_classes([data / name for name in names], names, np.array([0, 2]), COLOURS, ("ann", "bob"))
        truth = np.array([[1, 0, 1], [0, np.nan, 0]])
        return LabelledImages(found.paths, names, found.labels, COLOURS, (), truth, ("ann", "bob"), "several")

    def test_each_class_that_a_picture_shows(
        self, images: LabelledImages, explained_colours: Path, data: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        found: object = focus(images, explained_colours, data.parent / "masks")
        assert isinstance(found, looking.Focus)
        assert [(case.label, case.after.inside) for case in found.cases] == [("blue", 0), ("red", pytest.approx(0.5))]
        assert found.images == 1
        assert (found.after.inside.low, found.after.inside.high) == (0.25, 0.25)  # of one patient: always both
        assert "1 of 2 pictures with a mask that show none of the classes are left out: blue/2.png" in caplog.text

    def test_none_is_left(self, images: LabelledImages, explained_colours: Path, data: Path) -> None:
        (data.parent / "masks" / "red" / "1_mask.png").unlink()
        with pytest.raises(EdgedenseError, match="show one of the classes"):
            focus(images, explained_colours, data.parent / "masks")


@pytest.fixture
def binary(tmp_path: Path) -> Callable[..., Path]:
    """A file with one output, which is the more blue than red, and its labels."""

    def make(*labels: str) -> Path:
        weights = np.float32([[-0.05], [0], [0.05]])
        head = gradcam.Head((gradcam.Pool("avg"), gradcam.Dense(weights, np.zeros(1, np.float32))))
        model = make_colour_model(outputs=1, explained=True)
        path = tmp_path / f"{'-'.join(labels)}.tflite"
        path.write_bytes(
            bundle.pack(model, labels, {**RECIPE, "activation": "sigmoid"}, {gradcam.ENTRY: head.to_bytes()})
        )
        return path

    return make


def test_each_side_of_a_pair_has_its_own_heatmap(binary: Callable[..., Path], data: Path) -> None:
    report = edgedense.validate(binary("red", "blue"), data, masks=data.parent / "masks")
    assert isinstance(report, edgedense.Report)
    assert report.masks
    inside = {case.label: case.after.inside for case in report.masks.cases}
    assert inside == {"red": pytest.approx(0.5), "blue": 0}


def test_one_output_with_one_label(binary: Callable[..., Path], data: Path) -> None:
    names = ("red/1.png", "blue/2.png")
    images = of_classes([data / name for name in names], names, np.array([0, 0]), ("blue",))
    truth = np.array([[0.0], [1.0]])
    images = LabelledImages(images.paths, names, images.labels, ("blue",), (), truth, (), "several")
    found = focus(images, binary("blue"), data.parent / "masks")
    assert isinstance(found, looking.Focus)
    assert [(case.image, case.label, case.after.inside) for case in found.cases] == [("blue/2.png", "blue", 0)]
    assert found.after.without_evidence == 0


def test_it_needs_no_tensorflow(explained_colours: Path, data: Path) -> None:
    masks = data.parent / "masks"
    words = ["validate", str(explained_colours), "--data", str(data), "--masks", str(masks), "--json"]
    program = (
        "import sys; from edgedense import cli\n"
        f"cli.app({words!r}, standalone_mode=False)\n"
        "sys.exit(str([m for m in ('tensorflow', 'keras', 'cv2', 'sklearn') if m in sys.modules] or ''))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    result = json.loads(done.stdout)["masks"]
    assert result["after"]["inside"]["value"] == pytest.approx(0.25)
    assert [case["after"]["inside"] for case in result["cases"]] == [0, pytest.approx(0.5)]
    assert "[" not in done.stderr.splitlines()[-1]
