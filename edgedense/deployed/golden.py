"""Golden samples: what the deployed file computed where it was made, to be computed again where it is used.

The inputs are made from a seed by integer arithmetic, so that every machine makes the same ones, no
private image leaves the workstation, and the file grows by a few kB. They are structured, not flat noise:
gradients, blobs, gratings and shapes of many colours, which excite the network's filters as photographs
do.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from edgedense.errors import EdgedenseError
from edgedense.measures import metrics
from edgedense.measures.layer_noise import layer_outputs

Pixels = npt.NDArray[np.uint8]
Invoke = Callable[[Pixels], npt.NDArray[Any]]  # uint8 [1, height, width, C] -> raw output [classes] or [1, classes]

ENTRY = "golden.json"  # in the archive of the deployed file
PROBES = 12
FLOAT_STEP = 1 / 256  # what an output of 8 bits would resolve: a float tail is judged by the same measure
MARGIN = 0.1  # other kernels may flip a label only where the two best scores were closer than this
_DTYPES = ("float32", "uint8", "int8")


@dataclass(frozen=True)
class ValueScale:
    """By what the outputs of a file that gives values, and no probabilities, are judged.

    `steps` [K] is what one step of 8 bits is worth, value by value: for a float output 1/256 of the range that the
    calibration pictures span. `zero_point` is the raw output that means 0, None where it is a float.
    """

    steps: tuple[float, ...]
    zero_point: int | None = None


@dataclass(frozen=True)
class Golden:
    """`outputs` [N, classes] are the file's raw outputs for the probes, `reference` [N, classes] the
    float model's scores, `step` what one quantization step is worth in scores. `runtime` ("ai-edge-litert
    2.3.0") and `machine` ("x86_64") say where they were computed. The first `synthetic` probes are made
    from `seed`, the others are `images` (PNG files of model inputs). `layers` are the root mean squares
    of each layer's output over the first probe, float32 [layers], in the order
    of the operators; empty where they were not measured. `values` is None where the outputs are
    probabilities. `channels` are those of a model input, 3 (RGB) or 1 (grey)."""

    seed: int
    synthetic: int
    height: int
    width: int
    images: tuple[bytes, ...]
    outputs: npt.NDArray[Any]
    reference: npt.NDArray[np.float32]
    step: float
    runtime: str
    machine: str
    layers: npt.NDArray[np.float32]
    values: ValueScale | None = None
    channels: int = 3

    def inputs(self) -> Pixels:
        """The probes, uint8 [N, height, width, channels]."""
        made = probes(self.seed, self.synthetic, self.height, self.width)[..., : self.channels]
        stored = [_pixels(data, self.channels) for data in self.images]
        return np.concatenate([made, np.stack(stored)]) if stored else made

    def to_bytes(self) -> bytes:
        """The entry `golden.json` of a deployed file: JSON, arrays as base64 of little-endian bytes."""
        content = {
            "seed": self.seed,
            "synthetic": self.synthetic,
            "height": self.height,
            "width": self.width,
            "images": [base64.b64encode(data).decode() for data in self.images],
            "classes": int(self.outputs.shape[1]),
            "dtype": self.outputs.dtype.name,
            "step": self.step,
            "outputs": encode(self.outputs),
            "reference": encode(self.reference.astype(np.float32)),
            "runtime": self.runtime,
            "machine": self.machine,
            "layers": encode(self.layers),
            **({"values": asdict(self.values)} if self.values else {}),
            **({"channels": self.channels} if self.channels != 3 else {}),
        }
        return json.dumps(content, sort_keys=True).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Golden:
        """Read what `to_bytes` wrote. Raises EdgedenseError when it is damaged."""
        try:
            entry = json.loads(data)
            if entry["dtype"] not in _DTYPES:
                raise ValueError(f"outputs of type {entry['dtype']}")
            shape = (entry["synthetic"] + len(entry["images"]), entry["classes"])
            return cls(
                int(entry["seed"]),
                int(entry["synthetic"]),
                int(entry["height"]),
                int(entry["width"]),
                tuple(base64.b64decode(data) for data in entry["images"]),
                _decode(entry["outputs"], entry["dtype"]).reshape(shape),
                _decode(entry["reference"], "float32").reshape(shape),
                float(entry["step"]),
                str(entry["runtime"]),
                str(entry["machine"]),
                _decode(entry["layers"], "float32"),
                _value_scale(entry["values"], entry["classes"]) if "values" in entry else None,
                _channels(entry.get("channels", 3)),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise EdgedenseError(
                "golden samples as edgedense convert writes them", f"damaged ones ({error})", "convert the model again"
            ) from error


@dataclass(frozen=True)
class Replay:
    """The golden samples computed again here: the file's answers for pictures that it carries, or that are drawn.

    `steps` maps a difference in quantization steps, 1 and more, to the number of values that show it. `flipped` are the
    pictures whose best class changed, as (number, margin where it was made), the margin being the distance of the two
    best scores. `kl_made` and `kl_here` are the mean Kullback-Leibler divergence from the float model's scores, there
    and here; of values, which have none, `error_made` and `error_here` are the mean distance from the float model's, in
    steps. `suspect` is the first layer whose output differs, if layers were compared.
    """

    probes: int
    values: int
    bit_equal: bool
    steps: Mapping[int, int]
    flipped: tuple[tuple[int, float], ...]
    kl_made: float | None
    kl_here: float | None
    made_with: str
    run_with: str
    suspect: str | None = None
    error_made: float | None = None
    error_here: float | None = None

    @property
    def are_values(self) -> bool:
        """Whether the file gives values, and no probabilities."""
        return self.error_made is not None

    @property
    def allowed_steps(self) -> int | None:
        """By how many steps a value may differ. 0 with the runtime and the kind of processor that made
        the samples; 1 with the same runtime on another processor, whose instructions may round a tie the
        other way; None, which is no limit, with other kernels, whose labels are compared. Values have no labels:
        there other kernels may be off by MARGIN of the values' range."""
        if self.made_with == self.run_with:
            return 0
        if self.made_with.split(",")[0] == self.run_with.split(",")[0]:
            return 1
        return round(MARGIN / FLOAT_STEP) if self.are_values else None

    @property
    def passed(self) -> bool:
        """Whether `limit` is kept."""
        if self.allowed_steps is not None and max(self.steps, default=0) > self.allowed_steps:
            return False
        return all(margin <= MARGIN for _, margin in self.flipped)

    @property
    def limit(self) -> str:
        """What `passed` asks for, in words."""
        labels = f"no label changes whose margin was above {MARGIN:g}"
        known = {0: "no value differs by a step", 1: "no value differs by more than one step", None: ""}
        steps = known.get(self.allowed_steps, f"no value differs by more than {self.allowed_steps} steps")
        return steps if self.are_values else ", ".join(filter(None, [steps, labels]))

    def to_dict(self) -> dict[str, Any]:
        """All of it for JSON."""
        return {
            "probes": self.probes,
            "values": self.values,
            "bit_equal": self.bit_equal,
            "steps": {str(step): count for step, count in sorted(self.steps.items())},
            "flipped": [{"probe": probe, "margin": margin} for probe, margin in self.flipped],
            "kl_made": self.kl_made,
            "kl_here": self.kl_here,
            "error_made": self.error_made,
            "error_here": self.error_here,
            "made_with": self.made_with,
            "run_with": self.run_with,
            "suspect": self.suspect,
            "limit": self.limit,
            "passed": self.passed,
        }


