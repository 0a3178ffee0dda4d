"""Weights that training begins with or learns from, read without ever running what is in the file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import safetensors
import torch
from torch import Tensor, nn

from models._spec import ModelSpec
from runtime.errors import CheckpointError

_PREFIX = "module."  # what torch's DataParallel puts before every key


def read_table(path: Path) -> Mapping[str, Any]:
    """The table in a .pth file; raises `CheckpointError` where there is none, or it holds more than plain values."""
    try:
        with path.open("rb") as file:
            loaded = cast(object, torch.load(file, map_location="cpu", weights_only=True))
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror}") from None
    except Exception as error:  # noqa: BLE001  (a damaged pickle may raise anything; all of it ends here)
        what = (str(error).strip().splitlines() or [type(error).__name__])[0].split(". ")[0]
        raise CheckpointError(f"{path}: no checkpoint, or a damaged one ({what}); take an earlier one") from None
    if not isinstance(loaded, Mapping):
        raise CheckpointError(f"{path}: holds {type(loaded).__name__}, wanted a table")
    return cast("Mapping[str, Any]", loaded)


def read_weights(path: Path, containers: Sequence[str]) -> Mapping[str, Tensor]:
    """A network's state in float32, from .safetensors or .pth, there bare or under one of the `containers`."""
    if path.suffix == ".safetensors":
        try:
            opened: Any = safetensors.safe_open  # comes without types
            with opened(path, framework="pt") as file:
                return {key: file.get_tensor(key).float() for key in file.keys()}  # noqa: SIM118  (no mapping)
        except (safetensors.SafetensorError, OSError) as error:
            raise CheckpointError(f"{path}: cannot be read: {error}") from None
    table = read_table(path)
    for container in containers:
        table = table.get(container, table)
    if not all(isinstance(value, Tensor) for value in table.values()):
        raise CheckpointError(f"{path}: wanted a state dict, or one under {' or '.join(containers)}")
    return {key.removeprefix(_PREFIX): value.float() for key, value in table.items()}


def load_weights(network: nn.Module, state: Mapping[str, Tensor], where: str) -> None:
    """Put `state` into the network; raises `CheckpointError`, naming the first key that does not fit."""
    wanted = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    found = {key: tuple(value.shape) for key, value in state.items()}
    if found != wanted:
        key = min(key for key in {*wanted, *found} if wanted.get(key) != found.get(key))
        raise CheckpointError(
            f"{where}: does not fit the network: {key} is {found.get(key, 'missing')}, wanted {wanted.get(key, 'none')}"
        )
    network.load_state_dict(dict(state))


def read_into(network: nn.Module, path: Path, spec: ModelSpec) -> None:
    """Read `path` into the network."""
    load_weights(network, read_weights(path, spec.containers), str(path))
