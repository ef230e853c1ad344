"""What a trained model looks at: Grad-CAM heatmaps.

Grad-CAM: Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization", 2017.
The mean gradient of a class's logit in each channel of a feature map weighs that channel; the weighted sum's positive
part is the heatmap. The logit, not the probability: a softmax that is sure has no gradient left.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgedense.converters.calibration import normalization
from edgedense.converters.network.evaluate import gradients
from edgedense.converters.network.program import Program, lower
from edgedense.converters.opening import Opening
from edgedense.converters.options import Resizing
from edgedense.converters.quantization.heads import features_tensor
from edgedense.converters.readers import door
from edgedense.converters.readers.scores import settled
from edgedense.converters.readers.source import Source
from edgedense.errors import EdgedenseError
from edgedense.explanations.explanation import Explanation, Heat, Loaded, class_numbers, pictures
from edgedense.images.in_memory import Picture
from edgedense.images.preprocessing import Channels, Floats, Normalization, Pixels, Preprocessing
from edgedense.measures.metrics import Integers
from edgedense.measures.scores import names_of

BATCH = 8  # pictures at once
# The names that keras.applications gives to the same tensors, which tutorials use.
_KERAS_NAMES = (
    (r"conv1[/_]relu", lambda m: "stem/conv"),
    (r"pool1", lambda m: "stem/pool"),
    (r"conv(\d)_block(\d+)_concat", lambda m: f"block{int(m[1]) - 1}/layer{m[2]}/concat"),
    (r"conv(\d)_block(\d+)_0_relu", lambda m: f"block{int(m[1]) - 1}/layer{m[2]}/norm"),
    (r"conv(\d)_block(\d+)_1_relu", lambda m: f"block{int(m[1]) - 1}/layer{m[2]}/bottleneck"),
    (r"conv(\d)_block(\d+)_2_conv", lambda m: f"block{int(m[1]) - 1}/layer{m[2]}/growth"),
    (r"pool(\d)_relu", lambda m: f"transition{int(m[1]) - 1}/norm"),
    (r"pool(\d)_conv", lambda m: f"transition{int(m[1]) - 1}/conv"),
    (r"pool(\d)_pool", lambda m: f"transition{int(m[1]) - 1}"),
    (r"relu", lambda m: "head/norm"),
)


@dataclass(frozen=True)
class Model:
    """A trained model as operators on raw pixels; a name for each class, of which a single output has two.

    `gives_values`: its numbers are no probabilities, and there is a name for each of them.
    """

    program: Program
    preprocessing: Preprocessing
    labels: tuple[str, ...]
    notes: tuple[str, ...]
    gives_values: bool = False

    @property
    def outputs(self) -> int:
        """How many logits there are: 1 for a binary model."""
        return self.program.shapes[self.program.ops[-1].output][0]


def read(
    model: str | Path,
    labels: tuple[str, ...] | None = None,
    preprocess: Normalization | None = None,
    resizing: Resizing | None = None,
    opening: Opening | None = None,
) -> Model:
    """Read a model as `convert` reads it. Without `labels` the classes are called 0, 1, ...

    EdgedenseError when it is no DenseNet or there are more or fewer labels than classes.
    """
    opening = opening or Opening()
    source, notes = settled(door.read(model, opening), opening.activation)
    return prepared(source, labels, preprocess, resizing, opening.channels, notes)


def prepared(
    source: Source,
    labels: tuple[str, ...] | None = None,
    preprocess: Normalization | None = None,
    resizing: Resizing | None = None,
    channels: Channels = 3,
    notes: tuple[str, ...] = (),
) -> Model:
    """As `read`, of a model that was read. `notes` are what was said of it then."""
    normalize = source.normalization(preprocess)
    network = normalization.compose(source.network, normalize)
    classes, what = network.classes, "values" if source.gives_values else "classes"
    classes = classes if source.gives_values else max(classes, 2)
    if labels is None and classes == 1:
        labels = names_of((), 1)
    if labels is None:
        labels, notes = tuple(map(str, range(classes))), (*notes, f"{what} are numbered (--labels FILE names them)")
    if len(labels) != classes:
        raise EdgedenseError(f"{classes} labels, as the model has {what}", str(len(labels)), "another --labels file")
    preprocessing = normalization.preprocessing(
        source.size, source.steps, normalize, resizing or Resizing(), source.trained_size, channels
    )
    return Model(lower(network), preprocessing, labels, notes, source.gives_values)


def explain(
    model: Model,
    paths: Sequence[Picture],
    classes: Sequence[str] = (),
    layer: str | None = None,
    unreadable: Callable[[EdgedenseError], None] | None = None,
    masks: Mapping[Picture, Path] | None = None,
) -> Iterator[Explanation]:
    """A heatmap per picture and class; without `classes` of each picture's best class, or of all values.

    `layer` is a name of `tensor_of`, by default the last feature map. `unreadable` is called for a picture that cannot
    be read, and the work goes on; without it that raises. `masks` has that of each picture. EdgedenseError for an
    unknown class or layer.
    """
    numbers = class_numbers(classes, model.labels)
    if model.gives_values and not numbers:
        numbers = tuple(range(len(model.labels)))
    tensor = tensor_of(model.program, layer)
    for batch in batches(model, paths, unreadable, masks):
        pixels = np.stack([item.pixels for item in batch])
        scores, heats = heatmaps(model, pixels, numbers, tensor)
        for item, row, maps in zip(batch, scores, heats, strict=True):
            chosen = numbers or (int(row.argmax()),)
            shown = tuple(
                Heat(model.labels[c], float(row[c]), heat, model.gives_values)
                for c, heat in zip(chosen, maps, strict=True)
            )
            yield Explanation(item.path, item.picture, shown, mask=item.mask)


def heatmaps(
    model: Model, pixels: Pixels, classes: Sequence[int | Integers] = (), tensor: str | None = None
) -> tuple[Floats, Floats]:
    """(scores [B, classes], Grad-CAM heatmaps [B, K, h, w] >= 0) for uint8 `pixels` [B, height, width, C].

    K are the `classes`, each of them a number or one for each picture [B], and without any each picture's best. A
    single output is the logit of the second class; its negative is that of the first. The heatmap of a value is what
    raises it.
    """
    tensor = tensor or tensor_of(model.program, None)
    scored = np.asarray if model.gives_values else _both

    def seeds(raw: Floats) -> list[np.ndarray]:
        best = scored(raw).argmax(axis=1)
        chosen = [np.broadcast_to(number, len(raw)) for number in classes] or [best]
        if model.outputs == 1 and not model.gives_values:
            return [np.where(numbers == 1, 1.0, -1.0)[:, None] for numbers in chosen]
        return [np.eye(model.outputs)[numbers] for numbers in chosen]

    raw, values, found = gradients(model.program, pixels, tensor, seeds)
    heats = [np.maximum((values * gradient.mean((1, 2), keepdims=True)).sum(-1), 0) for gradient in found]
    return scored(raw), np.stack(heats, axis=1)


def stages(program: Program) -> tuple[str, ...]:
    """The network's parts in order: stem, block1, transition1, ... and the last feature map."""
    names = ["stem"]
    for op in program.ops:
        part = op.output.split("/")[0]
        if re.fullmatch(r"(block|transition)\d+", part) and part not in names:
            names.append(part)
    return (*names, "last")


