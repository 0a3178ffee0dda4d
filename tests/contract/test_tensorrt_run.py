"""infer.py with the bundle's engines, on a GPU and a TensorRT that are none: frames, notes, one line for each fault.

What only a GPU shows is in tests/gpu.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from runtime.bundle import Compute, EngineRecord, read_bundle, write_manifest
from runtime.cli import main
from runtime.engines import identity
from tests.clips import Clip, write_clip
from tests.engine_run import FRAMES, Rig, machine
from tests.engined import Build
from tests.stand_in_cuda import FakeCuda
from tests.stand_in_tensorrt import FakeTensorRt, Faults
from tests.tiny import HEIGHT, WIDTH
from tests.tolerances import TOLERANCE

ON_THE_CPU = "--backend onnxruntime"


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = Clip(width=WIDTH, height=HEIGHT, frames=FRAMES)
    return write_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", made)


@pytest.fixture
def rig(clip: Path, narrow_window: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Rig:
    shutil.copy(clip, tmp_path)
    return Rig(tmp_path, Path(shutil.copytree(narrow_window, tmp_path / "bundle")), capsys)


@pytest.mark.parametrize("compute", ["float16", "bfloat16", "float32"])
def test_frames_are_those_of_a_cpu_backend(compute: Compute, rig: Rig) -> None:
    rig.build(Build(compute=compute))
    with machine():
        code, said = rig.infer("gpu", "--backend", "tensorrt")
    assert code == 0, said
    summary = json.loads(rig.printed)
    assert (summary["backend"], summary["repaired"]) == ("tensorrt", FRAMES)
    assert summary["precision"] == {"float16": "fp16", "bfloat16": "bf16", "float32": "fp32"}[compute]
    for stage in ("encoder", "transformer", "decoder"):
        assert said.count(f"note: unverified engine {stage}.tensorrt.") == 1
    assert rig.infer("cpu", "--backend", "onnxruntime", "--precision", "fp32")[0] == 0
    apart = np.abs(rig.pictures("gpu").astype(int) - rig.pictures("cpu"))
    assert apart.max() <= TOLERANCE["engine frames", compute]


def test_auto_takes_engines_that_fit_and_says_why_it_does_not_take_others(rig: Rig) -> None:
    rig.build(Build(capability="8.6"))
    with machine():
        code, said = rig.infer("cpu")
        assert code == 0
        assert json.loads(rig.printed)["backend"] in ("onnxruntime", "openvino")
        assert said.count("note: tensorrt was passed over: ") == 1
        assert "was built for SM 8.6, this GPU (Fake GPU) is SM 9.0" in said
        assert rig.command() in said
        rig.build(Build())
        code, said = rig.infer("gpu")
    assert (code, json.loads(rig.printed)["backend"]) == (0, "tensorrt")
    assert "passed over" not in said


def test_auto_runs_a_bundle_without_engines_on_the_cpu_and_says_how_to_get_them(rig: Rig) -> None:
    with machine():
        code, said = rig.infer("cpu")
    assert code == 0
    assert "it has none for tensorrt. Build one: " + rig.command() in said


def damaged(root: Path) -> None:
    path = next(root.glob("transformer.*.plan"))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def of_another_network(root: Path) -> None:
    change(root, lambda engine: replace(engine, graph_sha256="0" * 64))


def change(root: Path, how: Callable[[EngineRecord], EngineRecord]) -> None:
    manifest = read_bundle(root).manifest
    stages = [replace(stage, engines=tuple(map(how, stage.engines))) for stage in manifest.stages]
    stages = [replace(s, engines=tuple(replace(e, key=identity(e)) for e in s.engines)) for s in stages]
    write_manifest(root, replace(manifest, stages=tuple(stages)))


def refused_by_the_library(root: Path) -> None:
    """Version tags of plans are finer than version numbers."""
    change(root, lambda engine: replace(engine, version="8.5.3.1"))


def nothing(root: Path) -> None:
    """No preparation."""


@pytest.mark.parametrize(
    ("build", "prepare", "reason"),
    [
        (Build(capability="8.6"), nothing, "was built for SM 8.6, this GPU (Fake GPU) is SM 9.0"),
        (Build(version="8.6.1"), nothing, "was built by tensorrt 8.6.1, here is 8.5.3.1"),
        (Build(), damaged, "the manifest says"),
        (Build(), of_another_network, "was compiled from graph 000000000000..., which is none of this network's"),
        (Build(version="8.5.3.9"), refused_by_the_library, "TensorRT 8.5.3.1 cannot read this engine: Version tag"),
    ],
    ids=["other SM", "other version", "damaged", "other network's", "refused"],
)
def test_a_wrong_engine_is_one_line_with_reason_and_command(
    build: Build, prepare: Callable[[Path], None], reason: str, rig: Rig
) -> None:
    rig.build(build)
    prepare(rig.bundle)
    with machine():
        code, said = rig.infer("gpu", "--backend", "tensorrt")
    assert code == 2
    assert said.count("\n") == 1
    assert reason in said
    assert rig.command() in said
    assert ON_THE_CPU in said
    assert not (rig.folder / "gpu").exists()


@pytest.mark.parametrize(
    ("library", "reason"),
    [
        (FakeTensorRt(FakeCuda(), faults=Faults(context="Cuda Runtime (out of memory)")), "out of memory"),
        (FakeTensorRt(FakeCuda(memory_bytes=200_000)), "out of memory while trying to allocate"),
        (FakeTensorRt(FakeCuda(lost_after=300)), "unspecified launch failure"),
        (FakeTensorRt(FakeCuda(), faults=Faults(fails_at=40)), "failed to run the"),
    ],
    ids=["no memory for a context", "no memory for tensors", "lost", "an engine fails"],
)
def test_a_gpu_that_fails_is_one_line_and_a_cpu_backend_is_offered(
    library: FakeTensorRt, reason: str, rig: Rig
) -> None:
    rig.build(Build())
    with machine(library):
        code, said = rig.infer("gpu", "--backend", "tensorrt", "--no-cuda-graph")
    assert code == 2
    assert said.count("\n") == 1
    assert reason in said
    assert ON_THE_CPU in said
    assert not list(rig.folder.glob("gpu*/*.png"))


def test_what_was_done_before_the_gpu_was_lost_is_kept_and_gone_on_from(rig: Rig) -> None:
    rig.build(Build())
    with machine():
        assert rig.infer("wanted", "--backend", "tensorrt")[0] == 0
    with machine(FakeTensorRt(FakeCuda(lost_after=330))):
        code, said = rig.infer("gpu", "--backend", "tensorrt", "--resume")
    assert (code, said.count("\n")) == (2, 1)
    assert "--resume goes on" in said
    with machine():
        code, said = rig.infer("gpu", "--backend", "tensorrt", "--resume")
    assert code == 0, said
    assert 0 < json.loads(rig.printed)["resumed"] < FRAMES
    assert np.array_equal(rig.pictures("gpu"), rig.pictures("wanted"))


def test_graphs_change_nothing_but_how_work_is_launched(rig: Rig) -> None:
    rig.build(Build())
    with machine() as graphs:
        assert rig.infer("graphs", "--backend", "tensorrt")[0] == 0
    with machine() as plain:
        assert rig.infer("plain", "--backend", "tensorrt", "--no-cuda-graph")[0] == 0
    assert graphs.calls["cuGraphLaunch"] >= graphs.calls["cuStreamBeginCapture_v2"] > 0
    assert not plain.calls
    assert np.array_equal(rig.pictures("graphs"), rig.pictures("plain"))


def test_where_nothing_can_be_recorded_work_is_enqueued_and_a_stage_says_so_once(rig: Rig) -> None:
    rig.build(Build())
    with machine(fails="cuGraphInstantiateWithFlags") as driver:
        code, said = rig.infer("plain", "--backend", "tensorrt")
    assert code == 0
    # Whether a stage meets the same addresses twice in so short a clip is a matter of which buffers came back when.
    notes = [said.count(f"note: no CUDA graph of the {stage}, ") for stage in ("encoder", "transformer", "decoder")]
    assert max(notes) == 1
    assert driver.calls["cuStreamBeginCapture_v2"] == sum(notes)
    assert driver.calls["cuGraphLaunch"] == 0
    assert len(rig.pictures("plain")) == FRAMES


def test_exact_numbers_are_not_to_be_had_from_half_engines(rig: Rig) -> None:
    rig.build(Build())
    with machine():
        code, said = rig.infer("gpu", "--backend", "tensorrt", "--precision", "fp32")
        assert (code, said.count("\n")) == (2, 1)
        assert "computes in float16, wanted float32. Leave --precision and --schedule out" in said
        rig.build(Build(compute="float32"))
        code, said = rig.infer("gpu", "--backend", "tensorrt", "--precision", "fp32")
    assert code == 0, said
    assert json.loads(rig.printed)["precision"] == "fp32"


def test_engines_of_two_types_are_not_mixed(rig: Rig) -> None:
    """Every stage has engines that fit, but halves go to a stage that takes floats."""
    rig.build(Build())
    rig.build(Build(compute="float32"))
    manifest = read_bundle(rig.bundle).manifest
    first, *rest = manifest.stages
    keep = [first.engines[:1], *(stage.engines[1:] for stage in rest)]
    stages = tuple(replace(stage, engines=engines) for stage, engines in zip(manifest.stages, keep, strict=True))
    write_manifest(rig.bundle, replace(manifest, stages=stages))
    with machine():
        code, said = rig.infer("gpu", "--backend", "tensorrt")
    assert (code, said.count("\n")) == (2, 1)
    assert "another type in one stage than in the next" in said
    assert rig.command() in said


def test_the_machine_is_described_where_backends_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    with machine():
        assert main(["--list-backends"]) == 0
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert lines["tensorrt"] == "can run here: engines of tensorrt 8.5.3.1 for SM 9.0 (Fake GPU)"