def record(
    invoke: Invoke,
    reference: Callable[[Pixels], npt.ArrayLike],
    *,
    height: int,
    width: int,
    step: float,
    runtime: str,
    machine: str,
    layers: Callable[[Pixels], Mapping[str, float]] | None = None,
    images: Sequence[Pixels] = (),
    count: int = PROBES,
    seed: int = 0,
    values: ValueScale | None = None,
    channels: int = 3,
) -> Golden:
    """Compute the golden samples of a file that was just made.

    `invoke` is the deployed file, `reference` the float model: uint8 [N, height, width, channels] -> scores [N,
    classes]. `step` is the scale of a quantized output, FLOAT_STEP for a float one; `values` says more where the
    outputs are no probabilities. `images` (uint8
    [height, width, channels]) are stored with the samples. `layers` measures a probe layer by layer (see
    `Golden.layers`).
    """
    stored = tuple(_png(image) for image in images)
    made = probes(seed, count, height, width)[..., :channels]
    inputs = np.concatenate([made, np.stack(images)]) if len(images) else made
    outputs = _run(invoke, inputs)
    scores = np.asarray(reference(inputs), np.float32).reshape(outputs.shape)
    return Golden(
        seed,
        count,
        height,
        width,
        stored,
        outputs,
        scores,
        step,
        runtime,
        machine,
        np.array(list(layers(inputs[:1]).values()) if layers else [], np.float32),
        values,
        channels,
    )


