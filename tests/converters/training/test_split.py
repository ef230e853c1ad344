"""No group on both sides, every class in its share, the same split for the same seed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgedense.converters.training import split
from edgedense.converters.training.split import named_groups
from edgedense.errors import EdgedenseError

NAMES = ("a", "b", "c")


def held_out(labels: np.ndarray, groups: np.ndarray, share: float, seed: int) -> np.ndarray:
    return split.held_out(labels, groups, share, seed, NAMES)


@pytest.fixture(params=range(5))
def crowd(request: pytest.FixtureRequest) -> tuple[np.ndarray, np.ndarray]:
    """Labels and groups of 600 pictures: three classes of 10, 30 and 60 %, groups of 1 to about 8."""
    random = np.random.default_rng(request.param)
    labels = random.choice(3, 600, p=(0.1, 0.3, 0.6))
    return labels, labels * 1000 + random.integers(0, 60, 600)


def test_a_group_is_on_one_side(crowd: tuple[np.ndarray, np.ndarray]) -> None:
    labels, groups = crowd
    held = held_out(labels, groups, 0.2, 0)
    assert not set(groups[held]) & set(groups[~held])


def test_every_class_keeps_its_share(crowd: tuple[np.ndarray, np.ndarray]) -> None:
    labels, groups = crowd
    held = held_out(labels, groups, 0.2, 0)
    for label in range(3):
        largest = np.bincount(groups[labels == label]).max()  # a share can be missed by one group
        assert abs(held[labels == label].sum() - 0.2 * np.sum(labels == label)) <= largest


def test_single_pictures_are_split_exactly() -> None:
    labels = np.repeat([0, 1], (100, 40))
    held = held_out(labels, np.arange(140), 0.15, 3)
    assert [held[labels == label].sum() for label in (0, 1)] == [15, 6]


def test_the_seed_decides() -> None:
    labels, groups = np.repeat([0, 1], 50), np.arange(100)
    assert (held_out(labels, groups, 0.2, 1) == held_out(labels, groups, 0.2, 1)).all()
    assert (held_out(labels, groups, 0.2, 1) != held_out(labels, groups, 0.2, 2)).any()


def test_large_groups_are_not_preferred() -> None:
    """Half of the pictures are in pairs: about half of those held out should be, over many seeds."""
    groups = np.concatenate([np.repeat(np.arange(50), 2), np.arange(100, 200)])
    shares = [held_out(np.zeros(200, int), groups, 0.2, seed)[:100].sum() / 40 for seed in range(40)]
    assert abs(np.mean(shares) - 0.5) < 0.06  # five standard errors of a share of 40 pictures, 40 times


def test_a_group_of_two_classes_stays_whole() -> None:
    labels, groups = np.tile([0, 1], 20), np.repeat(np.arange(20), 2)
    held = held_out(labels, groups, 0.25, 0)
    assert (held[::2] == held[1::2]).all()
    assert held.sum() == 10


def test_a_rare_class_is_on_both_sides() -> None:
    labels = np.repeat([0, 1], (100, 2))
    held = held_out(labels, np.arange(102), 0.05, 0)
    assert held[100:].sum() == 1


def test_a_class_that_is_one_group_is_refused() -> None:
    labels, groups = np.repeat([0, 1], 10), np.concatenate([np.arange(10), np.full(10, 99)])
    with pytest.raises(EdgedenseError, match=r"10 pictures of b, in 1 groups"):
        held_out(labels, groups, 0.2, 0)


class TestSeveral:
    """Pictures that show any number of three findings, one of them rare, of patients with one to about eight each."""

    @pytest.fixture(params=range(5))
    def crowd(self, request: pytest.FixtureRequest) -> tuple[np.ndarray, np.ndarray]:
        random = np.random.default_rng(request.param)
        labels = (random.random((600, 3)) < (0.02, 0.2, 0.5)).astype(float)
        labels[random.random((600, 3)) < 0.1] = np.nan
        return labels, random.integers(0, 150, 600)

    def test_a_patient_is_on_one_side(self, crowd: tuple[np.ndarray, np.ndarray]) -> None:
        labels, patients = crowd
        held = held_out(labels, patients, 0.2, 0)
        assert not set(patients[held]) & set(patients[~held])

    def test_each_finding_keeps_its_share(self, crowd: tuple[np.ndarray, np.ndarray]) -> None:
        labels, patients = crowd
        held = held_out(labels, patients, 0.2, 0)
        for shown in (*(labels == 1).T, *(labels == 0).T):
            # A share can be missed by one patient of eight pictures, and more findings pull in other directions: on
            # forty such crowds by at most 6 % of the pictures that are not few.
            assert abs(held[shown].sum() - 0.2 * shown.sum()) <= max(0.06 * shown.sum(), 2)
            assert 0 < held[shown].sum() < shown.sum()

    def test_two_pictures_with_a_finding_are_parted(self) -> None:
        labels = np.zeros((100, 3))
        labels[:2, 0] = labels[::2, 1] = labels[::3, 2] = 1
        for seed in range(5):
            assert held_out(labels, np.arange(100), 0.1, seed)[:2].sum() == 1

    def test_what_nobody_knows_counts_on_no_side(self) -> None:
        labels = np.tile([[1.0, 0.0, 0.0], [0.0, 1.0, 1.0]], (50, 1))
        labels[20:, 0] = np.nan
        held = held_out(labels, np.arange(100), 0.2, 0)
        assert held[:20].sum() == 4  # of the twenty whose first finding is known
        assert held.sum() == 20

    def test_a_finding_of_one_patient_is_refused(self) -> None:
        labels = np.zeros((20, 3))
        labels[:10, 1] = labels[::2, 0] = labels[::2, 2] = 1
        with pytest.raises(EdgedenseError, match=r"10 pictures with b, in 1 groups"):
            held_out(labels, np.concatenate([np.zeros(10, int), np.arange(1, 11)]), 0.2, 0)


class TestNamedGroups:
    NAMES = ("ill/person1_virus_6.jpeg", "ill/person1_virus_7.jpeg", "well/IM-0003-0001.jpeg")

    def test_the_bracket_names_the_group(self) -> None:
        assert named_groups(self.NAMES, r"(person\d+|IM-\d+)") == ["person1", "person1", "IM-0003"]

    def test_without_a_bracket_all_of_the_match(self) -> None:
        assert named_groups(self.NAMES, r"^[a-zA-Z]+-?\d+") == ["person1", "person1", "IM-0003"]

    def test_the_folder_is_no_part_of_the_file_name(self) -> None:
        with pytest.raises(EdgedenseError, match="none for 3 of 3"):
            named_groups(self.NAMES, "ill|well")

    def test_a_picture_without_a_group_is_refused_by_name(self) -> None:
        with pytest.raises(EdgedenseError, match=r"none for 1 of 3, such as well/IM-0003-0001.jpeg"):
            named_groups(self.NAMES, r"(person\d+)")

    def test_no_expression(self) -> None:
        with pytest.raises(EdgedenseError, match="regular expression"):
            named_groups(self.NAMES, "(")

    def test_a_table(self, tmp_path: Path) -> None:
        table = tmp_path / "patients.csv"
        table.write_text("file,group\nill/person1_virus_6.jpeg,A\nperson1_virus_7.jpeg,A\nIM-0003-0001.jpeg,B\n")
        assert named_groups(self.NAMES, str(table)) == ["A", "A", "B"]

    def test_a_table_without_the_columns(self, tmp_path: Path) -> None:
        table = tmp_path / "patients.csv"
        table.write_text("name,patient\na,b\n")
        with pytest.raises(EdgedenseError, match="name, patient"):
            named_groups(self.NAMES, str(table))

    def test_a_table_that_is_missing(self, tmp_path: Path) -> None:
        with pytest.raises(EdgedenseError, match=r"patients\.csv"):
            named_groups(self.NAMES, str(tmp_path / "patients.csv"))
