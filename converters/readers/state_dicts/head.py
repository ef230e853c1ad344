"""The parameters behind the average pooling -> Linear layers, batch norms and what stands between them.

ReLU, Dropout and sigmoid have no parameters. A Sequential numbers its modules, so that a gap in the numbers tells that
something stands there, but not what: `classifier.0` and `classifier.3` have two modules between them, which may be ReLU
and Dropout, or Tanh and Dropout. That is asked for. In front of the first Linear it need not be known: behind
ReLU and average pooling nothing is negative, and Dropout, Flatten and another ReLU change nothing there.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from edgedense.converters.network.graph import Activation, Array, Dense, HeadStep, Pool
from edgedense.converters.opening import Between
from edgedense.converters.readers.state_dicts.structure import Weights
from edgedense.errors import EdgedenseError

_ONNX = "export the network as ONNX (torch.onnx.export), which says how its layers are joined"


@dataclass(frozen=True)
class _Module:
    """A module of the head by its whole `name`. `number` is its place in a Sequential, None where it has a name."""

    name: str
    number: int | None
    is_norm: bool
    inputs: int
    outputs: int

    def __str__(self) -> str:
        return self.name


def steps(arrays: Mapping[str, Array], channels: int, source: str, between: Between | None) -> tuple[HeadStep, ...]:
    """The head behind feature maps of so many `channels`.

    `between` is what a person said stands between its Linear layers. EdgedenseError for a head of another kind, and
    where something stands between and nobody said what.
    """
    modules = _ordered(_modules(arrays, source), channels, source)
    _require_fit(modules, channels, source)
    gaps = _gaps(modules, source)
    if gaps and between is None:
        raise EdgedenseError(
            "to be told what stands between the Linear layers of the head",
            f"{_places(modules, gaps)} in '{source}', whose weights do not say it",
            "--head-activation relu, if that is what it is, or another one that --help lists; none where there is "
            "nothing but Dropout",
        )
    if between not in (None, "none") and not gaps:
        raise EdgedenseError(
            "a head of several Linear layers for --head-activation",
            f"nothing between layers in '{source}': {', '.join(map(str, modules))}",
            "leave it out",
        )
    weights, found = Weights(arrays, source), list[HeadStep]([Pool("avg")])
    for position, module in enumerate(modules):
        found.append(weights.norm(module.name) if module.is_norm else _linear(weights, module.name))
        if position in gaps and between is not None and between != "none":
            found.append(Activation(between))
    weights.refuse_rest()
    return tuple(found)


def _places(modules: list[_Module], gaps: list[int]) -> str:
    return ", ".join(f"{modules[i]} and {modules[i + 1]}" for i in gaps)


def _owner(name: str) -> str:
    return name.rpartition(".")[0]


def _modules(arrays: Mapping[str, Array], source: str) -> list[_Module]:
    if not arrays:
        raise EdgedenseError(
            "a Linear layer behind the last feature map",
            f"none in '{source}'",
            "save state_dict() of the whole network, not of its features",
        )
    return [_module(name, arrays, source) for name in dict.fromkeys(map(_owner, arrays))]


def _module(name: str, arrays: Mapping[str, Array], source: str) -> _Module:
    weight, is_norm = arrays.get(f"{name}.weight"), f"{name}.running_mean" in arrays
    if weight is None or weight.ndim != (1 if is_norm else 2):
        shapes = {key: "x".join(map(str, array.shape)) for key, array in arrays.items() if _owner(key) == name}
        listed = ", ".join(f"{key} of shape {shape or '()'}" for key, shape in shapes.items())
        raise EdgedenseError("a head of Linear and BatchNorm1d layers", f"{listed} in '{source}'", _ONNX)
    last = name.rpartition(".")[2]
    return _Module(name, int(last) if last.isdigit() else None, is_norm, weight.shape[-1], weight.shape[0])


def _ordered(modules: list[_Module], channels: int, source: str) -> list[_Module]:
    """By their numbers; those with names by their widths, where that leaves no choice."""
    if len(modules) == 1:
        return modules
    one_parent = len({_owner(module.name) for module in modules}) == 1
    if one_parent and all(module.number is not None for module in modules):
        return sorted(modules, key=lambda module: module.number or 0)
    chained, width, left = list[_Module](), channels, [module for module in modules if not module.is_norm]
    while one_parent and len(fits := [module for module in left if module.inputs == width]) == 1:
        left.remove(fits[0])
        chained.append(fits[0])
        width = fits[0].outputs
    if len(chained) == len(modules):
        return chained
    raise EdgedenseError(
        "a head of one Linear, or of layers in one Sequential whose order numbers or widths tell",
        f"{', '.join(map(str, modules))} in '{source}'",
        _ONNX,
    )


def _require_fit(modules: list[_Module], channels: int, source: str) -> None:
    """EdgedenseError where a layer does not read what the one before it gives, or the last is not Linear."""
    width = channels
    for module in modules:
        if module.inputs != width:
            before = "global average pooling" if module is modules[0] else "the layer before"
            raise EdgedenseError(
                f"{width} inputs of {module}, as {before} gives", f"{module.inputs} in '{source}'", _ONNX
            )
        width = module.outputs
    if modules[-1].is_norm:
        raise EdgedenseError("a Linear layer at the end", f"the norm {modules[-1]} in '{source}'", _ONNX)


def _gaps(modules: list[_Module], source: str) -> list[int]:
    """The positions of modules behind which something without parameters stands, before the next Linear.

    EdgedenseError where there are two such places before one Linear, of which only one has the activation.
    """
    gaps, before = list[int](), list[int]()
    for position, (module, following) in enumerate(itertools.pairwise(modules)):
        if module.number is None or following.number is None or following.number - module.number > 1:
            before.append(position)
        if not following.is_norm:
            if len(before) > 1:
                raise EdgedenseError(
                    f"one place before {following} where an activation can stand",
                    f"{len(before)} in '{source}': between {_places(modules, before)}",
                    _ONNX,
                )
            gaps += before
            before = []
    return gaps


def _linear(weights: Weights, name: str) -> Dense:
    kernel = weights.take(f"{name}.weight", 2).T
    bias = weights.take(f"{name}.bias", 1) if f"{name}.bias" in weights else np.zeros(kernel.shape[1])
    if bias.size != kernel.shape[1]:
        raise EdgedenseError(f"{kernel.shape[1]} numbers in {name}.bias", f"{bias.size}", "save the weights again")
    return Dense(kernel, bias)
