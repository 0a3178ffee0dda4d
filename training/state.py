"""What a run is between two steps: all that the next step depends on, beside the configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from training.average import Average
from training.config import Config
from training.growth import silenced
from training.networks import first_generator, make_discriminator, make_generator
from training.optimisers import Table
from training.weights import check_fits


@dataclass(frozen=True, slots=True)
class State:
    """Tensors of the networks, the optimisers and the average.

    No random generator is among it: after the first weights nothing is drawn but samples, and those follow from the
    seed and their number (training/dataset.py).
    """

    step: int  # steps done
    generator: dict[str, Tensor]
    average: dict[str, Tensor]
    discriminator: dict[str, Tensor] | None = None
    generator_optimiser: Table | None = None  # none: a fresh one
    discriminator_optimiser: Table | None = None
    best_db: float | None = None  # of the validations so far
    config: Mapping[str, str] | None = None  # `Config.described` of the run so far; none: not known


def first_state(config: Config) -> State:
    """Before the first step; raises `CheckpointError` when the weights to begin with cannot be used."""
    generator = first_generator(config)
    if blocks := config.phases[0].blocks:
        generator.load_state_dict(silenced(generator.state_dict(), blocks))
    discriminator = make_discriminator(config.objective, config.seed)
    return State(
        step=0,
        generator=generator.state_dict(),
        average=Average(generator, config.optimiser.average).state,
        discriminator=None if discriminator is None else discriminator.state_dict(),
    )


def check_state(config: Config, state: State, folder: Path) -> None:
    """Raise `CheckpointError` where the networks of a checkpoint in `folder` are not those of `config`."""
    phase = config.phases[0]
    with torch.device("meta"):
        generator = make_generator(config.model, phase.size, phase.patches)
    check_fits(generator, state.generator, f"{folder}/gen_{state.step:05d}.pth")
    check_fits(generator, state.average, f"{folder}/ema_{state.step:05d}.pth")
    critic = make_discriminator(config.objective, config.seed)
    if critic is not None and state.discriminator is not None:
        check_fits(critic, state.discriminator, f"{folder}/dis_{state.step:05d}.pth")


def judged_alike(before: Mapping[str, str] | None, now: Mapping[str, str]) -> bool:
    """Whether the validations of two configurations, as `Config.described` has them, can be compared."""
    if before is None:
        return True
    keys = {key for key in (*before, *now) if key.startswith("validation.")}
    if "None" in (before.get("validation.size"), now.get("validation.size")):  # that of the last phase
        keys |= {key for key in (*before, *now) if key.startswith("phases[") and key.endswith(".size")}
    return all(before.get(key) == now.get(key) for key in keys)
