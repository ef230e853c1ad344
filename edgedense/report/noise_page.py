"""The page of `inspect --layers`, and the part of it that other pages show too."""

from __future__ import annotations

from typing import Any

from edgedense.measures.layer_noise import LayerNoise
from edgedense.report import plots, wording
from edgedense.report.template import render
from edgedense.report.wording import Row

NOISIEST = 8


def to_html(layers: LayerNoise, name: str, compared_with: str) -> str:
    """The page about the file `name`: a plot, and every layer with the worst first."""
    content = noise_profile(layers, compared_with)
    return render("noise.html", title=f"Noise of {name}", layers=_worst_first(layers), **content)


def noise_profile(layers: LayerNoise, compared_with: str) -> dict[str, Any]:
    """What `templates/noise_profile.html` takes; without layers its plot is None, and the page leaves it out."""
    if not layers:
        return {"noise_plot": None}
    return {
        "noise_plot": plots.layer_profile(layers),
        "noise_verdict": wording.noise_verdict(layers),
        "noisiest": _worst_first(layers)[:NOISIEST],
        "compared_with": compared_with,
    }


def _worst_first(layers: LayerNoise) -> list[Row]:
    return [(name, f"{ratio:.1f}") for name, ratio in sorted(layers, key=lambda layer: layer[1])]
