"""Which pictures are found, and that no picture is on two sides."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgedense.converters.training import dataset, layout
from edgedense.errors import EdgedenseError
from edgedense.images.preprocessing import Preprocessing, load_image
from edgedense.images.tables import Table
from tests.converters.training.conftest import fill_classes, fill_findings
from tests.pictures import opened


def prepare(folder: Path, work: Path, **options: object) -> dataset.Data:
    work.mkdir(exist_ok=True)
    given = {"share": 0.25, "group_by": None, "seed": 0, **options}
    return dataset.prepare(layout.of_folder(folder), 32, work, tick=lambda n: None, **given)  # type: ignore[arg-type]


def shown(side: dataset.Side) -> set[bytes]:
    return {side.pixels[row].tobytes() for row in side.rows}


class TestPixels:
    def test_they_are_what_the_deployed_model_sees(self, data: Path, tmp_path: Path) -> None:
        paths = layout.of_folder(data).train.paths
        pixels, _ = dataset.read_pixels(paths, 32, tmp_path, lambda n: None)
        assert (pixels[3] == load_image(paths[3], Preprocessing(32, 32, "none"))).all()

    def test_twelve_of_sixteen_bits_are_found_out(
        self, data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        paths = layout.of_folder(data).train.paths
        _, fingerprint = dataset.read_pixels(paths, 32, tmp_path, lambda n: None)
        Image.fromarray(np.full((50, 50), 4095, np.uint16)).save(paths[0])
        pixels, other = dataset.read_pixels(paths, 32, tmp_path, lambda n: None)
        assert (pixels[0] == 255).all()
        assert other != fingerprint
        assert "use 12" in caplog.text

    def test_they_are_read_once(self, data: Path, tmp_path: Path) -> None:
        paths = layout.of_folder(data).train.paths
        first, _ = dataset.read_pixels(paths, 32, tmp_path, lambda n: None)
        stamp = paths[0].stat()
        paths[0].write_bytes(b"x" * stamp.st_size)
        import os

        os.utime(paths[0], ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
        again, _ = dataset.read_pixels(paths, 32, tmp_path, lambda n: None)
        assert (again == first).all()

    def test_a_changed_picture_or_size_is_read_again(self, data: Path, tmp_path: Path) -> None:
        paths = layout.of_folder(data).train.paths
        before, fingerprint = dataset.read_pixels(paths, 32, tmp_path, lambda n: None)
        Image.new("RGB", (50, 50), "red").save(paths[0])
        after, other = dataset.read_pixels(paths, 32, tmp_path, lambda n: None)
        assert other != fingerprint
        assert (after[0] != before[0]).any()
        assert dataset.read_pixels(paths, 40, tmp_path, lambda n: None)[0].shape == (24, 40, 40, 3)

    def test_a_broken_picture_is_named(self, data: Path, tmp_path: Path) -> None:
        broken = data / "c0" / "p0_0.png"
        broken.write_bytes(b"no picture")
        with pytest.raises(EdgedenseError, match=r"p0_0\.png"):
            dataset.read_pixels(layout.of_folder(data).train.paths, 32, tmp_path, lambda n: None)


class TestPrepare:
    def test_a_share_validates_and_nothing_tests(self, data: Path, tmp_path: Path) -> None:
        found = prepare(data, tmp_path / "work")
        assert (len(found.train), len(found.validation), found.test) == (18, 6, None)
        assert found.validation.labels.tolist().count(0) == 3
        assert not shown(found.train) & shown(found.validation)
        assert found.notes == ()

    def test_folders_decide_where_there_are_some(self, parts: Path, tmp_path: Path) -> None:
        fill_classes(parts / "val", count=3, seed=3)
        found = prepare(parts, tmp_path / "work")
        assert found.test is not None
        assert (len(found.train), len(found.validation), len(found.test)) == (24, 6, 8)

    def test_without_val_a_part_of_train_validates_and_not_of_test(self, parts: Path, tmp_path: Path) -> None:
        found = prepare(parts, tmp_path / "work")
        assert found.test is not None
        assert (len(found.train), len(found.validation), len(found.test)) == (18, 6, 8)

    def test_duplicates_stay_on_one_side(self, data: Path, tmp_path: Path) -> None:
        for number in range(0, 12, 2):  # half of them again, as a JPEG
            opened(data / "c0" / f"p{number // 2}_{number}.png").resize((60, 54)).save(
                data / "c0" / f"again{number}.jpg", quality=90
            )
        for seed in range(4):
            found = prepare(data, tmp_path / "work", seed=seed)
            same = dataset.same_pictures(found.train.pixels)
            assert not set(same[found.train.rows]) & set(same[found.validation.rows])
        assert found.notes == ("12 pictures show the same as another, 6 different ones: they stay on one side",)

    def test_pictures_in_two_classes_are_told(self, data: Path, tmp_path: Path) -> None:
        shutil.copy(data / "c0" / "p0_0.png", data / "c1" / "copy.png")
        assert "1 pictures lie in two classes" in prepare(data, tmp_path / "work").notes

    def test_training_pictures_that_are_tested_on_are_left_out(self, parts: Path, tmp_path: Path) -> None:
        shutil.copy(parts / "test" / "c0" / "p0_0.png", parts / "train" / "c0" / "leak.png")
        found = prepare(parts, tmp_path / "work")
        assert found.test is not None
        assert len(found.train) + len(found.validation) == 24
        assert not shown(found.test) & (shown(found.train) | shown(found.validation))
        assert "1 training pictures are also on another side and are left out" in found.notes

    def test_a_patients_pictures_stay_together(self, data: Path, tmp_path: Path) -> None:
        found = prepare(data, tmp_path / "work", group_by=r"(p\d+)_")
        paths = layout.of_folder(data).train.paths
        train, validation = (
            {paths[row].name.split("_")[0] for row in side.rows} for side in (found.train, found.validation)
        )
        assert not train & validation
        assert len(found.validation) == 4  # a patient has two pictures of each class; three would not be whole

    def test_patients_on_both_sides_of_given_folders_are_told(self, parts: Path, tmp_path: Path) -> None:
        found = prepare(parts, tmp_path / "work", group_by=r"(p\d+)_")
        assert any("2 groups of train are also on another side" in note for note in found.notes)

    def test_the_fingerprint_stands_for_the_split(self, data: Path, tmp_path: Path) -> None:
        first, again, other = (prepare(data, tmp_path / "work", seed=seed).fingerprint for seed in (0, 0, 1))
        assert first == again != other

    def test_a_class_that_is_all_in_test_is_refused(self, parts: Path, tmp_path: Path) -> None:
        shutil.rmtree(parts / "train" / "c1")
        shutil.copytree(parts / "test" / "c1", parts / "train" / "c1")
        with pytest.raises(EdgedenseError, match="training pictures with c1; found none"):
            prepare(parts, tmp_path / "work")


class TestSeveral:
    """A table of findings, with patients and the splits train and test."""

    @pytest.fixture
    def table(self, tmp_path: Path) -> Path:
        return fill_findings(tmp_path / "table")

    def prepare(self, table: Path, work: Path) -> dataset.Data:
        work.mkdir(exist_ok=True)
        found = layout.of_table(Table(table), True)
        return dataset.prepare(found, 32, work, share=0.25, group_by=None, seed=0, tick=lambda n: None)

    def test_a_patients_pictures_stay_together(self, table: Path, tmp_path: Path) -> None:
        found = self.prepare(table, tmp_path / "work")
        assert found.test is not None
        assert len(found.train) + len(found.validation) == 18
        assert len(found.test) == 6
        train, validation, test = (set(side.patients) for side in (found.train, found.validation, found.test))
        assert not train & validation
        assert test == {"p9", "p10", "p11"}
        assert len(found.validation) == 2 * len(validation)

    def test_labels_follow_their_pictures(self, table: Path, tmp_path: Path) -> None:
        found = self.prepare(table, tmp_path / "work")
        rows = np.array([[n % 2, np.nan if n % 8 == 7 else n // 2 % 2] for n in range(24)])
        for side in (found.train, found.validation):
            np.testing.assert_array_equal(side.labels, rows[side.rows])

    def test_patients_on_two_sides_are_told(self, table: Path, tmp_path: Path) -> None:
        table.write_text(table.read_text().replace(",p11,", ",p0,"))
        note = "1 groups of train are also on another side: if they are the same patients, the figures flatter"
        assert note in self.prepare(table, tmp_path / "work").notes

    def test_what_the_table_leaves_open_is_told(self, table: Path, tmp_path: Path) -> None:
        assert any("3 blank cells" in note for note in self.prepare(table, tmp_path / "work").notes)

    def test_one_picture_with_two_kinds_of_labels_is_told(self, table: Path, tmp_path: Path) -> None:
        shutil.copy(table.parent / "1.png", table.parent / "2.png")
        assert "1 pictures have different labels" in self.prepare(table, tmp_path / "work").notes

    def test_the_fingerprint_stands_for_the_labels(self, table: Path, tmp_path: Path) -> None:
        first, again = (self.prepare(table, tmp_path / "work").fingerprint for _ in range(2))
        table.write_text(table.read_text().replace("3.png,1,1,", "3.png,1,0,"))
        assert first == again != self.prepare(table, tmp_path / "work").fingerprint


def test_equal_pictures_are_one_group() -> None:
    assert np.array_equal(dataset.same_pictures(np.zeros((3, 32, 32, 3), np.uint8)), [0, 0, 0])
