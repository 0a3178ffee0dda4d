"""Exports: what is refused, what fails, and that a bundle appears whole or not at all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

import export.build
from calib.ranges import read_table
from calib.thresholds import RULES
from export._int8_layers import levels_of
from export._int8_qdq import float_graph, quantised
from export._int8_taps import feed_of
from export.build import build, make_graph
from export.frames import DEMO
from export.int8 import RANGES
from export.parity import compare, run_graph
from export.parts import compare_parts, stages_of
from export.plan import Plan, Request, make_plan
from export.trial import make_feed
from kernels import record
from models._spec import Size, Stage
from models.sttn import SPEC
from runtime.bundle import DEFAULT, Manifest, ParityRecord, read_bundle
from runtime.errors import ExportError, OutputError
from tests.tiny import TINY, tiny_network
from tests.tolerances import TOLERANCE

ROOT = Path(__file__).resolve().parents[2]
TINIEST = Size(48, 48)


def small_plan(out: Path, size: Size = TINIEST) -> Plan:
    """The default weights on a small picture and few frames: seconds."""
    return default_plan(out, size, (2, 1))


def default_plan(out: Path, size: Size | None = None, frames: tuple[int, int] | None = None) -> Plan:
    return make_plan(
        Request(
            checkpoint=None, model="sttn", variant=None, out=out, targets=["onnx"], fp16=False, size=size, frames=frames
        )
    )


def quiet(step: str) -> None:
    """No progress."""


def test_exporting_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    bundles = [tmp_path / "a", tmp_path / "b"]
    for out in bundles:
        build(small_plan(out), DEMO, quiet, force=False)
    first, second = ({path.name: path.read_bytes() for path in sorted(out.iterdir())} for out in bundles)
    graphs = {"encoder.onnx", "transformer.onnx", "decoder.onnx", "decoder.part.onnx"}
    assert set(first) == {*graphs, "manifest.json", "vidmend.fatbin"}
    assert first["vidmend.fatbin"] == record.fatbin(record.FOLDER)
    assert first == second


def comparable(manifest: Manifest) -> Manifest:
    """Without what another machine or library version may change, and without int8."""
    parity: tuple[ParityRecord, ...] = ()
    options = {**manifest.provenance.options, "half": "none"}
    stages = tuple(
        replace(stage, typed=(), part=stage.part and replace(stage.part, typed=())) for stage in manifest.stages
    )
    provenance = replace(manifest.provenance, toolchain={}, options=options)
    return replace(manifest, stages=stages, parity=parity, provenance=provenance)


def test_the_default_bundle_is_what_the_default_weights_export_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Same graphs and weights; parity is not run again here, its figures depend on the machine."""
    monkeypatch.setattr(export.build, "compare_stages", lambda *_: ())
    monkeypatch.setattr(export.build, "compare_parts", lambda *_: ())
    out = tmp_path / "again"
    build(default_plan(out), DEMO, quiet, force=False)
    committed, anew = read_bundle(ROOT / "assets" / "bundles" / DEFAULT), read_bundle(out)
    assert comparable(anew.manifest) == comparable(committed.manifest)
    for stage in committed.manifest.stages:
        assert committed.file(stage, "onnx").read_bytes() == anew.file(anew.stage(stage.name), "onnx").read_bytes()
        if stage.part is not None:
            assert committed.checked(stage.part.file).read_bytes() == (out / stage.part.file.path).read_bytes()
    assert {record.stage for record in committed.manifest.parity} == {
        "encoder",
        "transformer",
        "decoder",
        "decoder.part",
    }
    assert all(0 < record.max_abs <= record.tolerance and not record.nan_count for record in committed.manifest.parity)
    assert committed.manifest.precision.storage == "float16"


def test_the_default_bundles_int8_is_what_its_table_makes_of_its_graphs() -> None:
    """By what the graphs compute: their bytes are onnxruntime's, whose release is not fixed."""
    committed = read_bundle(ROOT / "assets" / "bundles" / DEFAULT)
    table = read_table(committed.root / RANGES)
    assert dict(table.graphs) == {stage.name: stage.files["onnx"].sha256 for stage in committed.manifest.stages}
    noise = np.random.default_rng(0).standard_normal((2, 3, 240, 432)).astype(np.float32).clip(-1, 1)
    value: np.ndarray = noise
    for stage in committed.manifest.stages:
        (typed,) = stage.typed
        graph = float_graph(committed.file(stage, "onnx").read_bytes())
        feed, output = feed_of(stage, value, 1), stage.outputs[0].name
        found = run_graph(onnx.load(str(committed.checked(typed.file))), feed, output)
        by_rule = [quantised(graph, levels_of(graph, stage.name, table, rule), typed.kept_float32) for rule in RULES]
        furthest = [float(np.abs(run_graph(made, feed, output) - found).max()) for made in by_rule]
        assert min(furthest) <= TOLERANCE["int8", "made again"]
        value = run_graph(graph, feed, output)


