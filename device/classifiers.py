"""`Classifiers`: one deployed file, loaded once for each processor core that is to work on pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from edgedense.device.classifier import Classifier
from edgedense.device.engines.interpreter import default_threads, placed
from edgedense.workers import cores, in_order

Item = TypeVar("Item")
Result = TypeVar("Result")


class Classifiers:
    """`Classifier`s of one file that work on different pictures at the same time. Use it as a context manager.

    The layers of a DenseNet are small: two threads on one picture wait for each other most of the time, while two
    pictures on one thread each keep two cores busy. The scores are the same to the bit.

    `threads` is how many cores to use, by default all. There is one classifier for each core. Where `pictures`, how
    many there will be, is less than that, there is one for each picture, with several threads, by default at most four.
    An Edge TPU does one picture at a time, and OpenVINO loads a file for seconds, so there is one classifier for them,
    with all the threads. Every one more takes memory for its
    weights and its widest layers: 16 MiB for a DenseNet121 at 224x224. `thresholds` are those of `Rule` where
    they decide, and else there are none, and `truth` is that of `Rule`. Raises what `Classifier` raises.
    """

    def __init__(
        self,
        path: Path | str,
        pictures: int | None = None,
        device: str = "cpu",
        threads: int | None = None,
        labels: tuple[str, ...] | None = None,
    ) -> None:
        path, device, remark = placed(Path(path), device, threads)
        total = cores() if threads is None else threads
        count = max(1, total if pictures is None else min(total, pictures)) if device == "cpu" else 1
        share = total // count
        first = Classifier(path, device, min(share, default_threads()) if threads is None else share, labels)
        if remark:
            first.notes.insert(0, remark)
        others = (first.twin() for _ in range(count - 1))
        self.each = (first, *others)
        self.labels, self.preprocessing, self.notes = first.labels, first.preprocessing, first.notes
        rule = first.rule()
        self.truth = rule.truth
        self.thresholds = rule.thresholds if rule.kind in ("each", "pair") else ()

    def map(self, work: Callable[[Classifier, Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """`work(classifier, item)` for each of `items`, in their order, as `edgedense.workers.in_order` does it."""
        return in_order(items, [partial(work, classifier) for classifier in self.each])

    def close(self) -> None:
        """Free the interpreters' memory."""
        for classifier in self.each:
            classifier.close()

    def __enter__(self) -> Classifiers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
