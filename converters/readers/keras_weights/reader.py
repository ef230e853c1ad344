"""A Keras file that holds weights without layers -> the DenseNet that it was said to be."""

from __future__ import annotations

from pathlib import Path

from edgedense.converters.opening import Opening
from edgedense.converters.readers import assembly
from edgedense.converters.readers.keras_weights import contents as stored
from edgedense.converters.readers.keras_weights import parts as keras_parts
from edgedense.converters.readers.keras_weights.contents import Contents
from edgedense.converters.readers.keras_weights.parts import Backbone
from edgedense.converters.readers.programs import FloatProgram
from edgedense.converters.readers.source import Source
from edgedense.errors import EdgedenseError
from edgedense.files import sha256


def read(path: Path, opening: Opening) -> Source:
    """Reads the file, of which `opening` says the network, the size of its pictures and, for a head of several Dense
    layers, what stands between them. EdgedenseError when something of it is missing or contradicts the shapes.
    """
    refuse(opening, f"weights alone in '{path.name}'")
    contents = stored.read(path, path.name)
    backbone = keras_parts.backbone(contents, opening.architecture)
    if opening.size is None:
        raise EdgedenseError(
            "the size of the pictures in training, which weights do not say",
            f"'{path.name}', which holds weights alone",
            "--input-size PIXELS, such as 224",
        )
    height, width = (assembly.positions(side, len(backbone.blocks)) for side in opening.size)
    head = keras_parts.head(contents, keras_parts.channels(backbone), height * width, opening.head_activation)
    network = assembly.densenet(keras_parts.parts(backbone, head), opening.size)
    network = keras_parts.same_padded(network) if backbone.same else network
    network = network if backbone.relu else keras_parts.without_last_relu(network)
    return Source(
        network,
        normalized=False,
        sha256=sha256(path.read_bytes()),
        name=path.name,
        parameters=assembly.parameters(network),
        reference=FloatProgram(network),
        size=opening.size,
        outside="densenet" if _as_applications(backbone, contents) else None,
    )


def _as_applications(backbone: Backbone, contents: Contents) -> bool:
    """Whether nothing speaks against the normalization of keras.applications, which is outside of the model."""
    return backbone.convs[0].shape[2] == 3 and not backbone.same and not keras_parts.NORMALIZING & set(contents.plain)


def refuse(opening: Opening, found: str) -> None:
    """EdgedenseError for options that mean nothing where there are no layers of Keras: `found` says what there is."""
    given = {"--output": opening.output, "--trust-model": opening.trust}
    if used := [option for option, value in given.items() if value]:
        raise EdgedenseError(f"a whole Keras model for {' and '.join(used)}", found, "leave it out")


def backbone(path: Path, architecture: str) -> Backbone:
    """The convolutions and norms alone, of a file with any head or none. EdgedenseError when they are of another
    network than `architecture`.
    """
    return keras_parts.backbone(stored.read(path, path.name), architecture)
