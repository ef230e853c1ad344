"""What the page says of the model to people: all of it comes from the deployed file itself, and nothing is added."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from edgedense.deployed.bundle import Bundle
from edgedense.files import sha256
from edgedense.measures import stored_points
from edgedense.measures.temperature import ENTRY as TEMPERATURE
from edgedense.report.card import number_format
from edgedense.report.wording import percent, points_section

if TYPE_CHECKING:
    from edgedense.device.prediction import Rule

_ANSWERS = {
    "best": "one class: they exclude each other",
    "pair": "one of two classes, by a single score",
    "each": "each class is scored alone, so that a picture may show several or none",
    "values": "values, which are no probabilities",
}


def lines(name: str, content: Bundle, rule: Rule) -> list[tuple[str, str]]:
    """(what it is called, what is said) line by line, of the deployed file `name` with that `content`, whose answers
    come by `rule`. Raises EdgedenseError where the operating points in it are damaged."""
    recipe = content.recipe
    return [
        ("file", f"{name}, {len(content.model) / 1e6:.2f} MB"),
        *_origin(recipe),
        ("number format", number_format(recipe)),
        ("answer", _ANSWERS[rule.kind] + (f", in {rule.unit}" if rule.unit else "")),
        ("labels", ", ".join(rule.labels)),
        *_thresholds(recipe, rule),
        *_figures(recipe),
        *_limits(recipe, rule),
        ("file, SHA-256", sha256(content.model)),
        *_traces(recipe),
    ]


def _origin(recipe: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    source, pixels = recipe.get("source", {}), recipe.get("preprocessing", {})
    if "name" in source:
        yield "made from", f"{source['name']}, {source.get('parameters', 0):,} parameters"
    kind = "one grey channel" if pixels.get("channels") == 1 else "RGB"
    yield "input", f"{pixels.get('height')} x {pixels.get('width')} pixels, {kind}"


def _thresholds(recipe: Mapping[str, Any], rule: Rule) -> Iterator[tuple[str, str]]:
    """When a class counts as seen, and how the file's own thresholds were chosen."""
    from edgedense.device.prediction import NEVER

    if rule.kind in ("each", "pair"):
        shown = zip(rule.labels, rule.thresholds, strict=True)
        said = [f"{label} {'never' if limit == NEVER else f'{limit:.4f}'}" for label, limit in shown]
        yield "seen from the score", ", ".join(said[1:] if rule.kind == "pair" else said)
    stored = stored_points.read(recipe)
    if stored is None:
        return
    limits = [None if limit == NEVER else limit for limit in rule.thresholds]
    first = 1 if rule.kind == "pair" else 0  # of two classes the second one decides
    if limits[first:] != recipe[stored_points.THRESHOLDS][-len(limits[first:]) :]:
        yield "operating points", "none that hold here: the page was made with another threshold than the file's own"
        return
    section = points_section(stored)
    for row in section.rows:
        said = [f"{heading} {cell}" for heading, cell in zip(section.headings[1:4], row[1:4], strict=True)]
        yield f"operating point of {row[0]}", ", ".join(said)
    yield "operating points", f"chosen by {stored.spec} on {stored.images} pictures; percent, 95 % interval (Wilson)"


def _figures(recipe: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    figures, temperature = recipe.get("figures", {}), recipe.get(TEMPERATURE)
    if "calibration_agreement" in figures:
        agreement = percent(figures["calibration_agreement"])
        yield "same answer as the float model", f"on {agreement} of the {figures['images']} calibration pictures"
        yield "mean KL divergence from it", f"{figures['calibration_kl_mean']:.6f}"
    if "validation_drop_points" in figures:
        of = figures.get("validation_drop_of", "accuracy")
        yield f"drop in {of}, on validation pictures", f"{figures['validation_drop_points']:.2f} points"
    if temperature is not None:
        yield "temperature", f"{temperature['value']:g}, fitted on {temperature['images']} pictures"


def _limits(recipe: Mapping[str, Any], rule: Rule) -> Iterator[tuple[str, str]]:
    """What is not known."""
    from edgedense.device.prediction import NEVER

    if "validation_drop_points" not in recipe.get("figures", {}) and stored_points.ENTRY not in recipe:
        yield "not known", "how often it is right: the file carries no figures on labelled pictures"
    if never := [label for label, limit in zip(rule.labels, rule.thresholds, strict=True) if limit == NEVER]:
        yield "never reported", ", ".join(never)


def _traces(recipe: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """By what its source and its pictures can be told from others, and what made it."""
    for name in ("source", "calibration"):
        if "sha256" in recipe.get(name, {}):
            yield f"{name}{' pictures' if name == 'calibration' else ''}, SHA-256", str(recipe[name]["sha256"])
    yield "made with edgedense", str(recipe.get("edgedense", "not stated"))
