from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edgedense.device.monitor import drift
from edgedense.device.monitor.drift import Monitor
from edgedense.device.monitor.samples import Counts, measure
from edgedense.device.prediction import Rule, rule
from edgedense.errors import EdgedenseError

LABELS = ("cat", "dog", "fox", "hen")


def photos(
    count: int,
    seed: int,
    *,
    light: float = 1.0,
    smooth: bool = False,
    favourite: int | None = None,
    certainty: float = 6.0,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(scores, picture) of made-up photographs: coarse patches of random brightness, and random logits."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        patches = rng.normal(rng.normal(128, 25), 40, (4, 4, 3)).repeat(4, axis=0).repeat(4, axis=1)
        if smooth:
            patches = sum(np.roll(patches, (i, j), (0, 1)) for i in (-1, 0, 1) for j in (-1, 0, 1)) / 9
        else:
            patches += rng.normal(0, 10, patches.shape)
        logits = rng.normal(0, 1, len(LABELS))
        decided = rng.integers(len(LABELS)) if favourite is None or rng.random() > 0.8 else favourite
        logits[decided] += certainty * rng.random()
        e = np.exp(logits)
        yield e / e.sum(), (patches * light).clip(0, 255).astype(np.uint8)


def taught(seed: int = 0, count: int = 500) -> Monitor:
    watch = Monitor(LABELS)
    feed(watch, photos(count, seed))
    assert not watch.learning
    return watch


def feed(
    watch: Monitor, stream: Iterator[tuple[np.ndarray, np.ndarray]], start: float | None = None, spacing: float = 10.0
) -> list[tuple[int, drift.Alert]]:
    alerts = []
    for number, (scores, image) in enumerate(stream, start=1):
        if alert := watch.update(scores, image, None if start is None else start + number * spacing):
            alerts.append((number, alert))
    return alerts


def test_keeps_quiet_while_nothing_changes() -> None:
    assert feed(taught(), photos(2000, 1)) == []


@pytest.mark.parametrize(
    ("change", "feature", "said"),
    [
        ({"light": 0.5}, "brightness", "the pictures got darker"),
        ({"smooth": True}, "sharpness", "the pictures got blurred"),
        ({"favourite": 2}, "class", "class fox"),
        ({"certainty": 0.0}, "confidence", "the model is less sure"),
    ],
)
def test_says_what_moved_within_200_images(change: dict, feature: str, said: str) -> None:
    watch = taught()
    assert feed(watch, photos(300, 1)) == []
    number, alert = feed(watch, photos(200, 2, **change))[0]
    assert number <= 200
    assert said in alert.message
    shift = next(s for s in alert.shifts if s.feature == feature)
    assert shift.statistic > shift.limit
    assert json.loads(json.dumps(alert.to_dict()))["alert"] == alert.message


def test_an_alert_is_given_once_and_again_after_it_was_over() -> None:
    watch = taught()
    assert watch.moved == ()
    assert len(feed(watch, photos(400, 1, light=0.3))) >= 1
    assert feed(watch, photos(300, 2, light=0.3)) == []
    assert "brightness" in watch.moved
    assert feed(watch, photos(300, 3)) == []
    assert watch.moved == ()
    assert len(feed(watch, photos(200, 4, light=0.3))) >= 1


def test_the_state_goes_on_across_a_restart(tmp_path: Path) -> None:
    whole, first = Monitor(LABELS), Monitor(LABELS)
    stream = [*photos(560, 0), *photos(200, 1, light=0.4)]
    first_half, rest = stream[:330], stream[330:]
    feed(first, iter(first_half))
    first.save(tmp_path / "state.json")
    second = Monitor.load(tmp_path / "state.json", LABELS)
    assert second.learning
    expected = feed(whole, iter(stream))
    found = feed(second, iter(rest))
    assert [(n + 330, a.message) for n, a in found] == [(n, a.message) for n, a in expected]
    assert expected


def test_memory_and_state_do_not_grow(tmp_path: Path) -> None:
    watch = Monitor(LABELS, learn_samples=3600)
    feed(watch, photos(3500, 0))
    watch.save(tmp_path / "a.json")
    assert len(watch._learned) == drift.LEARNED
    assert sum(c.samples for c in watch._learned) == 3500
    feed(watch, photos(500, 1))
    watch.save(tmp_path / "b.json")
    assert not watch.learning
    assert (tmp_path / "b.json").stat().st_size < 1.3 * (tmp_path / "a.json").stat().st_size


def test_merging_keeps_the_rare_window() -> None:
    watch = Monitor(LABELS, learn_samples=10_000)
    feed(watch, photos(100, 0, light=0.2))
    feed(watch, photos(3400, 1))
    assert min(c.mean("brightness") for c in watch._learned) < 60


def test_a_learned_night_is_no_alert_and_an_unlearned_one_is() -> None:
    watch = Monitor(LABELS, learn_samples=1200)
    for _ in range(3):
        feed(watch, photos(200, 1))
        feed(watch, photos(200, 2, light=0.25))
    assert not watch.learning
    assert feed(watch, photos(200, 3, light=0.25)) == []
    assert feed(taught(), photos(200, 3, light=0.25)) != []


def test_frames_are_sampled_by_time_and_still_scenes_more_rarely() -> None:
    scores, image = next(photos(1, 0))
    still = Monitor(LABELS, interval=5.0)
    for frame in range(1200):
        still.update(scores, image, frame / 2)
    assert still.samples == 12  # ten minutes, once per 50 s
    moving = Monitor(LABELS, interval=5.0)
    for frame in range(120):
        moving.update(scores, image if frame // 10 % 2 else 255 - image, frame / 2)
    assert moving.samples == 12  # a minute, once per 5 s


def test_sensor_noise_is_no_new_scene() -> None:
    rng = np.random.default_rng(0)
    scores, image = next(photos(1, 0))
    large = image.repeat(4, axis=0).repeat(4, axis=1)
    watch = Monitor(LABELS, interval=1.0)
    for second in range(100):
        noisy = np.clip(large + rng.normal(0, 10, large.shape), 0, 255).astype(np.uint8)
        watch.update(scores, noisy, float(second))
    assert watch.samples == 10


def test_a_clock_that_was_set_back_stops_nothing() -> None:
    scores, image = next(photos(1, 0))
    watch = Monitor(LABELS, interval=5.0)
    watch.update(scores, image, 1e9)
    watch.update(scores, 255 - image, 10.0)
    watch.update(scores, image, 20.0)
    assert watch.samples == 3


def test_learning_takes_a_whole_day_where_times_are_given() -> None:
    watch = Monitor(LABELS)
    feed(watch, photos(600, 0), start=0.0, spacing=90.0)
    assert watch.learning
    feed(watch, photos(400, 1), start=600 * 90.0, spacing=90.0)
    assert not watch.learning


def test_a_clock_that_jumps_ends_no_learning() -> None:
    watch = Monitor(LABELS)
    feed(watch, photos(300, 0), start=0.0, spacing=10.0)
    feed(watch, photos(300, 1), start=1.7e9, spacing=10.0)
    assert watch.learning


def test_learning_can_be_ended_early_but_not_on_nothing() -> None:
    watch = Monitor(LABELS)
    feed(watch, photos(150, 0))
    with pytest.raises(EdgedenseError, match="200 samples"):
        watch.finish_learning()
    feed(watch, photos(50, 1))
    watch.finish_learning()
    assert feed(watch, photos(200, 2, light=0.2)) != []


def test_too_short_a_learning_is_refused() -> None:
    with pytest.raises(EdgedenseError, match="200 samples"):
        Monitor(LABELS, learn_samples=100)


@pytest.mark.parametrize("content", ["", "[]", '{"labels": ["cat", "dog", "fox", "hen"]}', "\x00"])
def test_a_damaged_state_is_an_error_that_says_what_to_do(tmp_path: Path, content: str) -> None:
    (tmp_path / "state.json").write_text(content)
    with pytest.raises(EdgedenseError, match="delete it"):
        Monitor.load(tmp_path / "state.json", LABELS)


def test_the_state_of_another_model_is_refused(tmp_path: Path) -> None:
    Monitor(("a", "b")).save(tmp_path / "state.json")
    with pytest.raises(EdgedenseError, match="labels"):
        Monitor.load(tmp_path / "state.json", LABELS)


def test_no_state_yet_is_a_new_monitor(tmp_path: Path) -> None:
    assert Monitor.load(tmp_path / "none.json", LABELS, learn_samples=300).learn_samples == 300


def test_soft_counts_keep_the_mean_and_do_not_leap_at_an_edge() -> None:
    a, b = Counts.empty(2), Counts.empty(2)
    for counts, value in ((a, 119.5), (b, 120.5)):  # 120 is a node of the brightness histogram
        counts.add([value, 10, -2, 0, 0.5, 0.5], np.array([1.0, 0.0]))
    assert a.mean("brightness") == pytest.approx(119.5)
    assert drift.kolmogorov_smirnov(a.features[0], b.features[0]) < 0.1


def test_statistics_equal_scipy_and_their_definitions() -> None:
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 20, 300), rng.integers(3, 20, 200)
    counts = [np.bincount(v, minlength=20).astype(float) for v in (x, y)]
    assert drift.kolmogorov_smirnov(*counts) == pytest.approx(stats.ks_2samp(x, y).statistic)
    # Smirnov's limit is asymptotic, Wilson and Hilferty's root an approximation: a few per cent at these sizes.
    assert drift.ks_limit(1e-3, 10_000, 10_000) == pytest.approx(
        stats.kstwobign.isf(1e-3) * np.sqrt(2 / 10_000), rel=0.01
    )
    assert drift.psi_limit(1e-4, 100, 300, 10) == pytest.approx((1 / 100 + 1 / 300) * stats.chi2.isf(1e-4, 9), rel=0.02)
    assert drift.stability_index(np.array([5.0, 5.0]), np.array([50.0, 50.0])) == pytest.approx(0, abs=1e-9)
    assert drift.stability_index(np.array([90.0, 10.0]), np.array([10.0, 90.0])) > 0.25


def test_measures_of_plain_pictures() -> None:
    black = measure(np.array([0.5, 0.5]), np.zeros((8, 8, 3), np.uint8))[0]
    assert black[0] == black[1] == 0
    assert np.isfinite(black).all()
    red = np.zeros((8, 8, 3), np.uint8)
    red[..., 0] = 100
    values, decided = measure(np.array([0.9]), red)
    assert values[3] == 100
    assert values[4] == pytest.approx(0.9)
    assert decided.tolist() == [0, 1]
    assert measure(np.full(4, 0.25), red)[0][5] == pytest.approx(1)
    assert np.isfinite(measure(np.array([1.0, 0.0]), red[:1, :1])[0]).all()


PICTURE = np.zeros((4, 4, 3), np.uint8)


@pytest.mark.parametrize(
    ("scores", "by", "expected"),
    [
        ([0.2, 0.7, 0.1], None, [0, 1, 0]),
        ([0.2, 0.7, 0.1], rule(("a", "b", "c"), "softmax", 3, 0.9), [0, 1, 0]),  # an answer that is left open is one
        ([0.2, 0.7, 0.6], rule(("a", "b", "c"), "sigmoid", 3), [0, 0.5, 0.5, 0]),
        ([0.2, 0.3, 0.1], rule(("a", "b", "c"), "sigmoid", 3), [0, 0, 0, 1]),  # no finding
        ([0.3], rule(("a",), "sigmoid", 1), [0, 1]),
        ([0.6, 0.4], rule(("no", "yes"), "sigmoid", 1, 0.3), [0, 1]),
        ([0.6, 0.4], rule(("no", "yes"), "sigmoid", 1), [1, 0]),
    ],
)
def test_what_is_counted_as_a_class_is_what_is_said_to_be_seen(
    scores: list[float], by: Rule | None, expected: list[float]
) -> None:
    assert measure(np.array(scores), PICTURE, by)[1].tolist() == expected


def test_entropy_of_classes_that_are_scored_alone_is_the_mean_of_theirs() -> None:
    by = rule(("a", "b"), "sigmoid", 2)
    assert measure(np.array([0.5, 0.5]), PICTURE, by)[0][5] == pytest.approx(1)
    assert measure(np.array([0.5, 1.0]), PICTURE, by)[0][5] == pytest.approx(0.5)
    assert measure(np.array([0.0, 1.0]), PICTURE, by)[0][5] == pytest.approx(0, abs=1e-6)


def test_a_state_learned_with_other_thresholds_is_refused(tmp_path: Path) -> None:
    half, strict = rule(LABELS, "sigmoid", 4), rule(LABELS, "sigmoid", 4, 0.9)
    Monitor(LABELS, rule=half).save(tmp_path / "state.json")
    assert Monitor.load(tmp_path / "state.json", LABELS, rule=half).rule == half
    for other in (strict, rule(LABELS, "softmax", 4), None):
        with pytest.raises(EdgedenseError, match="these thresholds"):
            Monitor.load(tmp_path / "state.json", LABELS, rule=other)
    own = rule(LABELS, "sigmoid", 4, own=(0.1, 0.2, 0.3, None))
    Monitor(LABELS, rule=own).save(tmp_path / "state.json")
    assert json.loads((tmp_path / "state.json").read_text())["thresholds"] == [0.1, 0.2, 0.3, None]
    assert Monitor.load(tmp_path / "state.json", LABELS, rule=own).rule == own
    Monitor(LABELS).save(tmp_path / "state.json")  # where the best class is counted a threshold decides nothing
    assert Monitor.load(tmp_path / "state.json", LABELS, rule=rule(LABELS, "softmax", 4, 0.9)).learning
