"""Many pictures at the same time: as many classifiers as cores, the same scores to the bit, the order kept."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgedense.device import Classifier
from edgedense.device import classifier as classifier_module
from edgedense.device import classifiers as module
from edgedense.device.classifiers import Classifiers
from edgedense.device.engines import interpreter
from edgedense.device.engines.interpreter import make_interpreter
from edgedense.device.images import classify_images
from edgedense.errors import EdgedenseError
from edgedense.images.preprocessing import load_image


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """24 cards of random colours; the larger ones come first and take longer."""
    folder, random = tmp_path_factory.mktemp("cards"), np.random.default_rng(0)
    paths = [folder / f"{number:02d}.png" for number in range(24)]
    for number, path in enumerate(paths):
        size = (480, 360) if number % 4 == 0 else (60, 50)
        Image.new("RGB", size, tuple(random.integers(0, 256, 3).tolist())).save(path)
    return paths


@pytest.fixture
def threads_of(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of threads of every interpreter that is made from now on."""
    made: list[int] = []
    runtime = interpreter.find_runtime()

    def watched(**options: object) -> object:
        made.append(int(options["num_threads"]))  # type: ignore[call-overload]
        return runtime.interpreter(**options)

    found = interpreter.Runtime(runtime.name, watched)
    monkeypatch.setattr(interpreter, "find_runtime", lambda: found)
    return made


@pytest.mark.parametrize(
    ("cores", "threads", "pictures", "expected"),
    [
        (3, None, 24, [1, 1, 1]),
        (3, None, None, [1, 1, 1]),
        (3, 2, 24, [1, 1]),
        (2, 5, 24, [1] * 5),
        (8, None, 1, [4]),  # one picture has no other to keep the cores busy
        (8, None, 2, [4, 4]),
        (8, 6, 2, [3, 3]),
        (1, None, 24, [1]),
        (2, None, 0, [2]),
    ],
)
def test_the_cores_are_shared_out_among_the_pictures(
    colours: Path,
    threads_of: list[int],
    monkeypatch: pytest.MonkeyPatch,
    cores: int,
    threads: int | None,
    pictures: int | None,
    expected: list[int],
) -> None:
    for place in (module, interpreter):
        monkeypatch.setattr(place, "cores", lambda: cores)
    with Classifiers(colours, pictures, threads=threads):
        assert threads_of == expected


def test_no_thread_at_all_is_refused(colours: Path) -> None:
    with pytest.raises(EdgedenseError, match="1 thread or more"):
        Classifiers(colours, threads=0)


def test_an_edge_tpu_gets_one_classifier(colours: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "placed", lambda path, device, threads: (path, "coral", None))
    monkeypatch.setattr(classifier_module, "make_interpreter", lambda model, *given: make_interpreter(model))
    with Classifiers(colours, 24, "auto", threads=4) as found:
        assert len(found.each) == 1


def test_remarks_are_made_once(colour_model: Callable[..., bytes], tmp_path: Path) -> None:
    (tmp_path / "bare.tflite").write_bytes(colour_model())
    with Classifiers(tmp_path / "bare.tflite", threads=3) as found:
        assert len(found.notes) == 2
        assert found.labels == ("0", "1", "2")


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_scores_are_those_of_one_classifier_to_the_bit_and_in_order(
    colours: Path, pictures: list[Path], threads: int
) -> None:
    with Classifier(colours, threads=1) as one:
        expected = [one.classify(load_image(path, one.preprocessing)) for path in pictures]
    with Classifiers(colours, threads=threads) as many:
        found = list(many.map(lambda one, path: one.classify(load_image(path, one.preprocessing)), pictures))
    assert np.array_equal(found, expected)


def test_two_classifiers_work_at_the_same_time(colours: Path, pictures: list[Path]) -> None:
    both = threading.Barrier(2)
    with Classifiers(colours, threads=2) as many:
        assert len(list(many.map(lambda one, path: both.wait(timeout=10), pictures))) == 24


def test_results_keep_the_order_and_an_unreadable_image_its_turn(
    colours: Path, pictures: list[Path], tmp_path: Path
) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"broken")
    told: list[str] = []
    with Classifiers(colours, threads=3) as many:
        results = classify_images(
            many,
            [*pictures[:5], broken, *pictures[5:]],
            rule=many.each[0].rule(),
            top=3,
            unreadable=lambda error: told.append(f"after {seen[-1]}"),
        )
        seen: list[str] = []
        for result in results:
            seen.append(Path(result.file).name)
            assert result.latency > 0
    assert seen == [path.name for path in pictures]
    assert told == ["after 04.png"]


def test_a_monitor_is_offered_each_image_in_order(colours: Path, pictures: list[Path]) -> None:
    class Seen:
        def __init__(self) -> None:
            self.offered: list[tuple[np.ndarray, np.ndarray]] = []

        def offer(self, scores: np.ndarray, pixels: np.ndarray) -> None:
            self.offered.append((scores, pixels))

    watch = Seen()
    with Classifiers(colours, threads=3) as many:
        rule = many.each[0].rule()
        shown = list(classify_images(many, pictures, rule=rule, top=1, unreadable=print, watch=watch))  # type: ignore[arg-type]
        assert len(shown) == len(pictures)
        for path, (scores, pixels) in zip(pictures, watch.offered, strict=True):
            assert np.array_equal(pixels, load_image(path, many.preprocessing))
            assert np.array_equal(scores, many.each[0].classify(pixels))
