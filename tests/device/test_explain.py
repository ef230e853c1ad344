"""Heatmaps on the device: of a file whose feature map is the picture, so that a class is where its colour is."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgedense.deployed import bundle, gradcam
from edgedense.device.classifier import Classifier
from edgedense.device.explain import explain
from edgedense.errors import EdgedenseError

MakeModel = Callable[..., bytes]


@pytest.fixture
def halves(tmp_path: Path) -> Path:
    """Red on the left, blue on the right third."""
    picture = np.zeros((96, 120, 3), np.uint8)
    picture[:, :80, 0] = 200
    picture[:, 80:, 2] = 200
    Image.fromarray(picture).save(tmp_path / "halves.png")
    return tmp_path / "halves.png"


def test_a_class_is_seen_where_its_colour_is(explained_colours: Path, halves: Path) -> None:
    with Classifier(explained_colours) as classifier:
        assert classifier.explains
        (one,) = explain(classifier, [halves], ("red", "blue", "green"))
    red, blue, green = (heat.values for heat in one.heats)
    assert [heat.label for heat in one.heats] == ["red", "blue", "green"]
    assert sum(heat.score for heat in one.heats) == pytest.approx(1)
    assert one.picture.shape == (96, 120, 3)
    assert red.shape == (48, 64)
    assert (red[:, :42] > 0).all()
    assert not red[:, 44:].any()
    assert (blue[:, 44:] > 0).all()
    assert not blue[:, :42].any()
    assert not green.any()


def test_the_best_class_by_default(explained_colours: Path, halves: Path) -> None:
    with Classifier(explained_colours) as classifier:
        (one,) = explain(classifier, [halves])
    assert [heat.label for heat in one.heats] == ["red"]
    assert one.heats[0].score > 0.9


def test_an_unknown_class(explained_colours: Path, halves: Path) -> None:
    with Classifier(explained_colours) as classifier, pytest.raises(EdgedenseError, match="red, green, blue"):
        list(explain(classifier, [halves], ("yellow",)))


def test_a_file_without_heatmaps(colours: Path, halves: Path) -> None:
    with Classifier(colours) as classifier:
        assert not classifier.explains
        with pytest.raises(EdgedenseError, match="--explain"):
            list(explain(classifier, [halves]))


def test_a_second_output_without_a_head(tmp_path: Path, halves: Path, colour_model: MakeModel) -> None:
    """As a compiler leaves it that drops what is behind the model: it still classifies."""
    (tmp_path / "m.tflite").write_bytes(colour_model(explained=True))
    with Classifier(tmp_path / "m.tflite") as classifier:
        assert classifier.classify(np.zeros((48, 64, 3), np.uint8)).shape == (3,)
        with pytest.raises(EdgedenseError, match="--explain"):
            classifier.heatmaps((0,))


def test_a_damaged_head(tmp_path: Path, colour_model: MakeModel) -> None:
    (tmp_path / "m.tflite").write_bytes(bundle.pack(colour_model(explained=True), (), {}, {gradcam.ENTRY: b"no"}))
    with pytest.raises(EdgedenseError, match="last layers"):
        Classifier(tmp_path / "m.tflite")


def test_one_output_with_one_label(tmp_path: Path, halves: Path, colour_model: MakeModel) -> None:
    """The label is that of the output itself; of two labels it is the second."""
    last = gradcam.Dense(np.float32([[-0.05], [0], [0.05]]), np.zeros(1, np.float32))
    head = gradcam.Head((gradcam.Pool("avg"), last))
    model = colour_model(outputs=1, explained=True)
    (tmp_path / "m.tflite").write_bytes(bundle.pack(model, ("blue",), {}, {gradcam.ENTRY: head.to_bytes()}))
    with Classifier(tmp_path / "m.tflite") as one, Classifier(tmp_path / "m.tflite", labels=("red", "blue")) as two:
        (single,), (pair,) = explain(one, [halves], ("blue",)), explain(two, [halves], ("red", "blue"))
    assert np.array_equal(single.heats[0].values, pair.heats[1].values)
    assert single.heats[0].values[:, 44:].all()
    assert pair.heats[0].values[:, :42].all()


def test_a_picture_that_is_none(explained_colours: Path, halves: Path, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"no")
    failures: list[EdgedenseError] = []
    with Classifier(explained_colours) as classifier:
        found = list(explain(classifier, [tmp_path / "a.jpg", halves], (), failures.append))
        assert [one.path for one in found] == [halves]
        assert "a.jpg" in str(failures[0])
        with pytest.raises(EdgedenseError, match=r"a\.jpg"):
            list(explain(classifier, [tmp_path / "a.jpg"]))


def test_without_tensorflow(explained_colours: Path, halves: Path, tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['tensorflow'] = sys.modules['keras'] = None\n"
        "from edgedense import cli; sys.argv[0] = 'edgedense'; cli.main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "explain", explained_colours, halves, "--out", tmp_path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("red  ")
    assert (tmp_path / "halves-explained.png").exists()
    assert (tmp_path / "halves-red-overlay.png").exists()
