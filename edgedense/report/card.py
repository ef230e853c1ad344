"""A model card: what a deployed file is, on what it was measured, what it can and what nobody knows of it.

After Mitchell et al., "Model Cards for Model Reporting", 2019. All of it comes from the file's recipe, from what was
measured, and from what people state (`About`). Nothing is invented: what is not known stands there as "not stated".
No picture is named: names of files may hold those of patients.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from edgedense.errors import listed
from edgedense.measures import stored_points
from edgedense.measures.drift import Drift, Evaluation
from edgedense.measures.findings import Change, Findings
from edgedense.measures.operating_points import wilson
from edgedense.measures.result import Report
from edgedense.report import masks_section, several
from edgedense.report.about import About
from edgedense.report.wording import Row, Section, percent, points_section

NOT_STATED = "not stated"
FEW = 30  # positive pictures below which a class is said to have few: one more or less moves a share by 3 points


@dataclass(frozen=True)
class ModelCard:
    """The card of the model `title`, section by section. A section without rows consists of what it says."""

    title: str
    sections: tuple[Section, ...]

    def to_markdown(self) -> str:
        """As Markdown, with tables in the form of GitHub."""
        parts = [f"# Model card: {_escaped(self.title)}\n"]
        for section in self.sections:
            parts.append(f"## {_escaped(section.title)}\n")
            if section.said:
                parts.append("".join(f"{_escaped(line)}\n" for line in section.said.split("\n")))
            if section.rows:
                parts.append("\n".join(_table(section)) + "\n")
        return "\n".join(parts)


def model_card(report: Report, about: About | None = None) -> ModelCard:
    """The card of the file that `report` is about, with what people state of it."""
    about = about or About()
    points = stored_points.read(report.recipe)
    return ModelCard(
        report.title,
        (
            Section("Use", "", ("", ""), _use(about)),
            Section("The model", "", ("", ""), _model(report)),
            *((points_section(points),) if points is not None else ()),
            _data(report, about),
            *_figures(report),
            *((replace(masks_section.section(report.masks), shown=()),) if report.masks else ()),
            _lost(report),
            Section("Limits", "\n".join(f"- {limit}" for limit in _limits(report, about)), (), ()),
            Section("Hashes and versions", "", ("", ""), _traces(report)),
        ),
    )


def _use(about: About) -> tuple[Row, ...]:
    return (
        ("intended use", about.intended_use or NOT_STATED),
        ("not for", about.not_for or NOT_STATED),
        ("owner", about.owner or NOT_STATED),
        ("licence", about.licence or NOT_STATED),
    )


def _model(report: Report) -> tuple[Row, ...]:
    """What it is, as its recipe says."""
    recipe = report.recipe
    source, pixels = recipe.get("source", {}), recipe.get("preprocessing", {})
    size = f"{pixels['height']} x {pixels['width']} pixels" if "height" in pixels else NOT_STATED
    others = {key: value for key, value in pixels.items() if key not in ("height", "width")}
    parameters = source.get("parameters")
    names = _names(report)
    return (
        ("made from", str(source.get("name", NOT_STATED))),
        ("architecture", f"DenseNet, {parameters:,} parameters" if parameters else NOT_STATED),
        ("number format", number_format(recipe)),
        ("input", size + (", one grey channel" if pixels.get("channels") == 1 else "")),
        ("preprocessing", "; ".join(f"{key}: {value}" for key, value in others.items()) or NOT_STATED),
        ("answer", _answer(report)),
        ("classes", f"{len(names)}: {', '.join(names)}"),
        ("thresholds", _thresholds(report)),
    )


def number_format(recipe: Mapping[str, Any]) -> str:
    """What a file's weights and intermediate results are stored as, as far as its recipe says it."""
    options = recipe.get("options")
    if options is None:
        return NOT_STATED
    floats = options.get("attempt", {}).get("floats", ())
    kept = [*([f"{len(floats)} layers" if len(floats) > 1 else "one layer"] if floats else [])]
    kept += ["the head"] if "float_head" in recipe else []
    return "int8" + (f", {' and '.join(kept)} in float32" if kept else "")


