"""The files of an explanation: their names, and what they show."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFont

from edgedense.errors import EdgedenseError
from edgedense.explanations import colormap, contact_sheet, explanation
from edgedense.explanations.explanation import Explanation, Heat
from edgedense.images.preprocessing import Preprocessing


def explained(*labels: str, side: int = 300) -> Explanation:
    picture = np.full((side, side, 3), 90, np.uint8)
    heats = tuple(Heat(label, 0.5, np.eye(3, dtype=np.float32) * (i + 1)) for i, label in enumerate(labels))
    return Explanation(Path("a/b.jpg"), picture, heats)


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)))


class TestFiles:
    def test_one_of_each_kind_for_each_class(self) -> None:
        found = dict(explanation.files(explained("cat", "dog"), "b"))
        assert list(found) == [
            "b-cat-heatmap.png",
            "b-cat-overlay.png",
            "b-dog-heatmap.png",
            "b-dog-overlay.png",
            "b-explained.png",
        ]
        share = np.eye(3, dtype=np.float32)
        assert (pixels(found["b-dog-heatmap.png"]) == colormap.colours(colormap.enlarged(share, 300, 300))).all()
        assert (pixels(found["b-dog-overlay.png"]) == colormap.overlay(explained("x").picture, share)).all()

    def test_all_stand_side_by_side_with_their_names(self) -> None:
        one, two = (
            pixels(dict(explanation.files(explained(*labels), "b"))["b-explained.png"])
            for labels in (("cat",), ("cat", "dog"))
        )
        assert one.shape[1] == two.shape[1] >= 3 * 300
        assert two.shape[0] >= one.shape[0] + 300
        other = pixels(dict(explanation.files(explained("cow"), "b"))["b-explained.png"])
        different = np.argwhere((one != other).any(axis=2))
        assert len(different)
        assert different[:, 0].max() < 30  # in the title alone

    def test_labels_that_are_no_file_names(self) -> None:
        found = list(dict(explanation.files(explained("a/b", "a b", "../x"), "n")))
        assert found[::2] == ["n-a_b-0-heatmap.png", "n-a_b-1-heatmap.png", "n-x-heatmap.png", "n-explained.png"]

    @pytest.mark.parametrize(("side", "shown"), [(28, 224), (224, 224), (500, 500), (4000, 1024)])
    def test_pictures_are_shown_at_a_size_to_look_at(self, side: int, shown: int) -> None:
        found = dict(explanation.files(explained("x", side=side), "b"))
        assert pixels(found["b-x-overlay.png"]).shape == (shown, shown, 3)

    def test_no_evidence_is_said(self) -> None:
        one = Explanation(Path("a"), np.zeros((224, 224, 3), np.uint8), (Heat("x", 0.1, np.zeros((2, 2), np.float32)),))
        some = Explanation(Path("a"), one.picture, (Heat("x", 0.1, np.eye(2, dtype=np.float32)),))
        found, other = (pixels(dict(explanation.files(e, "n"))["n-explained.png"]) for e in (one, some))
        assert (found[:25] != other[:25]).any()


class TestMask:
    def test_its_outline_is_on_every_picture_and_its_share_is_told(self) -> None:
        plain = explained("x", side=224)
        mask = np.zeros((12, 12), bool)
        mask[:4, :4] = True  # one of the heatmap's three evidence cells, each a third of all
        marked = replace(plain, mask=mask)
        without, found = (dict(explanation.files(one, "b")) for one in (plain, marked))
        for name in ("b-x-heatmap.png", "b-x-overlay.png"):
            expected = colormap.outlined(pixels(without[name]), mask)
            assert (pixels(found[name]) == expected).all()
            assert (expected != pixels(without[name])).any()
        assert (pixels(found["b-explained.png"])[:25] != pixels(without["b-explained.png"])[:25]).any()  # the title
        share = colormap.enlarged(plain.heats[0].values, 12, 12)
        inside = share[:4, :4].sum() / share.sum()
        assert marked.beside_mask(plain.heats[0]) == f"{inside:.0%} inside the mask, which covers 11.1%"
        assert plain.beside_mask(plain.heats[0]) == ""


def test_letters_of_old_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before 10.1 there are only bitmap letters, which are Latin-1."""
    plain = ImageFont.load_default_imagefont()

    def load_default() -> object:
        return plain

    monkeypatch.setattr(ImageFont, "load_default", load_default)
    rows = [contact_sheet.Row("뇌종양", (np.zeros((9, 9, 3), np.uint8),), ("caption",))]
    assert (contact_sheet.sheet(rows, "scale") < 200).any()


class TestNames:
    def test_in_one_folder(self) -> None:
        assert explanation.names([Path("p/a.jpg"), Path("p/b.png")]) == ["a", "b"]

    def test_in_class_folders(self) -> None:
        assert explanation.names([Path("p/x/1.jpg"), Path("p/y/1.jpg")]) == ["x/1", "y/1"]

    def test_that_differ_in_their_suffix(self) -> None:
        assert explanation.names([Path("p/a.jpg"), Path("p/a.png")]) == ["a.jpg", "a.png"]

    def test_of_one(self) -> None:
        assert explanation.names([Path("../q/a.jpg")]) == ["a"]


def test_class_numbers() -> None:
    assert explanation.class_numbers(("c", "a", "c"), ("a", "b", "c")) == (2, 0)
    assert explanation.class_numbers((), ("a",)) == ()
    with pytest.raises(EdgedenseError, match="a class of the model: a, b; found d") as caught:
        explanation.class_numbers(("d",), ("a", "b"))
    assert "--class" in str(caught.value)


class TestWrite:
    def test_makes_folders(self, tmp_path: Path) -> None:
        written = explanation.write(iter([("x/1.png", b"one")]), tmp_path / "new")
        assert written == [tmp_path / "new" / "x" / "1.png"]
        assert written[0].read_bytes() == b"one"

    def test_where_there_can_be_no_folder(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"")
        with pytest.raises(EdgedenseError, match="a folder to write"):
            explanation.write(iter([("1.png", b"")]), tmp_path / "file")


def test_what_is_shown_is_what_the_model_sees_of_each_picture(tmp_path: Path) -> None:
    """Of pictures of different shapes these are different parts; black is shown where the model sees black."""
    wide, tall = (np.random.default_rng(1).integers(1, 256, (*size, 3), np.uint8) for size in ((40, 60), (80, 40)))
    for name, image in (("wide.png", wide), ("tall.png", tall)):
        Image.fromarray(image).save(tmp_path / name)
    paths = [tmp_path / "wide.png", tmp_path / "tall.png"]
    cut = [found.picture for found in explanation.pictures(paths, Preprocessing(32, 32, "none", fit="crop"), None)]
    np.testing.assert_array_equal(cut[0], wide[:, 10:50])
    np.testing.assert_array_equal(cut[1], tall[20:60])
    (padded, _) = explanation.pictures(paths, Preprocessing(32, 32, "none", "pil-bilinear", fit="pad"), None)
    # 21 of the input's 32 rows show the picture, which are 40 of 61 of its own; 6 rows of black are before them.
    assert padded.pixels.any(axis=(1, 2)).tolist() == [6 <= row < 27 for row in range(32)]
    assert padded.picture.any(axis=(1, 2)).tolist() == [11 <= row < 51 for row in range(61)]
