"""What the monitor says, for each kind of change, of pictures with the statistics of photographs."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from PIL import Image, ImageFilter

from edgedense.device.monitor.drift import Alert, Monitor
from edgedense.device.monitor.samples import FEATURES, Counts
from edgedense.device.monitor.words import describe
from edgedense.device.prediction import rule

LABELS = ("cat", "dog", "fox", "hen")
SIZE = 48
Change = Callable[[np.ndarray], np.ndarray]
_CYCLES = np.hypot(*np.meshgrid(np.fft.fftfreq(SIZE), np.fft.fftfreq(SIZE)))


def photograph(rng: np.random.Generator) -> np.ndarray:
    """A picture whose spectrum falls with the frequency, as that of photographs does (Field, 1987): light and dark that
    the three colours share, and less of what tells them apart. uint8 [48, 48, 3]."""
    spectrum = np.fft.fft2(rng.normal(size=(4, SIZE, SIZE))) / (_CYCLES + 1 / SIZE) ** rng.normal(2.8, 0.6)
    shared, *own = np.fft.ifft2(spectrum).real
    fields = [(field - field.mean()) / field.std() for field in (shared, *own)]
    exposure, cast = rng.normal(125, 30), rng.normal((4, 0, -4), (20, 6, 20))
    picture = exposure + rng.normal(48, 12) * fields[0][..., None] + np.stack(fields[1:], -1) * 12 + cast
    return np.clip(picture, 0, 255).astype(np.uint8)


def stream(seed: int, count: int, change: Change | None = None, **prediction: float) -> Iterator[tuple]:
    """(scores, picture) of photographs, after the change where there is one."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        picture = photograph(rng)
        yield scores(rng, **prediction), picture if change is None else change(picture)


def scores(rng: np.random.Generator, certainty: float = 6.0, foxes: float = 0.25) -> np.ndarray:
    logits = rng.normal(0, 1, len(LABELS))
    decided = 2 if rng.random() < foxes else rng.choice([0, 1, 3])
    logits[decided] += certainty * rng.random()
    return np.exp(logits) / np.exp(logits).sum()


def first_alert(monitor: Monitor, samples: Iterator[tuple]) -> tuple[int, Alert]:
    for number, (prediction, picture) in enumerate(samples, start=1):
        if alert := monitor.update(prediction, picture):
            return number, alert
    raise AssertionError("no alert")


@pytest.fixture(scope="module")
def learned() -> Monitor:
    """A monitor that has learned, and seen more of the same without a word."""
    monitor = Monitor(LABELS)
    assert not any(monitor.update(*sample) for sample in stream(0, 900))
    return monitor


@pytest.fixture
def monitor(learned: Monitor) -> Monitor:
    return copy.deepcopy(learned)


def levels(picture: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def grey(picture: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(picture).convert("L").convert("RGB"))


def blurred(picture: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(2)))


def noisy(sigma: float) -> Change:
    rng = np.random.default_rng(7)
    return lambda picture: levels(picture + rng.normal(0, sigma, picture.shape))


KINDS: list[tuple[str, Change, str]] = [
    ("darker", lambda p: levels(p * 0.45), "the pictures got darker (mean brightness 12"),
    ("covered", lambda p: levels(p * 0.04), "the pictures are nearly black: is the lens covered"),
    ("brighter", lambda p: levels(p * 1.1 + 60), "the pictures got brighter (mean brightness 12"),
    ("dazzled", lambda p: levels(p * 0.1 + 240), "the pictures are nearly white: does a light shine into the camera?"),
    ("blurred", blurred, "the pictures got blurred: is the lens out of focus, wet or dirty? (fine detail is at"),
    ("noisy", noisy(30), "the pictures got noisy: is there too little light for the camera? (grain and fine detail"),
    ("night mode", grey, "the colour is gone, the pictures are grey: is the camera in its night mode? (red and blue"),
    ("fog", lambda p: levels(p * 0.35 + 82), "the pictures have less contrast: is the lens fogged or dirty? (light"),
    (
        "harsh light",
        lambda p: levels((p - 125.0) * 2 + 125),
        "the pictures have more contrast (light and dark differed",
    ),
    ("warm", lambda p: levels(p * [1.2, 1, 0.7]), "the colours turned warmer, towards red and yellow (red minus blue"),
    ("cold", lambda p: levels(p * [0.7, 1, 1.2]), "the colours turned colder, towards blue (red minus blue was +"),
]


@pytest.mark.parametrize(("change", "said"), [kind[1:] for kind in KINDS], ids=[kind[0] for kind in KINDS])
def test_a_change_of_the_pictures_is_called_by_what_is_seen(monitor: Monitor, change: Change, said: str) -> None:
    number, alert = first_alert(monitor, stream(1, 200, change))
    assert number <= 100
    assert alert.message.startswith(said)
    assert "answers" not in alert.message  # nothing was done to the predictions
    assert alert.shifts[0].said in alert.message


def test_without_light_nothing_else_is_said_of_the_picture(monitor: Monitor) -> None:
    messages = [alert.message for s in stream(1, 200, lambda p: levels(p * 0.04)) if (alert := monitor.update(*s))]
    assert messages
    assert all(message.count(";") == 0 and "colour" not in message for message in messages)


