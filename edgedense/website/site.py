"""A deployed file -> the files of a site that shows it in a browser.

`site.json` says everything that differs from model to model; web/src/contract.ts has its types. Beside it lie the
model, the inputs of its golden samples, the runtime, and the page, which is the same for all models.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from importlib.resources import files as resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from edgedense.deployed import golden, gradcam
from edgedense.deployed.bundle import Bundle
from edgedense.deployed.golden import Golden
from edgedense.errors import EdgedenseError
from edgedense.files import sha256
from edgedense.images.preprocessing import Preprocessing

if TYPE_CHECKING:
    from edgedense.device.engines.contents import Contents, TensorInfo
    from edgedense.device.prediction import Rule

SITE, MODEL, PROBES, RUNTIME = "site.json", "model.tflite", "golden.bin", "runtime/"
MANIFEST = "manifest.webmanifest"


@dataclass(frozen=True)
class Site:
    """A site: its `title`, and the content of each of its `files` by the path below the site's folder."""

    title: str
    files: Mapping[str, bytes]

    @property
    def size(self) -> int:
        """The bytes of all files together."""
        return sum(map(len, self.files.values()))

    def save(self, folder: Path | str) -> None:
        """Write the site as a folder, whole or not at all. A site that stands there is replaced.

        Raises EdgedenseError when the folder holds anything else, or cannot be written.
        """
        from edgedense.website.folder import write

        write(Path(folder), self.files)

    def to_html(self) -> str:
        """The site as one HTML page that needs no server. Raises EdgedenseError where it would be larger than 60 MB."""
        from edgedense.website.single import to_html

        return to_html(self.files)


def make(
    name: str,
    title: str,
    content: Bundle,
    contents: Contents,
    rule: Rule,
    runtime: Mapping[str, bytes],
    page: Mapping[str, bytes] | None = None,
) -> Site:
    """The site of a deployed file.

    `name` is the file's, `content` what it carries, `contents` its network in short, and `rule` when a class counts as
    seen. `runtime` are the files of `runtime.FILES`; `page` are those of the page, by default the ones that were built.

    Raises EdgedenseError as `require_recipe` does, and where what the file carries is damaged.
    """
    from edgedense.website import card

    preprocessing = require_recipe(content, name)
    page = dict(built_page() if page is None else page)
    if MANIFEST in page:
        page[MANIFEST] = _called(page[MANIFEST], title)
    samples = Golden.from_bytes(content.entries[golden.ENTRY]) if golden.ENTRY in content.entries else None
    probes = {} if samples is None else {PROBES: samples.inputs().tobytes()}
    kept = {**page, MODEL: content.model, **probes, **{RUNTIME + file: data for file, data in runtime.items()}}
    scores, features = _outputs(contents.outputs)
    height, width, channels = preprocessing.shape
    told = {
        "version": version("edgedense"),
        "title": title,
        "model": _file(MODEL, content.model),
        "input": {"height": height, "width": width, "channels": channels},
        "output": _tensor(contents.outputs, scores),
        "activation": content.recipe.get("activation", "softmax"),
        "preprocessing": preprocessing.entries(),
        "rule": _rule(rule),
        "golden": None if samples is None else _golden(samples, probes[PROBES]),
        "heatmaps": _heatmaps(content, contents.outputs, features),
        "card": [{"name": line, "value": said} for line, said in card.lines(name, content, rule)],
        "files": [_file(path, data) for path, data in sorted(kept.items())],
    }
    return Site(title, {**kept, SITE: (json.dumps(told, ensure_ascii=False, allow_nan=False) + "\n").encode()})


def require_recipe(content: Bundle, name: str) -> Preprocessing:
    """How a picture becomes the file's input. Raises EdgedenseError where it does not say so."""
    if content.preprocessing is None:
        raise EdgedenseError(
            "a file that says how a picture becomes its input, as edgedense convert makes it",
            f"{name} without a recipe",
            "make the file with edgedense convert",
        )
    return content.preprocessing


def built_page() -> dict[str, bytes]:
    """The page's own files by name, as `make web` has built them."""
    folder = resources("edgedense.website") / "page"
    return {entry.name: entry.read_bytes() for entry in sorted(folder.iterdir(), key=lambda entry: entry.name)}


def _called(manifest: bytes, title: str) -> bytes:
    """The page's manifest with the title as the name under which a phone installs it."""
    return (
        json.dumps({**json.loads(manifest), "name": title, "short_name": title}, ensure_ascii=False) + "\n"
    ).encode()


def _file(path: str, data: bytes) -> dict[str, Any]:
    return {"path": path, "bytes": len(data), "sha256": sha256(data)}


def _outputs(outputs: Sequence[TensorInfo]) -> tuple[int, int | None]:
    """The numbers of the output of scores [1, classes] and of that of the last feature map [1, h, w, C]."""
    maps = [number for number, output in enumerate(outputs) if len(output.shape) == 4]
    scores = [number for number, output in enumerate(outputs) if len(output.shape) != 4]
    return scores[0], maps[0] if maps else None


def _tensor(outputs: Sequence[TensorInfo], number: int) -> dict[str, Any]:
    """An output; of float32 the scale is 1 and the zero point 0."""
    output = outputs[number]
    return {
        "index": number,
        "dtype": output.dtype,
        "scale": 1.0 if output.scale is None else output.scale,
        "zero_point": output.zero_point or 0,
    }


def _rule(rule: Rule) -> dict[str, Any]:
    """JSON has no infinities: a threshold is null where there is none, and where a class is never seen."""
    limits = [limit if abs(limit) != float("inf") else None for limit in rule.thresholds]
    return {"kind": rule.kind, "labels": list(rule.labels), "thresholds": limits, "unit": rule.unit}


def _golden(samples: Golden, probes: bytes) -> dict[str, Any]:
    entry = json.loads(samples.to_bytes())
    kept = ("dtype", "outputs", "reference", "step", "runtime", "machine")
    return {
        "count": len(samples.outputs),
        "inputs": _file(PROBES, probes),
        "values": entry.get("values"),
        **{name: entry[name] for name in kept},
    }


def _heatmaps(content: Bundle, outputs: Sequence[TensorInfo], features: int | None) -> dict[str, Any] | None:
    if features is None or gradcam.ENTRY not in content.entries:
        return None
    _, height, width, channels = outputs[features].shape
    steps = [_step(step) for step in gradcam.Head.from_bytes(content.entries[gradcam.ENTRY]).steps]
    output = _tensor(outputs, features)
    return {"output": output, "height": height, "width": width, "channels": channels, "steps": steps}


def _step(step: gradcam.Step) -> dict[str, Any]:
    """A layer of the head."""
    if isinstance(step, gradcam.Pool):
        return {"kind": "pool", "pool": step.kind}
    if isinstance(step, gradcam.WindowPool):
        return {"kind": "window", "pool": step.kind, "size": list(step.size), "stride": list(step.stride)}
    if isinstance(step, gradcam.Nonlinear):
        return {"kind": "nonlinear", **asdict(step)}
    if isinstance(step, gradcam.Flatten):
        return {"kind": "flatten"}
    assert isinstance(step, gradcam.Dense | gradcam.Affine)
    fields = {name: getattr(step, name) for name in step.__dataclass_fields__}
    kind = "dense" if isinstance(step, gradcam.Dense) else "affine"
    return {"kind": kind, **{name: None if array is None else _array(array) for name, array in fields.items()}}


def _array(array: NDArray[Any]) -> dict[str, Any]:
    return {"dtype": array.dtype.name, "shape": list(array.shape), "data": golden.encode(array)}
