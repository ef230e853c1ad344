"""`edgedense.web`: a deployed file as a site, for the browser of a phone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgedense.api.values import labels_of
from edgedense.errors import EdgedenseError
from edgedense.notes import tell

if TYPE_CHECKING:
    from edgedense.website.site import Site


def web(
    file: Path | str,
    *,
    title: str | None = None,
    labels: Path | str | Sequence[str] | None = None,
    threshold: float | None = None,
    runtime: Path | str | None = None,
) -> Site:
    """Make a site of a deployed `.tflite` file: a page that classifies pictures and the camera's frames in the browser
    of whoever opens it. No picture leaves that device.

    `title` is the page's, by default the file's name. `labels` are class names in place of those in the file, or a text
    file of them. `threshold`, from 0 to 1, is when a class counts as seen, in place of the file's own (see
    `Classifier.rule`). `runtime` is the npm package @litertjs/core as `npm pack` writes it; without it npm brings
    it once, and it is kept in the user's cache folder.

    Gives the site and writes nothing: see `Site.save` and `Site.to_html`. The same file gives the same site.

    Raises EdgedenseError for a file that does not say how a picture becomes its input, that is compiled for an Edge
    TPU, or that `Classifier` refuses; and when the runtime cannot be had or is another one than it should be.
    DeviceError without a runtime that opens the file here.
    """
    from edgedense.deployed import bundle
    from edgedense.device.classifier import Classifier
    from edgedense.device.engines.contents import contents
    from edgedense.device.engines.edgetpu import is_compiled
    from edgedense.website import runtime as litert
    from edgedense.website import site

    file = Path(file)
    content = bundle.read(file)
    if is_compiled(content.model):
        raise EdgedenseError(
            "a file for a processor, which browsers can run",
            f"{file.name}, compiled for an Edge TPU",
            "the file that was given to the compiler, without _edgetpu in its name",
        )
    site.require_recipe(content, file.name)
    if title is not None and not title.strip():
        raise EdgedenseError("a title with a letter in it", repr(title))
    if threshold is not None and not 0 <= threshold <= 1:
        raise EdgedenseError("--threshold to be from 0 to 1", str(threshold))
    with Classifier(file, labels=labels_of(labels)) as classifier:
        tell(classifier.notes, file)
        classifier.require_classes({"--threshold": threshold is not None})
        rule = classifier.rule(threshold)
    return site.make(
        file.name,
        file.stem if title is None else title.strip(),
        content,
        contents(content.model),
        rule,
        litert.read(runtime),
    )
