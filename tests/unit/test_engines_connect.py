"""Engines of all stages that run together: int8 beside float32, halves beside nothing else."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from runtime import backends
from runtime.bundle import Bundle, Compute, ParityRecord, read_bundle, write_manifest
from runtime.engines import Machine, choose_all, rebuild_command, short_of
from runtime.errors import EngineUnfit
from runtime.program import EXACT, Precision, narrowest
from runtime.sources import find_sources, types_of
from tests.engined import VERSION, Build, add_engines, retype
from tests.stand_in_cuda import FakeCuda
from tests.stand_in_graphs import FakeGraphs
from tests.stand_in_tensorrt import FakeTensorRt, machine_with
from tests.tiny import tiny_bundle

HERE = Machine("tensorrt", VERSION, "9.0", "Fake GPU", portable=False)
STAGES = ("encoder", "transformer", "decoder")
F: Compute = "float32"
H: Compute = "float16"
B: Compute = "bfloat16"
I: Compute = "int8"  # noqa: E741  (beside the other three)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny network's bundle."""
    return tiny_bundle(tmp_path_factory.mktemp("tiny"))


def bundle_with(exported: Path, folder: Path, computes: Sequence[Sequence[Compute]]) -> Bundle:
    """A bundle whose stages have engines of these types."""
    root = Path(shutil.copytree(exported, folder / "bundle"))
    add_engines(root, Build(compute="float32"))
    return retype(root, computes)


@pytest.mark.parametrize(
    ("computes", "chosen", "label"),
    [
        (([F], [I], [F]), (F, I, F), "int8 and fp32"),
        (([I], [F], [I]), (I, F, I), "int8 and fp32"),
        (([I], [I], [I]), (I, I, I), "int8"),
        (([F, I], [I, F], [F]), (I, I, F), "int8 and fp32"),
        (([F, H], [F, H], [F, H]), (H, H, H), "fp16"),
        (([I, H], [H], [H]), (H, H, H), "fp16"),
        (([F, B], [B, F], [F]), (F, F, F), "fp32"),
        (([I, F], [H, F], [F]), (I, F, F), "int8 and fp32"),
    ],
)
def test_the_narrowest_engines_that_connect_are_taken(
    computes: Sequence[Sequence[Compute]], chosen: tuple[Compute, ...], label: str, exported: Path, tmp_path: Path
) -> None:
    opened = bundle_with(exported, tmp_path, computes)
    assert tuple(engine.compute for engine in choose_all(opened, HERE).values()) == chosen
    assert type_told(opened, "auto") == label


def type_told(opened: Bundle, precision: Precision) -> str:
    """What the summary says."""
    library = FakeTensorRt(FakeCuda())
    with machine_with(library, FakeGraphs(library.cuda)):
        backend = backends.get("tensorrt")
        return types_of(backend, precision, find_sources(opened, backend, narrowest(precision)))


def test_exact_numbers_are_float32_alone(exported: Path, tmp_path: Path) -> None:
    opened = bundle_with(exported, tmp_path, ([I, F], [F, I], [F]))
    assert type_told(opened, EXACT) == "fp32"
    with pytest.raises(EngineUnfit, match="computes in int8, wanted float32"):
        type_told(bundle_with(exported, tmp_path / "other", ([I], [F], [F])), EXACT)


@pytest.mark.parametrize("computes", [([H], [F], [H]), ([I], [H], [I]), ([H], [B], [H])])
def test_engines_that_do_not_connect_are_refused_in_one_line_that_names_them(
    computes: Sequence[Sequence[Compute]], exported: Path, tmp_path: Path
) -> None:
    opened = bundle_with(exported, tmp_path, computes)
    with pytest.raises(EngineUnfit) as caught:
        choose_all(opened, HERE)
    types = ", ".join(f"{name} {compute}" for name, (compute,) in zip(STAGES, computes, strict=True))
    assert f"have another type in one stage than in the next ({types}). Build one: " in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_verified_engine_goes_before_others_of_its_type_but_not_before_narrower_ones(
    exported: Path, tmp_path: Path
) -> None:
    opened = bundle_with(exported, tmp_path, ([I, F], [F], [F]))
    first, *rest = opened.manifest.stages
    parity = ParityRecord("encoder", "a test", "", 0.0, 1.0, 99.0, 0)
    engines = (first.engines[0], replace(first.engines[1], parity=parity))
    write_manifest(opened.root, replace(opened.manifest, stages=(replace(first, engines=engines), *rest)))
    assert choose_all(read_bundle(opened.root), HERE)["encoder"].compute == "int8"


def test_a_run_with_longer_windows_is_told_how_to_compile_for_them(exported: Path, tmp_path: Path) -> None:
    opened = add_engines(Path(shutil.copytree(exported, tmp_path / "bundle")), Build(frames=(1, 16)))
    stage, able = opened.stage("transformer"), replace(HERE, ranges=True)
    assert short_of(opened, stage, stage.engines[0], able, 13) is None
    said = short_of(opened, stage, stage.engines[0], able, 21) or ""
    assert "16 frames or fewer, and a full one has 21. Compile for a range: " in said
    assert "--frames-range 1,21,21," in said


@pytest.mark.parametrize(
    ("frames", "told"),
    [
        ((1, 8), "takes windows of 8 frames or fewer, and a full one has 16. Compile for a range: "),
        ((4, 16), "takes windows of 4 frames or more, and a short scene has fewer. Compile for a range: "),
        ((1, 16), None),
        ((1, 21), None),
    ],
)
def test_what_of_the_schedules_windows_an_engine_does_not_take_is_told(
    frames: tuple[int, int], told: str | None, exported: Path, tmp_path: Path
) -> None:
    opened = add_engines(Path(shutil.copytree(exported, tmp_path / "bundle")), Build(frames=frames))
    stage, able = opened.stage("transformer"), replace(HERE, ranges=True)
    said = short_of(opened, stage, stage.engines[0], able)
    assert (said is None) == (told is None)
    if said is not None:
        assert f"{stage.engines[0].file.path} {told}{rebuild_command(opened, able)}" in said
        assert ("--backend tensorrt" in said.replace(rebuild_command(opened, able), "")) == (frames[1] == 16)
