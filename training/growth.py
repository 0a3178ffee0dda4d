"""A network that begins with its first blocks and takes in the others later, when they have something to begin from.

Gong et al., "Efficient Training of BERT by Progressively Stacking", ICML 2019: a new block is a copy of the last one.
Here what it adds begins at nothing, so that the network goes on as it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import torch
from torch import Tensor, nn

from models.sttn import Sttn
from runtime.errors import UsageError
from training.config import Phase

Weights = dict[str, Tensor]

_ENDS = ("attention.output_linear.0.", "feed_forward.conv.2.")  # the last convolution of each branch of a block


def check_growth(phases: Sequence[Phase], networks: Sequence[nn.Module]) -> None:
    """Raise `UsageError` where a phase takes more blocks than its network has, or fewer than the phase before."""
    before = 1
    for phase, network in zip(phases, networks, strict=True):
        if not isinstance(network, Sttn):
            if phase.blocks:
                raise UsageError(f"phases.blocks: found {phase.blocks}, but this network has none; leave the key out")
            continue
        most = len(network.transformer)
        now = phase.blocks or most
        if not before <= now <= most:
            raise UsageError(f"phases.blocks: found {now}, wanted {before} to {most}, never fewer than before")
        before = now


def silenced(weights: Weights, first: int) -> Weights:
    """The weights with the blocks from `first` on adding nothing: the last convolution of each branch is 0."""
    made = dict(weights)
    for key, value in weights.items():
        block, name = _parted(key)
        if block >= first and name.startswith(_ENDS):
            made[key] = torch.zeros_like(value)
    return made


def grown(weights: Weights, before: int, after: int) -> Weights:
    """The weights with blocks `before` to `after` (0: to the last) copied from the one ahead of them, and silent."""
    made = dict(weights)
    for key in weights:
        block, name = _parted(key)
        if block >= before and (block < after or not after):
            made[key] = weights[f"transformer.{before - 1}.{name}"].clone()
    return silenced(made, before)


def first_blocks(network: Sttn, count: int) -> Sttn:
    """What the network computes while its blocks from `count` on are silent, in fewer steps; its own weights."""
    with torch.device("meta"):
        short = Sttn(replace(network.geometry, blocks=count), network.size)
    short.encoder, short.decoder = network.encoder, network.decoder
    short.transformer = cast("nn.Sequential", network.transformer[:count])
    return short


def _parted(key: str) -> tuple[int, str]:
    """The block that a weight belongs to and its name there; -1 for those of no block."""
    first, _, rest = key.partition(".")
    number, _, name = rest.partition(".")
    return (int(number), name) if first == "transformer" else (-1, key)
