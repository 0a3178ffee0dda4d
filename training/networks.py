"""The networks of a run: made once from the seed, and again for each phase, whose samples have another size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from typing import cast

import torch
from torch import Tensor, nn

import models
from models._spec import ModelSpec, Size, Variant
from models.sttn import Sttn, TransformerBlock
from runtime.errors import UsageError
from training.config import Config, Model, Objective
from training.discriminator import Discriminator
from training.initial import initialise
from training.weights import read_into

_SLOPE = 0.2  # of the leaky rectifiers


def make_generator(model: Model, size: Size, patches: Sequence[Size] = ()) -> nn.Module:
    """The untrained network for pictures of `size`; raises `UsageError` for a name, size or patch that cannot be."""
    spec, variant = described(model)
    try:
        if not patches:
            return variant.build(size)
        network = variant.build(variant.size)
    except ValueError as error:
        raise UsageError(f"phases.size: {spec.name} '{variant.name}': {error}") from None
    if not isinstance(network, Sttn):
        raise UsageError(f"phases.patches: found some, but {spec.name} has no patches; leave the key out")
    features = Size(size.width // 4, size.height // 4)
    heads = len(network.geometry.patches)
    fit = all(features.width % patch.width == 0 and features.height % patch.height == 0 for patch in patches)
    if len(patches) != heads or not fit or size.width % 4 or size.height % 4:
        found = " ".join(map(str, patches))
        raise UsageError(
            f"phases.patches: found {found}, wanted {heads} that divide {features}, the features of {size}"
        )
    return type(network)(replace(network.geometry, patches=tuple(patches)), size)


def described(model: Model) -> tuple[ModelSpec, Variant]:
    """What the network says of itself; raises `UsageError` for a name that does not exist."""
    try:
        spec = models.get(model.name)
        return spec, spec.variant(model.variant)
    except LookupError as error:
        raise UsageError(f"model: {error.args[0]}") from None


def first_generator(config: Config) -> nn.Module:
    """The network that a run begins with: read from `model.init`, else drawn from the seed."""
    spec, variant = described(config.model)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        network = variant.build(variant.size)
        initialise(network)
        if config.model.initial == "scaled":
            scale_initial(network)
    if config.model.init is not None:
        read_into(network, config.model.init, spec)
    return network


def scale_initial(network: nn.Module) -> None:
    """Draw weights that keep activations at order 1 whatever the widths (He et al., arXiv:1502.01852).

    N(0, 0.02) does so for 3x3 layers of the published 256 channels alone, and in narrower ones signals die out.  The
    last layer of each branch is divided by the root of the number of branches, so that their sum keeps its scale too;
    the last layer of all stays as it is, which leaves tanh its middle.
    """
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d) and layer.out_channels > 3]
    for layer in layers:
        nn.init.kaiming_normal_(layer.weight, a=_SLOPE)
    if isinstance(network, Sttn):
        blocks = cast("Sequence[TransformerBlock]", network.transformer)
        branches = chain.from_iterable((block.attention.output_linear, block.feed_forward.conv) for block in blocks)
        with torch.no_grad():
            for branch in branches:  # its last module is a rectifier, the one before a convolution
                cast("nn.Conv2d", branch[-2]).weight /= math.sqrt(2 * len(blocks))


def make_discriminator(objective: Objective, seed: int) -> Discriminator | None:
    """The discriminator drawn from the seed; none where its loss counts nothing."""
    if not objective.adversarial:
        return None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed + 1)
        return Discriminator(objective.discriminator_channels, objective.normalised, chained=objective.chained)


def make_teacher(config: Config, size: Size, patches: Sequence[Size]) -> nn.Module | None:
    """The larger network to learn from, ready to run; none where that loss counts nothing."""
    objective = config.objective
    if not objective.distillation or objective.teacher is None:
        return None
    model = Model(config.model.name, objective.teacher_variant)
    teacher = make_generator(model, size, patches)
    read_into(teacher, objective.teacher, described(model)[0])
    return teacher.eval().requires_grad_(False)


def view_of(state: dict[str, Tensor], model: Model, size: Size, patches: Sequence[Size] = ()) -> nn.Module:
    """A network for pictures of `size` over the very tensors of `state`: it follows as they change."""
    with torch.device("meta"):
        network = make_generator(model, size, patches)
    network.load_state_dict(state, assign=True)
    return network.eval().requires_grad_(False)
