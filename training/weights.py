"""Weights that training begins with or learns from, with errors that name the file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from models import _weights
from models._spec import ModelSpec
from models._weights import BadWeights
from runtime.errors import CheckpointError


def read_table(path: Path) -> Mapping[str, Any]:
    """The table in a .pth file; raises `CheckpointError` where there is none, or it holds more than plain values."""
    try:
        return _weights.read_table(path)
    except BadWeights as error:
        raise CheckpointError(f"{path}: {error}") from None


def read_weights(path: Path, containers: Sequence[str]) -> Mapping[str, Tensor]:
    """A network's state in float32, from .safetensors or .pth, there bare or under one of the `containers`."""
    try:
        return _weights.read_weights(path, containers).tensors
    except BadWeights as error:
        raise CheckpointError(f"{path}: {error}") from None


def check_fits(network: nn.Module, state: Mapping[str, Tensor], where: str) -> None:
    """Raise `CheckpointError`, naming the first key that does not fit, where `state` is another network's."""
    wanted = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    found = {key: tuple(value.shape) for key, value in state.items()}
    if found != wanted:
        key = min(key for key in {*wanted, *found} if wanted.get(key) != found.get(key))
        raise CheckpointError(
            f"{where}: does not fit the network: {key} is {found.get(key, 'missing')}, wanted {wanted.get(key, 'none')}"
        )


def load_weights(network: nn.Module, state: Mapping[str, Tensor], where: str) -> None:
    """Put `state` into the network; raises as `check_fits` does."""
    check_fits(network, state, where)
    network.load_state_dict(dict(state))


def read_into(network: nn.Module, path: Path, spec: ModelSpec) -> None:
    """Read `path` into the network."""
    load_weights(network, read_weights(path, spec.containers), str(path))
