"""Trained weights from a file, without ever running what is in it; kinds are told apart by content, never by name."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import safetensors
import torch
from torch import Tensor

VARIANT_KEY = "variant"  # of the metadata of a .safetensors file, and of a .pth beside the container
_PREFIX = "module."  # what torch's DataParallel puts before every key


class BadWeights(ValueError):
    """What is wrong with a file of weights, in one line that leaves the file's name to the caller."""


@dataclass(frozen=True, slots=True)
class Weights:
    """What a file holds: float32, finite, under the network's own keys."""

    sha256: str  # of the file
    tensors: Mapping[str, Tensor]
    metadata: Mapping[str, str]  # of a .pth the variant alone, where it is stated


def read_weights(path: Path, containers: Sequence[str]) -> Weights:
    """Read `.pth` (weights alone, or under one of the `containers`) or `.safetensors`.

    Raises `BadWeights` when the file is missing, damaged, or holds something else than finite tensors.
    """
    content = _bytes_of(path)
    if content[8:9] == b"{":  # after the eight bytes of its header's length
        loaded, metadata = _read_safetensors(path)
    else:
        loaded = _unpickled(content)
        metadata = _stated(loaded)
    tensors = {key: tensor.float() for key, tensor in _unwrapped(loaded, containers).items()}
    for key, tensor in tensors.items():
        if not bool(torch.isfinite(tensor).all()):
            raise BadWeights(f"{key} holds values that are not finite; train again or take another file")
    return Weights(hashlib.sha256(content).hexdigest(), tensors, metadata)


def read_table(path: Path) -> Mapping[str, Any]:
    """The table in a .pth file; raises `BadWeights` where there is none, or it holds more than plain values."""
    loaded = _unpickled(_bytes_of(path))
    if not isinstance(loaded, Mapping):
        raise BadWeights(f"holds {type(loaded).__name__}, wanted a table")
    return cast("Mapping[str, Any]", loaded)


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadWeights(f"cannot be read: {error.strerror}") from None


def _read_safetensors(path: Path) -> tuple[object, Mapping[str, str]]:
    try:
        opened: Any = safetensors.safe_open  # comes without types
        with opened(path, framework="pt") as file:
            keys: list[str] = file.keys()
            metadata: dict[str, str] = file.metadata() or {}
            return {key: file.get_tensor(key) for key in keys}, metadata
    except safetensors.SafetensorError as error:
        raise BadWeights(f"damaged .safetensors file ({_first_line(error)}); copy it again") from None


def _unpickled(content: bytes) -> object:
    try:
        return cast(object, torch.load(io.BytesIO(content), map_location="cpu", weights_only=True))
    except Exception as error:  # noqa: BLE001  (a damaged pickle may raise anything; all of it ends here)
        if foreign := re.search(r"GLOBAL '?([\w.]+)", str(error)):
            raise BadWeights(
                f"holds '{foreign[1]}' beside tensors, which could run code; refusing to load it. "
                f"Save its state dict alone, where you trust it."
            ) from None
        raise BadWeights(
            f"no checkpoint, or a damaged one of {len(content)} bytes ({_first_line(error)}). "
            f"Wanted: .pth or .safetensors; copy or download it again."
        ) from None


def _stated(loaded: object) -> Mapping[str, str]:
    stated = cast("Any", loaded).get(VARIANT_KEY) if isinstance(loaded, Mapping) else None
    return {VARIANT_KEY: stated} if isinstance(stated, str) else {}


def _unwrapped(loaded: object, containers: Sequence[str]) -> Mapping[str, Tensor]:
    for container in containers:
        if isinstance(loaded, Mapping) and isinstance(inner := cast("Any", loaded).get(container), Mapping):
            loaded = cast(object, inner)
    if not isinstance(loaded, Mapping) or not loaded:
        raise BadWeights(f"holds no table of tensors; wanted a state dict, or one under {containers[0]}")
    tensors = cast("Mapping[object, object]", loaded)
    for key, value in tensors.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise BadWeights(f"'{key}' is no tensor; wanted a state dict, or one under {' or '.join(containers)}")
    named = cast("Mapping[str, Tensor]", tensors)
    strip = all(key.startswith(_PREFIX) for key in named)
    return {key.removeprefix(_PREFIX) if strip else key: value for key, value in named.items()}


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0].split(". ")[0] if text else type(error).__name__
