"""Which channels are kept: everything, or what a cut says, and never something that does not fit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgedense.converters.network.kept import check, identity
from tests.converters.recovery import nets


def test_everything_is_kept() -> None:
    teacher = nets.teacher()
    kept = identity(teacher)
    assert kept.layers["block2/layer1"] == "block2/layer1"
    assert kept.bottlenecks["block2/layer1"].tolist() == [0, 1, 2, 3, 4]
    assert {name: indices.size for name, indices in kept.concats.items()} == {"block1": 14, "block2": 15}
    check(teacher, teacher, kept)


def test_a_cut_fits() -> None:
    student, kept = nets.cut(nets.teacher())
    check(student, nets.teacher(), kept)


def test_what_does_not_fit_is_refused() -> None:
    teacher = nets.teacher()
    student, kept = nets.cut(teacher)
    with pytest.raises(ValueError, match="block1/layer1: 5 bottleneck channels, 4 kept"):
        check(teacher, teacher, kept)
    with pytest.raises(ValueError, match="block2: 11 channels, 2 kept"):
        check(student, teacher, replace(kept, concats={**kept.concats, "block2": np.array([0, 1])}))
    with pytest.raises(ValueError, match="block2: 11 channels"):
        check(student, teacher, replace(kept, concats={**kept.concats, "block2": np.arange(11) + 5}))