def replay(
    golden: Golden,
    invoke: Invoke,
    *,
    runtime: str,
    machine: str,
    layers: Callable[[Pixels], Mapping[str, float]] | None = None,
) -> Replay:
    """Compute golden samples again and compare. Raises EdgedenseError when the file gives another kind of
    output."""
    inputs = golden.inputs()
    here = _run(invoke, inputs)
    if here.dtype != golden.outputs.dtype or here.shape != golden.outputs.shape:
        raise EdgedenseError(
            f"outputs {golden.outputs.dtype} {list(golden.outputs.shape)}, as the golden samples have",
            f"{here.dtype} {list(here.shape)}",
            "convert the model again",
        )
    steps = _steps(golden, here)
    made_scores, here_scores = _scores(golden, golden.outputs), _scores(golden, here)
    result = Replay(
        probes=len(inputs),
        values=here.size,
        bit_equal=here.tobytes() == golden.outputs.tobytes(),
        steps={int(s): int(np.sum(steps == s)) for s in np.unique(steps) if s},
        made_with=f"{golden.runtime}, {golden.machine}",
        run_with=f"{runtime}, {machine}",
        **_compared(golden, made_scores, here_scores),
    )
    if result.passed or layers is None or not golden.layers.size:
        return result
    return Replay(**{**vars(result), "suspect": first_difference(golden.layers, layers(inputs[:1]))})


def first_difference(made: npt.NDArray[np.float32], here: Mapping[str, float], tolerance: float = 0.05) -> str | None:
    """The first layer whose root mean square is off by more than `tolerance` of its value; None when all
    agree.

    Rounding of other kernels moves a root mean square by far less than 5 %, a wrong scale or weight by more.
    """
    if len(made) != len(here):
        return None  # other operators than those that were recorded: there is nothing to name
    for value, (name, level) in zip(made, here.items(), strict=True):
        if abs(level - value) > tolerance * max(abs(value), 1e-6):
            return name
    return None


def raw_invoke(interpreter: Any) -> Invoke:
    """The raw output of a TensorFlow Lite interpreter whose tensors are allocated."""
    source, target = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]

    def invoke(pixels: Pixels) -> npt.NDArray[Any]:
        interpreter.set_tensor(source, pixels)
        interpreter.invoke()
        return interpreter.get_tensor(target)

    return invoke


def value_scale(interpreter: Any, scores: npt.NDArray[Any]) -> ValueScale:
    """How the values of an interpreter's output are judged; `scores` [N, K] are the float model's for the
    calibration pictures. A value that never changes there is judged by its size."""
    output = interpreter.get_output_details()[0]
    if output["dtype"] != np.float32:
        scale, zero_point = output["quantization"]
        return ValueScale((float(scale),) * scores.shape[1], int(zero_point))
    low, high = scores.min(axis=0).astype(np.float64), scores.max(axis=0).astype(np.float64)
    spans = np.where(high > low, high - low, np.maximum(np.abs(high), 1e-6))
    return ValueScale(tuple(float(f"{span * FLOAT_STEP:.6g}") for span in spans))


