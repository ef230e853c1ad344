"""The report as one HTML file that needs nothing else: no network, no script, no font, plots as inline
SVG."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib import resources

from edgedense.measures.drift import Changed, Drift
from edgedense.measures.layer_noise import LayerNoise
from edgedense.measures.result import Report
from edgedense.report import plots, wording
from edgedense.report.thumbnails import SHOWN
from edgedense.report.wording import Section


def to_html(content: Report, thumbnails: Mapping[str, bytes] | None = None, extras: Sequence[Section] = ()) -> str:
    """The page. Names of classes, files and layers are escaped: they come from folders that others may
    have named."""
    sections = [_head(content), _figures(content)]
    if content.drift:
        sections.append(_class_changes(content.drift))
    sections += [_classes(content), _confusion(content), _reliability(content)]
    if content.drift and content.drift.thresholds:
        sections.append(_thresholds(content.drift))
    if content.layer_noise:
        sections.append(_noise(content.layer_noise))
    if content.drift:
        sections.append(_changed(content.drift, thumbnails or {}))
    sections += [_section(e.title, e.said, e.plot + _table(e.headings, e.rows)) for e in extras]
    if content.recipe:
        sections.append(_recipe(content))
    return _page(content.title, sections)


def training_to_html(
    content: Report, said: str, curves: Iterable[tuple[str, str]], extras: Sequence[Section] = ()
) -> str:
    """The page of `train`: what came out, said in a sentence, and (caption, SVG) for each learning curve."""
    figures = "".join(f"<figure><figcaption>{escape(caption)}</figcaption>{svg}</figure>" for caption, svg in curves)
    legend = '<p class="legend"><i class="before"></i>training<i class="after"></i>validation</p>'
    sections = [
        f"<header><h1>{escape(content.title)}</h1><p>{escape(said)}</p></header>",
        _figures(content),
        _section(
            "Training",
            "Training pictures are augmented, so they are harder than validation pictures. The dashed "
            "line is the epoch whose weights were kept.",
            f'{legend}<div class="pair">{figures}</div>',
        ),
        _classes(content),
        _confusion(content),
        _reliability(content),
        *(_section(e.title, e.said, e.plot + _table(e.headings, e.rows)) for e in extras),
    ]
    made = _table(("", ""), wording.recipe_rows(content.recipe), "recipe")
    return _page(content.title, [*sections, _section("How it was made", "Pictures, options and versions.", made)])


def noise_to_html(layers: LayerNoise, title: str) -> str:
    """The page of `inspect --layers`: the plot and every layer, worst first."""
    rows = [(name, f"{value:.1f}") for name, value in sorted(layers, key=lambda layer: layer[1])]
    every = _section("All layers", "The lowest ratio first.", _table(("layer", "dB"), rows))
    return _page(title, [f"<header><h1>{escape(title)}</h1></header>", _noise(layers), every])


def _page(title: str, sections: Iterable[str]) -> str:
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_style()}</style></head>\n"
        f"<body><main>{''.join(sections)}</main></body></html>\n"
    )


def _style() -> str:
    return resources.files("edgedense.report").joinpath("report.css").read_text(encoding="utf-8")


def _head(content: Report) -> str:
    gate = content.gate
    badge = ""
    if gate is not None:
        kind, said = ("pass", "gate passed") if gate.passed else ("fail", "gate failed")
        badge = f'<span class="badge {kind}">{said}</span>'
    return f"<header><h1>{escape(content.title)} {badge}</h1><p>{escape(wording.verdict(content))}</p></header>"


def _figures(content: Report) -> str:
    drift, shown = content.drift, content.evaluation
    if drift is None:
        tiles = [("accuracy", wording.percent(shown.accuracy), f"{shown.images} images")]
        if shown.top5 is not None:
            tiles.append(("top-5", wording.percent(shown.top5), ""))
        tiles.append(("calibration error", wording.percent(shown.calibration_error), ""))
    else:
        tiles = [
            ("accuracy", wording.percent(drift.after.accuracy), f"was {wording.percent(drift.before.accuracy)}"),
            ("drop, in points", f"{drift.drop:+.2f}", f"95 %: {drift.drop_low:+.2f} to {drift.drop_high:+.2f}"),
            ("same decision", wording.percent(drift.agreement), f"{len(drift.changed)} of {shown.images} changed"),
            ("mean KL", f"{drift.kl_mean:.5f}", f"worst {drift.kl_worst:.3f}"),
        ]
    cards = "".join(
        f'<div class="tile"><span>{escape(name)}</span><strong>{escape(value)}</strong>'
        f"<small>{escape(note)}</small></div>"
        for name, value, note in tiles
    )
    every = _table(wording.headings(content), wording.summary_rows(content), "figures")
    return f'<section class="tiles">{cards}</section><details open><summary>All figures</summary>{every}</details>'


def _class_changes(drift: Drift) -> str:
    rows = [
        (a.name, 100 * (a.recall - b.recall))
        for b, a in zip(drift.before.per_class, drift.after.per_class, strict=True)
        if a.support
    ]
    names, deltas = [name for name, _ in rows], [delta for _, delta in rows]
    return _section(
        "Recall, class by class",
        "How much of each class is still recognized, change in points.",
        plots.delta_bars(names, deltas, "Change of recall"),
    )


def _classes(content: Report) -> str:
    return _section(
        "Classes",
        "Precision: how much of what was called so is so. Recall: how much of it was found. In percent.",
        _table(wording.class_headings(content), wording.class_rows(content)),
    )


def _confusion(content: Report) -> str:
    models = (content.drift.before, content.drift.after) if content.drift else (content.evaluation,)
    figures = "".join(
        f"<figure><figcaption>{escape(m.model)}</figcaption>"
        + plots.heatmap([c.name for c in m.per_class], m.confusion, f"Confusion matrix of {m.model}")
        + "</figure>"
        for m in models
    )
    return _section(
        "Confusion",
        "Rows are the true class, columns the decided one; shade is the share of the row.",
        f'<div class="pair">{figures}</div>',
    )


def _reliability(content: Report) -> str:
    drift = content.drift
    legend = (
        ""
        if drift is None
        else (
            f'<p class="legend"><i class="before"></i>{escape(drift.before.model)}'
            f'<i class="after"></i>{escape(drift.after.model)}</p>'
        )
    )
    errors = " → ".join(
        wording.percent(m.calibration_error) for m in ((drift.before, drift.after) if drift else (content.evaluation,))
    )
    return _section(
        "Reliability",
        f"Is it as often right as it is sure? On the dashed line, yes. Expected calibration error {errors}.",
        legend
        + plots.reliability_curves(
            drift.before.reliability if drift else None, content.evaluation.reliability, "Accuracy over confidence"
        ),
    )


def _thresholds(drift: Drift) -> str:
    return _section(
        "Thresholds",
        "The threshold that finds as many of a class's images as 0.5 did before, and what it costs.",
        _table(wording.THRESHOLD_HEADINGS, map(wording.threshold_row, drift.thresholds)),
    )


def _noise(layers: LayerNoise) -> str:
    worst = sorted(layers, key=lambda layer: layer[1])[:8]
    return _section(
        "Noise, layer by layer",
        "Signal-to-noise ratio of each layer's output against the model it is compared with, in dB; higher is "
        f"better. {wording.noise_verdict(layers)}",
        plots.layer_profile(layers, "Signal-to-noise ratio by layer")
        + _table(("noisiest layers", "dB"), [(name, f"{value:.1f}") for name, value in worst]),
    )


def _changed(drift: Drift, thumbnails: Mapping[str, bytes]) -> str:
    cards = "".join(_card(change, thumbnails.get(change.image)) for change in drift.changed[:SHOWN])
    hidden = len(drift.changed) - SHOWN
    more = f"<p>{hidden} more are not shown.</p>" if hidden > 0 else ""
    said = (
        "No image changed its label."
        if not drift.changed
        else (f"{len(drift.changed)} of {drift.after.images}; those that went from right to wrong come first.")
    )
    return _section("Images whose label changed", said, f'<div class="cards">{cards}</div>{more}')


def _card(change: Changed, thumbnail: bytes | None) -> str:
    picture = (
        ""
        if thumbnail is None
        else (f'<img alt="" src="data:image/jpeg;base64,{base64.b64encode(thumbnail).decode()}">')
    )

    def line(label: str, score: float) -> str:
        right = ' class="right"' if label == change.truth else ""
        return f"<b{right}>{escape(label)}</b> {100 * score:.0f} %"

    return (
        f'<div class="card">{picture}<div><small>{escape(change.image)}</small>'
        f"<span>{line(change.before, change.before_score)}</span>"
        f"<span>→ {line(change.after, change.after_score)}</span></div></div>"
    )


def _recipe(content: Report) -> str:
    rows = wording.recipe_rows(content.recipe)
    return _section("Recipe", "How the file was made, as it says itself.", _table(("", ""), rows, "recipe"))


def _section(title: str, said: str, body: str) -> str:
    return f"<section><h2>{escape(title)}</h2><p>{escape(said)}</p>{body}</section>"


def _table(headings: Iterable[str], rows: Iterable[Iterable[str]], kind: str = "") -> str:
    head = "".join(f"<th>{escape(heading)}</th>" for heading in headings)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    table = f'<table class="{kind}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
    return f'<div class="scroll">{table}</div>'
