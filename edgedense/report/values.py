"""What a report says of values, such as ages: figures, tables, and the verdict in words."""

from __future__ import annotations

from edgedense.measures.bootstrap import Estimate
from edgedense.measures.scores import text
from edgedense.measures.values import Errors, Measured, Pictured, ValueReport
from edgedense.report.wording import Figure, Row, Section

SHOWN = 10  # pictures with the largest errors in a terminal
_MEANINGS = {
    "mean_absolute": ("mean absolute error", "How far the model is off, on average over the pictures."),
    "root_mean_square": (
        "root mean square error",
        "The root of the mean squared error. Large errors count for more than in the mean absolute error.",
    ),
    "r2": (
        "R²",
        "The share of the spread of the right values that the model explains (coefficient of determination). 1 is "
        "perfect, and 0 is as good as always saying the mean.",
    ),
    "bias": ("bias", "The mean of what the model says less the right value. Above zero it says too much."),
    "lower": (
        "limits of agreement, lower",
        "The bias less 1.96 standard deviations of the errors (Bland and Altman, 1986). If the errors are normally "
        "distributed, 95 % of them lie between this limit and the upper one.",
    ),
    "upper": ("limits of agreement, upper", "The bias and 1.96 standard deviations of the errors."),
}


def said(estimate: Estimate) -> str:
    """A figure with its interval: "4.21 (3.9 to 4.56)"; a dash where there is none."""
    if estimate.value is None:
        return "–"
    if estimate.low is None or estimate.high is None:
        return text(estimate.value)
    return f"{text(estimate.value)} ({text(estimate.low)} to {text(estimate.high)})"


def title(report: ValueReport, value: Measured) -> str:
    """What a value is called, with its unit."""
    return f"{value.name}, in {report.unit}" if report.unit else value.name


def verdict(report: ValueReport) -> str:
    """What was measured, and whether the second model is worse."""
    of = f"{report.images} images" + (f" of {report.patients} patients" if report.patients else "")
    drawn = "patients" if report.patients else "images"
    moved = [sentence for value in report.values if (sentence := _moved(report, value))]
    return " ".join([f"{of}. In brackets is the 95 % interval, by drawing {drawn} again and again.", *moved])


def _moved(report: ValueReport, value: Measured) -> str:
    worse = value.worse
    if worse is None or worse.value is None or worse.low is None or worse.high is None:
        return ""
    rose = "rose" if worse.value >= 0 else "fell"
    real = "may be chance" if worse.low <= 0 <= worse.high else "is more than chance"
    unit = f" {report.unit}" if report.unit else ""
    return (
        f"The mean absolute error of {value.name} {rose} by {text(abs(worse.value))}{unit} (95 %: {worse.low:+.4g} to "
        f"{worse.high:+.4g}), which {real}."
    )


def figures(value: Measured) -> list[Figure]:
    """The figures of each model, and that of the pair behind them."""
    counts = tuple(str(errors.images) for errors in value.errors)
    found = [Figure("images", counts, "How many pictures there are whose right value is known.")]
    found += [
        Figure(name, tuple(said(_of(errors, field)) for errors in value.errors), meaning)
        for field, (name, meaning) in _MEANINGS.items()
    ]
    if value.worse is not None:
        meaning = (
            "The second model's mean absolute error less the first's: above zero the second is worse. Both models' "
            "errors on a picture stay together, so that the interval is that of the difference."
        )
        found.append(Figure("mean absolute error, change", (said(value.worse),), meaning))
    return found


def _of(errors: Errors, field: str) -> Estimate:
    found: Estimate = getattr(errors, field)
    return found


def rows(report: ValueReport, value: Measured) -> list[Row]:
    """The figures as table rows, one column for each model; what belongs to the pair stands under the second."""
    models = len(report.models)
    return [(one.name, *[""] * (models - len(one.values)), *one.values) for one in figures(value)]


def worst_section(report: ValueReport, value: Measured) -> Section:
    """The pictures with the largest errors."""
    return Section(
        f"Largest errors, {title(report, value)}",
        "",
        ("image", "right", *report.models, "error"),
        tuple(_worst_row(one) for one in value.pictures[:SHOWN]),
    )


def _worst_row(one: Pictured) -> Row:
    return one.image, text(one.right), *map(text, one.given), f"{one.error:+.4g}"
