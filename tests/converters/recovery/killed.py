"""Recovers a small network in the folder argv[1] and writes its weights; "wait" hangs where the second epoch ends."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

from edgedense.converters.network.graph import DenseNet
from edgedense.converters.network.program import lower
from edgedense.converters.recovery import RecoverySpec, recover
from tests.converters.recovery import nets


def main(work: Path, wait: bool) -> None:
    teacher = nets.teacher()
    student, kept = nets.student(teacher)
    asked: list[int] = []

    def stop(network: DenseNet) -> bool:
        asked.append(1)
        if wait and len(asked) == 2:
            (work / "waiting").touch()
            time.sleep(600)
        return False

    spec = RecoverySpec(epochs=3, batch=8, learning_rate=0.01)
    found = recover(student, teacher, kept, nets.pictures(teacher), spec, work, stop)
    weights = [array for op in lower(found.network).ops if op.kernel is not None for array in op.weights]
    (work / "weights").write_bytes(b"".join(np.ascontiguousarray(array).tobytes() for array in weights))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:] == ["wait"])
