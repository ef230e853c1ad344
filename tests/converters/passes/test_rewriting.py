"""Rewrites are compared on a few pictures, each network once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgedense.converters.network.graph import DenseNet
from edgedense.converters.passes import rewriting
from edgedense.converters.passes.rewriting import Probes
from edgedense.errors import EdgedenseError
from edgedense.images.preprocessing import Pixels
from tests import networks


class Counting:
    """Computes logits, and keeps the networks that it was asked for."""

    def __init__(self) -> None:
        self.asked: list[DenseNet] = []

    def __call__(self, network: DenseNet, pixels: Pixels) -> np.ndarray:
        self.asked.append(network)
        return networks.logits(network, pixels)


def test_a_network_that_several_steps_share_is_computed_once() -> None:
    network, compute = networks.folded(), Counting()
    probes = Probes(networks.pictures(network, 2), compute)
    after, steps = rewriting.deployed(network, "cpu", probes)
    assert [step.name for step in steps] == [*(one.__name__ for one in rewriting.DEPLOY), "round_border"]
    assert compute.asked[0] is network
    assert compute.asked[-1] is after
    assert len({id(one) for one in compute.asked}) == len(compute.asked) == 1 + len(steps)


def test_a_step_that_changes_the_network_is_refused() -> None:
    network = networks.folded()
    bias = network.stem.conv.bias + 0.01
    changed = replace(network, stem=replace(network.stem, conv=replace(network.stem.conv, bias=bias)))
    probes = Probes(networks.pictures(network, 2), Counting())
    assert rewriting.compared("same", network, replace(network), probes).error == 0
    with pytest.raises(EdgedenseError, match="the step 'slip'"):
        rewriting.compared("slip", network, changed, probes)
