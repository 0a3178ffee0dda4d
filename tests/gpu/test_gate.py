"""An engine built on this GPU against float32 on real frames; TensorRT, onnxruntime and polygraphy side by side."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from export import targets
from export.engines import lengths, shapes
from export.frames import DEMO
from export.gate import Reference, verify
from export.targets._target import Options, Order
from export.trial import WANTED_DB
from runtime.bundle import DEFAULT, read_bundle
from runtime.errors import ExportError
from runtime.job import find_bundle

pytestmark = pytest.mark.gpu


def test_an_engine_built_here_passes_the_gate_and_a_broken_one_does_not(tmp_path: Path) -> None:
    for name in ("tensorrt", "onnxruntime", "polygraphy"):
        pytest.importorskip(name, reason=f"the gate needs {name}, which is not installed beside pytest")
    opened = read_bundle(find_bundle(DEFAULT))
    stage = opened.manifest.stages[0]  # no scalar goes in, which not every release takes
    rule = opened.manifest.schedule
    usual = shapes(stage, lengths((rule.targets, rule.references), None))
    order = Order(stage.name, opened.file(stage, "onnx"), "float32", (), usual, Options())
    compiler = targets.get("tensorrt").compiler
    assert compiler is not None
    plan = tmp_path / "encoder.plan"
    compiler.build(order, plan, lambda step: None)
    trial = Reference(opened, DEMO).trial(stage.name)
    said: list[str] = []
    record = verify(order, compiler, plan, lambda name: trial, said.append)
    assert record is not None, said
    assert record.psnr_db > WANTED_DB
    other = replace(trial, wanted=trial.wanted[::-1].copy())
    with pytest.raises(ExportError, match="refused"):
        verify(order, compiler, plan, lambda name: other, said.append)
    plan.write_bytes(plan.read_bytes()[:1000])
    with pytest.raises(ExportError, match="cannot read the plan"):
        verify(order, compiler, plan, lambda name: trial, said.append)
