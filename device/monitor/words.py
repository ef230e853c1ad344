"""What a person sees when the statistics move: one sentence for each kind of change.

The statistics say that a distribution is another one; they do not say why. So each sentence names what can be seen in
the pictures or in the answers, and puts a likely cause as a question. Nothing in the statistics knows up from down: a
camera that was turned shows only in answers that are less sure, while the pictures' light and colour are as before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from edgedense.device.monitor.samples import CLASS, Counts

_NEARLY_BLACK, _NEARLY_WHITE = 20.0, 235.0  # mean brightness of 255
_PURE_NOISE = -1.0  # sharpness: photographs have -2 to -0.8 in the mean, noise alone has 1.2
_BEYOND = 0.95  # a share of what was learned
_GREY = 0.9  # a share of pictures in which red equals blue
_MIXED = 0.5
_CAST = 8.0  # levels by which red against blue must move for a colour cast
_PALER, _STRONGER = 0.75, 1.33  # ratios of the colours' strength
_ALONE = 0.9  # a class's share of the answers


# In this order it is said: what takes other things along comes before them.
ORDER = ("brightness", "sharpness", "contrast", "colour", "confidence", "entropy", CLASS)

Now = Mapping[str, Counts]


def describe(moved: Sequence[str], usual: Counts, now: Now, outcomes: Sequence[str]) -> dict[str, str]:
    """A sentence for each statistic in `moved`; two that say the same to a person have the same sentence.

    `usual` is all that was learned, and `now` what is seen now, for each statistic; `outcomes` names what is counted as
    a class.
    """
    return {
        name: _classes(usual, now[CLASS], outcomes) if name == CLASS else _WORDS[name](moved, usual, now)
        for name in moved
    }


def most_moved(usual: Counts, now: Counts) -> int:
    """The class whose share of the answers moved most."""
    return int(np.argmax(np.abs(now.classes / now.samples - usual.classes / usual.samples)))


def _brightness(moved: Sequence[str], usual: Counts, now: Now) -> str:
    before, after = _means("brightness", usual, now)
    numbers = f"(mean brightness {before:.0f} of 255 before, {after:.0f} now)"
    if after < before:
        black = "the pictures are nearly black: is the lens covered, or the light off?"
        return f"{black if after < _NEARLY_BLACK else 'the pictures got darker'} {numbers}"
    white = "the pictures are nearly white: does a light shine into the camera?"
    return f"{white if after > _NEARLY_WHITE else 'the pictures got brighter'} {numbers}"


def _is_blank(now: Now) -> bool:
    """Whether there is nothing to see but black or white, which takes contrast, detail and colour along."""
    return not _NEARLY_BLACK <= now["brightness"].mean("brightness") <= _NEARLY_WHITE


def _got_darker(moved: Sequence[str], usual: Counts, now: Now) -> bool:
    before, after = _means("brightness", usual, now)
    return "brightness" in moved and after < before


def _contrast(moved: Sequence[str], usual: Counts, now: Now) -> str:
    if _is_blank(now):
        return _brightness(moved, usual, now)
    before, after = _means("contrast", usual, now)
    numbers = f"(light and dark differed by {before:.0f} levels before, by {after:.0f} now)"
    if after > before:
        return f"the pictures have more contrast {numbers}"
    if "sharpness" in moved or _got_darker(moved, usual, now):  # blur and darkness take contrast along
        return f"the pictures have less contrast {numbers}"
    return f"the pictures have less contrast: is the lens fogged or dirty? {numbers}"


def _sharpness(moved: Sequence[str], usual: Counts, now: Now) -> str:
    if _is_blank(now):
        return _brightness(moved, usual, now)
    before, after = _means("sharpness", usual, now)  # logarithms to base 2
    numbers = f"(fine detail is at {_percent(2 ** (after - before))} of what it was)"
    if after < before:
        return f"the pictures got blurred: is the lens out of focus, wet or dirty? {numbers}"
    is_noise = after > max(_PURE_NOISE, usual.quantile("sharpness", _BEYOND))
    if is_noise or _got_darker(moved, usual, now):
        grain = f"(grain and fine detail are at {_percent(2 ** (after - before))} of what they were)"
        return f"the pictures got noisy: is there too little light for the camera? {grain}"
    return f"the pictures got sharper or noisier {numbers}"


def _colour(moved: Sequence[str], usual: Counts, now: Now) -> str:
    if _is_blank(now):
        return _brightness(moved, usual, now)
    (before, after), seen = _means("colour", usual, now), now["colour"]
    strong, weak = usual.mean_size("colour"), seen.mean_size("colour")
    numbers = f"(red and blue differed by {strong:.0f} levels before, by {weak:.0f} now)"
    if _is_grey(seen) and usual.share_at_zero("colour") < _MIXED:
        return f"the colour is gone, the pictures are grey: is the camera in its night mode? {numbers}"
    if _is_grey(usual) and seen.share_at_zero("colour") < _MIXED:
        return f"the pictures have colour, and were grey before: has the camera left its night mode? {numbers}"
    if weak < _PALER * strong and abs(after) <= abs(before) + 1:
        return f"the colours got paler {numbers}"
    if weak > _STRONGER * strong and abs(after - before) < _CAST:
        return f"the colours got stronger {numbers}"
    turned = "warmer, towards red and yellow" if after > before else "colder, towards blue"
    return f"the colours turned {turned} (red minus blue was {before:+.0f} levels before, is {after:+.0f} now)"


def _is_grey(counts: Counts) -> bool:
    return counts.share_at_zero("colour") > _GREY


def _certainty(moved: Sequence[str], usual: Counts, now: Now) -> str:
    """Of the best score and of how the scores are spread: to a person both say how sure the model is."""
    before, after = _means("confidence", usual, now)
    numbers = f"(the best score was {_percent(before)} in the mean before, is {_percent(after)} now)"
    spread_before, spread_after = _means("entropy", usual, now)
    is_surer = after > before if "confidence" in moved else spread_after < spread_before
    if is_surer:
        return f"the model is surer of its answers {numbers}"
    said = f"the model is less sure of its answers {numbers}"
    if set(moved) - {"confidence", "entropy"}:
        return said
    return (
        f"{said}, while light, sharpness and colour are as before: "
        "is the camera turned or upside down, or is something new before it?"
    )


def _classes(usual: Counts, now: Counts, outcomes: Sequence[str]) -> str:
    top = most_moved(usual, now)
    before, after = (counts.classes[top] / counts.samples for counts in (usual, now))
    numbers = f"({_percent(before)} of the answers before, {_percent(after)} now)"
    if after < before:
        return f"{outcomes[top]} became rare {numbers}"
    if after > _ALONE:
        return f"nearly every answer is {outcomes[top]} {numbers}"
    return f"{outcomes[top]} {'took over' if after > 0.5 else 'became more frequent'} {numbers}"


def _means(name: str, usual: Counts, now: Now) -> tuple[float, float]:
    return usual.mean(name), now[name].mean(name)


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


_WORDS: Mapping[str, Callable[[Sequence[str], Counts, Now], str]] = {
    "brightness": _brightness,
    "contrast": _contrast,
    "sharpness": _sharpness,
    "colour": _colour,
    "confidence": _certainty,
    "entropy": _certainty,
}
