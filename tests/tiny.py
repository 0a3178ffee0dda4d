"""A tiny seeded STTN and its bundles: the whole way in milliseconds, with weights that make every part matter."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from export import targets
from export.build import build
from export.checkpoint import Checkpoint
from export.frames import DEMO
from export.plan import Plan
from models._spec import Size, Variant, Window
from models.sttn import SPEC, Sttn, variant
from runtime.bundle import Bundle

WIDTH, HEIGHT = 96, 48
SIZE = Size(WIDTH, HEIGHT)
TINY: Variant = variant("tiny", "for tests", size=SIZE, parameters=0, channels=16, blocks=2)
MASKED: Variant = variant("tiny-masked", "for tests", size=SIZE, parameters=0, channels=16, blocks=2, masked=True)


def tiny_network(of: Variant = TINY) -> Sttn:
    """Seeded, with activations of order 1, so that windows disagree and pictures have contrast."""
    torch.manual_seed(7)
    network = of.build(of.size)
    assert isinstance(network, Sttn)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, a=0.2)
                assert module.bias is not None
                nn.init.normal_(module.bias, std=0.1)
        last = network.decoder[6]
        assert isinstance(last, nn.Conv2d)
        last.weight *= 0.2  # deep residual sums grow; this keeps tanh out of saturation
    return network.eval()


def tiny_bundle(
    folder: Path,
    *,
    frames: tuple[int, int] | None = None,
    pace: tuple[int, int] = (5, 10),
    of: Variant = TINY,
) -> Path:
    """Export the tiny network into `folder`; `frames` (targets, references) fixes the window.

    `pace` is how far apart windows and references are.
    """
    network = tiny_network(of)
    checkpoint = Checkpoint(folder / "tiny.safetensors", "0" * 64, "made for tests", network.state_dict())
    window = Window(11, 5, *pace) if frames is None else Window(*frames, *pace)
    plan = Plan(
        spec=SPEC,
        variant=of,
        checkpoint=checkpoint,
        size=of.size,
        window=window,
        fixed=frames is not None,
        targets=(targets.get("onnx"),),
        out=folder / ("any" if frames is None else f"{frames[0]}+{frames[1]}"),
        notes=(),
    )
    build(plan, DEMO, lambda step: None, force=True)
    return plan.out


def without_parts(bundle: Bundle) -> Bundle:
    """The same, as one whose pictures are always decoded whole."""
    stages = tuple(replace(stage, part=None) for stage in bundle.manifest.stages)
    return Bundle(bundle.root, replace(bundle.manifest, stages=stages))
