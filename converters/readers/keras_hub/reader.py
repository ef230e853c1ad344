"""A DenseNet classifier of keras-hub or keras-cv -> the network, with what its preprocessor does to pixels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from edgedense.converters.network.graph import DenseNet, Pool
from edgedense.converters.opening import Opening
from edgedense.converters.readers import assembly
from edgedense.converters.readers.keras.loss import loss_of
from edgedense.converters.readers.keras_hub import description, files
from edgedense.converters.readers.keras_hub.description import Classifier
from edgedense.converters.readers.keras_hub.files import Opened
from edgedense.converters.readers.keras_weights import parts as keras_parts
from edgedense.converters.readers.keras_weights.reader import refuse
from edgedense.converters.readers.programs import FloatProgram
from edgedense.converters.readers.source import Source
from edgedense.errors import EdgedenseError
from edgedense.images.steps import Size


def read(path: Path | str, opening: Opening) -> Source:
    """Reads `.keras`, or the folder of `save_to_preset`. EdgedenseError when it is damaged, or no DenseNet classifier.

    keras-hub's `predict` normalizes pixels before the network, so that the file says it, and so does the source.
    """
    opened = files.open_model(Path(path))
    refuse(opening, f"'{opened.name}' of keras-hub")
    classifier = description.classifier(opened.description, opened.name)
    size = opening.size or classifier.size
    if size is None:
        raise EdgedenseError(
            "to be told the picture size", f"'{opened.name}', which takes any", "--input-size PIXELS, such as 224"
        )
    network, known = _network(opened, classifier, size), classifier.normalization
    if known is not None:
        network = replace(network, normalization=known)
    return Source(
        network,
        normalized=known is not None and (bool((known.scale != 1).any()) or bool(known.shift.any())),
        sha256=opened.sha256,
        name=opened.name,
        parameters=assembly.parameters(network),
        reference=FloatProgram(network),
        size=size,
        trained_size=classifier.size,
        loss=loss_of(opened.description.get("compile_config"), ("",), 0),
        outside=None if known is None else "none",
        notes=_notes(classifier),
    )


def _network(opened: Opened, classifier: Classifier, size: Size) -> DenseNet:
    # What stands between the layers with weights is said by the description.
    contents = replace(opened.contents, plain=(), titles=(), version="")
    backbone = keras_parts.backbone(contents, classifier.blocks)
    pool, *dense = keras_parts.head(contents, keras_parts.channels(backbone), 1, None)
    if len(dense) != 1 or not isinstance(pool, Pool):
        raise EdgedenseError("a classifier with one Dense layer", f"{len(dense)} in '{opened.name}'")
    last = () if classifier.activation is None else (classifier.activation,)
    head = (Pool(classifier.pooling), *dense, *last)
    return keras_parts.same_padded(assembly.densenet(keras_parts.parts(backbone, head), size))


def _notes(classifier: Classifier) -> tuple[str, ...]:
    if classifier.resizing in (None, "--fit stretch --resize bilinear"):  # what is done unless somebody says more
        return ()
    return (f"the preprocessor in the file resizes pictures as {classifier.resizing} does: say so if training used it",)
