"""Linear algebra on one thread, and where it must be."""

from __future__ import annotations

from typing import Any

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from edgedense.converters import pipeline
from edgedense.converters.linear_algebra import on_one_thread
from edgedense.searching import worker
from tests.edgedense.searching.made_up import task


def threads() -> int:
    """The most that a library of linear algebra has which is loaded, such as NumPy's."""
    return max(library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas")


@pytest.fixture
def two_threads() -> Any:
    """As on a machine with two cores."""
    with threadpool_limits(2, user_api="blas"):
        yield


@pytest.mark.usefixtures("two_threads")
def test_one_thread_meanwhile() -> None:
    assert threads() == 2
    with on_one_thread():
        assert threads() == 1
    assert threads() == 2


class SeenError(Exception):
    """Ends what is tested where it has been looked at."""


def look(*given: Any) -> None:
    raise SeenError(threads())


@pytest.mark.usefixtures("two_threads")
def test_a_conversion(monkeypatch: pytest.MonkeyPatch) -> None:
    """How many threads there are changes the last digits of what a smaller network is fitted to."""
    monkeypatch.setattr(pipeline, "read", look)
    with pytest.raises(SeenError, match=r"^1$"):
        pipeline.convert("a model", "pictures")


@pytest.mark.usefixtures("two_threads")
def test_a_worker_of_a_search(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """It makes the files that `convert` makes, whatever its share of the cores is."""
    monkeypatch.setattr(worker, "bench", look)
    with pytest.raises(SeenError, match=r"^1$"):
        worker.Work(task(tmp_path))(worker.Look())
