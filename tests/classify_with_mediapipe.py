"""python -I classify_with_mediapipe.py MODEL PIXELS: what MediaPipe says of each picture, as JSON.

Run by tests in an environment that holds MediaPipe. PIXELS is a .npy of uint8 [N, height, width, 3]; of every picture
there is a list of {"name", "index", "score"}, best first.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import mediapipe
import numpy as np
from mediapipe.tasks.python import BaseOptions, vision

model, pixels = Path(sys.argv[1]).read_bytes(), np.load(sys.argv[2])
options = vision.ImageClassifierOptions(base_options=BaseOptions(model_asset_buffer=model))
with vision.ImageClassifier.create_from_options(options) as classifier:
    found = [
        classifier.classify(mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=picture))
        for picture in pixels
    ]
json.dump(
    [
        [
            {"name": category.category_name, "index": category.index, "score": category.score}
            for category in result.classifications[0].categories
        ]
        for result in found
    ],
    sys.stdout,
)
