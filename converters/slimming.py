"""What makes a network smaller, and mends what that cost: cut channels, zero weights, learn from the whole network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from math import ceil
from typing import Any

from edgedense.boards.options import check as check_board
from edgedense.boards.result import BoardTime
from edgedense.converters.network.graph import DenseNet
from edgedense.converters.options import Slimming
from edgedense.converters.pruning.board_cost import board_cost
from edgedense.converters.pruning.cost import X86, weights
from edgedense.converters.pruning.shrink import Goal, Shrunk, fraction_removed, shrink
from edgedense.converters.pruning.sparsity import SparsitySpec, pieces, sparsify, sparsity
from edgedense.converters.recovery import Kept, Pictures, RecoverySpec, find_pictures, identity, read_pictures, recover
from edgedense.errors import EdgedenseError
from edgedense.images.preprocessing import Pixels, Preprocessing
from edgedense.progress import progress

# Of the Edge TPU's 8 MB, what its compiler leaves for weights, less the biases, scales and code beside them.
CORAL_CACHE = int(6.9 * 2**20)
SPARSITY_PICTURES = 20_000  # that magnitude pruning sees in all, by repeating what there is
TRAINED, RESIZED = "as trained", "input size"
PRUNE, SPARSITY, RECOVER = "prune", "sparsity", "recover"
CHANGES = (PRUNE, SPARSITY, RECOVER, "QAT")  # in recipes; what 0.1 called QAT is in its files alone


@dataclass(frozen=True)
class Change:
    """One change: its name, what decided it, the network behind it, and which channels of the whole one that has."""

    name: str
    parameters: dict[str, Any]
    network: DenseNet
    kept: Kept


def check(options: Slimming) -> None:
    """Raise EdgedenseError for what does not go together, before anything is read."""
    goals = {
        "--prune-channels": options.prune_channels is not None,
        "--fit-edgetpu": options.fit_edgetpu,
        "--fit-latency": options.fit_latency is not None,
    }
    given = [name for name, is_given in goals.items() if is_given]
    if len(given) > 1:
        raise EdgedenseError("one goal for the channels", " and ".join(given), f"{given[0]} alone")
    if options.on is not None and options.fit_latency is None:
        raise EdgedenseError("--fit-latency with --on", "--on alone", "--fit-latency MS --on HOST")
    if options.board is not None and options.fit_latency is None and options.prune_channels is None:
        raise EdgedenseError(
            "--prune-channels or --fit-latency with --board", "--board alone", "--prune-channels FRACTION --board BOARD"
        )
    check_board(options.board, options.on)
    if options.epochs is not None and options.recover is None:
        raise EdgedenseError(
            "--epochs with --recover",
            "--epochs alone",
            "--recover FOLDER: pictures like those the camera will see, no labels needed",
        )


def pictures_of(
    options: Slimming, pixels: Pixels, sha256: str, preprocessing: Preprocessing, names: tuple[str, ...]
) -> Pictures:
    """The pictures to train on: those of `recover`, or else the calibration pictures `pixels`."""
    if options.recover is None:
        return Pictures.unlabelled(pixels, sha256)
    found = find_pictures(options.recover)
    with progress("reading pictures to recover with", len(found.paths)) as tick:
        return read_pictures(found, preprocessing, names, options.work, tick)


def slim(
    network: DenseNet,
    pixels: Pixels,
    options: Slimming,
    pictures: Pictures | None,
    latency: Callable[[DenseNet], BoardTime],
    good_enough: Callable[[DenseNet], bool] | None,
    shrunk: Shrunk | None = None,
) -> list[Change]:
    """The network as it is, then the changes that `options` ask for, each on the network that the one before left.

    `network` is as after fold_norms and fold_constants; `pixels` [N, H, W, 3] are calibration pictures, `pictures`
    those to train on, where there is training. `latency` says how long a network takes; `good_enough` ends the
    recovery early. `shrunk` is what cutting the channels gives, where it is known.
    """
    teacher, kept = network, identity(network)
    changes = [Change(TRAINED, {}, network, kept)]
    if options.prunes:
        if shrunk is None:
            goal, wanted = _goal(network, options, latency)
            cost = X86 if options.board is None else board_cost(options.board)
            shrunk = shrink(network, pixels, goal, options.importance, progress, wanted, cost)
        network, kept = shrunk.network, shrunk.kept
        time = latency(network) if options.fit_latency is not None or options.board is not None else None
        changes.append(Change(PRUNE, _told(options, shrunk, time), network, kept))
    if options.sparsity is not None and pictures is not None:
        spec = SparsitySpec(options.sparsity, epochs=max(2, ceil(SPARSITY_PICTURES / len(pictures.pixels))))
        with progress("pruning weights", pieces(len(pictures.pixels), spec)) as tick:
            network = sparsify(network, teacher, pictures.pixels, spec, tick)
        found = {**asdict(spec), "pictures": len(pictures.pixels), "zeros": round(sparsity(network), 4)}
        changes.append(Change(SPARSITY, found, network, kept))
    if options.recover is not None and pictures is not None:
        spec_of_recovery = RecoverySpec() if options.epochs is None else RecoverySpec(epochs=options.epochs)
        recovered = recover(network, teacher, kept, pictures, spec_of_recovery, options.work, good_enough)
        found = {
            **asdict(spec_of_recovery),
            "epochs": len(recovered.history),
            "pictures": len(pictures.pixels),
            "sha256": pictures.sha256,
        }
        changes.append(Change(RECOVER, found, recovered.network, kept))
    return changes


def _goal(network: DenseNet, options: Slimming, latency: Callable[[DenseNet], BoardTime]) -> tuple[Goal, str]:
    """What ends the cutting, and what it is called in an error."""
    share = options.prune_channels
    if share is not None and options.board is not None:
        most = latency(network).milliseconds * (1 - share)
        return lambda smaller: latency(smaller).milliseconds <= most, f"{100 * share:g} % less time on {options.board}"
    if share is not None:
        return fraction_removed(network, share), f"{100 * share:g} % fewer multiply-accumulates"
    if options.fit_edgetpu:
        return lambda smaller: weights(smaller) <= CORAL_CACHE, f"weights of {CORAL_CACHE / 2**20:g} MiB"
    limit = options.fit_latency
    assert limit is not None
    where = options.board or options.on or "this machine"
    return lambda smaller: latency(smaller).milliseconds <= limit, f"an inference of {limit:g} ms on {where}"


def _told(options: Slimming, shrunk: Shrunk, time: BoardTime | None) -> dict[str, Any]:
    """For the recipe. A measured time stays out of it: it is another one at each measurement."""
    goals: dict[str, Any] = {
        "fraction": options.prune_channels,
        "fit_edgetpu": options.fit_edgetpu or None,
        "latency_ms": options.fit_latency,
    }
    if time is not None and (options.board or options.on):
        goals["board"] = time.board
    if time is not None and time.is_estimate:
        goals |= {"estimated_ms": round(time.milliseconds, 3), "instructions_error": time.error}
    return {
        **{name: value for name, value in goals.items() if value is not None},
        "importance": options.importance,
        "left": shrunk.describe(),
    }
