"""What a report says of pictures that show several findings: figures, tables, and the verdict in words."""

from __future__ import annotations

from edgedense.measures.bootstrap import Estimate
from edgedense.measures.findings import Change, Figures, Finding, Findings, Scored
from edgedense.measures.metrics import rule_of_three
from edgedense.report.wording import KL, THRESHOLD_HEADINGS, Figure, Section, percent, threshold_row

RANKED = ("auroc", "average_precision")
NAMES = {
    "auroc": "AUROC",
    "average_precision": "average precision",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "positive_predictive_value": "PPV",
    "negative_predictive_value": "NPV",
    "f1": "F1",
}
_MEANINGS = {
    "auroc": "Take a picture with the finding and one without: this is the chance that the first gets the higher "
    "score. 0.5 is guessing and 1 is perfect.",
    "average_precision": "Sort the pictures by their score and stop at each one with the finding: this is the share of "
    "hits so far, averaged over all stops. 1 is perfect.",
    "sensitivity": "Of the pictures with the finding, the share whose score reaches the threshold.",
    "specificity": "Of the pictures without the finding, the share whose score stays below the threshold.",
}
_MEAN = "The mean over the classes."


def said(estimate: Estimate, scale: float = 1, digits: int = 3, sign: str = "", unit: str = "") -> str:
    """A figure with its interval: "0.912 (0.880 to 0.941)"; a dash where there is none. `scale` is 100 for percent, and
    `unit` stands behind the figure."""
    if estimate.value is None:
        return "–"
    value, *ends = (
        "" if number is None else f"{scale * number + 0.0:{sign}.{digits}f}"
        for number in (estimate.value, estimate.low, estimate.high)
    )
    return f"{value}{unit} ({ends[0]} to {ends[1]})" if ends[0] else f"{value}{unit}"


def figure(figures: Figures, name: str, unit: str = "") -> str:
    """One of the figures of a class: AUROC and average precision as numbers, the rest in percent, with `unit` there."""
    estimate = getattr(figures, name)
    return said(estimate) if name in RANKED else said(estimate, 100, 1, unit=unit)


def verdict(found: Findings) -> str:
    """What the figures mean, in a sentence or two: is the drop real?"""
    change = found.change
    if change is None:
        return f"{_counted(found)}. {_drawn(found)}"
    if not change.changed:
        bound = 100 * rule_of_three(found.images)
        decided = (
            f"No finding of any of {found.images} images is decided differently. With 95 % confidence it would be on "
            f"less than {bound:.2g} % of such images."
        )
    else:
        decided = f"{len(change.changed)} of {found.images} images are decided differently in at least one class."
    drop = change.drop
    if not found.known:
        return decided
    if drop.value is None:
        return f"{decided} Of no class there are images with it and without it, so there is no AUROC."
    moved = f"The mean AUROC dropped by {drop.value + 0.0:.2f} points"
    if drop.low is None or drop.high is None:
        return f"{decided} {moved}."
    real = "may be chance" if drop.low <= 0 <= drop.high else "is more than chance"
    return f"{decided} {moved} (95 %: {drop.low + 0.0:+.2f} to {drop.high + 0.0:+.2f}), which {real}."


def figures(found: Findings) -> list[Figure]:
    """The figures of the models, and those of the pair behind them."""
    models = found.models
    counts = [Figure("images", (str(found.images),) * len(models), "How many pictures were looked at.")]
    if found.patients:
        counts.append(
            Figure("patients", (str(found.patients),) * len(models), "How many patients the pictures are of.")
        )
    means = (
        []
        if not found.known
        else [
            Figure(
                f"mean {NAMES[name]}",
                tuple(figure(model.macro, name, " %") for model in models),
                f"{_MEANINGS[name]} {_MEAN} In brackets is the 95 % interval.",
            )
            for name in _MEANINGS
        ]
    )
    return [*counts, *means, *(_of_the_pair(found.change) if found.change else ())]


