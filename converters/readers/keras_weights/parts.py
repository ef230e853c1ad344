"""Which DenseNet stored convolutions, norms and Dense layers are: told by shapes, and compared with what was said."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import numpy as np

from edgedense.converters.network.graph import Activation, Array, Dense, DenseNet, Flatten, HeadStep, Pool
from edgedense.converters.opening import Between
from edgedense.converters.readers import assembly
from edgedense.converters.readers.assembly import LayerParts, Parts, TransitionParts
from edgedense.converters.readers.keras_weights.contents import Contents, Stored
from edgedense.converters.readers.structure.weights import padding
from edgedense.errors import EdgedenseError

Blocks = tuple[int, ...]  # how many layers each dense block has

EPSILON = 1.001e-5  # of every norm in keras.applications.densenet
_NAMES: dict[str, Blocks] = {
    "densenet121": (6, 12, 24, 16),
    "densenet169": (6, 12, 32, 32),
    "densenet201": (6, 12, 48, 32),
}
_STEM, _GROWTH = (7, 64), 32  # of those three: the stem's kernel and filters, and what each layer adds
_CHOICES = f"--architecture {', '.join(_NAMES)}, or the layers of each dense block, such as 6,12,24,16"
# The first dense layer of keras-hub and keras-cv, and where a model of theirs stands in another one.
_SAME = re.compile(r"stack1_block1_1_conv|conv2_block_0_1_conv|.*\bdense_net_backbone\b.*")
# What changes numbers, and leaves nothing of it in a file of weights.
_SILENT = frozenset(
    [
        *(
            "lambda",
            "resizing",
            "center_crop",
            "cropping2d",
            "up_sampling2d",
            "reshape",
            "permute",
            "global_max_pooling2d",
        ),
        *("max_pool", "multiply", "add", "subtract", "average", "maximum", "attention", "leaky_re_lu", "elu"),
    ]
)
# What normalizes pixels, by numbers that are not in a file of weights.
NORMALIZING = frozenset(["rescaling", "normalization"])


@dataclass(frozen=True)
class Backbone:
    """The convolutions and norms of a DenseNet in the order in which they compute: `norms` are the stem's, the one
    before each further convolution, and the last. `blocks` are as the shapes say. `same`: stem and maximum pooling are
    padded as keras-hub and keras-cv do it, and not as keras.applications. `relu`: there is a ReLU behind the last norm.
    """

    convs: tuple[Array, ...]
    norms: tuple[tuple[Array, ...], ...]
    blocks: Blocks
    same: bool = False
    relu: bool = True


def blocks_of(architecture: str) -> Blocks:
    """What `--architecture` means: a name, or numbers with commas. EdgedenseError for anything else."""
    if architecture.lower() in _NAMES:
        return _NAMES[architecture.lower()]
    numbers = [part.strip() for part in architecture.split(",")]
    if not all(number.isdecimal() and 0 < int(number) < 1000 for number in numbers):
        raise EdgedenseError("the name of a network, or the layers of its dense blocks", repr(architecture), _CHOICES)
    return tuple(map(int, numbers))


def backbone(contents: Contents, architecture: str | None) -> Backbone:
    """The DenseNet in a file of weights. EdgedenseError when none was said, or the shapes are those of another one."""
    convs, norms = contents.of("conv"), contents.of("norm")
    blocks = _blocks(convs, contents.name)
    own = next((name for name, known in _NAMES.items() if known == blocks and _is_named(convs)), None)
    fitting = f"--architecture {own or ','.join(map(str, blocks))}"
    if architecture is None:
        raise EdgedenseError(
            "to be told which network a file of weights without layers is of",
            f"'{contents.name}', whose shapes are those of dense blocks of {_listed(blocks)} layers",
            f"{fitting}, if it is a DenseNet as keras.applications builds it",
        )
    wanted = blocks_of(architecture)
    if wanted != blocks:
        raise EdgedenseError(
            f"{architecture}, whose dense blocks have {_listed(wanted)} layers",
            f"the shapes of {_listed(blocks)} layers in '{contents.name}'",
            fitting,
        )
    if architecture.lower() in _NAMES and not _is_named(convs):
        stem, growth = convs[0].arrays[0].shape, convs[2].arrays[0].shape
        raise EdgedenseError(
            f"{architecture}, whose first kernel is [7, 7, 3, 64], and whose layers add {_GROWTH} channels each",
            f"a first kernel of {list(stem)} and layers that add {growth[3]} in '{contents.name}'",
            fitting,
        )
    same = any(_SAME.fullmatch(text) for conv in convs for text in (conv.name, conv.place))
    _check(contents, convs, norms, blocks, same)
    relu = same or _ends_in_relu(contents, len(norms))
    return Backbone(tuple(c.arrays[0] for c in convs), tuple(n.arrays for n in norms), blocks, same, relu)


def parts(found: Backbone, head: tuple[HeadStep, ...]) -> Parts:
    """The network of the shapes."""
    norms = iter([assembly.batch_norm(gamma, beta, mean, var, EPSILON) for gamma, beta, mean, var in found.norms])
    convs = iter(found.convs)
    stem, stem_norm = next(convs), next(norms)
    blocks: list[tuple[LayerParts, ...]] = []
    transitions = []
    for number, layers in enumerate(found.blocks):
        if number:
            transitions.append(TransitionParts(next(norms), next(convs)))
        blocks.append(tuple(LayerParts(next(norms), next(convs), next(norms), next(convs)) for _ in range(layers)))
    return Parts(stem, stem_norm, tuple(blocks), tuple(transitions), next(norms), head)


def channels(found: Backbone) -> int:
    """How many numbers the last feature map has at each position."""
    return int(found.norms[-1][0].size)


def without_last_relu(network: DenseNet) -> DenseNet:
    """The network with its last norm alone: as the first step of the head, which is no norm with a ReLU then."""
    norm = network.head.norm
    return (
        network
        if norm is None
        else replace(network, head=replace(network.head, norm=None, steps=(norm, *network.head.steps)))
    )


def same_padded(network: DenseNet) -> DenseNet:
    """The network with stem and maximum pooling as Keras' padding="same" pads them at its size: the odd pixel is at the
    bottom and at the right."""
    size, stride = (network.height, network.width), network.stem.conv.stride
    height, width = network.stem.conv.kernel.shape[:2]
    conv = replace(network.stem.conv, padding=padding("same", size, (height, width), (stride, stride)))
    size = (-(-size[0] // stride), -(-size[1] // stride))
    pool = network.stem.pool
    if pool is not None:
        window, strides = (pool.size, pool.size), (pool.stride, pool.stride)
        pool = replace(pool, padding=padding("same", size, window, strides))
    return replace(network, stem=replace(network.stem, conv=conv, pool=pool))


def head(contents: Contents, features: int, area: int, between: Between | None) -> tuple[HeadStep, ...]:
    """The head's steps, told by the shapes of its Dense layers: average pooling, or Flatten where the first one reads
    all `area` positions of `features` channels. EdgedenseError where the shapes do not follow each other, or it was
    not said what stands between Dense layers.
    """
    dense = [_dense(layer) for layer in contents.of("dense")]
    shapes = ", then ".join(f"{d.kernel.shape[0]} to {d.kernel.shape[1]}" for d in dense)
    widths = [features if not dense or dense[0].kernel.shape[0] != features * area else features * area]
    widths += [d.kernel.shape[1] for d in dense]
    if not dense or any(d.kernel.shape[0] != width for d, width in zip(dense, widths, strict=False)):
        raise EdgedenseError(
            f"Dense layers one behind the other, the first of which reads {features} channels",
            f"{shapes or 'none'} in '{contents.name}'",
            "convert the whole classifier with a single output, or save it with model.save('NAME.keras')",
        )
    if len(dense) > 1 and between is None:
        raise EdgedenseError(
            "to be told what stands between the Dense layers of the head",
            f"{len(dense)} of them in '{contents.name}': {shapes}",
            "--head-activation relu, or elu, tanh, swish, sigmoid; or none, where nothing does",
        )
    if len(dense) == 1 and between not in (None, "none"):
        raise EdgedenseError("several Dense layers for --head-activation", f"one in '{contents.name}'", "leave it out")
    steps: list[HeadStep] = [Pool("avg") if widths[0] == features else Flatten()]
    for position, layer in enumerate(dense):
        if position and between is not None and between != "none":
            steps.append(Activation(between))
        steps.append(layer)
    return tuple(steps)


def _blocks(convs: tuple[Stored, ...], name: str) -> Blocks:
    """The layers of each dense block: a 1x1 kernel and a larger one are a layer, a 1x1 kernel alone a transition."""
    sizes = [conv.arrays[0].shape[:2] for conv in convs]
    blocks, position = [0], 1
    while position < len(sizes):
        if sizes[position] != (1, 1):
            raise _no_densenet(convs[position], position, "a 1x1 convolution", name)
        if position + 1 < len(sizes) and sizes[position + 1] != (1, 1):
            blocks[-1] += 1
            position += 2
        else:
            blocks.append(0)
            position += 1
    if not all(blocks):
        raise EdgedenseError(
            "the convolutions of a DenseNet", f"{len(convs)} convolutions in '{name}', of another network", _WHOLE
        )
    return tuple(blocks)


_WHOLE = "a DenseNet121, 169 or 201, or the same structure with other sizes"


def _no_densenet(layer: Stored, position: int, expected: str, name: str) -> EdgedenseError:
    return EdgedenseError(
        f"the weights of a DenseNet: {expected} at place {position + 1}",
        f"'{layer.name}' with a kernel of {list(layer.arrays[0].shape)} in '{name}'",
        _WHOLE,
    )


def _check(
    contents: Contents, convs: tuple[Stored, ...], norms: tuple[Stored, ...], blocks: Blocks, same: bool
) -> None:
    """EdgedenseError for what stands beside the backbone."""
    padded = contents.plain.count("zero_padding2d")
    if not same and padded < 2 and {"activation", "re_lu", "concatenate"} & set(contents.plain):
        raise EdgedenseError(
            "zero padding before the first convolution and before the maximum pooling, as keras.applications has it",
            f"{padded or 'no'} ZeroPadding2D among the layers of '{contents.name}', which may pad in another way",
            "load the weights into the model and save it whole, with model.save('NAME.keras')",
        )
    silent = [name for name in contents.plain if name in _SILENT]
    pools = [name for name in contents.plain if name == "average_pooling2d"]
    silent += pools[len(blocks) - 1 :]  # behind those of the transitions
    if silent or len({layer.place for layer in (*convs, *norms)}) > 1:
        what = f"a layer '{silent[0]}'" if silent else "convolutions or norms in several models"
        raise EdgedenseError(
            "a DenseNet with pooling and Dense layers behind it",
            f"{what} in '{contents.name}', of which weights do not say what it computes",
            "load the weights into the model and save it whole, with model.save('NAME.keras')",
        )
    if any(len(conv.arrays) > 1 for conv in convs) or len(norms) != len(convs) + 1:
        biased = [conv.name for conv in convs if len(conv.arrays) > 1]
        found = f"a bias in '{biased[0]}'" if biased else f"{len(norms)} norms with {len(convs)} convolutions"
        raise EdgedenseError(
            "convolutions without bias, and one batch norm more than there are convolutions",
            f"{found} in '{contents.name}'",
            _WHOLE,
        )


def _ends_in_relu(contents: Contents, norms: int) -> bool:
    """Whether a ReLU stands behind the last norm. Before Keras 2.2.3 keras.applications had none there.

    The names of the layers tell, or how many activations there are for as many `norms`; of a model in the model, whose
    layers are not listed, the version. EdgedenseError where nothing tells.
    """
    titles = set(contents.titles)
    if titles & {"conv1/relu", "conv1_relu"}:
        return "relu" in titles
    activations = sum(name in ("activation", "re_lu") for name in contents.plain)
    if activations >= norms - 1 > 0:
        return activations >= norms
    numbers = re.match(r"(\d+)\.(\d+)\.(\d+)(-tf)?", contents.version)
    if numbers is None and not contents.version and not activations:
        return True  # not a file of Keras 1 or 2, which says its version
    old = numbers is None or tuple(map(int, numbers.groups()[:3])) < (2, 2, 3)
    if old and (numbers is None or numbers[4]):
        raise EdgedenseError(
            "to see whether a ReLU stands behind the last batch norm, which Keras had none of before 2.2.3",
            f"no layer that tells it in '{contents.name}' of Keras {contents.version or 'of an unknown version'}",
            "load the weights into the model and save it whole, with model.save('NAME.keras')",
        )
    return not old


def _is_named(convs: tuple[Stored, ...]) -> bool:
    """Whether the widths are those of Keras' own three."""
    stem, growth = convs[0].arrays[0].shape, convs[2].arrays[0].shape
    return (stem[0], stem[3]) == _STEM and growth[3] == _GROWTH


def _dense(layer: Stored) -> Dense:
    kernel, *bias = layer.arrays
    return Dense(kernel, bias[0] if bias else np.zeros(kernel.shape[1]))


def _listed(blocks: Blocks) -> str:
    return ", ".join(map(str, blocks))