def _answer(report: Report) -> str:
    if report.findings is not None:
        return "each class is scored alone, so that a picture may show several or none"
    return "one class: they exclude each other"


def _thresholds(report: Report) -> str:
    """Which there are, and where they come from."""
    recipe, found = report.recipe, report.findings
    points = stored_points.read(recipe)
    if points is not None:
        return f"chosen by {points.spec} on {points.images} pictures; see the operating points"
    given = recipe.get(stored_points.THRESHOLDS)
    origin = "those of the model it was made from" if given else "the usual one, chosen on no pictures"
    if found is None:
        return f"{origin}: {given}" if given else "none: the best class is the answer"
    each = (
        f"{one.name} {'never' if one.threshold is None else f'{one.threshold:.4f}'}" for one in found.scored.classes
    )
    return f"{origin}: {', '.join(each)}"


def _names(report: Report) -> tuple[str, ...]:
    judged = report.findings.scored.classes if report.findings else report.evaluations[-1].per_class
    return tuple(one.name for one in judged)


def _data(report: Report, about: About) -> Section:
    """On what it was measured, by count and class."""
    people = f"{report.patients} patients" if report.patients else f"patients {NOT_STATED}"
    drawn = "" if report.early is None else f" of {report.early.total}, drawn at random"
    origin = about.population or NOT_STATED
    said = f"Measured on {report.images} pictures{drawn}, {people}. Where they come from: {origin}."
    said = re.sub(r"\.\.$", ".", said)
    if report.findings is not None:
        counts = report.findings.scored.classes
        rows = tuple((one.name, str(one.positives), str(one.negatives), str(one.unknown)) for one in counts)
        return Section("Data", said, ("class", "with it", "without", "not known"), rows)
    supports = report.evaluations[-1].per_class
    return Section("Data", said, ("class", "pictures"), tuple((one.name, str(one.support)) for one in supports))


def _figures(report: Report) -> tuple[Section, ...]:
    if report.findings is not None:
        return several.sections(report.findings)[:2]
    return (_evaluation(report.evaluations[-1]),)


def _evaluation(evaluation: Evaluation) -> Section:
    """Accuracy and the recall of each class, with Wilson's intervals."""

    def row(name: str, share: float, images: int) -> Row:
        found = wilson(round(share * images), images)
        said = "–" if found is None else f"{percent(found.value)} ({percent(found.low)} to {percent(found.high)})"
        return name, said, str(images)

    return Section(
        "Figures",
        "Accuracy: the share of pictures whose class is right. Recall: that share of the pictures of one class. In "
        "brackets are 95 % intervals (Wilson score), which take each picture for a patient of its own.",
        ("", "share", "of pictures"),
        (
            row("accuracy", evaluation.accuracy, evaluation.images),
            *(row(f"recall of {one.name}", one.recall, one.support) for one in evaluation.per_class),
        ),
    )


def _lost(report: Report) -> Section:
    """What the conversion cost."""
    title = "Lost in conversion"
    if report.findings is not None and report.findings.change is not None:
        rows = _lost_of_findings(report.findings, report.findings.change)
    elif report.drift is not None:
        rows = _lost_of_classes(report.drift)
    else:
        return Section(title, "Not measured: no reference was given.", (), ())
    if report.gate is not None:
        kept = "kept" if report.gate.passed else "not kept"
        rows += ((f"limit of the drop in {report.gate.of}", f"{report.gate.max_drop:.2f} points, {kept}"),)
    return Section(title, f"Beside {report.models[0]}, on the same pictures.", ("", ""), rows)


