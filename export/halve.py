"""A checkpoint as half-precision .safetensors: safe to load, half the size, and what the rounding costs is printed.

python -m export.halve sttn.pth sttn-official.safetensors --variant official --licence "MIT"
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from safetensors.torch import save
from torch import Tensor

import models
from export.checkpoint import LICENCE_KEY, Checkpoint, choose_variant, load, read_checkpoint
from export.frames import DEMO, network_frames
from export.parity import run_module
from export.plan import pixel_rule
from export.trial import Array, make_feed
from models._spec import ModelSpec, Stage, Variant, Window
from models._weights import VARIANT_KEY
from runtime.errors import CheckpointError, OutputError, VidmendError


def halved(checkpoint: Checkpoint) -> Mapping[str, Tensor]:
    """The tensors rounded to 16-bit floats; raises `CheckpointError` when one leaves their range."""
    rounded = {key: tensor.half().contiguous() for key, tensor in checkpoint.tensors.items()}
    for key, tensor in rounded.items():
        if not bool(torch.isfinite(tensor).all()):
            raise CheckpointError(f"{checkpoint.path}: {key} exceeds half precision's range; keep it as it is")
    return rounded


def rounding_cost(checkpoint: Checkpoint, spec: ModelSpec, variant: Variant) -> dict[str, float]:
    """Largest absolute change of each stage's output on real frames, the changes of earlier stages included."""
    rounded = replace(checkpoint, tensors={key: tensor.float() for key, tensor in halved(checkpoint).items()})
    window = variant.window
    frames = network_frames(DEMO, pixel_rule(variant, variant.size), window.targets + window.references)
    exact, found = (
        _outputs(spec.stages(load(weights, variant, variant.size), None), frames, window)
        for weights in (checkpoint, rounded)
    )
    return {name: float(np.abs(exact[name] - found[name]).max()) for name in exact}


def _outputs(stages: Sequence[Stage], frames: Array, window: Window) -> dict[str, Array]:
    """Every stage's output, each stage fed by the one before."""
    outputs: dict[str, Array] = {}
    value = frames
    for stage in stages:
        feed = make_feed(stage.inputs, value, window.targets)
        value = outputs[stage.name] = run_module(stage, feed)[stage.outputs[0].name]
    return outputs


def main(arguments: Sequence[str]) -> int:
    """Run the command line; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m export.halve", description=__doc__, allow_abbrev=False)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("out", type=Path, help="the .safetensors to write")
    parser.add_argument("--model", default=models.DEFAULT)
    parser.add_argument("--variant")
    parser.add_argument("--licence", required=True, help="under which the weights may be used, in a few words")
    options = parser.parse_args(arguments)
    try:
        spec = models.get(options.model)
        checkpoint = read_checkpoint(options.checkpoint, spec.containers)
        variant = choose_variant(checkpoint, spec, options.variant)
        if options.out.exists():
            raise OutputError(f"{options.out}: exists already; remove it or choose another name")
        options.out.write_bytes(
            save(dict(halved(checkpoint)), {LICENCE_KEY: options.licence, VARIANT_KEY: variant.name})
        )
    except (VidmendError, LookupError) as error:
        Console(stderr=True, soft_wrap=True).print(f"export.halve: {error}", markup=False)
        return 2
    for stage, difference in rounding_cost(checkpoint, spec, variant).items():
        Console().print(f"{stage:<12} changes by {difference:.2e} at most")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
