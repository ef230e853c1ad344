"""Runs in the emulated userland: infer each FILE a few times, with a mark (see counter.c) before each and at the end.

python infer.py ENGINE WARM_UP INFERENCES FILE...
"""

import os
import sys

import numpy as np
from engines import ENGINES

name, warm_up, inferences, paths = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]
for path in paths:
    engine = ENGINES[name](path)
    engine.put(np.random.default_rng(7).integers(0, 100, engine.shape).astype(engine.dtype))
    for _ in range(warm_up):
        engine.run()
    for _ in range(inferences):
        os.getpriority(os.PRIO_PROCESS, 0)
        engine.run()
    os.getpriority(os.PRIO_PROCESS, 0)
