"""Results as tables in a terminal, drawn by Rich."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from edgedense.deployed.golden import Replay
from edgedense.measures.drift import Evaluation
from edgedense.measures.result import Report
from edgedense.measures.values import Comparison, ValueReport
from edgedense.report import masks_section, several, values
from edgedense.report.figures import summary_rows, verdict
from edgedense.report.wording import (
    THRESHOLD_HEADINGS,
    VALUE_HEADINGS,
    Section,
    class_headings,
    class_rows,
    headings,
    kept_section,
    noise_verdict,
    threshold_row,
    value_row,
)

EDGES = 3  # letters of a column that Rich takes for what lies between it and the next


def table(title: str, headings: Iterable[str], rows: Iterable[Iterable[str]], of_numbers: bool = True) -> Table:
    """A plain table; columns after the first are aligned to the right where they hold numbers. `of_numbers` is False
    where what looks like a number is a name."""
    result = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    cells = [tuple(row) for row in rows]
    for i, heading in enumerate(headings):
        numeric = bool(cells) and all(row[i][:1].isdigit() or row[i][:1] in "-+–" for row in cells if row[i])
        right = of_numbers and numeric and i > 0
        result.add_column(heading, justify="right" if right else "left", overflow="fold")
    for row in cells:
        result.add_row(*row)
    return result


def print_tables(report: Report, console: Console) -> None:
    """The report for people: figures, classes, confusion matrix, thresholds, what changed."""
    console.print(table(report.title, headings(report), summary_rows(report)))
    if report.evaluations:
        _print_classes(report, report.evaluations[-1], console)
    for section in several.sections(report.findings) if report.findings else ():
        # An interval stands under its figure: side by side they are wider than a terminal.
        rows = [tuple(cell.replace(" (", "\n(") for cell in row) for row in section.rows]
        print_in_parts(section.title, section.headings, rows, console)
    if report.drift and report.drift.thresholds:
        rows = [threshold_row(one) for one in report.drift.thresholds]
        print_in_parts("Thresholds that keep the sensitivity", THRESHOLD_HEADINGS, rows, console)
    if report.operating_points:
        print_section(kept_section(report.operating_points), console)
    if report.masks:
        print_section(masks_section.section(report.masks), console)
    if report.layer_noise:
        console.print(noise_verdict(report.layer_noise), highlight=False)
    console.print(verdict(report), highlight=False)


def print_in_parts(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]], console: Console) -> None:
    """A table that may be wider than the terminal: columns that have no room follow in a table of their own, each with
    the first column before it. Side by side they would be broken in the middle of their words."""
    for number, chosen in enumerate(parts(headings, rows, console.width)):
        some = [[row[i] for i in chosen] for row in rows]
        console.print(table(title if number == 0 else f"{title}, continued", [headings[i] for i in chosen], some))


def parts(headings: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> list[list[int]]:
    """Which columns stand together in a terminal of `width` letters. The first is in each part."""
    columns = [(heading, *(row[i] for row in rows)) for i, heading in enumerate(headings)]
    letters = [EDGES + max(len(line) for cell in cells for line in cell.split("\n")) for cells in columns]
    found, used = [[0]], letters[0]
    for i in range(1, len(letters)):
        if used + letters[i] > width and len(found[-1]) > 1:
            found.append([0])
            used = letters[0]
        found[-1].append(i)
        used += letters[i]
    return found


def print_section(section: Section, console: Console) -> None:
    """A table, and under it what it says."""
    console.print(table(section.title, section.headings, section.rows))
    console.print(section.said, highlight=False)


def _print_classes(report: Report, evaluation: Evaluation, console: Console) -> None:
    console.print(table("Classes", class_headings(report), class_rows(report)))
    names = [row.name for row in evaluation.per_class]
    if len(names) <= 12:  # more do not fit a terminal; the page and the JSON have them all
        rows = [(f"{i} {name}", *map(str, evaluation.confusion[i])) for i, name in enumerate(names)]
        numbers = tuple(map(str, range(len(names))))
        console.print(table(f"Confusion of {evaluation.model}: rows are the truth", ("", *numbers), rows))


def print_values(result: Comparison, console: Console) -> None:
    """How far two models that give values are apart. Which values are right is not known, and so not told."""
    title = f"{result.after} against {result.before}, on {result.images} images"
    console.print(table(title, VALUE_HEADINGS, map(value_row, result.values)))


def print_value_report(report: ValueReport, console: Console) -> None:
    """Values against the right ones: of each its figures and the pictures with the largest errors."""
    for value in report.values:
        console.print(table(values.title(report, value), ("", *report.models), values.rows(report, value)))
        print_section(values.worst_section(report, value), console)
    if report.layer_noise:
        console.print(noise_verdict(report.layer_noise), highlight=False)
    console.print(values.verdict(report), highlight=False)


def print_replay(model: str, result: Replay, console: Console) -> None:
    """The replay of golden samples for people."""
    each = ", ".join(f"{count} by {step}" for step, count in sorted(result.steps.items())[:4])
    largest = f", up to {max(result.steps)}" if len(result.steps) > 4 else ""
    off = f"{sum(result.steps.values())} of {result.values}" + (f": {each}{largest}" if each else "")
    rows = [
        ("probes", str(result.probes)),
        ("made with", result.made_with),
        ("run with", result.run_with),
        ("equal to the bit", "yes" if result.bit_equal else "no"),
        ("values off, by steps", off),
        *_against_float(result),
        ("limit", result.limit),
        ("verdict", "passed" if result.passed else "failed"),
    ]
    if result.suspect:
        rows.append(("first layer that differs", result.suspect))
    console.print(table(f"Golden samples of {model}", ("", ""), rows))


def _against_float(result: Replay) -> list[tuple[str, str]]:
    if result.are_values:
        return [("mean steps from the float model", f"{result.error_made:.3f} there, {result.error_here:.3f} here")]
    return [
        ("labels changed", str(len(result.flipped))),
        ("mean KL from the float model", f"{result.kl_made:.5f} there, {result.kl_here:.5f} here"),
    ]
