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

from edgedense.converters.network.evaluate import evaluate
from edgedense.converters.network.graph import Affine, DenseNet
from edgedense.converters.network.program import lower
from edgedense.converters.recovery import Course, Epoch, RecoverySpec, identity, recover
from edgedense.converters.recovery.loop import BATCH, split
from edgedense.converters.recovery.recover import CHECKPOINT, closer
from edgedense.errors import EdgedenseError
from edgedense.measures import metrics
from tests import networks
from tests.converters.recovery import nets

pytestmark = pytest.mark.slow

pytest.importorskip("tensorflow")

ROOT = Path(__file__).parents[3]
SHORT = RecoverySpec(epochs=1, batch=8, learning_rate=0.01)


def divergence(teacher: DenseNet, network: DenseNet) -> float:
    pixels = networks.pictures(teacher, 32, seed=9)  # others than those of the training
    return float(metrics.kl_divergence(evaluate(lower(teacher), pixels), evaluate(lower(network), pixels)).mean())


def test_a_cut_network_comes_closer_and_zeros_stay() -> None:
    teacher = nets.teacher()
    student, kept = nets.student(teacher)
    kernel = student.blocks[0].layers[1].conv2.kernel
    kernel[np.abs(kernel) < 0.05] = 0.0
    assert 0 < (kernel == 0).mean() < 1
    asked: list[DenseNet] = []

    def stop(network: DenseNet) -> bool:
        asked.append(network)
        return False

    found = recover(student, teacher, kept, nets.pictures(teacher, 64), replace(SHORT, epochs=6), stop=stop)
    assert divergence(teacher, found.network) < 0.7 * divergence(teacher, student)
    assert found.history[-1].loss < found.history[0].loss
    assert [epoch.number for epoch in found.history] == [1, 2, 3, 4, 5, 6]
    assert ((found.network.blocks[0].layers[1].conv2.kernel == 0) == (kernel == 0)).all()
    assert found.history[found.course.best - 1].held < found.course.start
    assert networks.equal(asked[-1], found.network)
    assert lower(found.network).shapes == lower(student).shapes


def test_it_stops_when_it_is_good_enough_and_is_not_done_again(tmp_path: Path) -> None:
    teacher = nets.teacher()
    student, kept = nets.student(teacher)
    pictures, spec = nets.pictures(teacher), replace(SHORT, epochs=5)
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
    student, kept = nets.student(teacher)
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


def test_a_head_that_stays_float_is_not_trained_and_names_the_run(tmp_path: Path) -> None:
    """The norm of its feature map learns, its own weights do not; with another such head it is another run."""
    teacher = networks.with_float_head(nets.teacher())
    kept, pictures = identity(teacher), nets.pictures(teacher)
    student = replace(teacher, head=replace(teacher.head, norm=_moved(teacher.head.norm)))
    found = recover(student, teacher, kept, pictures, SHORT, tmp_path)
    assert found.network.head.float_head == teacher.head.float_head
    assert divergence(teacher, found.network) < divergence(teacher, student)
    assert networks.equal(recover(student, teacher, kept, pictures, SHORT, tmp_path).network, found.network)
    with pytest.raises(EdgedenseError, match="of another run"):
        recover(student, networks.with_float_head(nets.teacher(), seed=2), kept, pictures, SHORT, tmp_path)


def _moved(norm: Affine | None) -> Affine:
    assert norm is not None
    return Affine(norm.scale, norm.shift + 0.3)


def test_it_never_ends_worse_than_it_began(tmp_path: Path) -> None:
    """The teacher itself cannot be improved: what training does to it is thrown away, and nobody is asked about it."""
    teacher = nets.teacher()

    def unasked(network: DenseNet) -> bool:
        raise AssertionError("a worse network was offered")

    found = recover(teacher, teacher, identity(teacher), nets.pictures(teacher), SHORT, tmp_path, unasked)
    assert found.course.best == 0
    assert found.course.start < 1e-4 < found.history[0].held
    assert divergence(teacher, found.network) < 1e-6
    again = recover(teacher, teacher, identity(teacher), nets.pictures(teacher), SHORT, tmp_path, unasked)
    assert networks.equal(again.network, found.network)


def test_the_best_epoch() -> None:
    epochs = tuple(Epoch(number, 0.0, held) for number, held in enumerate((0.5, 0.3, 0.4), start=1))
    assert Course(0.6, epochs).best == 2
    assert Course(0.3, epochs).best == 0  # no gain
    assert Course(0.6).best == 0


def test_held_out_pictures() -> None:
    for count, held in ((31, 31), (32, 8), (79, 8), (100, 10), (5000, 500), (20000, 1000)):
        trained, out = split(count)
        assert len(out) == held
        assert sorted({*trained, *out}) == list(range(count))
        assert len(trained) + len(out) == (count if count > 31 else 62)


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
    student, kept = nets.student(teacher)

    def first(labels: list[int] | None = None, flip: bool = True, seed: int = 0) -> bytes:
        spec = replace(SHORT, flip=flip, seed=seed)
        found = recover(student, teacher, kept, nets.pictures(teacher, 32, labels), spec)
        return found.network.stem.conv.kernel.tobytes()

    plain = first()
    assert first() == plain
    assert first([1] * 32) != plain
    assert first(flip=False) != plain
    assert first(seed=1) != plain


def test_the_closer_network_is_trained() -> None:
    teacher = nets.teacher()
    student, _ = nets.student(teacher)
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
    student, kept = nets.student(teacher)
    broken = replace(student.stem.conv, kernel=student.stem.conv.kernel * 1e30)
    student = replace(student, stem=replace(student.stem, conv=broken))
    with pytest.raises(EdgedenseError, match="training that converges"):
        recover(student, teacher, kept, nets.pictures(teacher), SHORT)
