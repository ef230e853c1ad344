"""Runs in the emulated userland: infer MODEL a few times with a mark (see counter.c) before each and after the last."""

import os
import sys

import numpy as np

try:
    from ai_edge_litert.interpreter import Interpreter
except ModuleNotFoundError:
    from tflite_runtime.interpreter import Interpreter

path, warm_up, inferences = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
interpreter = Interpreter(path, num_threads=1)
interpreter.allocate_tensors()
tensor = interpreter.get_input_details()[0]
pixels = np.random.default_rng(7).integers(0, 100, tensor["shape"]).astype(tensor["dtype"])
interpreter.set_tensor(tensor["index"], pixels)
for _ in range(warm_up):
    interpreter.invoke()
for _ in range(inferences):
    os.getpriority(os.PRIO_PROCESS, 0)
    interpreter.invoke()
os.getpriority(os.PRIO_PROCESS, 0)