def output_step(interpreter: Any) -> float:
    """What one quantization step of the output is worth in scores."""
    output = interpreter.get_output_details()[0]
    return FLOAT_STEP if output["dtype"] == np.float32 else float(output["quantization"][0])


def layer_levels(interpreter: Any, pixels: Pixels) -> dict[str, float]:
    """Root mean square of each layer's output for `pixels` [1, height, width, C], by tensor name, in order. See
    `noise.layer_outputs` for the interpreter."""
    return {name: float(np.sqrt(np.mean(values**2))) for name, values in layer_outputs(interpreter, pixels)}


def _run(invoke: Invoke, inputs: Pixels) -> npt.NDArray[Any]:
    return np.stack([np.array(invoke(image[None])).reshape(-1) for image in inputs])


def _steps(golden: Golden, here: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Differences in whole steps. A float output is off by n steps from n - 0.5 steps on, so that the
    last bits of an exponential count as none."""
    difference = np.abs(here.astype(np.float64) - golden.outputs.astype(np.float64))
    if here.dtype == np.float32:
        difference /= golden.values.steps if golden.values else golden.step
    return np.rint(difference).astype(np.int64)


def _scores(golden: Golden, outputs: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Raw outputs as scores; the lowest value of a quantized output means 0, unless it is one of `values`."""
    if outputs.dtype == np.float32:
        return outputs.astype(np.float64)
    if golden.values is not None and golden.values.zero_point is not None:
        return (outputs.astype(np.float64) - golden.values.zero_point) * golden.values.steps
    return (outputs.astype(np.float64) - np.iinfo(outputs.dtype).min) * golden.step


def _compared(golden: Golden, made: npt.NDArray[np.float64], here: npt.NDArray[np.float64]) -> dict[str, Any]:
    """What `Replay` says of both scores [N, classes] beside the float model's."""
    if golden.values is not None:
        error_made, error_here = (
            float(np.mean(np.abs(scores - golden.reference) / golden.values.steps)) for scores in (made, here)
        )
        return {"flipped": (), "kl_made": None, "kl_here": None, "error_made": error_made, "error_here": error_here}
    flipped = np.flatnonzero(metrics.predicted(made) != metrics.predicted(here))
    ordered = np.sort(metrics.distribution(made), axis=1)
    return {
        "flipped": tuple((int(i), float(ordered[i, -1] - ordered[i, -2])) for i in flipped),
        "kl_made": float(metrics.kl_divergence(golden.reference, made).mean()),
        "kl_here": float(metrics.kl_divergence(golden.reference, here).mean()),
    }


def _value_scale(entry: Any, count: int) -> ValueScale:
    steps = tuple(float(step) for step in entry["steps"])
    if len(steps) != count or not all(step > 0 for step in steps):
        raise ValueError(f"{len(steps)} steps for {count} values")
    return ValueScale(steps, None if entry["zero_point"] is None else int(entry["zero_point"]))


def _channels(entry: Any) -> int:
    if entry not in (1, 3):
        raise ValueError(f"{entry!r} channels")
    return int(entry)


def _png(image: Pixels) -> bytes:
    target = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).save(target, "PNG")
    return target.getvalue()


def _pixels(png: bytes, channels: int) -> Pixels:
    with Image.open(io.BytesIO(png)) as image:
        pixels = np.asarray(image.convert("L" if channels == 1 else "RGB"))
    return pixels.reshape(*pixels.shape[:2], channels)


def encode(array: npt.NDArray[Any]) -> str:
    """The array's little-endian bytes in base64."""
    return base64.b64encode(array.astype(array.dtype.newbyteorder("<")).tobytes()).decode()


def _decode(text: str, dtype: str) -> npt.NDArray[Any]:
    return np.frombuffer(base64.b64decode(text), np.dtype(dtype).newbyteorder("<")).astype(dtype)


# --- The probes: integers only from here on, so that no machine rounds them differently. ---


