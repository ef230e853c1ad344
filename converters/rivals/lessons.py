"""What rivals learn from: the DenseNet's scores of the pictures, computed once for all of them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgedense.converters.network.evaluate import logits_tensor, traced
from edgedense.converters.network.graph import DenseNet
from edgedense.converters.network.program import Program, lower
from edgedense.converters.recovery.checkpoint import Checkpoint, load, make_folder, save
from edgedense.converters.recovery.distill import ending
from edgedense.converters.recovery.pictures import Pictures
from edgedense.converters.recovery.training import update
from edgedense.progress import progress

BATCH = 64  # pictures that are scored at once
FILE = "teacher.npz"  # in the work folder


@dataclass(frozen=True)
class Lesson:
    """`logits` [2, N, outputs] float32 are the teacher's for the pictures as they are and mirrored; where `mirrored` is
    False, the second half is zero and is not to be used. `activation` makes scores of them. `sha256` names all of it.
    """

    pictures: Pictures
    logits: npt.NDArray[np.float32]
    activation: str
    mirrored: bool
    sha256: str


def lesson(teacher: DenseNet, pictures: Pictures, mirrored: bool = True, work: Path | None = None) -> Lesson:
    """Score every picture, which takes as long as two epochs of looking at them.

    `teacher` is as after fold_norms and fold_constants, on raw pixels. In the folder `work` the scores are kept, and
    found again by whoever needs those of the same network and the same pictures. Raises EdgedenseError where the
    folder holds those of others.
    """
    program = lower(teacher)
    mark = _mark(program, pictures, mirrored)
    path = None if work is None else work / FILE
    if work is not None:
        make_folder(work)
    found = None if path is None else load(path, mark)
    logits = _scored(program, pictures, mirrored) if found is None else found.state[0]
    if path is not None and found is None:
        save(path, mark, Checkpoint((logits,), (), 0.0, (), True))
    return Lesson(pictures, logits, ending(program), mirrored, mark)


def _scored(program: Program, pictures: Pictures, mirrored: bool) -> npt.NDArray[np.float32]:
    name, pixels = logits_tensor(program), pictures.pixels
    score = traced(program, [name], lambda tf, tensor: tensor)
    logits = np.zeros((2, len(pixels), *program.shapes[name]), np.float32)
    with progress("scoring the pictures with the DenseNet", len(pixels)) as tick:
        for start in range(0, len(pixels), BATCH):
            some = np.asarray(pixels[start : start + BATCH])
            logits[0, start : start + BATCH] = score(some)[name].numpy()
            if mirrored:
                logits[1, start : start + BATCH] = score(some[:, :, ::-1])[name].numpy()
            tick(len(some))
    return logits


def _mark(program: Program, pictures: Pictures, mirrored: bool) -> str:
    digest = hashlib.sha256(f"{pictures.sha256}\0{pictures.pixels.shape}\0{mirrored}".encode())
    update(digest, program)
    return digest.hexdigest()
