"""web/src/heatmap.ts: Grad-CAM as edgedense/deployed/gradcam.py computes it, through every kind of layer."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgedense.deployed import gradcam
from edgedense.deployed.gradcam import Affine, Dense, Flatten, Head, Nonlinear, Pool, WindowPool
from tests.web import given
from tests.web.conftest import Asked

RANDOM = np.random.default_rng(0)


def normal(*shape: int) -> Any:
    return RANDOM.normal(size=shape).astype(np.float32)


def dense(length: int, count: int) -> Dense:
    return Dense(normal(length, count), normal(count))


int8 = Dense(RANDOM.integers(-127, 128, (5, 3)).astype(np.int8), normal(3), np.abs(normal(3)))
HEADS = {
    "mean and dense": Head((Pool("avg"), dense(5, 3))),
    "maximum": Head((Pool("max"), dense(5, 3))),
    "int8": Head((Pool("avg"), int8)),
    "one logit": Head((Pool("avg"), dense(5, 1))),
    "windows of the mean": Head((WindowPool("avg", (2, 3), (2, 1)), Flatten(), dense(3 * 2 * 5, 3))),
    "windows of the maximum": Head((WindowPool("max", (3, 2), (1, 2)), Flatten(), dense(4 * 2 * 5, 3))),
    "flat": Head((Flatten(), dense(6 * 4 * 5, 3))),
    "norm": Head((Affine(normal(5), normal(5)), Pool("avg"), dense(5, 3))),
    **{
        name: Head((Pool("avg"), dense(5, 4), Nonlinear(name, 0.2), dense(4, 3)))  # type: ignore[arg-type]
        for name in ("relu", "relu6", "leaky_relu", "elu", "tanh", "swish", "sigmoid")
    },
}


def layer(step: gradcam.Step) -> dict[str, Any]:
    if isinstance(step, Pool):
        return {"kind": "pool", "pool": step.kind}
    if isinstance(step, WindowPool):
        return {"kind": "window", "pool": step.kind, "size": step.size, "stride": step.stride}
    if isinstance(step, Dense):
        arrays = {name: given.array(getattr(step, name)) for name in ("kernel", "bias", "scale")}
        return {"kind": "dense", **arrays}
    if isinstance(step, Affine):
        return {"kind": "affine", "scale": given.array(step.scale), "shift": given.array(step.shift)}
    if isinstance(step, Nonlinear):
        return {"kind": "nonlinear", "function": step.function, "alpha": step.alpha}
    return {"kind": "flatten"}


def test_the_same_heatmaps(ask: Asked) -> None:
    """A feature map of 6 x 4 positions with 5 channels; several positions hold a channel's maximum."""
    features = normal(6, 4, 5).clip(-1, 1)
    output = {"index": 1, "dtype": "float32", "scale": 0, "zero_point": 0}
    asked = []
    for head in HEADS.values():
        stored = {"output": output, "height": 6, "width": 4, "channels": 5, "steps": [layer(s) for s in head.steps]}
        asked += [{"heatmaps": stored, "features": given.array(features), "label": label} for label in (0, 1)]
    answers = iter(ask("gradcam", asked))
    for name, head in HEADS.items():
        expected = head.heatmaps(features, [0, 1])
        assert expected.any(), name
        for one in expected:
            # float32 there, float64 in part here: sums of up to 24 * 5 terms.
            np.testing.assert_allclose(np.reshape(next(answers), (6, 4)), one, rtol=1e-5, atol=1e-6, err_msg=name)
