"""What runs a file in the emulated userland, one class an engine: `ENGINES[name](path)`.

An engine is given its input (`put`), infers (`run`, which alone is counted) and gives the scores (`scores`). It
computes on one thread, with the settings that its documentation names for speed. Only NumPy and the engine itself are
installed there.
"""

from __future__ import annotations

from typing import Any

import numpy as np


class LiteRT:
    """A .tflite file. One that takes integers, but not pixels, is given normalized values by its input's scale."""

    def __init__(self, path: str) -> None:
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ModuleNotFoundError:
            from tflite_runtime.interpreter import Interpreter
        self._interpreter = Interpreter(path, num_threads=1)
        self._interpreter.allocate_tensors()
        self._input, *others = self._interpreter.get_input_details()
        for other in others:  # parts of a network may have several
            self._interpreter.set_tensor(other["index"], np.zeros(other["shape"], other["dtype"]))
        self._output = self._interpreter.get_output_details()[0]
        self.shape, self.dtype = tuple(self._input["shape"]), np.dtype(self._input["dtype"])

    def put(self, values: np.ndarray) -> None:
        if values.dtype != self.dtype:
            scale, zero_point = self._input["quantization"]
            limits = np.iinfo(self.dtype)
            values = np.clip(np.rint(values / scale) + zero_point, limits.min, limits.max).astype(self.dtype)
        self._interpreter.set_tensor(self._input["index"], values)

    def run(self) -> None:
        self._interpreter.invoke()

    def scores(self) -> np.ndarray:
        found = self._interpreter.get_tensor(self._output["index"])[0]
        if found.dtype == np.float32:
            return found
        scale, zero_point = self._output["quantization"]
        return (found.astype(np.float32) - zero_point) * scale


class OnnxRuntime:
    """Its graph optimizations are all on by default."""

    def __init__(self, path: str) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        (image,) = self._session.get_inputs()
        self._name, self.shape, self.dtype = image.name, tuple(image.shape), np.float32

    def put(self, values: np.ndarray) -> None:
        self._values = values

    def run(self) -> None:
        self._found = self._session.run(None, {self._name: self._values})[0]

    def scores(self) -> np.ndarray:
        return self._found[0]


class Mnn:
    """`precision` low takes float16 where the processor computes with it, and `memory` low computes in int8 where the
    weights are stored so."""

    def __init__(self, path: str) -> None:
        import MNN

        self._expressions = MNN.expr
        settings = {"backend": "CPU", "numThread": 1, "precision": "low", "memory": "low"}
        runtime = MNN.nn.create_runtime_manager((settings,))
        self._network = MNN.nn.load_module_from_file(path, [], [], runtime_manager=runtime)
        (image,) = self._network.get_info()["inputs"]
        self.shape, self.dtype = tuple(image.shape), np.float32

    def put(self, values: np.ndarray) -> None:
        # NCHW: the axes as the file has them, none of them moved.
        self._values = self._expressions.const(values, list(values.shape), self._expressions.NCHW)

    def run(self) -> None:
        self._found = self._network.forward([self._values])[0].read()  # reading is what makes it compute

    def scores(self) -> np.ndarray:
        return np.array(self._found)[0]


class Ncnn:
    """float16, packed layouts and Winograd's convolutions are on by default where the processor has what they need."""

    def __init__(self, path: str) -> None:
        import ncnn

        self._matrix, self._network = ncnn.Mat, ncnn.Net()
        self._network.opt.num_threads = 1
        self._network.load_param(path)
        self._network.load_model(path.replace(".param", ".bin"))
        self.shape, self.dtype = SHAPE, np.float32

    def put(self, values: np.ndarray) -> None:
        self._channels = np.ascontiguousarray(values[0].transpose(2, 0, 1))  # the matrix is a view of it
        self._values = self._matrix(self._channels)

    def run(self) -> None:
        self._extractor = self._network.create_extractor()
        self._extractor.input("in0", self._values)
        _, self._found = self._extractor.extract("out0")

    def scores(self) -> np.ndarray:
        return np.array(self._found)


class OpenVino:
    """What stays float runs in float16 where the processor computes with it: OpenVINO's own choice."""

    def __init__(self, path: str) -> None:
        import openvino

        settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": 1}
        compiled = openvino.Core().compile_model(path, "CPU", settings)
        self._request = compiled.create_infer_request()
        self.shape, self.dtype = tuple(compiled.input(0).shape), np.float32

    def put(self, values: np.ndarray) -> None:
        self._values = values

    def run(self) -> None:
        self._found = self._request.infer([self._values])[0]

    def scores(self) -> np.ndarray:
        return self._found[0]


SHAPE = (1, 224, 224, 3)  # of the digits model, for files that do not say it
ENGINES: dict[str, Any] = {"litert": LiteRT, "onnxruntime": OnnxRuntime, "mnn": Mnn, "ncnn": Ncnn, "openvino": OpenVino}
