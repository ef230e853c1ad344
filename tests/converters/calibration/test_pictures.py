"""The calibration set: read once, checked, spread evenly, named by a hash."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgedense.converters.calibration.pictures import CalibrationSet, neighbour_correlation, read_calibration
from edgedense.errors import EdgedenseError
from edgedense.images.preprocessing import Preprocessing, load_image
from edgedense.images.tables import Table
from tests.pictures import fill, opened

SIZE = Preprocessing(16, 20, "none")


def noted(found: CalibrationSet, *words: str) -> None:
    """One of the notes holds all `words`."""
    assert any(all(word in note for word in words) for note in found.notes), found.notes


def one_colour(path: Path, level: int) -> None:
    Image.new("RGB", (30, 20), (level, level, level)).save(path)


def test_pictures_as_the_model_sees_them(pictures: Path) -> None:
    ticks: list[int] = []
    found = read_calibration(pictures, SIZE, tick=ticks.append)
    assert found.pixels.shape == (24, 16, 20, 3)
    assert found.pixels.dtype == np.uint8
    assert found.paths == tuple(sorted(pictures.iterdir()))
    assert np.array_equal(found.pixels[5], load_image(found.paths[5], SIZE))
    assert (found.labels, found.names) == (None, ())
    assert sum(ticks) == 24
    noted(found, "only 24 pictures")


def test_class_folders_give_labels_and_coverage(tmp_path: Path) -> None:
    fill(tmp_path / "cat", 2)
    fill(tmp_path / "dog", 3, seed=1)
    (tmp_path / "emu").mkdir()
    (tmp_path / ".cache").mkdir()
    found = read_calibration(tmp_path, SIZE)
    assert found.names == ("cat", "dog", "emu")
    assert found.labels is not None
    assert found.labels.tolist() == [0, 0, 1, 1, 1]
    noted(found, "no pictures of 1 of 3 classes", "emu")


def test_pictures_beside_class_folders_are_left_out_and_told(tmp_path: Path) -> None:
    fill(tmp_path / "cat", 2)
    fill(tmp_path, 3, seed=1)
    found = read_calibration(tmp_path, SIZE)
    assert len(found.paths) == 2
    noted(found, "3 pictures beside the class folders were left out")


class TestWhatIsReported:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        return fill(tmp_path / "pictures", 6)

    def test_nothing_when_nothing_is_wrong(self, tmp_path: Path) -> None:
        assert read_calibration(fill(tmp_path, 50), SIZE).notes == ()

    def test_corrupt_files_are_left_out(self, folder: Path) -> None:
        whole = (folder / "000.png").read_bytes()
        (folder / "broken.png").write_bytes(whole[: len(whole) // 2])
        (folder / "text.jpg").write_text("no picture")
        found = read_calibration(folder, SIZE)
        assert len(found.pixels) == len(found.paths) == 6
        noted(found, "2 of 8 files could not be read", "broken.png", "text.jpg")

    def test_files_that_cannot_be_opened(self, folder: Path) -> None:
        (folder / "gone.png").symlink_to(folder / "nowhere")
        found = read_calibration(folder, SIZE)
        assert len(found.pixels) == 6
        noted(found, "gone.png", "No such file")

    def test_duplicates(self, folder: Path) -> None:
        shutil.copy(folder / "000.png", folder / "again.png")
        noted(read_calibration(folder, SIZE), "1 pictures are duplicates", "again.png")

    def test_single_colours_and_darkness(self, folder: Path) -> None:
        one_colour(folder / "grey.png", 128)
        dark = np.random.default_rng(0).integers(0, 9, (20, 20, 3)).astype(np.uint8)
        Image.fromarray(dark).save(folder / "night.png")
        found = read_calibration(folder, SIZE)
        assert len(found.pixels) == 8  # they are told, not left out
        noted(found, "1 pictures are of a single colour", "grey.png")
        noted(found, "1 pictures are almost black", "night.png")

    def test_long_lists_are_cut(self, folder: Path) -> None:
        for i in range(5):
            one_colour(folder / f"grey{i}.png", 100 + i)
        noted(read_calibration(folder, SIZE), "grey0.png, grey1.png, grey2.png and 2 more")


class TestRefusals:
    def refused(self, folder: Path | str, *words: str) -> None:
        with pytest.raises(EdgedenseError) as caught:
            read_calibration(folder, SIZE)
        for word in words:
            assert word in str(caught.value)

    def test_no_folder(self, tmp_path: Path) -> None:
        self.refused(tmp_path / "missing", "missing", "no folder")
        (tmp_path / "file.png").write_bytes(b"")
        self.refused(tmp_path / "file.png", "no folder")

    def test_an_empty_one(self, tmp_path: Path) -> None:
        self.refused(tmp_path, "none")
        (tmp_path / "class").mkdir()
        self.refused(tmp_path, "no image")

    def test_nothing_that_can_be_decoded(self, tmp_path: Path) -> None:
        (tmp_path / "a.png").write_text("text")
        self.refused(tmp_path, "can be decoded", "a.png")

    def test_noise(self, tmp_path: Path) -> None:
        random = np.random.default_rng(0)
        for i in range(5):
            Image.fromarray(random.integers(0, 256, (16, 20, 3)).astype(np.uint8)).save(tmp_path / f"{i}.png")
        self.refused(tmp_path, "random noise")

    def test_single_colours_only(self, tmp_path: Path) -> None:
        for i in range(5):
            one_colour(tmp_path / f"{i}.png", 40 * i)
        self.refused(tmp_path, "single-coloured")

    def test_copies_of_one_picture(self, tmp_path: Path) -> None:
        fill(tmp_path, 1)
        for i in range(1, 4):
            shutil.copy(tmp_path / "000.png", tmp_path / f"{i}.png")
        self.refused(tmp_path, "4 copies of one")

    def test_one_picture_is_enough_to_go_on(self, tmp_path: Path) -> None:
        assert len(read_calibration(fill(tmp_path, 1), SIZE).pixels) == 1

    def test_some_noise_among_pictures_is_let_through(self, tmp_path: Path) -> None:
        fill(tmp_path, 5)
        noise = np.random.default_rng(0).integers(0, 256, (16, 20, 3)).astype(np.uint8)
        Image.fromarray(noise).save(tmp_path / "noise.png")
        assert len(read_calibration(tmp_path, SIZE).pixels) == 6


class TestLimit:
    def test_spread_evenly_over_a_folder(self, tmp_path: Path) -> None:
        found = read_calibration(fill(tmp_path, 13), SIZE, limit=4)
        assert [path.stem for path in found.paths] == ["000", "004", "008", "012"]

    def test_as_evenly_over_classes_as_they_allow(self, tmp_path: Path) -> None:
        for name, count in (("few", 2), ("many", 20), ("more", 30)):
            fill(tmp_path / name, count, seed=count)
        found = read_calibration(tmp_path, SIZE, limit=10)
        assert found.labels is not None
        assert np.bincount(found.labels).tolist() == [2, 4, 4]
        assert found.paths[-1].stem == "029"  # from all of the class, not its first pictures

    def test_fewer_than_classes(self, tmp_path: Path) -> None:
        for name in "abc":
            fill(tmp_path / name, 2, seed=ord(name))
        found = read_calibration(tmp_path, SIZE, limit=2)
        assert found.labels is not None
        assert found.labels.tolist() == [0, 1]
        noted(found, "no pictures of 1 of 3 classes: c")


class TestManifest:
    def hashed(self, folder: Path) -> str:
        return read_calibration(folder, SIZE).sha256

    def test_the_place_does_not_matter(self, tmp_path: Path) -> None:
        first = fill(tmp_path / "here" / "pictures", 4)
        shutil.copytree(first, tmp_path / "there")
        assert self.hashed(first) == self.hashed(tmp_path / "there")

    def test_names_and_content_do(self, tmp_path: Path) -> None:
        first = fill(tmp_path / "first", 4)
        before = self.hashed(first)
        (first / "000.png").rename(first / "zero.png")
        renamed = self.hashed(first)
        (first / "zero.png").rename(first / "000.png")
        assert self.hashed(first) == before
        opened(first / "000.png").rotate(180).save(first / "000.png")
        assert len({before, renamed, self.hashed(first)}) == 3

    def test_so_does_the_class(self, tmp_path: Path) -> None:
        fill(tmp_path / "a", 3)
        fill(tmp_path / "b", 3, seed=1)
        before = self.hashed(tmp_path)
        (tmp_path / "a" / "000.png").rename(tmp_path / "b" / "zero.png")
        assert self.hashed(tmp_path) != before

    def test_corrupt_files_do_not_count(self, tmp_path: Path) -> None:
        folder = fill(tmp_path, 3)
        before = self.hashed(folder)
        (folder / "broken.png").write_text("")
        assert self.hashed(folder) == before


def test_correlation_of_neighbours() -> None:
    """1 for a ramp and for one colour, -1 for stripes, about 0 for noise."""
    ramp = np.broadcast_to(np.arange(0, 64, 2, dtype=np.uint8)[:, None], (8, 32, 3))
    stripes = np.broadcast_to((np.arange(32, dtype=np.uint8) % 2 * 200)[:, None], (8, 32, 3))
    noise = np.random.default_rng(0).integers(0, 256, (8, 32, 3))
    found = neighbour_correlation(np.stack([ramp, np.full((8, 32, 3), 7), stripes, noise]).astype(np.uint8))
    assert found[:3] == pytest.approx([1, 1, -1])
    assert abs(found[3]) < 0.2  # 248 pairs: 1 / sqrt(248) is 0.06


def test_a_table_names_classes_where_each_row_has_one_label(tmp_path: Path) -> None:
    """The same pictures as in folders, in the same order, are the same calibration set."""
    for number, name in enumerate(("cat", "dog")):
        fill(tmp_path / "pictures" / name, 3, seed=number)
    rows = [f"{name}/{i:03}.png,{name},train\n" for name in ("cat", "dog") for i in range(3)]
    table = tmp_path / "labels.csv"
    table.write_text("file,label,split\n" + "".join(rows) + "cat/none.png,cat,test\n")
    found = read_calibration(Table(table, tmp_path / "pictures"), SIZE)
    in_folders = read_calibration(tmp_path / "pictures", SIZE)
    assert found.sha256 == in_folders.sha256
    assert (found.names, found.notes[-1]) == (
        ("cat", "dog"),
        "labels.csv: 6 of 7 rows are taken, those of the split train",
    )
    assert found.labels is not None
    assert found.labels.tolist() == [0] * 3 + [1] * 3
    assert np.bincount(read_calibration(Table(table, tmp_path / "pictures"), SIZE, 2).labels).tolist() == [1, 1]


def test_a_table_of_several_findings_is_spread_over_its_rows(tmp_path: Path) -> None:
    fill(tmp_path, 5)
    table = tmp_path / "labels.csv"
    table.write_text("file,label\n" + "".join(f"{i:03}.png,{'cat|dog' if i < 2 else 'No Finding'}\n" for i in range(5)))
    found = read_calibration(str(table), SIZE, 3)
    assert (found.labels, found.names) == (None, ())
    assert [path.name for path in found.paths] == ["000.png", "002.png", "004.png"]