def probes(seed: int, count: int, height: int, width: int) -> Pixels:
    """uint8 [count, height, width, 3], the same for the same arguments on every machine."""
    made = np.empty((count, height, width, 3), np.uint8)
    for i in range(count):
        draw = _Draw((seed << 20) + i)
        made[i] = _shapes(draw, _grating(draw, _clouds(draw, height, width)))
    return made


class _Draw:
    """SplitMix64 (Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators", 2014): few
    lines, exact in 64-bit integers everywhere, and independent of NumPy's generators, which may
    change."""

    def __init__(self, seed: int) -> None:
        # Not a multiple of the step: neighbouring seeds would draw the same numbers, one later.
        self._state = np.uint64(seed * 0xD1342543DE82EF95 & 0xFFFFFFFFFFFFFFFF)

    def below(self, limit: int, *shape: int) -> npt.NDArray[np.int64]:
        """Integers from 0 to `limit` - 1, an array of `shape`."""
        size = int(np.prod(shape, dtype=np.int64))
        counter = np.arange(1, size + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) + self._state
        self._state = counter[-1]
        z = (counter ^ (counter >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
        return ((z >> np.uint64(33)).astype(np.int64) % limit).reshape(shape)


def _clouds(draw: _Draw, height: int, width: int) -> npt.NDArray[np.int64]:
    """Value noise: colours on coarse to fine grids, interpolated and added, coarse ones strongest; [h, w,
    3], 0 to 255."""
    total = np.zeros((height, width, 3), np.int64)
    for cells, weight in ((2, 8), (5, 4), (12, 2), (29, 1)):
        grid = draw.below(256, cells + 1, cells + 1, 3)
        y, fy = np.divmod(np.arange(height, dtype=np.int64) * cells * 256 // height, 256)
        x, fx = np.divmod(np.arange(width, dtype=np.int64) * cells * 256 // width, 256)
        fy, fx = fy[:, None, None], fx[None, :, None]
        top = grid[y][:, x] * (256 - fx) + grid[y][:, x + 1] * fx
        bottom = grid[y + 1][:, x] * (256 - fx) + grid[y + 1][:, x + 1] * fx
        total += weight * ((top * (256 - fy) + bottom * fy) >> 16)
    return _stretch(total // 15)


def _stretch(image: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Each channel to the whole range: sums of noise are grey."""
    low, high = image.min(axis=(0, 1)), image.max(axis=(0, 1))
    return (image - low) * 255 // np.maximum(high - low, 1)


def _grating(draw: _Draw, image: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """A triangle wave of random direction and period over one half of the image: edges of one orientation."""
    height, width = image.shape[:2]
    a, b = (int(v) - 8 for v in draw.below(17, 2))
    period = 24 + int(draw.below(8 * max(height, width), 1)[0])
    y, x = np.arange(height)[:, None], np.arange(width)[None, :]
    phase = (16 * (a * y + b * x)) % (2 * period)
    wave = (np.abs(phase - period) * 128 // period - 64)[..., None]
    side = (
        (y * width < x * height)[..., None] if draw.below(2, 1)[0] else (y * 2 < height)[..., None] | (x < 0)[..., None]
    )
    return np.clip(image + wave * side, 0, 255)


def _shapes(draw: _Draw, image: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Two to five discs and rectangles of plain colour: closed contours and corners."""
    height, width = image.shape[:2]
    y, x = np.arange(height)[:, None], np.arange(width)[None, :]
    image = image.copy()
    for _ in range(2 + int(draw.below(4, 1)[0])):
        middle_y, middle_x = int(draw.below(height, 1)[0]), int(draw.below(width, 1)[0])
        reach = 2 + int(draw.below(max(min(height, width) // 3, 1), 1)[0])
        colour, kind = draw.below(256, 3), int(draw.below(3, 1)[0])
        if kind:
            inside = (y - middle_y) ** 2 + (x - middle_x) ** 2 <= reach**2
        else:
            inside = (np.abs(y - middle_y) <= reach) & (2 * np.abs(x - middle_x) <= reach)
        image[inside] = colour
    return image