def test_a_camera_that_was_turned_is_asked_about(monitor: Monitor) -> None:
    """Upside down no statistic of the picture differs; what is left is a model that is less sure."""
    _, alert = first_alert(monitor, stream(1, 200, lambda p: p[::-1, ::-1].copy(), certainty=1.5))
    assert alert.message.startswith("the model is less sure of its answers (the best score was ")
    assert "light, sharpness and colour are as before: is the camera turned or upside down" in alert.message
    assert alert.message.count("less sure") == 1  # two statistics moved, and a person sees one thing


@pytest.mark.parametrize(
    ("foxes", "said"),
    [(0.75, "class fox took over (2"), (1.0, "nearly every answer is class fox (2"), (0.0, "class fox became rare (2")],
)
def test_another_mix_of_classes_is_told_with_its_shares(monitor: Monitor, foxes: float, said: str) -> None:
    alerts = [monitor.update(*sample) for sample in stream(1, 300, foxes=foxes, certainty=60.0)]
    messages = [alert.message for alert in alerts if alert]
    assert any(said in message for message in messages)
    assert not any("turned" in message for message in messages)  # the model is surer than before


def test_what_is_said_is_of_now_and_not_of_the_time_before(monitor: Monitor) -> None:
    """When the alert comes, half of the window is of before the change: black pictures must not be called half dark."""
    number, alert = first_alert(monitor, stream(1, 200, lambda p: levels(p * 0.04)))
    (shift,) = (shift for shift in alert.shifts if shift.feature == "brightness")
    assert number < 100
    assert shift.after > 25  # the window as a whole
    assert "nearly black" in shift.said
    assert "6 now" in shift.said


def counts(**features: tuple[float, float]) -> Counts:
    """A hundred samples whose features have these means and standard deviations."""
    usual = {"brightness": (125, 30), "contrast": (50, 12), "sharpness": (-2, 0.4), "colour": (6, 20),
             "confidence": (0.85, 0.1), "entropy": (0.25, 0.1)}  # fmt: skip
    rng, found = np.random.default_rng(0), Counts.empty(2)
    moments = {**usual, **features}
    for _ in range(100):
        found.add([rng.normal(*moments[feature.name]) for feature in FEATURES], np.array([0.5, 0.5]))
    return found


@pytest.mark.parametrize(
    ("moved", "before", "after", "said"),
    [
        (["colour"], {}, {"colour": (2, 7)}, "the colours got paler (red and blue differed by"),
        (["colour"], {}, {"colour": (7, 45)}, "the colours got stronger (red and blue differed by"),
        (["colour"], {"colour": (0, 0)}, {}, "the pictures have colour, and were grey before"),
        (["sharpness"], {}, {"sharpness": (-1.5, 0.4)}, "the pictures got sharper or noisier (fine detail is at"),
        (["brightness", "sharpness"], {}, {"brightness": (60, 20), "sharpness": (-1.5, 0.4)}, "the pictures got noisy"),
        (["sharpness"], {"sharpness": (-0.8, 0.5)}, {"sharpness": (-0.6, 0.5)}, "the pictures got sharper or noisier"),
        (
            ["contrast", "sharpness"],
            {},
            {"contrast": (35, 9), "sharpness": (-3, 0.4)},
            "the pictures have less contrast (",
        ),
        (["confidence"], {}, {"confidence": (0.97, 0.02)}, "the model is surer of its answers"),
        (["entropy"], {}, {"entropy": (0.02, 0.01)}, "the model is surer of its answers"),
        (["entropy"], {}, {"entropy": (0.6, 0.1)}, "the model is less sure of its answers"),
        (["confidence", "contrast"], {}, {"confidence": (0.5, 0.1), "contrast": (30, 9)}, "the model is less sure"),
    ],
)
def test_words_for_what_moves_more_rarely(moved: list[str], before: dict, after: dict, said: str) -> None:
    now = counts(**after)
    found = describe(moved, counts(**before), {feature.name: now for feature in FEATURES}, ["class a", "class b"])
    assert any(sentence.startswith(said) for sentence in found.values())
    assert all("%" not in sentence.replace(" %", "") for sentence in found.values())


@pytest.mark.slow
def test_findings_are_told_like_classes_and_so_is_their_absence() -> None:
    """Classes that are scored alone: in every second picture both are found, then in none."""
    monitor = Monitor(("edema", "nodule"), rule=rule(("edema", "nodule"), "sigmoid", 2))
    rng = np.random.default_rng(0)
    for number in range(900):
        both = rng.random(2) * 0.3 + (0.6 if number % 2 else 0.1)
        assert monitor.update(both, photograph(rng)) is None
    alerts = [monitor.update(rng.random(2) * 0.3, photograph(rng)) for _ in range(200)]
    messages = [alert.message for alert in alerts if alert]
    assert any("no finding" in message and "of the answers" in message for message in messages)
    assert any(
        "nearly every answer is no finding" in message or "no finding took over" in message for message in messages
    )