def tensor_of(program: Program, name: str | None) -> str:
    """The feature map called `name`: a part of `stages`, a tensor as `inspect --layers` lists them, or what
    keras.applications calls it; None is the last one, behind the last norm - ReLU. EdgedenseError where it is none."""
    maps = [op.output for op in program.ops if len(program.shapes[op.output]) == 3]
    alias = next((make(m) for pattern, make in _KERAS_NAMES if (m := re.fullmatch(pattern, name or ""))), None)
    for known in (name, alias):
        if known in maps:
            return known
    if name in (None, "last"):
        return features_tensor(program)
    if name == "stem":
        return "stem/conv"
    concats = [output for output in maps if output.startswith(f"{name}/layer") and output.endswith("/concat")]
    if concats:
        return concats[-1]
    near = difflib.get_close_matches(str(name), [*maps, *stages(program)], n=5, cutoff=0.5)
    raise EdgedenseError("a layer that has a feature map", repr(name), f"one of {', '.join(near or stages(program))}")


def batches(
    model: Model,
    paths: Sequence[Picture],
    unreadable: Callable[[EdgedenseError], None] | None,
    masks: Mapping[Picture, Path] | None = None,
) -> Iterator[list[Loaded]]:
    """The pictures, BATCH at a time; `unreadable` and `masks` as in `explain`."""
    for start in range(0, len(paths), BATCH):
        batch = list(pictures(paths[start : start + BATCH], model.preprocessing, unreadable, masks))
        if batch:
            yield batch


def _both(scores: Floats) -> Floats:
    """Scores of two classes where there is a single output, the probability of the second."""
    return np.concatenate([1 - scores, scores], axis=1) if scores.shape[1] == 1 else scores
