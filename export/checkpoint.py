"""Trained weights from a file, without ever running what is in it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import safetensors
import torch
from torch import Tensor, nn

from models._spec import ModelSpec, Size, Variant
from runtime.errors import CheckpointError

LICENCE_KEY = "licence"  # of the metadata of a .safetensors file
VARIANT_KEY = "variant"  # likewise, and of a .pth beside the container
LICENCE_UNKNOWN = "not stated in the checkpoint"
_PREFIX = "module."  # what torch's DataParallel puts before every key
_NAMED = 3  # keys that an error message spells out


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The weights of one file: float32, finite, under the network's own keys."""

    path: Path
    sha256: str
    licence: str
    tensors: Mapping[str, Tensor]
    variant: str | None = None  # which it says that it is; most say nothing


def read_checkpoint(path: Path, containers: Sequence[str]) -> Checkpoint:
    """Read `.pth` (weights alone, or under one of the `containers`) or `.safetensors`, told apart by content.

    Raises `CheckpointError` when the file is missing, damaged, no checkpoint, or holds more than tensors and numbers.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror}") from None
    licence = LICENCE_UNKNOWN
    if content[8:9] == b"{":  # after the eight bytes of its header's length
        loaded, metadata = _read_safetensors(path)
        licence = metadata.get(LICENCE_KEY, licence)
        variant = metadata.get(VARIANT_KEY)
    else:
        loaded = _read_pickle(path, len(content))
        variant = _stated_variant(loaded)
    tensors = {key: tensor.float() for key, tensor in _unwrap(path, loaded, containers).items()}
    for key, tensor in tensors.items():
        if not bool(torch.isfinite(tensor).all()):
            raise CheckpointError(f"{path}: {key} holds values that are not finite; train again or take another file")
    return Checkpoint(path, hashlib.sha256(content).hexdigest(), licence, tensors, variant)


def fitting(checkpoint: Checkpoint, spec: ModelSpec) -> tuple[str, ...]:
    """The variants whose keys and shapes are exactly the checkpoint's."""
    found = {key: tuple(tensor.shape) for key, tensor in checkpoint.tensors.items()}
    return tuple(variant.name for variant in spec.variants if _shapes(variant) == found)


def choose_variant(checkpoint: Checkpoint, spec: ModelSpec, asked: str | None) -> Variant:
    """The variant asked for, else the one that the checkpoint says it is, else the only one that it may be taken for.

    Raises `CheckpointError` when the one asked for does not fit, or several are left.
    """
    fits = fitting(checkpoint, spec)
    if asked is None and checkpoint.variant in fits:
        return spec.variant(checkpoint.variant)
    unasked = [name for name in fits if not spec.variant(name).by_name_only]
    if asked is None and len(unasked) == 1:
        return spec.variant(unasked[0])
    if asked is None and unasked:
        raise CheckpointError(
            f"{checkpoint.path}: fits the variants {' and '.join(unasked)}, whose files are alike; "
            f"say which with --variant"
        )
    name = asked or spec.default_variant
    if name not in fits:
        raise CheckpointError(_misfit(checkpoint, spec, spec.variant(name), fits))
    return spec.variant(name)


def load(checkpoint: Checkpoint, variant: Variant, size: Size) -> nn.Module:
    """The network for pictures of `size` with the checkpoint's weights, ready to run; `ValueError` on an odd size."""
    network = variant.build(size)
    network.load_state_dict(dict(checkpoint.tensors), strict=True)
    return network.eval().requires_grad_(False)


def _read_safetensors(path: Path) -> tuple[object, Mapping[str, str]]:
    try:
        opened: Any = safetensors.safe_open  # comes without types
        with opened(path, framework="pt") as file:
            keys: list[str] = file.keys()
            metadata: dict[str, str] = file.metadata() or {}
            return {key: file.get_tensor(key) for key in keys}, metadata
    except safetensors.SafetensorError as error:
        raise CheckpointError(f"{path}: damaged .safetensors file ({_first_line(error)}); copy it again") from None


def _read_pickle(path: Path, size_bytes: int) -> object:
    try:
        return cast(object, torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:  # noqa: BLE001  (a damaged pickle may raise anything; all of it ends here)
        if foreign := re.search(r"GLOBAL '?([\w.]+)", str(error)):
            raise CheckpointError(
                f"{path}: holds '{foreign[1]}' beside tensors, which could run code; refusing to load it. "
                f"Save its state dict alone, where you trust it."
            ) from None
        raise CheckpointError(
            f"{path}: no checkpoint, or a damaged one of {size_bytes} bytes ({_first_line(error)}). "
            f"Wanted: .pth or .safetensors; copy or download it again."
        ) from None


def _stated_variant(loaded: object) -> str | None:
    stated = cast("Any", loaded).get(VARIANT_KEY) if isinstance(loaded, Mapping) else None
    return stated if isinstance(stated, str) else None


def _unwrap(path: Path, loaded: object, containers: Sequence[str]) -> dict[str, Tensor]:
    for container in containers:
        if isinstance(loaded, Mapping) and isinstance(inner := cast("Any", loaded).get(container), Mapping):
            loaded = cast(object, inner)
    if not isinstance(loaded, Mapping) or not loaded:
        raise CheckpointError(f"{path}: holds no table of tensors; wanted a state dict, or one under {containers[0]}")
    tensors = cast("Mapping[object, object]", loaded)
    for key, value in tensors.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise CheckpointError(
                f"{path}: '{key}' is no tensor; wanted a state dict, or one under {' or '.join(containers)}"
            )
    named = cast("Mapping[str, Tensor]", tensors)
    strip = all(key.startswith(_PREFIX) for key in named)
    return {key.removeprefix(_PREFIX) if strip else key: value for key, value in named.items()}


def _shapes(variant: Variant) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):  # shapes without memory
        network = variant.build(variant.size)
    return {key: tuple(tensor.shape) for key, tensor in network.state_dict().items()}


def _misfit(checkpoint: Checkpoint, spec: ModelSpec, variant: Variant, fits: Sequence[str]) -> str:
    wanted, found = _shapes(variant), checkpoint.tensors
    odd = [key for key in wanted if key in found and tuple(found[key].shape) != wanted[key]]
    differences = [
        _listed("missing", [key for key in wanted if key not in found]),
        _listed("unknown", [key for key in found if key not in wanted]),
        _listed("of another shape", [f"{key} {list(found[key].shape)}, wanted {list(wanted[key])}" for key in odd]),
    ]
    advice = f"it fits --variant {' or '.join(fits)}" if fits else f"it fits no variant of {spec.name}"
    what = "; ".join(text for text in differences if text)
    return f"{checkpoint.path}: does not fit {spec.name} '{variant.name}': {what}; {advice}"


def _listed(what: str, keys: Sequence[str]) -> str:
    if not keys:
        return ""
    more = f" and {len(keys) - _NAMED} more" if len(keys) > _NAMED else ""
    return f"{len(keys)} keys {what} ({', '.join(keys[:_NAMED])}{more})"


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0].split(". ")[0] if text else type(error).__name__
