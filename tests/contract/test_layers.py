"""The per-layer bench: operations against PyTorch's own counter, and what the command prints and draws."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import openvino
import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from bench.ceilings import Ceilings
from bench.layers import main
from bench.operations import multiplications
from bench.roofline import Point, drawn
from models.sttn import Sttn
from runtime import backends
from runtime.backends.openvino import core, fix_sizes
from runtime.bundle import read_bundle
from runtime.program import Request
from tests.tiny import HEIGHT, WIDTH, tiny_network

FRAMES = 5
CHANNELS = 16
CALLS: dict[str, tuple[Callable[[Sttn, Tensor], Tensor], tuple[int, ...]]] = {
    "encoder": (lambda network, rgb: network.encoder(rgb), (FRAMES, 3, HEIGHT, WIDTH)),
    "transformer": (lambda network, features: network.infer(features), (FRAMES, CHANNELS, HEIGHT // 4, WIDTH // 4)),
}
CEILINGS = Ceilings({"f32": 1e11, "i8": 4e11}, 1e10)


@pytest.mark.parametrize("stage", CALLS)
def test_operations_are_those_that_pytorch_counts(stage: str, any_window: Path) -> None:
    call, shape = CALLS[stage]
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        call(tiny_network(), torch.zeros(shape))
    bundle = read_bundle(any_window)
    spec = bundle.stage(stage)
    path = bundle.file(spec, "onnx")
    graph = core().read_model(str(path))
    sizes = {"B": FRAMES, "T": FRAMES, "N": FRAMES}  # all targets, as published
    fix_sizes(openvino, graph, Request(path, spec, sizes, "auto"))
    assert sum(multiplications(graph).values()) == counter.get_total_flops()


def test_every_stage_gets_a_table_and_the_last_one_a_roofline(
    any_window: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.layers.measure", lambda library: CEILINGS)
    chart = tmp_path / "roofline.svg"
    code = main(["--bundle", str(any_window), "--runs", "1", "--slowest", "2", "--svg", str(chart)])
    printed = capsys.readouterr().out
    assert code == 0
    assert "at best: f32 100 Gop/s, i8 400 Gop/s, memory 10.0 GB/s" in printed
    for stage in ("encoder", "transformer", "decoder"):
        assert re.search(rf"{stage}: [\d.]+ ms, [\d.]+ Gop, arithmetic \d+% of the time", printed)
    assert re.search(r"<text [^>]*>Convolution \d+%</text>", chart.read_text())
    if backends.get("openvino").precision("auto") == "fp32":
        assert re.search(r"│ MatMul +│ 16 +│", printed)  # two blocks, four heads, two products: none is fused away


def test_a_layer_at_the_roof_is_drawn_on_it() -> None:
    """At 100 operations a byte and the rate of the roof, its dot has the roof's height."""
    chart = drawn([Point("conv", 100.0, 1e11, 0.5)], CEILINGS, "any")
    dots = re.findall(r'cy="([\d.]+)"', chart)
    roofs = re.findall(r'points="[^"]*,([\d.]+)"', chart)
    assert len(roofs) == 2
    assert dots == roofs[:1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--bundle", "{bundle}", "--stage", "heart"], "no stage 'heart'"),
        (["--bundle", "{bundle}", "--svg", "{bundle}/chart.png"], "wanted a name that ends in .svg"),
        (["--bundle", "nowhere"], "nowhere"),
    ],
)
def test_mistakes_cost_one_line(
    arguments: list[str],
    said: str,
    any_window: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bench.layers.measure", lambda library: CEILINGS)
    assert main([text.format(bundle=any_window) for text in arguments]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert said in lines[0]
