"""The figures of a report: what each is called, its value for each model, and what it means."""

from __future__ import annotations

from edgedense.measures.drift import Drift, Evaluation, Ranking
from edgedense.measures.result import Report
from edgedense.measures.sequential import EarlyAnswer
from edgedense.report import several, wording
from edgedense.report.wording import KL, Figure, Row, number, percent


def figures(report: Report) -> list[Figure]:
    """All figures of a report, from the plain to the particular; those of the pair of models stand last."""
    if report.findings is not None:
        return several.figures(report.findings)
    models = report.evaluations
    return [*_of_each(models, report.early), *_of_scores(models), *(_of_the_pair(report.drift) if report.drift else ())]


def summary_rows(report: Report) -> list[Row]:
    """The figures as table rows, one column for each model; what belongs to the pair stands under the second."""
    return [(f.name, *[""] * (len(report.models) - len(f.values)), *f.values) for f in figures(report)]


def _of_each(models: tuple[Evaluation, ...], early: EarlyAnswer | None) -> list[Figure]:
    of = "" if early is None else f" of {early.total}"
    found = [
        Figure("images", tuple(f"{m.images}{of}" for m in models), "How many pictures were classified."),
        Figure(
            "accuracy (top-1)",
            tuple(percent(m.accuracy) for m in models),
            "The share of pictures whose most probable class is the true one.",
        ),
    ]
    if models[0].top5 is not None:
        top5 = tuple(percent(m.top5) for m in models)
        found.append(
            Figure("accuracy (top-5)", top5, "The share whose true class is among the five most probable ones.")
        )
    error = tuple(percent(m.calibration_error) for m in models)
    meaning = (
        "A model that says 90 % should be right nine times out of ten. This is by how much, on average, it is more "
        "often or less often right than it says. It has nothing to do with the calibration pictures of a conversion."
    )
    return [*found, Figure("calibration error", error, meaning)]


def _of_scores(models: tuple[Evaluation, ...]) -> list[Figure]:
    """For heads whose scores are used one by one: how well each tells its class from the others."""
    found = []
    for rankings in zip(*(m.rankings for m in models), strict=True):
        name = rankings[0].positive
        found += [
            Figure(
                f"AUROC, {name}",
                _numbers("auroc", rankings),
                f"Take a picture of {name} and one that is not: this is the chance that the first gets the higher "
                "score. 0.5 is guessing and 1 is perfect.",
            ),
            Figure(
                f"average precision, {name}",
                _numbers("average_precision", rankings),
                f"Sort the pictures by their score for {name} and stop at each one that is {name}: this is the share "
                "of hits so far, averaged over all stops. 1 is perfect.",
            ),
        ]
    return found


def _numbers(name: str, rankings: tuple[Ranking, ...]) -> Row:
    return tuple(number(getattr(ranking, name)) for ranking in rankings)


def _of_the_pair(drift: Drift) -> list[Figure]:
    return [
        Figure(
            "drop",
            (f"{drift.drop:+.2f} points",),
            "The accuracy of the first model less that of the second, in points of 100. Above zero the second is "
            "worse.",
        ),
        Figure(
            "drop, 95 % interval",
            (f"{drift.drop_low:+.2f} to {drift.drop_high:+.2f}",),
            "Other pictures of the same kind would give another drop. An interval found in this way holds the drop "
            "over all such pictures in 95 cases out of 100.",
        ),
        Figure(
            "McNemar's p",
            (f"{drift.p_value:.3g}",),
            "How likely two equally good models are to differ at least so much by chance. Below 0.05 the difference is "
            "usually taken as real.",
        ),
        Figure(
            "agreement (top-1)",
            (percent(drift.agreement),),
            "The share of pictures that both models put into the same class, be it the true one or not.",
        ),
        Figure("KL divergence, mean", (f"{drift.kl_mean:.5f}",), KL),
        Figure(
            "KL divergence, worst",
            (f"{drift.kl_worst:.4f} ({drift.kl_worst_image})",),
            "The largest KL divergence, and the picture that has it.",
        ),
        Figure(
            "Jensen-Shannon, mean",
            (f"{drift.js_mean:.5f}",),
            "A relative of the KL divergence that is the same in both directions and at most 0.69.",
        ),
        Figure(
            "cosine of logits",
            (f"{drift.logit_cosine:.5f}",),
            "How alike the scores are before they become probabilities (logits). 1 means alike up to a factor.",
        ),
    ]


def verdict(report: Report) -> str:
    """What the figures mean, in a sentence or two: is the drop real, and was the limit kept?"""
    if report.findings is not None:
        said = several.verdict(report.findings)
    else:
        said = wording.verdict(report.drift, report.images)
        said += "" if report.early is None else f" {wording.early_verdict(report.early)}"
    return said if report.gate is None else f"{said} {wording.gate_verdict(report.gate)}"
