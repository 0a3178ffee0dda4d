"""One variant exported for a GPU: python -m bench._gpu_prepare VARIANT FOLDER [CHECKPOINT].

Writes FOLDER/weights.pth, which PyTorch alone can read, and FOLDER/bundle with the graphs that engines are made of.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

import models
from export import cli
from export.checkpoint import read_checkpoint
from export.plan import WEIGHTS
from models._spec import ModelSpec


def main(arguments: Sequence[str]) -> int:
    """Export; returns export.py's exit code."""
    name, folder = arguments[0], Path(arguments[1])
    folder.mkdir(parents=True, exist_ok=True)
    spec = models.get(models.DEFAULT)
    weights, unfinished = folder / "weights.pth", folder / ".weights.part"
    torch.save(_weights(spec, name, Path(arguments[2]) if arguments[2:] else None), unfinished)
    os.replace(unfinished, weights)
    window = spec.variant(name).window  # exactly, since engines of every release can have that
    frames = f"{window.targets}+{window.references}"
    where = ["--model", spec.name, "--variant", name, "--out", str(folder / "bundle"), "--force"]
    return cli.main([str(weights), *where, "--fp16", "--target", "onnx", "--frames", frames])


def _weights(spec: ModelSpec, name: str, checkpoint: Path | None) -> dict[str, Tensor]:
    """The checkpoint's weights, else those that come with vidmend, else random ones from a seed."""
    shipped = WEIGHTS / f"{spec.name}-{name}.safetensors"
    chosen = checkpoint or (shipped if shipped.is_file() else None)
    if chosen is not None:
        return dict(read_checkpoint(chosen, spec.containers).tensors)
    torch.manual_seed(0)
    variant = spec.variant(name)
    return variant.build(variant.size).state_dict()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
