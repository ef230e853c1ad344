"""Scores of pictures by an engine, in the emulated userland and on this machine alike.

python score.py ENGINE FILE VALUES SCORES

VALUES: float32 [N, 224, 224, 3]; SCORES: float32 [N, classes]; both without a header.
"""

import sys
from pathlib import Path

import numpy as np
from engines import ENGINES, SHAPE

name, path, values, scores = sys.argv[1:]
engine, found = ENGINES[name](path), []
for value in np.fromfile(values, np.float32).reshape(-1, *SHAPE):
    engine.put(value)
    engine.run()
    found.append(engine.scores().copy())
Path(scores).write_bytes(np.stack(found).astype(np.float32).tobytes())
