"""`edgedense inspect`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from edgedense.cli.tables import PictureTable
from edgedense.converters.opening import Architecture, HeadActivation, InputSize, Output, TrustModel
from edgedense.errors import EdgedenseError
from edgedense.flags import Flag

if TYPE_CHECKING:
    from rich.console import Console

    from edgedense.converters.readers.summary import Summary
    from edgedense.deployed.bundle import Bundle
    from edgedense.device.engines.contents import Contents, DeployedFile, TensorInfo
    from edgedense.images.tables import Table
    from edgedense.measures.layer_noise import LayerNoise

NOISE = "The noise of int8, layer by layer"

File = Annotated[str, Flag("A trained model, as for convert, or a .tflite file.", argument=True)]
ShowNoise = Annotated[
    bool,
    Flag(
        "Show how much noise int8 added in each layer of a .tflite file: its values are compared with those of "
        "the model --reference on pictures of --data.",
        panel=NOISE,
    ),
]
Reference = Annotated[
    str | None,
    Flag(
        "The trained model that the file was made from.",
        panel=NOISE,
        metavar="MODEL",
        needs=("--layers",),
        reads="file",
    ),
]
Data = Annotated[
    Path | None,
    Flag(
        "A folder of pictures on which the two are compared, or a table of file names (.csv or .tsv).",
        panel=NOISE,
        metavar="FOLDER|TABLE",
        needs=("--layers",),
        reads="folder",
    ),
]
MostImages = Annotated[int, Flag("Compare on at most this many pictures.", panel=NOISE, minimum=1, needs=("--layers",))]
ReportFile = Annotated[
    Path | None,
    Flag("Also write the table and a plot as one HTML page.", panel=NOISE, needs=("--layers",), writes="file"),
]


def inspect(
    file: File,
    *,
    size: InputSize = None,
    output: Output = None,
    head_activation: HeadActivation = None,
    architecture: Architecture = None,
    trust: TrustModel = False,
    layers: ShowNoise = False,
    reference: Reference = None,
    data: Data = None,
    noise_images: MostImages = 16,
    report: ReportFile = None,
    table: PictureTable,
) -> None:
    """Show what a model is made of: blocks, parameters and multiply-accumulates, or a .tflite file's operators."""
    from rich.console import Console

    import edgedense

    opens = {"--output": output, "--head-activation": head_activation, "--architecture": architecture}
    if (given := [name for name, value in opens.items() if value]) and (layers or file.endswith(".tflite")):
        raise EdgedenseError(
            f"a trained model for {' and '.join(given)}", file, "leave it out: the .tflite file says which it has"
        )
    pictures = table.of(data)
    if not layers:
        found = edgedense.inspect(
            file, size=size, output=output, head_activation=head_activation, architecture=architecture, trust=trust
        )
        _print(found, Console())
        return
    if reference is None or data is None:
        raise EdgedenseError("what to compare with", "--layers alone", "--reference MODEL.keras --data FOLDER")
    _compare_layers(file, reference, pictures, noise_images, trust, report)


def _compare_layers(
    file: str, reference: str, pictures: Path | Table, count: int, trust: bool, report: Path | None
) -> None:
    from rich.console import Console

    import edgedense
    from edgedense.files import check_writable, write_atomically

    if report is not None:
        check_writable(report)
    noise = edgedense.inspect_layers(file, reference, pictures, noise_images=count, trust=trust)
    _print_noise(noise, Path(file).name, Console())
    if report is not None:
        from edgedense.report import noise_page

        write_atomically(report, noise_page.to_html(noise, Path(file).name, Path(reference).name).encode())


def _print(found: Summary | DeployedFile, console: Console) -> None:
    from edgedense.device.engines.contents import DeployedFile

    if isinstance(found, DeployedFile):
        _print_contents(found.contents, found.bundle, found.name, console)
    else:
        _print_summary(found, console)


def _print_noise(layers: LayerNoise, name: str, console: Console) -> None:
    """Signal-to-quantization-noise ratio per layer, worst first."""
    from edgedense.report.terminal import table

    rows = [(layer, f"{ratio:.1f}") for layer, ratio in sorted(layers, key=lambda pair: pair[1])]
    console.print(table(f"{name}: noise by layer, worst first", ("layer", "signal to noise, dB"), rows))


def _print_summary(summary: Summary, console: Console) -> None:
    """A trained model: blocks with output shapes, parameters and multiply-accumulates, and totals."""
    from edgedense.report.terminal import table

    rows = [
        (r.name, r.content, " x ".join(map(str, r.shape)), f"{r.parameters:,}", f"{r.macs / 1e6:,.1f} M")
        for r in summary.rows
    ]
    rows.append(("total", "", "", f"{summary.parameters:,}", f"{summary.macs / 1e6:,.1f} M"))
    console.print(table(summary.name, ("part", "content", "output", "parameters", "multiply-accumulates"), rows))


def _print_contents(found: Contents, bundle: Bundle, name: str, console: Console) -> None:
    """A .tflite file: operators, inputs and outputs, metadata, recipe."""
    from edgedense.measures.stored_points import POSITIVE, read
    from edgedense.report.terminal import print_section, table
    from edgedense.report.wording import points_section, recipe_rows

    operators = [(o.code, str(o.version), o.arithmetic, str(o.count)) for o in found.operators]
    console.print(table(f"{name}: operators", ("operator", "version", "arithmetic", "count"), operators))
    ends = [_end("input", t) for t in found.inputs] + [_end("output", t) for t in found.outputs]
    console.print(table("Ends", ("", "name", "shape", "type", "scale", "zero point"), ends))
    if any(t.zero_point is not None for t in (*found.inputs, *found.outputs)):
        console.print("An integer q stands for the real value scale x (q - zero point).", soft_wrap=True)
    console.print(
        f"{len(bundle.model) / 1e6:.2f} MB, of which {found.weight_bytes / 1e6:.2f} MB are constants; "
        f"{found.tensors} tensors; TFLite metadata: {'yes' if found.has_metadata else 'no'}; "
        f"labels: {', '.join(bundle.labels) or 'none'}",
        soft_wrap=True,
    )
    if "float_head" in bundle.recipe:
        console.print(_float_head(bundle.recipe["float_head"]), soft_wrap=True)
    if positive := bundle.recipe.get(POSITIVE):
        console.print(f"The positive class, whose pictures are to be found, is {positive}.", soft_wrap=True)
    if (stored := read(bundle.recipe)) is not None:
        print_section(points_section(stored), console)
    if bundle.recipe:
        console.print(table("Recipe", ("entry", "value"), recipe_rows(bundle.recipe)))


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