def _of_the_pair(change: Change) -> list[Figure]:
    moved = next((one for one in change.classes if one.name == change.moved_most), None)
    drop = [
        Figure(
            "drop of the mean AUROC",
            (said(change.drop, digits=2, sign="+", unit=" points"),),
            "The first model's less the second's, in points of 100: above zero the second is worse. Other pictures of "
            "the same kind would give another drop; an interval found in this way holds the drop over all such "
            "pictures in 95 cases out of 100.",
        )
    ]
    return [
        *(drop if change.drop.value is not None else ()),
        Figure(
            "same decision",
            (percent(change.agreement),),
            "Of all questions, one for each picture and class, the share to which both models give the same answer.",
        ),
        Figure(
            "same findings",
            (percent(change.agreement_of_images),),
            "The share of pictures of which both models name exactly the same findings, be they right or not.",
        ),
        Figure(
            "class that moved most",
            ("–" if moved is None else f"{moved.name}, by {moved.score:.4f}",),
            "The class whose scores differ most between the models, and by how much on average.",
        ),
        Figure("KL divergence, mean", (f"{change.kl_mean:.5f}",), f"{KL} Here it is the sum over all classes."),
        Figure(
            "KL divergence, worst",
            (f"{change.kl_worst:.4f} ({change.kl_worst_image})",),
            "The largest KL divergence, and the picture that has it.",
        ),
    ]


def sections(found: Findings) -> tuple[Section, ...]:
    """The tables: how well scores sort and thresholds decide, class by class, and what another model changed. Where
    nothing is known of the pictures, only the last."""
    scored = found.scored
    changes = _changes(found, found.change) if found.change else ()
    if not found.known:
        return changes[:1]
    ranked = Section(
        "Findings",
        f"How well the scores of {scored.model} tell pictures with a finding from those without, whatever the "
        f"threshold. {_drawn(found)} The macro average is the mean over the classes, the micro average takes all pairs "
        "of a picture and a class in one heap.",
        ("class", "with it", "without", "not known", *(NAMES[name] for name in RANKED)),
        tuple(
            (c.name, str(c.positives), str(c.negatives), str(c.unknown), *(figure(c.figures, n) for n in RANKED))
            for c in scored.classes
        )
        + tuple((name, "", "", "", *(figure(means, n) for n in RANKED)) for name, means in _means(scored)),
    )
    names = [name for name in NAMES if name not in RANKED]
    decided = Section(
        "Decisions at the thresholds",
        "A class counts as seen when its score reaches its threshold. All but that is in percent. Sensitivity: of the "
        "pictures with the finding, how many were called so. Specificity: of those without it, how many were not. "
        "PPV and NPV, the positive and the negative predictive value: how often a yes and how often a no is right, "
        "which depends on how frequent the finding is in these pictures. F1 is high when sensitivity and PPV both are.",
        ("class", "threshold", *(NAMES[name] for name in names)),
        tuple((c.name, _threshold(c), *(figure(c.figures, name) for name in names)) for c in scored.classes)
        + tuple((name, "", *(figure(means, n) for n in names)) for name, means in _means(scored)),
    )
    return ranked, decided, *changes


def _changes(found: Findings, change: Change) -> tuple[Section, ...]:
    before = found.models[0].model
    rows = tuple(
        (
            c.name,
            said(c.auroc, 1, 4, "+"),
            said(c.sensitivity, 100, 1, "+"),
            said(c.specificity, 100, 1, "+"),
            "–" if c.score is None else f"{c.score:.4f}",
            percent(c.agreement),
        )
        for c in change.classes
    )
    return (
        Section(
            "What changed, class by class",
            f"The figures of {found.scored.model} less those of {before}, sensitivity and specificity in points of "
            "100. Both models are in the same draws, so the intervals are of the difference itself. Where an interval "
            "holds zero the change may be chance. Then by how much the scores moved on average, and how often both "
            "models decide alike.",
            ("class", "AUROC", "sensitivity", "specificity", "scores moved", "decided alike"),
            rows,
        ),
        Section(
            "Thresholds that keep the sensitivity",
            f"With these, {found.scored.model} finds as many pictures with the finding as {before} does with its own.",
            THRESHOLD_HEADINGS,
            tuple(map(threshold_row, change.thresholds)),
        ),
    )


def _means(scored: Scored) -> tuple[tuple[str, Figures], ...]:
    """The last rows of a table of classes; of a single class there is nothing to average."""
    if len(scored.classes) < 2:
        return ()
    return ("macro average", scored.macro), ("micro average", scored.micro)


def _threshold(finding: Finding) -> str:
    return "never" if finding.threshold is None else f"{finding.threshold:.4f}"


def _counted(found: Findings) -> str:
    return f"{found.images} images" + (f" of {found.patients} patients" if found.patients else "")


def _drawn(found: Findings) -> str:
    how = f"In brackets are 95 % intervals, of {found.draws} bootstrap draws of"
    if found.patients:
        return f"{how} whole patients."
    return (
        f"{how} single pictures. Whose the pictures are is not known; with several of one patient the intervals are "
        "too narrow."
    )
