"""From pictures to a file; the same after a kill; what is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edgedense.converters.options import Options as ConversionOptions
from edgedense.converters.pipeline import convert
from edgedense.converters.readers.keras import reader as keras_reader
from edgedense.converters.training import checkpoint, dataset, fit, goal, graph_weights, layout
from edgedense.converters.training.augmentation import Augmentation
from edgedense.converters.training.train import Options, Training, clear, plan, train
from edgedense.device import Classifier
from edgedense.errors import EdgedenseError
from edgedense.images.preprocessing import Preprocessing, find_labelled, load_image
from edgedense.images.tables import Table
from edgedense.measures import findings, metrics
from edgedense.measures.labelled import read_labelled
from tests import state_dicts
from tests.converters.training.conftest import SMALL, fill_classes, fill_findings

pytestmark = pytest.mark.slow

OPTIONS = Options(weights="none", size=32, epochs=4, batch=6, learning_rate=3e-3, validation=0.25)


def run(data: Path, work: Path, options: Options = OPTIONS, say: Callable[[str], None] = lambda line: None) -> Training:
    return train(data, work, options, architecture=SMALL, say=say)


def stopping_after(epochs: int) -> Callable[[str], None]:
    """Ctrl-C once the line of that epoch is printed."""

    def say(line: str) -> None:
        if line.startswith(f"epoch {epochs} "):
            raise KeyboardInterrupt

    return say


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "data"
    fill_classes(folder / "train", seed=1)
    fill_classes(folder / "test", count=5, seed=2)
    return folder


@pytest.fixture(scope="module")
def whole(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Training:
    """A training that nobody interrupted."""
    return run(pictures, tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures that show two findings, one, or none."""
    return fill_findings(tmp_path_factory.mktemp("several") / "data", 40)


@pytest.fixture(scope="module")
def several(table: Path, tmp_path_factory: pytest.TempPathFactory) -> Training:
    """A training on them."""
    return run(table, tmp_path_factory.mktemp("work"), replace(OPTIONS, multi_label=True, epochs=2))


def weights(result: Training, folder: Path) -> list[np.ndarray]:
    import keras

    path = folder / "weights.keras"
    path.write_bytes(result.data)
    return keras.models.load_model(path).get_weights()


def test_the_figures_are_those_of_the_written_file(whole: Training, pictures: Path, tmp_path: Path) -> None:
    """The saved model is read again and scores the test pictures as a user's would."""
    path = tmp_path / "m.keras"
    path.write_bytes(whole.data)
    paths, labels, names = find_labelled(pictures / "test")
    pixels = np.stack([load_image(p, Preprocessing(32, 32, "none")) for p in paths])
    scores = keras_reader.read(path).predict(pixels)
    assert whole.labels == tuple(names)
    assert whole.judged_on == "test"
    assert whole.report.evaluation is not None
    assert whole.report.evaluation.accuracy == whole.figure == metrics.accuracy(scores, labels)
    assert whole.report.evaluation.images == whole.images["test"] == 10
    assert whole.images == {"train": 18, "validation": 6, "test": 10}


