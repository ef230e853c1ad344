"""Masks: which belongs to which picture, and where the network sees what they mark."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgedense.errors import EdgedenseError
from edgedense.images.in_memory import in_memory
from edgedense.images.masks import find_masks, read_mask
from edgedense.images.preprocessing import Preprocessing, prepare
from edgedense.images.steps import Crop, Pad, Resample

P = Preprocessing(4, 4, "none")


def saved(path: Path, marked: np.ndarray | list[list[int]], **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(marked, np.uint8)).save(path, **options)  # type: ignore[arg-type]
    return path


def square(height: int = 8, width: int = 8) -> np.ndarray:
    """The upper left quarter is marked, with the lowest level that there is."""
    marked = np.zeros((height, width), np.uint8)
    marked[: height // 2, : width // 2] = 1
    return marked


QUARTER = [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]


class TestFind:
    @pytest.mark.parametrize("name", ["a/1.png", "a/1.TIF", "a/1_mask.png", "a/1_segmentation.gif"])
    def test_it_is_called_like_the_picture(self, name: str, tmp_path: Path) -> None:
        mask = saved(tmp_path / name, square(), format="PNG")
        other = saved(tmp_path / "b" / "2.png", square())
        pictures = [Path("/p/a/1.jpg"), Path("/p/b/2.jpg"), Path("/p/a/2.jpg"), Path("/p/1.jpg")]
        names = ("a/1.jpg", "b/2.jpg", "a/2.jpg", "1.jpg")
        assert find_masks(tmp_path, pictures, names) == [mask, other, None, None]

    def test_names_with_dots(self, tmp_path: Path) -> None:
        mask = saved(tmp_path / "scan.1.2.png", square())
        pictures = [Path("scan.1.2.jpg"), Path("scan.1.jpg")]
        assert find_masks(tmp_path, pictures, ("scan.1.2.jpg", "scan.1.jpg")) == [mask, None]
        assert find_masks(tmp_path, pictures, ("scan.1.2", "scan.1")) == [mask, None]  # as `explain` calls them

    def test_pictures_in_memory(self, tmp_path: Path) -> None:
        mask = saved(tmp_path / "picture 0.png", square())
        assert find_masks(tmp_path, [in_memory(square(), "picture 0")], ["picture 0"]) == [mask]

    def test_beside_the_pictures(self, tmp_path: Path) -> None:
        picture, mask = saved(tmp_path / "1.png", square()), saved(tmp_path / "1_mask.png", square())
        assert find_masks(tmp_path, [picture], ["1.png"]) == [mask]
        mask.unlink()
        with pytest.raises(EdgedenseError, match="called like the pictures"):
            find_masks(tmp_path, [picture], ["1.png"])

    def test_two_are_refused(self, tmp_path: Path) -> None:
        saved(tmp_path / "1.png", square())
        saved(tmp_path / "1_mask.png", square())
        with pytest.raises(EdgedenseError, match=r"one mask for 1.jpg; found .*1.png and .*1_mask.png"):
            find_masks(tmp_path, [Path("1.jpg")], ["1.jpg"])

    def test_no_folder_and_no_mask(self, tmp_path: Path) -> None:
        with pytest.raises(EdgedenseError, match="which is no folder"):
            find_masks(tmp_path / "none", [Path("1.jpg")], ["1.jpg"])
        saved(tmp_path / "2.png", square())
        with pytest.raises(EdgedenseError, match=r"1\.png or .*1_mask\.png"):
            find_masks(tmp_path, [Path("1.jpg")], ["1.jpg"])


class TestRead:
    @pytest.mark.parametrize("own", [(8, 8), (4, 4), (2, 2), (400, 400)])
    def test_of_any_size(self, own: tuple[int, int], tmp_path: Path) -> None:
        path = saved(tmp_path / "m.png", square(*own))
        assert read_mask(path, (8, 8), P).astype(int).tolist() == QUARTER
        assert read_mask(path, (100, 100), P).astype(int).tolist() == QUARTER

    def test_every_kind_of_image_that_is_not_black(self, tmp_path: Path) -> None:
        marked = square()
        blue = np.stack([0 * marked, 0 * marked, marked], axis=2)
        palette = Image.fromarray(marked, "P")
        palette.putpalette([0, 0, 0, 0, 0, 7])
        kinds = {
            "grey.png": Image.fromarray(marked),
            "blue.png": Image.fromarray(blue),
            "bits.png": Image.fromarray(marked).point(lambda level: 255 * level).convert("1"),
            "deep.png": Image.fromarray(marked.astype(np.uint16)),  # level 1 of 65,535
            "palette.png": palette,
            "opaque.png": Image.merge("LA", [Image.fromarray(marked), Image.new("L", (8, 8), 255)]),
        }
        for name, image in kinds.items():
            image.save(tmp_path / name)
            assert read_mask(tmp_path / name, (8, 8), P).astype(int).tolist() == QUARTER, name

    def test_a_jpeg_is_cut_at_half_because_its_compression_leaves_grey(self, tmp_path: Path) -> None:
        path = saved(tmp_path / "m.jpg", 255 * square(40, 40), quality=30)
        with Image.open(path) as image:
            assert np.asarray(image)[24:, 24:].max() == 0
            assert np.asarray(image)[20:24, :20].max() > 0  # grey where nothing is marked
        assert (read_mask(path, (40, 40), Preprocessing(40, 40, "none")) == (square(40, 40) > 0)).all()

    @pytest.mark.parametrize(
        "preprocessing",
        [
            Preprocessing(30, 40, "none", "nearest"),
            Preprocessing(24, 24, "none", "nearest", fit="crop"),
            Preprocessing(24, 24, "none", "nearest", fit="crop", shorter_side=32),
            Preprocessing(24, 24, "none", "nearest", fit="pad"),
            Preprocessing(24, 24, "none", "nearest", steps=(Crop(2, 4, 20, 16), Pad(1, 3, 22, 20, (0, 0, 0)))),
            Preprocessing(
                24, 24, "none", "nearest", fit="pad", steps=(Resample(48, 36, "nearest"), Crop(8, 0, 30, 36))
            ),
        ],
        ids=["stretch", "crop", "shorter side", "pad", "cut and padded", "resized again"],
    )
    def test_it_goes_the_way_of_the_picture(self, preprocessing: Preprocessing, tmp_path: Path) -> None:
        """Of a picture that is its own mask, white on black, both show the same."""
        marked = np.random.default_rng(0).integers(0, 2, (50, 66)).astype(np.uint8)
        path = saved(tmp_path / "m.png", marked)
        expected = prepare(np.repeat(255 * marked[:, :, None], 3, axis=2), preprocessing)[..., 0] > 0
        found = read_mask(path, (50, 66), preprocessing)
        assert found.shape == preprocessing.size
        assert (found == expected).all()
        assert found.any()
        assert not found.all()

    def test_exif_counts_where_it_counts_for_pictures(self, tmp_path: Path) -> None:
        exif = Image.Exif()
        exif[0x0112] = 3  # upside down
        path = saved(tmp_path / "m.png", square(), exif=exif)
        assert read_mask(path, (8, 8), P).astype(int).tolist() == QUARTER
        turned = read_mask(path, (8, 8), replace(P, exif="apply"))
        assert turned.astype(int).tolist() == np.rot90(QUARTER, 2).tolist()

    def test_another_shape_is_refused(self, tmp_path: Path) -> None:
        path = saved(tmp_path / "m.png", square(10, 14))
        with pytest.raises(EdgedenseError, match=r"m\.png of 14x10 pixels for a picture of 100x100"):
            read_mask(path, (100, 100), P)
        assert read_mask(path, (100, 143), P).any()  # 14 / 10 of 100, rounded to whole pixels

    def test_nothing_marked_is_refused(self, tmp_path: Path) -> None:
        path = saved(tmp_path / "m.png", np.zeros((8, 8)))
        with pytest.raises(EdgedenseError, match=r"m\.png, which marks nothing"):
            read_mask(path, (8, 8), P)

    def test_nothing_marked_where_the_network_looks_is_refused(self, tmp_path: Path) -> None:
        marked = np.zeros((8, 16))
        marked[:, :3] = 1
        path = saved(tmp_path / "m.png", marked)
        assert read_mask(path, (8, 16), P).any()
        with pytest.raises(EdgedenseError, match="marks only other parts"):
            read_mask(path, (8, 16), replace(P, fit="crop"))

    def test_what_is_no_image_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "m.png").write_bytes(b"no image")
        with pytest.raises(EdgedenseError, match=r"m\.png"):
            read_mask(tmp_path / "m.png", (8, 8), P)
