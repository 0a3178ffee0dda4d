"""Trained weights from a file, without ever running what is in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from models._spec import ModelSpec, Size, Variant
from models._weights import VARIANT_KEY, BadWeights, read_weights
from runtime.errors import CheckpointError

LICENCE_KEY = "licence"  # of the metadata of a .safetensors file
LICENCE_UNKNOWN = "not stated in the checkpoint"
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
        read = read_weights(path, containers)
    except BadWeights as error:
        raise CheckpointError(f"{path}: {error}") from None
    licence, variant = read.metadata.get(LICENCE_KEY, LICENCE_UNKNOWN), read.metadata.get(VARIANT_KEY)
    return Checkpoint(path, read.sha256, licence, read.tensors, variant)


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