def _lost_of_findings(found: Findings, change: Change) -> tuple[Row, ...]:
    return (
        ("drop of the mean AUROC", several.said(change.drop, digits=2, sign="+", unit=" points")),
        ("same decision, of all pictures and classes", percent(change.agreement)),
        ("same findings, of all pictures", percent(change.agreement_of_images)),
        ("pictures that are decided differently", f"{len(change.changed)} of {found.images}"),
        ("class that moved most", change.moved_most or "–"),
        ("mean KL divergence", f"{change.kl_mean:.5f}"),
    )


def _lost_of_classes(drift: Drift) -> tuple[Row, ...]:
    return (
        ("drop in accuracy", f"{drift.drop:+.2f} points ({drift.drop_low:+.2f} to {drift.drop_high:+.2f})"),
        ("same decision", percent(drift.agreement)),
        ("from right to wrong, and back", f"{drift.lost}, {drift.won} (McNemar, p = {drift.p_value:.2g})"),
        ("mean KL divergence", f"{drift.kl_mean:.5f}"),
    )


def _limits(report: Report, about: About) -> list[str]:
    """What was not measured, and what the figures are not worth."""
    limits = []
    if not report.patients:
        limits.append(
            "Whose the pictures are is not known. Where there are several of one patient, the intervals are too narrow."
        )
    counts = _counts(report)
    if lacking := [name for name, count in counts if not count]:
        limits.append(f"Not measured, because no picture shows them: {listed(lacking, len(lacking))}.")
    if few := [f"{name} ({count})" for name, count in counts if 0 < count < FEW]:
        limits.append(f"Measured on fewer than {FEW} pictures that show it: {listed(few, len(few))}.")
    if report.findings is not None:
        if never := [one.name for one in report.findings.scored.classes if one.threshold is None]:
            limits.append(f"Never reported by the file: {listed(never, len(never))}.")
        if unknown := sum(one.unknown for one in report.findings.scored.classes):
            limits.append(
                f"Pairs of a picture and a class that were left out, since their truth is not known: {unknown}."
            )
    if len(report.models) == 1:
        limits.append("What the conversion cost was not measured.")
    if about.population is None:
        limits.append("Where the pictures come from is not stated, so nobody can say for whom the figures hold.")
    limits.append("The figures hold for pictures like these. Other devices, places or patients were not measured.")
    return limits


def _counts(report: Report) -> list[tuple[str, int]]:
    """How many pictures show each class that the file may report."""
    if report.findings is not None:
        return [(one.name, one.positives) for one in report.findings.scored.classes if one.threshold is not None]
    return [(one.name, one.support) for one in report.evaluations[-1].per_class]


def _traces(report: Report) -> tuple[Row, ...]:
    """By what the file, its source and its pictures can be told from others, and what made them."""
    recipe, points = report.recipe, stored_points.read(report.recipe)
    calibration = recipe.get("calibration", {})
    rows = [
        ("file, SHA-256", report.sha256 or NOT_STATED),
        ("source, SHA-256", str(recipe.get("source", {}).get("sha256", NOT_STATED))),
        ("calibration pictures, SHA-256", str(calibration.get("sha256", NOT_STATED))),
        ("calibration pictures", str(calibration.get("images", NOT_STATED))),
        *([("pictures of the operating points, SHA-256", points.sha256)] if points is not None else []),
        ("made with edgedense", str(recipe.get("edgedense", NOT_STATED))),
        *((f"made with {name}", str(number)) for name, number in recipe.get("versions", {}).items()),
        ("measured with edgedense", report.measured_with or NOT_STATED),
    ]
    return tuple(rows)


def _table(section: Section) -> list[str]:
    def line(cells: Row) -> str:
        return f"| {' | '.join(_escaped(cell) for cell in cells)} |"

    return [line(section.headings), f"|{' --- |' * len(section.headings)}", *map(line, section.rows)]


def _escaped(text: str) -> str:
    """As Markdown that shows it as it is: names come from folders that others may have named."""
    if text.startswith("- "):
        return f"- {_escaped(text[2:])}"
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", re.sub(r"\s+", " ", text))
