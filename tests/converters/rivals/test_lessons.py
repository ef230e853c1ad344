"""The teacher's scores, of pictures and of their mirror images, computed once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgedense.converters.network.evaluate import evaluate, logits_tensor
from edgedense.converters.network.program import lower
from edgedense.converters.rivals import lessons as module
from edgedense.converters.rivals.lessons import lesson
from edgedense.errors import EdgedenseError
from tests.converters.recovery import nets

pytest.importorskip("tensorflow")


def test_scores_are_the_teachers_and_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    teacher = nets.teacher()
    pictures = nets.pictures(teacher, 5)
    monkeypatch.setattr(module, "BATCH", 2)  # the last one is not full
    found = lesson(teacher, pictures, work=tmp_path / "work")
    program = lower(teacher)
    for logits, pixels in zip(found.logits, (pictures.pixels, pictures.pixels[:, :, ::-1]), strict=True):
        wanted = evaluate(program, pixels, output=logits_tensor(program), dtype="float64")
        assert np.allclose(logits, wanted, rtol=1e-4, atol=1e-4 * np.abs(wanted).max())  # float32
    assert found.activation == "softmax"
    assert found.mirrored

    def unasked(*given: object) -> object:
        raise AssertionError("the scores are there")

    monkeypatch.setattr(module, "_scored", unasked)
    again = lesson(teacher, pictures, work=tmp_path / "work")
    assert np.array_equal(again.logits, found.logits)
    assert again.sha256 == found.sha256
    for other in (replace(pictures, sha256="another hash"), nets.pictures(teacher, 6)):
        with pytest.raises(EdgedenseError, match="of another run"):
            lesson(teacher, other, work=tmp_path / "work")


def test_without_mirroring_half_the_work_is_left_out() -> None:
    teacher = nets.teacher()
    found = lesson(teacher, nets.pictures(teacher, 2), mirrored=False)
    assert not found.logits[1].any()
    assert found.logits[0].any()
    assert not found.mirrored
