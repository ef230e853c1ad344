"""A tiny deployed file that tells red, green and blue cards apart, and sources that show such cards."""

from __future__ import annotations

import contextlib
import io
import os
import platform
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as tfl
from PIL import Image

from edgedense.deployed import bundle, golden, gradcam
from edgedense.device.engines.interpreter import find_runtime, make_interpreter
from edgedense.files import write_atomically
from edgedense.images.preprocessing import Preprocessing

COLOURS = ("red", "green", "blue")
HEIGHT, WIDTH = 48, 64
RECIPE = {"edgedense": "0.1.0", "preprocessing": Preprocessing(HEIGHT, WIDTH, "none").to_dict()}


def make_colour_model(
    input_type: int = tfl.TensorType.UINT8,
    outputs: int = 3,
    version: int = 1,
    explained: bool = False,
    independent: bool = False,
    quantized: bool = False,
) -> bytes:
    """CAST, MEAN over the picture, FULLY_CONNECTED of the channels to the classes, SOFTMAX or LOGISTIC.

    The weight 0.05 turns a difference of 100 levels into one of 5 in the logits. With one output the class is
    "more blue than red". `explained`: the pixels themselves are the feature map, and the second output. `independent`:
    each colour is scored alone, by a sigmoid that is 0.5 at a mean level of 100. `quantized`: the scores are uint8.
    """
    weights = 0.05 * np.eye(3, dtype=np.float32) if outputs == 3 else np.float32([[-0.05, 0, 0.05]])
    values = [np.int32([1, 2]), weights, np.full(outputs, -5 if independent else 0, np.float32)]
    image = [1, HEIGHT, WIDTH, 3]
    shapes = [image, image, [2], [1, 3], [outputs, 3], [outputs], [1, outputs], [1, outputs]]
    kinds = [input_type, tfl.TensorType.FLOAT32, tfl.TensorType.INT32, *[tfl.TensorType.FLOAT32] * 5]
    buffers = [0, 0, 1, 0, 2, 3, 0, 0]
    softmax = tfl.SoftmaxOptionsT()
    softmax.beta = 1.0
    op, kind = tfl.BuiltinOperator, tfl.BuiltinOptions
    steps = [
        (op.CAST, kind.CastOptions, tfl.CastOptionsT(), [0], [1]),
        (op.MEAN, kind.ReducerOptions, tfl.ReducerOptionsT(), [1, 2], [3]),
        (op.FULLY_CONNECTED, kind.FullyConnectedOptions, tfl.FullyConnectedOptionsT(), [3, 4, 5], [6]),
        (op.SOFTMAX, kind.SoftmaxOptions, softmax, [6], [7])
        if outputs > 1 and not independent
        else (op.LOGISTIC, kind.NONE, None, [6], [7]),
    ]
    if quantized:
        steps.append((op.QUANTIZE, kind.QuantizeOptions, tfl.QuantizeOptionsT(), [7], [8]))
        shapes, kinds, buffers = [*shapes, [1, outputs]], [*kinds, tfl.TensorType.UINT8], [*buffers, 0]
    model = tfl.ModelT()
    model.version = 3
    model.buffers = [tfl.BufferT() for _ in range(4)]
    for buffer, value in zip(model.buffers[1:], values, strict=True):
        buffer.data = np.frombuffer(value.tobytes(), np.uint8)
    graph = tfl.SubGraphT()
    # LiteRT in a browser tells outputs apart by their names.
    graph.tensors = [_tensor(f"t{i}", *fields) for i, fields in enumerate(zip(shapes, kinds, buffers, strict=True))]
    if quantized:
        graph.tensors[8].quantization = scale = tfl.QuantizationParametersT()
        scale.scale, scale.zeroPoint = [1 / 256], [0]
    scores = 8 if quantized else 7
    graph.inputs, graph.outputs = [0], [scores, 1] if explained else [scores]
    graph.operators, model.operatorCodes = [], []
    for index, (builtin, options_type, options, inputs, results) in enumerate(steps):
        code = tfl.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = builtin
        code.version = version
        model.operatorCodes.append(code)
        operator = tfl.OperatorT()
        operator.opcodeIndex, operator.inputs, operator.outputs = index, inputs, results
        operator.builtinOptionsType, operator.builtinOptions = options_type, options
        graph.operators.append(operator)
    model.subgraphs = [graph]
    builder = flatbuffers.Builder(4096)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _tensor(name: str, shape: list[int], kind: int, buffer: int) -> Any:
    tensor = tfl.TensorT()
    tensor.shape, tensor.type, tensor.buffer, tensor.name = shape, kind, buffer, name
    return tensor


@pytest.fixture(scope="session")
def colour_model() -> Callable[..., bytes]:
    """`make_colour_model`, for tests that want other models than the deployed one."""
    return make_colour_model


