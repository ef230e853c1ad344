"""`Classifier`: one deployed file, ready to classify."""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from numpy.typing import NDArray

from edgedense.deployed import bundle
from edgedense.deployed.bundle import Bundle
from edgedense.device.engines.interpreter import make_interpreter, placed
from edgedense.device.prediction import Prediction, Rule, decide, rule
from edgedense.errors import EdgedenseError
from edgedense.images.preprocessing import Channels, Pixels, Preprocessing
from edgedense.measures import scores as kinds

if TYPE_CHECKING:
    from edgedense.deployed import gradcam

_CONVERT = "make the file with edgedense convert"


class Classifier:
    """A deployed file that was checked and loaded. Use it as a context manager, in one thread at a time.

    `labels` are the class names, `preprocessing` says how an image becomes the input (see
    `edgedense.images.preprocessing.load_image` and `resize`), `notes` are remarks for the user about what the file
    does not say, `device` is what runs it, `invoke_seconds` is how long the last inference took. `explains` says
    whether there are heatmaps.

    `activation` is what the scores come from: "softmax" where classes exclude each other, "sigmoid" where each is
    scored alone, "none" where they are values and no probabilities, as those of a regression; `unit` is then what
    they are measured in, where the file says it. A network with one output
    and two labels is binary, its output being the probability of the second class; it then scores both, and they
    exclude each other. Thresholds that the file carries decide when a class is seen (see `rule`).

    Raises EdgedenseError when the file, its input, its
    operators, its metadata or its labels are not what they should be, and DeviceError when there is no runtime.
    """

    def __init__(
        self, path: Path | str, device: str = "cpu", threads: int | None = None, labels: tuple[str, ...] | None = None
    ) -> None:
        path, self.device, remark = placed(Path(path), device, threads)
        self.notes: list[str] = [remark] if remark else []
        content = bundle.read(path)
        self._model, self._threads = content.model, threads
        self._interpreter: Any = make_interpreter(self._model, self.device, threads, self.notes)
        self._input, self._output, self._features = _tensors(self._interpreter)
        self._no_heatmaps = _without_heatmaps(content.recipe)
        self._head = _head(content) if self._features else None
        shape = _input_shape(self._input)
        outputs = _class_count(self._output)
        self.activation = content.recipe.get("activation", "sigmoid" if outputs == 1 else "softmax")
        self.labels = self._checked_labels(labels if labels is not None else content.labels, outputs)
        self.preprocessing = self._checked_preprocessing(content.preprocessing, shape)
        self.outputs = outputs
        self._thresholds = self._checked_thresholds(content.thresholds, outputs)
        self.unit = content.unit
        self._is_pair = outputs == 1 and len(self.labels) == 2
        self.invoke_seconds = 0.0

    def twin(self) -> Classifier:
        """Another one of the same file and on the same device, for another thread. The file is not read again."""
        other = copy.copy(self)
        other._interpreter = make_interpreter(self._model, self.device, self._threads)
        return other

    @property
    def explains(self) -> bool:
        """Whether the file was made with `convert --explain`."""
        return self._head is not None

    def classify(self, image: Pixels) -> NDArray[np.float32]:
        """uint8 [height, width, C] in RGB, or with one channel in grey -> float32 scores [classes]."""
        expected = self.preprocessing.shape
        if image.dtype != np.uint8 or image.shape != expected:
            raise EdgedenseError(
                f"a uint8 image {list(expected)}",
                f"{image.dtype} {list(image.shape)}",
                "edgedense.images.preprocessing.load_image or resize",
            )
        self._interpreter.set_tensor(self._input["index"], image[None])
        started = time.perf_counter()
        self._interpreter.invoke()
        self.invoke_seconds = time.perf_counter() - started
        return self._scores(self._interpreter.get_tensor(self._output["index"])[0])

    @property
    def gives_values(self) -> bool:
        """Whether its numbers are no probabilities."""
        return self.activation == kinds.NONE

    def require_classes(self, options: Mapping[str, object]) -> None:
        """EdgedenseError when the file gives values and one of `options` (name to value) is used: they sort, limit or
        watch the probabilities of classes."""
        given = [name for name, value in options.items() if value]
        if self.gives_values and given:
            raise EdgedenseError(
                f"a file that tells classes apart for {' and '.join(given)}",
                "one that gives values (edgedense convert --activation none)",
                f"leave {'it' if len(given) == 1 else 'them'} out",
            )

    def rule(self, threshold: float | None = None) -> Rule:
        """When a class counts as seen. `threshold` is that of every class in place of the file's or the usual one; of
        two classes that one sigmoid tells apart it is the second one's."""
        return rule(self.labels, self.activation, self.outputs, threshold, self._thresholds, self.unit)

    def predict(self, image: Pixels, top: int = 1, threshold: float | None = None) -> Prediction:
        """uint8 [height, width, C] as for `classify` -> what is seen: the `top` best classes, or where each class is
        scored alone, all that reach their threshold (see `edgedense.device.prediction.decide`)."""
        return decide(self.classify(image), self.rule(threshold), top)

    def require_heatmaps(self) -> None:
        """EdgedenseError where the file has no heatmaps."""
        if not self.explains:
            raise EdgedenseError("a file with the last feature map as its second output", *self._no_heatmaps)

    def heatmaps(self, classes: Sequence[int]) -> NDArray[np.float32]:
        """Where the image that was classified last speaks for each of K `classes`: float32 [K, h, w] >= 0, over the
        whole image. See `edgedense.deployed.gradcam`. Raises EdgedenseError where the file has none."""
        self.require_heatmaps()
        assert self._head is not None
        assert self._features is not None
        raw = self._interpreter.tensor(self._features["index"])()[0]  # a view: a copy would cost as much as the rest
        if len(self.labels) == 1:  # a single output is the logit of class 1 for the head, the only one here
            classes = [1 for _ in classes]
        return self._head.heatmaps(_real(raw, self._features), classes)

    def _scores(self, raw: NDArray[Any]) -> NDArray[np.float32]:
        scores = _real(raw, self._output)
        return np.concatenate([1 - scores, scores]) if self._is_pair else scores

    def close(self) -> None:
        """Free the interpreter's memory."""
        self._interpreter = None

    def __enter__(self) -> Classifier:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _checked_labels(self, labels: tuple[str, ...], outputs: int) -> tuple[str, ...]:
        if self.gives_values and (not labels or len(labels) == outputs):
            return kinds.names_of(labels, outputs)
        if not labels:
            self.notes.append("the file carries no labels: classes are numbered (--labels FILE names them)")
            return tuple(map(str, range(max(outputs, 2))))
        if len(labels) != outputs and not (outputs == 1 and len(labels) == 2 and not self.gives_values):
            raise EdgedenseError(
                f"{outputs} labels, one for each output of the model", str(len(labels)), "another --labels file"
            )
        return tuple(labels)

    def _checked_thresholds(self, thresholds: tuple[float | None, ...], outputs: int) -> tuple[float | None, ...]:
        if thresholds and len(thresholds) != outputs:
            raise EdgedenseError(
                f"{outputs} thresholds, one for each output of the model", str(len(thresholds)), _CONVERT
            )
        return thresholds

    def _checked_preprocessing(self, recipe: Preprocessing | None, shape: tuple[int, int, Channels]) -> Preprocessing:
        height, width, channels = shape
        if recipe is None:
            self.notes.append(
                f"the file carries no edgedense recipe: bilinear resizing to raw {'RGB' if channels == 3 else 'grey'} "
                "is assumed, and that classes exclude each other"
            )
            return Preprocessing(height, width, normalize="none", channels=channels)
        if recipe.shape != shape:
            raise EdgedenseError(
                f"a recipe for the model's input of {_described(shape)}",
                f"one for {_described(recipe.shape)}",
                _CONVERT,
            )
        return recipe


