"""How many threads TensorFlow takes for a batch: on that the last digits of a trained model's scores depend."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from edgedense.scoring.options import Scale

_THREADS = "TF_NUM_INTRAOP_THREADS"


@contextmanager
def one_thread_a_batch() -> Iterator[None]:
    """A trained model that is opened meanwhile scores each batch on one thread, and several threads have a batch each.

    How TensorFlow cuts a batch among threads changes the last digits, so that else they would depend on the number of
    cores. It reads this when it is first used, and then stays so. A program that has used it before is left alone.
    """
    before = os.environ.get(_THREADS)
    os.environ[_THREADS] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_THREADS]
        else:
            os.environ[_THREADS] = before


def threads_a_batch(scale: Scale) -> str:
    """How many threads score a batch of a trained model, as far as edgedense says that."""
    is_elsewhere = scale.ray is not None or (scale.processes or 1) > 1
    return "1" if is_elsewhere else os.environ.get(_THREADS, "as TensorFlow decides")
