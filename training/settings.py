"""What is checked and set in PyTorch before a run, so that it fails in its first second or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from models._spec import Size
from runtime.errors import OutputError, UsageError
from training.config import Config, Phase
from training.distributed import World
from training.growth import check_growth
from training.networks import make_generator


def check(config: Config) -> None:
    """Raise `UsageError` where a phase asks for a network, or for a step of it, that cannot be."""
    if config.speed.compile and any(phase.forcing for phase in config.phases):
        raise UsageError("phases.forcing: cannot be used with speed.compile, since steps differ in what they compute")
    with torch.device("meta"):
        networks = [make_generator(config.model, phase.size, phase.patches) for phase in config.phases]
        check_growth(config.phases, networks)
        _check_patches(config.phases)
        make_generator(config.model, config.validated_size, config.patches_at(config.validated_size))


def _check_patches(phases: Sequence[Phase]) -> None:
    """Validation, and whoever uses the weights, knows patches by the size alone."""
    known: dict[Size, tuple[Size, ...]] = {}
    for phase in phases:
        if known.setdefault(phase.size, phase.patches) != phase.patches:
            raise UsageError(f"phases.patches: two phases of {phase.size} have different ones, wanted the same")


def settle(config: Config, world: World) -> None:
    """Tell PyTorch how to compute; raises `UsageError` where a batch cannot be shared by all processes."""
    for phase in config.phases:
        if phase.batch % world.size:
            raise UsageError(f"phases.batch: found {phase.batch}, wanted a multiple of the {world.size} processes")
    if config.speed.threads:
        torch.set_num_threads(config.speed.threads)
    torch.backends.cudnn.benchmark = True  # samples of a phase have one size
    exact = config.speed.precision == "float32"  # asked for by name: a GPU would round what it multiplies to TF32
    torch.set_float32_matmul_precision("highest" if exact else "high")
    torch.backends.cudnn.allow_tf32 = not exact


def make_folder(folder: Path) -> None:
    """The run's folder; raises `OutputError`."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be made: {error.strerror}; say where else with --out") from None
