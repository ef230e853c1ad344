from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.schema_py_generated import TensorType

from edgedense.deployed import bundle
from edgedense.device import Classifier
from edgedense.device.classifier import read_labels
from edgedense.errors import EdgedenseError
from edgedense.images.preprocessing import Preprocessing

MakeModel = Callable[..., bytes]
PREPROCESSING = Preprocessing(48, 64, "none")
CARDS = {"red": (200, 30, 40), "green": (20, 180, 60), "blue": (10, 40, 220)}


def card(colour: str) -> np.ndarray:
    return np.full((48, 64, 3), CARDS[colour], np.uint8)


def write(path: Path, model: bytes, **metadata: object) -> Path:
    path.write_bytes(bundle.pack(model, **metadata) if metadata else model)  # type: ignore[arg-type]
    return path


@pytest.mark.parametrize("colour", CARDS)
def test_a_card_is_classified_by_its_colour(colours: Path, colour: str) -> None:
    with Classifier(colours) as classifier:
        scores = classifier.classify(card(colour))
        assert scores.dtype == np.float32
        assert scores.sum() == pytest.approx(1)
        assert classifier.labels[scores.argmax()] == colour
        assert scores.max() > 0.99
        assert classifier.invoke_seconds > 0
        assert classifier.notes == []


def test_the_recipe_and_the_labels_are_read(colours: Path) -> None:
    with Classifier(colours) as classifier:
        assert classifier.labels == ("red", "green", "blue")
        assert classifier.preprocessing == Preprocessing(48, 64, "none")


def test_a_file_without_metadata_says_what_is_assumed(tmp_path: Path, colour_model: MakeModel) -> None:
    with Classifier(write(tmp_path / "m.tflite", colour_model())) as classifier:
        assert classifier.labels == ("0", "1", "2")
        assert classifier.preprocessing == Preprocessing(48, 64, "none")
        assert ["labels" in note or "recipe" in note for note in classifier.notes] == [True, True]


def test_labels_can_be_replaced(colours: Path) -> None:
    with Classifier(colours, labels=("a", "b", "c")) as classifier:
        assert classifier.labels == ("a", "b", "c")


def test_one_output_with_two_labels_is_a_pair(tmp_path: Path, colour_model: MakeModel) -> None:
    path = write(tmp_path / "m.tflite", colour_model(outputs=1))
    with Classifier(path, labels=("red", "blue")) as classifier:
        red, blue = classifier.classify(card("red")), classifier.classify(card("blue"))
    assert red[0] > 0.99
    assert blue[1] > 0.99
    assert red.sum() == blue.sum() == pytest.approx(1)


def test_one_output_with_one_label_is_its_probability(tmp_path: Path, colour_model: MakeModel) -> None:
    path = write(tmp_path / "m.tflite", colour_model(outputs=1))
    with Classifier(path, labels=("blue",)) as classifier:
        assert classifier.classify(card("blue")).tolist() == pytest.approx([1], abs=0.01)
        assert classifier.classify(card("red")).tolist() == pytest.approx([0], abs=0.01)


def test_quantized_outputs_become_probabilities(tmp_path: Path, colours: Path) -> None:
    with Classifier(colours) as classifier:
        classifier._output = {**classifier._output, "quantization": (1 / 256, -128)}
        scores = classifier._scores(np.int8([127, -128, 0]))
    assert scores.tolist() == [255 / 256, 0, 0.5]


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"labels": ("red", "green")}, "3 labels"),
        ({"recipe": {"preprocessing": Preprocessing(64, 48, "none").to_dict()}}, "48x64"),
        ({"recipe": {"preprocessing": {"height": 48}}}, "preprocessing entries"),
    ],
)
def test_metadata_that_does_not_fit_is_refused(
    tmp_path: Path, colour_model: MakeModel, metadata: dict[str, object], message: str
) -> None:
    path = write(tmp_path / "m.tflite", colour_model(), **{"labels": (), "recipe": {}, **metadata})
    with pytest.raises(EdgedenseError, match=message):
        Classifier(path)


def test_an_input_that_takes_no_raw_pixels_is_refused(tmp_path: Path, colour_model: MakeModel) -> None:
    path = write(tmp_path / "m.tflite", colour_model(input_type=TensorType.FLOAT32))
    with pytest.raises(EdgedenseError, match=r"uint8 \[1, height, width, 3 or 1\]; found float32"):
        Classifier(path)


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(b"no model")
    for name in ("m.tflite", "missing.tflite"):
        with pytest.raises(EdgedenseError, match=name):
            Classifier(tmp_path / name)


def test_an_image_of_another_size_is_refused(colours: Path) -> None:
    with Classifier(colours) as classifier, pytest.raises(EdgedenseError, match="64, 3"):
        classifier.classify(np.zeros((64, 48, 3), np.uint8))


def test_read_labels(tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_text("\ufeffgrün \nrot\r\n\n", "utf-8")
    assert read_labels(path) == ("grün", "rot")
    for content in (b"", b"red\n\nblue\n", b"\xff\xfe\x00"):
        path.write_bytes(content)
        with pytest.raises(EdgedenseError, match="label"):
            read_labels(path)
    with pytest.raises(EdgedenseError, match="missing"):
        read_labels(tmp_path / "missing.txt")


def test_a_pair_excludes_each_other_and_a_single_class_is_scored_alone(tmp_path: Path, colour_model: MakeModel) -> None:
    path = write(tmp_path / "m.tflite", colour_model(outputs=1))
    with Classifier(path, labels=("red", "blue")) as classifier:
        assert not classifier.rule().independent
        assert classifier.predict(card("red")).label == "red"
    with Classifier(path, labels=("blue",)) as classifier:
        assert classifier.activation == "sigmoid"
        assert classifier.predict(card("blue")).label == "blue"
        nothing = classifier.predict(card("red"))
        assert nothing.label is None
        assert [label for label, _ in nothing.below] == ["blue"]


def test_the_files_own_thresholds_decide(tmp_path: Path, colour_model: MakeModel) -> None:
    """The card is (200, 30, 220): 0.9933 red, 0.0293 green, 0.9975 blue."""
    magenta = np.full((48, 64, 3), (200, 30, 220), np.uint8)

    def seen(thresholds: list[float | None], **options: float) -> list[str]:
        recipe = {"preprocessing": PREPROCESSING.to_dict(), "activation": "sigmoid", "thresholds": thresholds}
        data = bundle.pack(colour_model(independent=True), ("red", "green", "blue"), recipe)
        with Classifier(write(tmp_path / "m.tflite", data)) as classifier:
            return [label for label, _ in classifier.predict(magenta, **options).top]

    assert seen([0.995, 0.02, 0.995]) == ["blue", "green"]
    assert seen([0.995, 0.02, None]) == ["green"]
    assert seen([0.995, 0.02, None], threshold=0.9) == ["red"]
    with pytest.raises(EdgedenseError, match="3 thresholds, one for each output of the model; found 2"):
        seen([0.5, 0.5])


def test_what_the_recipe_says_of_the_scores_decides(colours: Path, findings: Path) -> None:
    magenta = np.full((48, 64, 3), (200, 30, 220), np.uint8)
    with Classifier(findings) as classifier:
        assert [label for label, _ in classifier.predict(magenta).top] == ["blue", "red"]
        assert [label for label, _ in classifier.predict(magenta, threshold=0.995).top] == ["blue"]
        assert classifier.predict(np.zeros_like(magenta)).label is None
    with Classifier(colours) as classifier:
        prediction = classifier.predict(card("red"), top=2)
    assert [label for label, _ in prediction.top] == ["red", "blue"]
    assert prediction.below == ()
