"""Linear algebra whose last digits do not depend on how many cores there are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def on_one_thread() -> Iterator[None]:
    """NumPy's linear algebra (BLAS) works on one thread meanwhile.

    How a product is cut among threads changes its last digits, and with them what a smaller network is fitted to: the
    same model and pictures would give other bytes on a machine with more cores.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, user_api="blas"):
        yield
