"""Where a network's attention looks: how evenly, how far from where the hole's content is, and what looking is worth.

    python -m bench.looking assets/weights/sttn-small.safetensors CLIP CLIP [CLIP ...]

Holes are those that evaluate.py takes.  The table is over patches that have a hole, weighted by it.  Evenness is the
entropy of attention over the logarithm of the number of patches: at 1 it is a plain average of all there are.  Off is
KL(goal || attention) in nats, the goal being the patches that show what is hidden (training/guidance.py).  Blind is the
share of attention on patches that show less than half of it.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

import models
from calib.evaluation.scene import read_clip
from calib.mask_sets import MASK_SETS, Wanted, holes_of
from calib.metrics import psnr_in_hole
from export.checkpoint import choose_variant, load, read_checkpoint
from models._spec import Size
from models.sttn import SCALE, Sttn, patchify
from runtime.errors import VidmendError
from training.forcing import forced
from training.growth import first_blocks
from training.guidance import Guide, divergence
from training.losses import composite
from training.sample import Sample, batched
from training.sheet import levels

_NETWORK = "sttn"
_MEASURES = ("evenness", "off", "blind")


@dataclass(frozen=True, slots=True)
class Clip:
    """Some frames of a clip and what is hidden of them."""

    sample: Sample
    frames: Tensor  # of a batch of this clip alone
    masks: Tensor


def main(arguments: Sequence[str]) -> int:
    """Print a line per block and head, then what looking is worth; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        spec = models.get(_NETWORK)
        checkpoint = read_checkpoint(options.checkpoint, spec.containers)
        variant = choose_variant(checkpoint, spec, options.variant)
        network = cast("Sttn", load(checkpoint, variant, variant.size))
        pairs = zip(options.clips, (*options.clips[1:], options.clips[0]), strict=True)
        clips = [_read(clip, lender, variant.size, options) for clip, lender in pairs]
    except VidmendError as error:
        print(f"bench.looking: {error}", file=sys.stderr)
        return error.exit_code
    with torch.inference_mode():
        _print_table(np.mean([_looked(network, clip) for clip in clips], axis=0), network)
        _print_worth(network, clips)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench.looking", description="Where a network's attention looks.", allow_abbrev=False
    )
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("clips", nargs="+", type=Path, metavar="CLIP", help="videos with masks beside them")
    parser.add_argument("--variant", help="as export.py has it")
    parser.add_argument("--masks", choices=MASK_SETS, default="other", help="as evaluate.py has it (default: other)")
    parser.add_argument("--frames", type=int, default=16, help="of each clip (default: %(default)s)")
    parser.add_argument("--apart", type=int, default=3, help="take one frame in so many (default: %(default)s)")
    return parser


def _read(clip: Path, lender: Path, size: Size, options: argparse.Namespace) -> Clip:
    pictures = read_clip(clip, (size.width, size.height), options.frames * options.apart)
    holes = holes_of(options.masks, Wanted(clip, lender, len(pictures), size.width, size.height, seed=0))
    sample = Sample(np.stack(pictures[:: options.apart]), np.stack(holes[:: options.apart]), ())
    return Clip(sample, *batched([sample]).on(torch.device("cpu")))


def _looked(network: Sttn, clip: Clip) -> list[list[float]]:
    """`_MEASURES` of each block's heads, in order."""
    frames, masks = clip.frames, clip.masks
    guide = Guide(network)
    network(frames * (1 - masks), masks)
    sights = [_shown(masks, patch) >= 0.5 for patch in network.geometry.patches]
    found: list[list[float]] = []
    for head, scores, goal in guide.looks(frames, masks):
        attention, weight = torch.softmax(scores, 2), goal.weight
        entropy = -torch.xlogy(attention, attention).sum(2) / math.log(attention.shape[2])
        blind = torch.where(sights[head], 0, attention).sum(2)
        means = [float((each * weight).sum() / weight.sum()) for each in (entropy, blind)]
        found.append([means[0], divergence(scores, goal).item(), means[1]])
    guide.close()
    return found


def _shown(masks: Tensor, patch: Size) -> Tensor:
    """How much of what is hidden in patch i is in sight in patch j, `[1, tokens, tokens]`."""
    hole = patchify(masks.flatten(0, 1)[..., ::SCALE, ::SCALE], patch, 1)
    return hole @ (1 - hole).mT / hole.sum(2, keepdim=True).clamp_min(1)


def _print_table(measured: np.ndarray, network: Sttn) -> None:
    table = Table("block", "head", "patch", *_MEASURES)
    patches = network.geometry.patches
    for number, row in enumerate(measured):
        block, head = divmod(number, len(patches))
        table.add_row(str(block + 1), str(head + 1), str(patches[head]), *(f"{value:.3f}" for value in row))
    Console().print(table)


def _print_worth(network: Sttn, clips: Sequence[Clip]) -> None:
    """In-hole PSNR of the network as it is and changed in one thing each."""
    own = network.state_dict()
    even = {name: torch.zeros_like(value) if "query_embedding" in name else value for name, value in own.items()}
    every = network.geometry.blocks
    ways: dict[str, Callable[[Clip], float]] = {
        "as it is": lambda clip: _psnr(network, clip),
        "each frame alone": lambda clip: _psnr(network, clip, alone=True),
        "first block alone": lambda clip: _psnr(first_blocks(network, 1), clip),
        "two blocks told where to look": lambda clip: _psnr_told(network, 2, clip),
        "all blocks told where to look": lambda clip: _psnr_told(network, every, clip),
    }
    for name, way in ways.items():
        _print_mean(name, [way(clip) for clip in clips])
    network.load_state_dict(even, assign=True)
    _print_mean("plain averages", [_psnr(network, clip) for clip in clips])
    network.load_state_dict(own, assign=True)


def _print_mean(name: str, found: Sequence[float]) -> None:
    print(f"{name:>29}: {np.mean(found):.2f} dB in the hole")


def _psnr_told(network: Sttn, blocks: int, clip: Clip) -> float:
    """With the attention of the first `blocks` put where training would have it (training/forcing.py)."""
    with forced(network, blocks, clip.frames, clip.masks):
        return _psnr(network, clip)


def _psnr(network: Callable[[Tensor, Tensor], Tensor], clip: Clip, *, alone: bool = False) -> float:
    frames, masks = clip.frames, clip.masks
    axis = 0 if alone else 1  # of the clip's frames: as many clips of one, or one clip
    frames, masks = (tensor.flatten(0, 1).unsqueeze(1 - axis) for tensor in (frames, masks))
    filled = network(frames * (1 - masks), masks).view_as(frames)
    return psnr_in_hole(levels(composite(filled, frames, masks).flatten(0, 1)), clip.sample.frames, clip.sample.holes)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
