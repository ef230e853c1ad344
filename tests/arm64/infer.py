"""Runs in the emulated userland: infer each MODEL a few times, with a mark (see counter.c) before each and at the end.

python infer.py WARM_UP INFERENCES MODEL...
"""

import os
import sys

import numpy as np

try:
    from ai_edge_litert.interpreter import Interpreter
except ModuleNotFoundError:
    from tflite_runtime.interpreter import Interpreter

warm_up, inferences, paths = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
for path in paths:
    interpreter = Interpreter(path, num_threads=1)
    interpreter.allocate_tensors()
    random = np.random.default_rng(7)
    for tensor in interpreter.get_input_details():
        pixels = random.integers(0, 100, tensor["shape"]).astype(tensor["dtype"])
        interpreter.set_tensor(tensor["index"], pixels)
    for _ in range(warm_up):
        interpreter.invoke()
    for _ in range(inferences):
        os.getpriority(os.PRIO_PROCESS, 0)
        interpreter.invoke()
    os.getpriority(os.PRIO_PROCESS, 0)
