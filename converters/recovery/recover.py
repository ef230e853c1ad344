"""`recover()`: a pruned network is trained until it computes what the unpruned one does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgedense.converters.network.evaluate import evaluate, logits_tensor
from edgedense.converters.network.graph import DenseNet
from edgedense.converters.network.kept import Kept, check
from edgedense.converters.network.program import lower
from edgedense.converters.network.weights import with_weights
from edgedense.converters.recovery.checkpoint import Epoch
from edgedense.converters.recovery.distill import Objective, ending, features, score_loss
from edgedense.converters.recovery.loop import Course, RecoverySpec
from edgedense.converters.recovery.norms import estimating, match_norms, moments
from edgedense.converters.recovery.pictures import Pictures
from edgedense.converters.recovery.trainable import Trainable
from edgedense.converters.recovery.training import train
from edgedense.images.preprocessing import Pixels

CHECKPOINT = "recovery.npz"  # in the work folder


@dataclass(frozen=True)
class Recovered:
    """The student with its new weights, whose scores are never further from the teacher's on pictures held out of the
    training than they were before, and what training gave."""

    network: DenseNet
    course: Course

    @property
    def history(self) -> tuple[Epoch, ...]:
        """Each epoch."""
        return self.course.history


def recover(
    student: DenseNet,
    teacher: DenseNet,
    kept: Kept,
    pictures: Pictures,
    spec: RecoverySpec | None = None,
    work: Path | None = None,
    stop: Callable[[DenseNet], bool] | None = None,
) -> Recovered:
    """Match the norms' statistics to the teacher's, where that brings the scores closer to them, then distil.

    Both networks are as after fold_norms and fold_constants, on raw pixels of one size. `kept` says which channels of
    the teacher the student has. The weights of the epoch with the closest scores on held-out pictures are kept, or
    those before the first. `stop(network)` is asked after an epoch that is the best so far whether it is good enough.
    Shapes, and what is exactly zero in a kernel, stay. Raises EdgedenseError for a checkpoint in `work` of another run.
    """
    check(student, teacher, kept)
    spec = spec or RecoverySpec()
    some = estimating(pictures.pixels)
    student = closer(student, match_norms(student, teacher, kept, some), teacher, some)
    program, reference = lower(student), lower(teacher)
    spreads = {name: found.variance**0.5 for name, found in moments(program, some).items()}
    model = Trainable(program, spreads)

    def met() -> bool:
        return stop is not None and stop(with_weights(student, model.trained_weights()))

    course = train(
        model,
        Objective(program, reference, features(student, kept)),
        pictures,
        spec,
        work / CHECKPOINT if work else None,
        met,
    )
    return Recovered(with_weights(student, model.trained_weights()) if course.best else student, course)


def closer(one: DenseNet, other: DenseNet, teacher: DenseNet, pixels: Pixels) -> DenseNet:
    """Whichever of two networks scores more like the teacher: a network whose layers were already fitted to the
    teacher's has outputs of less variance for a reason, and gains nothing from having it restored."""
    import tensorflow as tf

    def logits(network: DenseNet) -> np.ndarray:
        program = lower(network)
        return evaluate(program, pixels, output=logits_tensor(program))

    kind, wanted = ending(lower(teacher)), logits(teacher)
    return min((one, other), key=lambda network: float(score_loss(tf, kind, logits(network), wanted)))