@pytest.fixture(scope="session")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The deployed file."""
    path = tmp_path_factory.mktemp("model") / "colours.tflite"
    path.write_bytes(bundle.pack(make_colour_model(), labels=COLOURS, recipe=RECIPE))
    return path


@pytest.fixture(scope="session")
def proved(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Writes a deployed file with golden samples: `proved("m.tflite")`. `note` in its recipe makes it another file,
    `labels` are others, and `is_wrong` that its samples are those of another network."""

    def make(
        name: str, note: str = "", labels: tuple[str, ...] = COLOURS, is_wrong: bool = False, **recipe: Any
    ) -> Path:
        model = make_colour_model()
        runtime, runner = find_runtime(), golden.raw_invoke(make_interpreter(model))
        samples = golden.record(
            (lambda pixels: runner(pixels)[:, ::-1]) if is_wrong else runner,
            lambda pixels: np.concatenate([runner(one[None]) for one in pixels]),
            height=HEIGHT,
            width=WIDTH,
            step=golden.FLOAT_STEP,
            runtime=f"{runtime.name} {runtime.version}",
            machine=platform.machine(),
            count=2,
        )
        path = tmp_path_factory.mktemp("proved") / name
        data = bundle.pack(model, labels, {**RECIPE, "note": note, **recipe}, {golden.ENTRY: samples.to_bytes()})
        path.write_bytes(data)
        return path

    return make


@pytest.fixture(scope="session")
def findings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A deployed file that scores each colour alone: a picture may hold several of them, or none."""
    path = tmp_path_factory.mktemp("findings") / "findings.tflite"
    recipe = {**RECIPE, "activation": "sigmoid"}
    path.write_bytes(bundle.pack(make_colour_model(independent=True), labels=COLOURS, recipe=recipe))
    return path


@pytest.fixture(scope="session")
def explained_colours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The deployed file with heatmaps: a class is seen where its colour is."""
    path = tmp_path_factory.mktemp("explained") / "colours.tflite"
    head = gradcam.Head(
        (gradcam.Pool("avg"), gradcam.Dense(0.05 * np.eye(3, dtype=np.float32), np.zeros(3, np.float32)))
    )
    model = make_colour_model(explained=True)
    path.write_bytes(bundle.pack(model, COLOURS, RECIPE, {gradcam.ENTRY: head.to_bytes()}))
    return path


CARDS = {"red": (200, 30, 40), "green": (20, 180, 60), "blue": (10, 40, 220)}


@dataclass(frozen=True)
class Rpicam:
    """The stand-in for rpicam-vid: what it shows, and which of its processes are there."""

    folder: Path

    def show(self, colour: str) -> None:
        """Put another card before the camera."""
        write_atomically(self.folder / "card", "#{:02x}{:02x}{:02x}".format(*CARDS[colour]).encode())

    @property
    def pids(self) -> list[int]:
        """The processes that were started, oldest first, and are still there."""
        started = sorted((self.folder / "pids").iterdir(), key=lambda path: path.stat().st_mtime_ns)
        return [int(path.name) for path in started if is_running(int(path.name))]


def is_running(pid: int) -> bool:
    """Whether the process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture
def notify_socket(tmp_path: Path) -> Iterator[socket.socket]:
    """The socket at which systemd listens, for NOTIFY_SOCKET in the environment; it is at `tmp_path / "notify"`."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(tmp_path / "notify"))
        yield server


@pytest.fixture
def rpicam(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rpicam:
    """rpicam-vid on PATH, with a red card before its camera."""
    program = tmp_path / "bin" / "rpicam-vid"
    program.parent.mkdir()
    program.write_text(f"#!{sys.executable}\n" + Path(__file__).with_name("rpicam_vid.py").read_text())
    program.chmod(0o755)
    (tmp_path / "pids").mkdir()
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    monkeypatch.setenv("RPICAM_CARD", str(tmp_path / "card"))
    monkeypatch.setenv("RPICAM_PIDS", str(tmp_path / "pids"))
    camera = Rpicam(tmp_path)
    camera.show("red")
    return camera


@pytest.fixture
def red_video(tmp_path: Path) -> Path:
    """Two seconds of a red card at 30 frames a second, 160x120."""
    cv2 = pytest.importorskip("cv2")
    path = tmp_path / "red.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 30, (160, 120))
    for _ in range(60):
        writer.write(np.full((120, 160, 3), CARDS["red"][::-1], np.uint8))  # OpenCV's order is BGR
    writer.release()
    return path


class _Camera(BaseHTTPRequestHandler):
    """A network camera: /stream is multipart MJPEG, /short ends after 5 pictures, /still.jpg is one picture."""

    def do_GET(self) -> None:
        data = io.BytesIO()
        Image.new("RGB", (160, 120), CARDS["red"]).save(data, "JPEG")
        jpeg = data.getvalue()
        if self.path == "/locked" and self.headers["Authorization"] != "Basic bWU6c2VjcmV0":  # me:secret
            self.send_error(401)
        elif self.path in ("/stream", "/short", "/locked"):
            self._head("multipart/x-mixed-replace; boundary=frame")
            for _ in range(5 if self.path == "/short" else 10_000):
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                self.wfile.write(head.encode() + jpeg + b"\r\n")
                time.sleep(1 / 30)
        elif self.path == "/still.jpg":
            self._head("image/jpeg")
            self.wfile.write(jpeg)
        else:
            self._head("text/html")
            self.wfile.write(b"<title>a camera's settings</title>")

    def _head(self, content_type: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.end_headers()

    def handle(self) -> None:
        with contextlib.suppress(OSError):  # the reader has gone
            super().handle()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def network_camera() -> Iterator[str]:
    """The address of a network camera on loopback."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Camera)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
