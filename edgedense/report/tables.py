"""Terminal tables of what `convert` did and what `inspect` found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from edgedense.deployed.bundle import Bundle
from edgedense.deployed.layer_noise import LayerNoise

if TYPE_CHECKING:
    from edgedense.converters.pipeline import Conversion
    from edgedense.converters.quantization.stages import StageFigures
    from edgedense.converters.readers.keras.summary import Summary
    from edgedense.device.engines.contents import Contents, TensorInfo


def table(title: str, headings: Iterable[str], rows: Iterable[Iterable[str]]) -> Table:
    """A plain table; columns after the first are aligned to the right where they hold numbers."""
    result = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    cells = [tuple(row) for row in rows]
    for i, heading in enumerate(headings):
        numeric = bool(cells) and all(row[i][:1].isdigit() or row[i][:1] in "-+" for row in cells if row[i])
        result.add_column(heading, justify="right" if i and numeric else "left", overflow="fold")
    for row in cells:
        result.add_row(*row)
    return result


def print_conversion(conversion: Conversion, name: str, console: Console) -> None:
    """The steps with their error in float, the range estimators tried, and the result."""
    steps = [(step.name.replace("_", " "), f"{step.error:.1e}") for step in conversion.steps]
    console.print(table("Rewriting", ("step", "largest change of a logit, relative"), steps))
    if conversion.stages:
        title = "The int8 file behind each step (MACs: multiply-accumulates; ms: one thread here)"
        console.print(table(title, STAGE_HEADINGS, stage_rows(conversion.stages)))
    if conversion.trials:
        tried = [(t.attempt.describe(), f"{t.drop:+.2f}") for t in conversion.trials]
        console.print(table("Validation", ("tried", "drop, points"), tried))
    if conversion.candidates:
        tried = [(c.attempt.describe(), f"{c.divergence:.6f}") for c in conversion.candidates]
        console.print(
            table("Ranges, fitted on one half of the pictures", ("estimator", "mean KL on the other half"), tried)
        )
    figures = conversion.figures
    console.print(
        f"{name}: {len(conversion.data) / 1e6:.2f} MB, {len(conversion.labels)} labels. On {figures['images']} "
        f"calibration pictures it agrees with the float model on {100 * figures['calibration_agreement']:.2f} %, mean "
        f"KL {figures['calibration_kl_mean']:.6f}.",
        soft_wrap=True,
    )


STAGE_HEADINGS = ("step", "MACs, M", "MB", "gzip", "ms", "ratio", "agreement", "accuracy")


def stage_rows(stages: Sequence[StageFigures]) -> list[tuple[str, ...]]:
    """Each step's cells; the ratio is that of the latency to the first."""
    return [
        (
            s.name,
            f"{s.macs / 1e6:,.1f}",
            f"{s.flatbuffer_bytes / 1e6:.2f}",
            f"{s.compressed_bytes / 1e6:.2f}",
            f"{s.latency_ms:.2f}",
            f"{s.latency_ms / stages[0].latency_ms:.2f}",
            f"{100 * s.agreement:.2f}",
            "" if s.accuracy is None else f"{100 * s.accuracy:.2f}",
        )
        for s in stages
    ]


def print_noise(layers: LayerNoise, name: str, console: Console) -> None:
    """Signal-to-quantization-noise ratio per layer, worst first."""
    rows = [(layer, f"{ratio:.1f}") for layer, ratio in sorted(layers, key=lambda pair: pair[1])]
    console.print(table(f"{name}: noise by layer, worst first", ("layer", "signal to noise, dB"), rows))


def print_summary(summary: Summary, console: Console) -> None:
    """A Keras model: blocks with output shapes, parameters and multiply-accumulates, and totals."""
    rows = [
        (r.name, r.content, " x ".join(map(str, r.shape)), f"{r.parameters:,}", f"{r.macs / 1e6:,.1f} M")
        for r in summary.rows
    ]
    rows.append(("total", "", "", f"{summary.parameters:,}", f"{summary.macs / 1e6:,.1f} M"))
    console.print(table(summary.name, ("part", "content", "output", "parameters", "multiply-accumulates"), rows))


def print_contents(found: Contents, bundle: Bundle, name: str, console: Console) -> None:
    """A .tflite file: operators, inputs and outputs, metadata, recipe."""
    operators = [(o.code, str(o.version), o.arithmetic, str(o.count)) for o in found.operators]
    console.print(table(f"{name}: operators", ("operator", "version", "arithmetic", "count"), operators))
    ends = [_end("input", t) for t in found.inputs] + [_end("output", t) for t in found.outputs]
    console.print(table("Ends", ("", "name", "shape", "type", "scale", "zero point"), ends))
    console.print(
        f"{len(bundle.model) / 1e6:.2f} MB, of which {found.weight_bytes / 1e6:.2f} MB are constants; "
        f"{found.tensors} tensors; TFLite metadata: {'yes' if found.has_metadata else 'no'}; "
        f"labels: {', '.join(bundle.labels) or 'none'}",
        soft_wrap=True,
    )
    if "float_head" in bundle.recipe:
        console.print(_float_head(bundle.recipe["float_head"]), soft_wrap=True)
    if bundle.recipe:
        console.print(table("Recipe", ("entry", "value"), _flat(bundle.recipe)))


def _float_head(facts: Mapping[str, Any]) -> str:
    """Which part of a file is float32, and what that costs."""
    return (
        f"The head is float32, all before it int8: {sum(facts['operators'].values())} operators behind DEQUANTIZE with "
        f"{facts['parameters']:,} weights, {facts['bytes']:,} bytes and {facts['multiply_accumulates']:,} "
        f"multiply-accumulates. The reason is {facts['reason']}."
    )


def _end(which: str, t: TensorInfo) -> tuple[str, ...]:
    scale = "" if t.scale is None else f"{t.scale:.6g}"
    zero_point = "" if t.zero_point is None else str(t.zero_point)
    return which, t.name, " x ".join(map(str, t.shape)), t.dtype, scale, zero_point


def _flat(entry: object, prefix: str = "") -> list[tuple[str, str]]:
    """Nested entries as ("outer.inner", value)."""
    if not isinstance(entry, dict):
        return [(prefix, str(entry))]
    return [row for key in sorted(entry) for row in _flat(entry[key], f"{prefix}.{key}" if prefix else str(key))]