class TestSeveral:
    """Two findings, of which a picture may show both or none."""

    def test_the_figures_are_those_of_the_written_file(self, several: Training, table: Path, tmp_path: Path) -> None:
        path = tmp_path / "m.keras"
        path.write_bytes(several.data)
        images = read_labelled(Table(table, split="test"), several.labels, "several")
        pixels = np.stack([load_image(p, Preprocessing(32, 32, "none")) for p in images.paths])
        source = keras_reader.read(path)
        assert source.network.classes == 2
        assert several.labels == ("red", "green")
        assert several.figure == findings.mean_auroc(source.predict(pixels), images.truth)
        found = several.report.findings
        assert found is not None
        assert found.scored.macro.auroc.value == several.figure
        assert (found.images, found.patients) == (10, 5)
        assert [(one.positives, one.negatives, one.unknown) for one in found.scored.classes] == [(5, 5, 0), (4, 4, 2)]

    def test_patients_stay_on_one_side(self, several: Training) -> None:
        assert several.images == {"train": 22, "validation": 8, "test": 10}  # a quarter of 15 patients, whole

    def test_epochs_are_judged_by_the_loss_and_tell_the_auroc(self, several: Training) -> None:
        assert [epoch.figure for epoch in several.history] == [None, None]
        assert several.history[1].loss < several.history[0].loss
        assert all(
            0 <= epoch.validation_figure <= 1 for epoch in several.history if epoch.validation_figure is not None
        )
        assert several.best == min(range(2), key=lambda i: several.history[i].validation_loss)

    def test_it_converts_to_a_file_that_scores_each_class(self, several: Training, table: Path, tmp_path: Path) -> None:
        path = tmp_path / "m.keras"
        path.write_bytes(several.data)
        options = ConversionOptions(ranges="minmax", headroom=1, force=True)
        converted = convert(path, Table(table, split="train"), several.labels, options)
        converted.save(tmp_path / "m.tflite")
        with Classifier(tmp_path / "m.tflite") as classifier:
            assert (classifier.rule().kind, classifier.rule().labels) == ("each", ("red", "green"))


def test_it_learns(whole: Training) -> None:
    assert whole.history[-1].loss < whole.history[0].loss
    assert len(whole.history) == 4
    assert whole.best == min(range(4), key=lambda i: whole.history[i].validation_loss)


