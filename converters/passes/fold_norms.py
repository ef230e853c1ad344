"""Batch norms that follow a convolution or meet a Dense become part of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgedense.converters.network.graph import Activation, Affine, Block, Conv, Dense, DenseNet, Flatten, HeadStep, Pool


def fold_norms(network: DenseNet) -> DenseNet:
    """Fold the stem's norm, each bottleneck's norm, and the head's norms where a Dense is next to them.

    scale * (x @ W + b) + shift = x @ (W * scale) + (b * scale + shift). The norms behind a concatenation stay.
    """
    stem = network.stem
    if stem.norm is not None:
        stem = replace(stem, conv=_into(stem.conv, stem.norm), norm=None)
    blocks = tuple(_fold_block(block) for block in network.blocks)
    positions = int(np.prod(_spatial(network)))
    head = replace(network.head, steps=_fold_head(network.head.steps, positions))
    return replace(network, stem=stem, blocks=blocks, head=head)


def _into(conv: Conv, norm: Affine) -> Conv:
    return replace(conv, kernel=conv.kernel * norm.scale, bias=conv.bias * norm.scale + norm.shift)


def _fold_block(block: Block) -> Block:
    layers = tuple(
        layer if layer.norm2 is None else replace(layer, conv1=_into(layer.conv1, layer.norm2), norm2=None)
        for layer in block.layers
    )
    return replace(block, layers=layers)


def _fold_head(steps: tuple[HeadStep, ...], positions: int) -> tuple[HeadStep, ...]:
    """Move each Affine towards a Dense until it merges or meets an activation."""
    todo, done = list(steps), list[HeadStep]()
    while todo:
        step = todo.pop(0)
        if isinstance(step, Affine) and done and isinstance(done[-1], Dense):
            done[-1] = Dense(done[-1].kernel * step.scale, done[-1].bias * step.scale + step.shift)
        elif isinstance(step, Affine) and todo and isinstance(dense := todo[0], Dense):
            todo[0] = Dense(step.scale[:, None] * dense.kernel, dense.bias + step.shift @ dense.kernel)
        elif isinstance(step, Affine) and todo and isinstance(after := todo[0], Affine):
            todo[0] = Affine(step.scale * after.scale, step.shift * after.scale + after.shift)
        elif isinstance(step, Affine) and todo and _commutes(step, todo[0]):
            todo[0:1] = [todo[0], _repeated(step, positions) if isinstance(todo[0], Flatten) else step]
        else:
            done.append(step)
    return tuple(done)


def _commutes(affine: Affine, step: HeadStep) -> bool:
    """Averages commute with any affine, maxima with those that keep the order."""
    if isinstance(step, Pool):
        return step.kind == "avg" or bool((affine.scale > 0).all())
    return isinstance(step, Flatten)


def _repeated(affine: Affine, positions: int) -> Affine:
    return Affine(np.tile(affine.scale, positions), np.tile(affine.shift, positions))


def _spatial(network: DenseNet) -> tuple[int, int]:
    """Height and width of what a Flatten in the head sees."""
    from edgedense.converters.network.program import lower

    if not any(isinstance(step, Flatten) for step in network.head.steps):
        return (1, 1)
    bare = replace(network, head=replace(network.head, steps=_until_flatten(network.head.steps)))
    program = lower(bare)
    height, width, _ = program.shapes[program.ops[-1].output]
    return height, width


def _until_flatten(steps: tuple[HeadStep, ...]) -> tuple[HeadStep, ...]:
    first = next(i for i, step in enumerate(steps) if isinstance(step, Flatten))
    return (*steps[:first], Activation("relu"))  # lower() needs one operator that keeps the shape