def _head(content: Bundle) -> gradcam.Head | None:
    """What computes heatmaps from the last feature map, where the file has it."""
    from edgedense.deployed import gradcam

    head = content.entries.get(gradcam.ENTRY)
    return None if head is None else gradcam.Head.from_bytes(head)


def _without_heatmaps(recipe: Mapping[str, Any]) -> tuple[str, str]:
    """What to say of a file that heatmaps cannot be computed from, and what to try."""
    if "float_head" in recipe:
        reason = recipe["float_head"]["reason"]
        return f"one whose head is float32, without gradients on a device: {reason}", "explain the Keras model"
    return "one without", "convert the model again with --explain"


def _tensors(interpreter: Any) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any] | None]:
    """The input, the output of scores, and that of the last feature map [1, h, w, C], if there is one: told apart by
    their dimensions, whose order a compiler may change."""
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    features = [tensor for tensor in outputs if len(outputs) > 1 and len(tensor["shape"]) == 4]
    scores = [tensor for tensor in outputs if len(outputs) == 1 or len(tensor["shape"]) != 4]
    if len(inputs) != 1 or len(features) > 1 or len(scores) != 1:
        raise EdgedenseError(
            "a classifier with one input and one output", f"{len(inputs)} inputs and {len(outputs)} outputs", _CONVERT
        )
    return inputs[0], scores[0], features[0] if features else None


def _real(raw: NDArray[Any], tensor: dict[str, Any]) -> NDArray[np.float32]:
    """The real values of a tensor that may be quantized."""
    if raw.dtype == np.float32:
        return raw
    scale, zero_point = tensor["quantization"]
    real = raw.astype(np.float32)
    real -= np.float32(zero_point)
    real *= np.float32(scale)
    return real


def _input_shape(tensor: dict[str, Any]) -> tuple[int, int, Channels]:
    """(height, width, channels) of a uint8 input [1, height, width, 3] or [1, height, width, 1]."""
    shape, kind = tensor["shape"].tolist(), np.dtype(tensor["dtype"])
    if kind != np.uint8 or len(shape) != 4 or shape[0] != 1 or shape[3] not in get_args(Channels):
        raise EdgedenseError("an input of raw pixels, uint8 [1, height, width, 3 or 1]", f"{kind} {shape}", _CONVERT)
    return shape[1], shape[2], shape[3]


def _described(shape: tuple[int, int, int]) -> str:
    return f"{shape[0]}x{shape[1]} pixels" + ("" if shape[2] == 3 else " of one channel")


def _class_count(tensor: dict[str, Any]) -> int:
    """The classes of a float32, uint8 or int8 output [1, classes]."""
    shape, kind = tensor["shape"].tolist(), np.dtype(tensor["dtype"])
    if kind not in (np.float32, np.uint8, np.int8) or len(shape) != 2 or shape[0] != 1:
        raise EdgedenseError("an output of class scores, float32 or uint8 [1, classes]", f"{kind} {shape}", _CONVERT)
    return int(shape[1])


def read_labels(path: Path | str) -> tuple[str, ...]:
    """A text file with one label per line, UTF-8. Empty lines at its end are ignored.

    Raises EdgedenseError when it cannot be read, is empty, or has an empty line between labels.
    """
    try:
        lines = Path(path).read_text("utf-8-sig").rstrip().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise EdgedenseError("a UTF-8 text file of labels, one per line", f"{path}: {error}") from error
    labels = tuple(line.strip() for line in lines)
    if not all(labels) or not labels:
        found = f"{path} with an empty line between labels" if labels else f"{path}, which is empty"
        raise EdgedenseError("one label per line", found)
    return labels
