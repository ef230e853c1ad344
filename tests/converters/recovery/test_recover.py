"""Recovery as a whole: closer to the teacher, the same bytes every time, also after a kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgedense import metrics
from edgedense.converters.evaluate import evaluate
from edgedense.converters.graph import DenseNet
from edgedense.converters.program import lower
from edgedense.converters.recovery import RecoverySpec, recover
from edgedense.converters.recovery.recover import CHECKPOINT, closer
from edgedense.converters.recovery.training import BATCH
from edgedense.errors import EdgedenseError
from tests import networks
from tests.converters.recovery import nets

pytest.importorskip("tensorflow")

ROOT = Path(__file__).parents[3]
SHORT = RecoverySpec(epochs=1, batch=16)


def divergence(teacher: DenseNet, network: DenseNet) -> float:
    pixels = networks.pictures(teacher, 32, seed=9)  # others than those of the training
    return float(metrics.kl_divergence(evaluate(lower(teacher), pixels), evaluate(lower(network), pixels)).mean())


def test_a_cut_network_comes_closer_and_zeros_stay() -> None:
    teacher = nets.teacher()
    student, kept = nets.cut(teacher)
    kernel = student.blocks[0].layers[1].conv2.kernel
    kernel[np.abs(kernel) < 0.05] = 0.0
    assert 0 < (kernel == 0).mean() < 1
    asked: list[DenseNet] = []

    def stop(network: DenseNet) -> bool:
        asked.append(network)
        return False

    found = recover(student, teacher, kept, nets.pictures(teacher, 64), RecoverySpec(epochs=6, batch=8), stop=stop)
    assert divergence(teacher, found.network) < 0.2 * divergence(teacher, student)
    assert found.history[-1].loss < found.history[0].loss
    assert [epoch.number for epoch in found.history] == [1, 2, 3, 4, 5, 6]
    assert ((found.network.blocks[0].layers[1].conv2.kernel == 0) == (kernel == 0)).all()
    assert networks.equal(asked[-1], found.network)
    assert lower(found.network).shapes == lower(student).shapes


def test_it_stops_when_it_is_good_enough_and_is_not_done_again(tmp_path: Path) -> None:
    teacher = nets.teacher()
    student, kept = nets.cut(teacher)
    pictures, spec = nets.pictures(teacher), RecoverySpec(epochs=5, batch=16)
    tmp_path = tmp_path / "work"  # is made
    first = recover(student, teacher, kept, pictures, spec, tmp_path, lambda network: True)
    assert [(epoch.number, epoch.met) for epoch in first.history] == [(1, True)]

    def unasked(network: DenseNet) -> bool:
        raise AssertionError("nothing was left to train")

    again = recover(student, teacher, kept, pictures, spec, tmp_path, unasked)
    assert networks.equal(first.network, again.network)
    assert first.history == again.history


@pytest.mark.parametrize("change", ["epochs", "student", "teacher", "pictures", "labels"])
def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path, change: str) -> None:
    teacher = nets.teacher()
    student, kept = nets.cut(teacher)
    pictures = nets.pictures(teacher)
    recover(student, teacher, kept, pictures, SHORT, tmp_path)
    spec = replace(SHORT, epochs=2) if change == "epochs" else SHORT
    if change == "student":
        conv = student.stem.conv
        student = replace(student, stem=replace(student.stem, conv=replace(conv, kernel=conv.kernel * 1.01)))
    elif change == "teacher":
        dense = teacher.head.steps[1]
        steps = (teacher.head.steps[0], replace(dense, bias=dense.bias + 0.1), *teacher.head.steps[2:])  # type: ignore
        teacher = networks.with_head(teacher, *steps)
    elif change == "pictures":
        pictures = replace(pictures, sha256="another")
    elif change == "labels":
        pictures = replace(pictures, labels=np.zeros(32, np.int64))
    with pytest.raises(EdgedenseError, match="of another run"):
        recover(student, teacher, kept, pictures, spec, tmp_path)
    assert (tmp_path / CHECKPOINT).exists()


def child(work: Path, *arguments: str) -> subprocess.Popen[bytes]:
    work.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "tests.converters.recovery.killed", str(work), *arguments]
    return subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.DEVNULL)


def test_killed_in_the_second_epoch_and_gone_on_with(tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    running = [child(whole), child(killed, "wait")]
    until = time.monotonic() + 300
    while not (killed / "waiting").exists() and running[1].poll() is None and time.monotonic() < until:
        time.sleep(0.1)
    running[1].send_signal(signal.SIGKILL)
    assert running[1].wait() == -signal.SIGKILL
    assert not (killed / "weights").exists()
    assert child(killed).wait(300) == 0
    assert running[0].wait(300) == 0
    assert (killed / "weights").read_bytes() == (whole / "weights").read_bytes()


def test_labels_and_flips_change_the_result() -> None:
    teacher = nets.teacher()
    student, kept = nets.cut(teacher)

    def first(labels: list[int] | None = None, flip: bool = True, seed: int = 0) -> bytes:
        spec = replace(SHORT, flip=flip, seed=seed)
        found = recover(student, teacher, kept, nets.pictures(teacher, 16, labels), spec)
        return found.network.stem.conv.kernel.tobytes()

    plain = first()
    assert first() == plain
    assert first([1] * 16) != plain
    assert first(flip=False) != plain
    assert first(seed=1) != plain


def test_the_closer_network_is_trained() -> None:
    teacher = nets.teacher()
    student, _ = nets.cut(teacher)
    pixels = networks.pictures(teacher, 8)
    assert closer(student, teacher, teacher, pixels) is teacher
    assert closer(teacher, student, teacher, pixels) is teacher


def test_batches_fit_the_pictures() -> None:
    spec = RecoverySpec()
    assert spec.batch_of(1000, 64, 64) == BATCH
    assert 8 <= spec.batch_of(1000, 224, 224) < 32
    assert spec.batch_of(5, 64, 64) == 5
    assert replace(spec, batch=10).batch_of(1000, 64, 64) == 10


def test_training_that_diverges_is_told() -> None:
    teacher = nets.teacher()
    student, kept = nets.cut(teacher)
    broken = replace(student.stem.conv, kernel=student.stem.conv.kernel * 1e30)
    student = replace(student, stem=replace(student.stem, conv=broken))
    with pytest.raises(EdgedenseError, match="training that converges"):
        recover(student, teacher, kept, nets.pictures(teacher), SHORT)