def test_a_killed_training_ends_as_if_nothing_had_happened(whole: Training, pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(pictures, tmp_path / "work", say=stopping_after(2))
    assert (tmp_path / "work" / "small" / fit.LAST).exists()
    said: list[str] = []
    resumed = run(pictures, tmp_path / "work", say=said.append)
    assert "going on after epoch 2" in said
    assert [replace(e, seconds=0) for e in resumed.history[:2]] == [replace(e, seconds=0) for e in whole.history[:2]]
    # Two threads may sum in another order: a last bit, which Adam's first steps make larger.
    for ours, theirs in zip(resumed.history, whole.history, strict=True):
        assert ours.loss == pytest.approx(theirs.loss, rel=1e-3)
        assert ours.validation_loss == pytest.approx(theirs.validation_loss, rel=1e-3)
    for ours, theirs in zip(weights(resumed, tmp_path), weights(whole, tmp_path), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-2, atol=1e-3)


def test_the_best_epoch_is_kept(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second epoch is said to be the best: the file has its weights, and not those of the last."""
    losses = iter((0.5, 0.2, 0.9))
    monkeypatch.setattr(goal.OneClass, "loss", lambda self, scores, labels: next(losses))
    result = run(pictures, tmp_path, replace(OPTIONS, epochs=3))
    assert result.best == 1
    settings = json.loads(np.load(tmp_path / "small" / fit.LAST)["text"].tobytes())["settings"]
    last, best = (checkpoint.read(tmp_path / "small" / name, settings) for name in (fit.LAST, fit.BEST))
    assert last is not None
    assert best is not None
    found = [w for w in weights(result, tmp_path) if w.ndim == 4]
    for state, equal in ((best, True), (last, False)):
        kernels = [w for w in state.model if w.ndim == 4]
        assert all((a == b).all() for a, b in zip(found, kernels, strict=True)) == equal


def test_two_phases_from_a_file_and_again_after_a_kill_between_them(
    whole: Training, pictures: Path, tmp_path: Path
) -> None:
    first = tmp_path / "first.keras"
    first.write_bytes(whole.data)
    options = replace(OPTIONS, weights=str(first), head_epochs=1, epochs=1, sigmoid=True, head=8)
    with pytest.raises(KeyboardInterrupt):
        run(pictures, tmp_path / "work", options, stopping_after(1))
    result = run(pictures, tmp_path / "work", options)
    assert [epoch.phase for epoch in result.history] == ["head", "fine-tuning"]
    assert [epoch.rate for epoch in result.history] == pytest.approx([3e-3, 3e-4])
    assert result.report.evaluation is not None
    assert result.report.evaluation.rankings[0].positive == "c1"
    path = tmp_path / "second.keras"
    path.write_bytes(result.data)
    source = keras_reader.read(path)
    assert source.network.classes == 1
    assert source.normalized


def test_norms_without_statistics_are_measured_on_the_training_pictures(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrays = state_dicts.state_dict(blocks=(1, 1), first=4, bottleneck=8)
    path = state_dicts.write(tmp_path / "w.safetensors", arrays)
    given: list[np.ndarray] = []

    def measure(model: Any, pixels: np.ndarray) -> None:
        given.append(pixels)
        raise KeyboardInterrupt

    monkeypatch.setattr(graph_weights, "measure", measure)
    with pytest.raises(KeyboardInterrupt):
        run(pictures, tmp_path / "work", replace(OPTIONS, weights=str(path)))
    assert given[0].shape == (18, 32, 32, 3)


def test_a_checkpoint_of_other_options_is_refused(tmp_path: Path) -> None:
    model = SimpleNamespace(variables=[np.arange(3.0)])
    checkpoint.write(tmp_path / fit.LAST, "these", [], model, model)
    state = checkpoint.read(tmp_path / fit.LAST, "these")
    assert state is not None
    assert state.model[0].tolist() == state.optimizer[0].tolist() == [0, 1, 2]
    with pytest.raises(EdgedenseError, match="other pictures or options"):
        checkpoint.read(tmp_path / fit.LAST, "those")


@pytest.mark.parametrize("other", [{"epochs": 5}, {"seed": 1}, {"augmentation": Augmentation(flip="both")}])
def test_every_option_is_part_of_what_a_checkpoint_stands_for(
    pictures: Path, tmp_path: Path, other: dict[str, Any]
) -> None:
    data = dataset.prepare(
        layout.of_folder(pictures), 32, tmp_path, share=0.25, group_by=None, seed=0, tick=lambda n: None
    )
    first, again, changed = (
        plan(options, data, SMALL).settings for options in (OPTIONS, OPTIONS, replace(OPTIONS, **other))
    )
    assert first == again != changed


def test_a_damaged_checkpoint_is_told(tmp_path: Path) -> None:
    (tmp_path / fit.LAST).write_bytes(b"half a fi")
    with pytest.raises(EdgedenseError, match="to start anew"):
        checkpoint.read(tmp_path / fit.LAST, "settings")


def test_clear_leaves_what_is_not_its_own(tmp_path: Path) -> None:
    (tmp_path / "small").mkdir()
    for name in (f"small/{fit.LAST}", f"small/{fit.BEST}", "pixels-0123.npy", "letter.txt"):
        (tmp_path / name).write_text("x")
    clear(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]
    (tmp_path / "letter.txt").unlink()
    clear(tmp_path)
    assert not tmp_path.exists()


def test_options_that_exclude_each_other(tmp_path: Path) -> None:
    table = fill_findings(tmp_path / "data")
    for wrong, message in (
        ({"multi_label": True, "sigmoid": True}, "--sigmoid or --multi-label; found both"),
        ({"multi_label": True, "group_by": "(.)"}, "found --group-by, and a column for the patient"),
    ):
        with pytest.raises(EdgedenseError, match=message):
            run(table, tmp_path / "work", replace(OPTIONS, **wrong))  # type: ignore[arg-type]
    assert not (tmp_path / "work").exists()


def test_sigmoid_takes_two_classes(tmp_path: Path) -> None:
    with pytest.raises(EdgedenseError, match="two classes for --sigmoid"):
        run(fill_classes(tmp_path / "data", classes=3), tmp_path / "work", replace(OPTIONS, sigmoid=True))


@pytest.mark.parametrize("wrong", [{"validation": 0.0}, {"validation": 1.0}, {"size": 16}, {"dropout": 1.0}])
def test_impossible_options(data: Path, tmp_path: Path, wrong: dict[str, float]) -> None:
    with pytest.raises(EdgedenseError):
        run(data, tmp_path, replace(OPTIONS, **wrong))  # type: ignore[arg-type]


def test_a_broken_picture_stops_before_the_training(data: Path, tmp_path: Path) -> None:
    shutil.copy(__file__, data / "c0" / "text.png")
    with pytest.raises(EdgedenseError, match=r"text\.png"):
        run(data, tmp_path / "work")