def test_parity_compares_with_pytorch_and_measures_what_it_finds() -> None:
    stage = SPEC.stages(tiny_network(), None)[2]
    model = make_graph(stage, halves=False)
    noise = np.random.default_rng(0).standard_normal((2, 16, 12, 24)).astype(np.float32)
    feed = make_feed(stage.inputs, noise, TINY.window.targets)
    shift = 3e-5  # below the tolerance; tanh makes it smaller nowhere near zero
    (bias,) = [item for item in model.graph.initializer if item.name.endswith("decoder.6.bias")]
    bias.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(bias) + np.float32(shift), bias.name))
    record = compare(stage, model, feed, "noise").record
    assert shift / 2 < record.max_abs < 2 * shift
    assert record.psnr_db < 110  # 90 dB below a range of 2 at full shift; equal graphs are beyond 120


@pytest.mark.parametrize("halo", [9, 8])
def test_parts_are_compared_with_pytorchs_whole_picture(halo: int) -> None:
    """A halo that is a pixel short is found, and nothing is exported."""
    stage = SPEC.stages(tiny_network(), None)[2]
    assert stage.part is not None
    stage = replace(stage, part=replace(stage.part, halo=halo))
    noise = np.random.default_rng(0).standard_normal((2, 16, 12, 24)).astype(np.float32)
    whole = compare(stage, make_graph(stage, halves=False), {"features": noise}, "noise")
    graphs = {"decoder": make_graph(stages_of([stage])[0], halves=False)}
    if halo == 9:
        (found,) = compare_parts([stage], graphs, [whole], quiet)
        assert (found.stage, found.frames) == ("decoder.part", "noise, 5 parts")
        assert 0 < found.max_abs <= found.tolerance
    else:
        with pytest.raises(ExportError, match=r"^stage 'decoder\.part' \(noise, 5 parts\): differs"):
            list(compare_parts([stage], graphs, [whole], quiet))


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("wrong", r"differs from PyTorch by 0\.01, allowed 0\.0001, 0 NaN"),
        ("not a number", r"[1-9]\d* NaN"),
        ("misshapen", r"gives shape \[2, 3, 1, 48\], PyTorch \[2, 3, 48, 48\]"),
    ],
)
def test_a_stage_over_tolerance_fails_the_export_and_leaves_nothing(
    kind: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def corrupted(stage: Stage, *, halves: bool) -> onnx.ModelProto:
        model = make_graph(stage, halves=halves)
        if stage.name == "decoder" and kind == "misshapen":
            (last,) = [node for node in model.graph.node if node.output[0] == "rgb"]
            last.output[0] = "whole"
            bounds = [numpy_helper.from_array(np.array([value]), f"cut{value}") for value in (0, 1, 2)]
            model.graph.initializer.extend(bounds)
            model.graph.node.append(onnx.helper.make_node("Slice", ["whole", "cut0", "cut1", "cut2"], ["rgb"]))
        elif stage.name == "decoder":
            (bias,) = [item for item in model.graph.initializer if item.name.endswith("decoder.6.bias")]
            value = numpy_helper.to_array(bias) + np.float32(1e-2 if kind == "wrong" else np.nan)
            bias.CopyFrom(numpy_helper.from_array(value, bias.name))
        return model

    monkeypatch.setattr(export.build, "make_graph", corrupted)
    with pytest.raises(ExportError, match=rf"^stage 'decoder' \(.*{told}; nothing was written") as failure:
        build(small_plan(tmp_path / "out"), DEMO, quiet, force=False)
    assert "\n" not in str(failure.value)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_bundle_is_replaced_only_by_force_and_kept_by_a_failure(tmp_path: Path) -> None:
    out = tmp_path / "out"
    build(small_plan(out), DEMO, quiet, force=False)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    with pytest.raises(OutputError, match="--force"):
        build(small_plan(out), DEMO, quiet, force=False)

    def stop(step: str) -> None:
        if step.startswith("writing"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(small_plan(out, Size(96, 48)), DEMO, stop, force=True)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    build(small_plan(out, Size(96, 48)), DEMO, quiet, force=True)
    assert read_bundle(out).manifest.pixels.width == 96
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT, which Windows has not")
def test_an_interrupted_export_exits_130_and_leaves_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-u", "export.py", "--out", str(tmp_path / "out")]  # full size: long enough to be met
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("comparing encoder"):
            break
    time.sleep(0.5)  # into the comparison
    os.kill(process.pid, signal.SIGINT)
    _, rest = process.communicate(timeout=120)
    assert process.returncode == 130
    assert rest.strip().endswith("export.py: interrupted; nothing was written")
    assert list(tmp_path.iterdir()) == []
