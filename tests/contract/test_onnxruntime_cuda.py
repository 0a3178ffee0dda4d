"""onnxruntime on the GPU: a session for each stream, the caller's memory, and what is said where it cannot run.

The library is a stand-in (tests/stand_in_onnxruntime.py).
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import onnx
import pytest

from export.precision import lower
from runtime import backends
from runtime.bundle import ParityRecord, TypedGraph, file_record, read_bundle, write_manifest
from runtime.errors import BackendUnavailable, DeviceFailed
from runtime.session import Session, Settings
from tests.engined import GPU
from tests.pictures import as_clip, moving_holes, moving_pictures, picture_of, whole
from tests.stand_in_cuda import FakeCuda
from tests.stand_in_onnxruntime import CPU, CUDA, TENSORRT, FakeLibrary, machine
from tests.tiny import HEIGHT, WIDTH
from tests.tolerances import TOLERANCE

LENGTH = 6
PICTURES = moving_pictures(LENGTH, WIDTH, HEIGHT)
HOLES = moving_holes(LENGTH, WIDTH, HEIGHT)


@pytest.fixture
def halves(any_window: Path, tmp_path: Path) -> Path:
    """The bundle with graphs in half precision beside the others."""
    root = Path(shutil.copytree(any_window, tmp_path / "bundle"))
    manifest = read_bundle(root).manifest
    stages = list(manifest.stages)
    for index, stage in enumerate(stages):
        path = root / f"{stage.name}.fp16.onnx"
        onnx.save(lower(onnx.load(root / stage.files["onnx"].path), "float16", ()), path)
        parity = ParityRecord(stage.name, "nobody", "none", 0.0, 0.0, 0.0, 0)
        stages[index] = replace(stage, typed=(TypedGraph("float16", file_record(root, path), (), parity),))
    write_manifest(root, replace(manifest, stages=tuple(stages)))
    return root


def restored(session: Session) -> np.ndarray:
    clip = as_clip(PICTURES, HOLES)
    return np.stack([picture_of(done.frame) for done in session.restore(clip, whole(WIDTH, HEIGHT))])


def wanted(root: Path) -> np.ndarray:
    return restored(Session(read_bundle(root), backends.get("onnxruntime"), Settings()))


def session_of(name: str, root: Path) -> Session:
    return Session(read_bundle(root), backends.get(name), Settings())


@pytest.mark.parametrize("name", ["onnxruntime_cuda", "onnxruntime_tensorrt"])
def test_frames_are_those_of_the_cpu_and_every_clip_has_its_streams(name: str, any_window: Path) -> None:
    library = FakeLibrary(FakeCuda(delays=(0.0, 0.0003)))
    with machine(library):
        session = session_of(name, any_window)
        for clip in (1, 2):
            assert np.array_equal(restored(session), wanted(any_window))
            assert len(library.opened) == clip * 3  # one a stage
    handles = [options["user_compute_stream"] for ((_, options), *_) in library.opened]
    assert len(set(handles)) == 6
    assert all(providers[-1] == CPU for providers in library.opened)
    assert session.precision == "fp32"


def test_graphs_in_half_precision_are_taken_where_there_are_some(halves: Path) -> None:
    library = FakeLibrary(FakeCuda())
    with machine(library):
        session = session_of("onnxruntime_cuda", halves)
        apart = np.abs(restored(session).astype(int) - wanted(halves))
        exact = Session(read_bundle(halves), backends.get("onnxruntime_cuda"), Settings(precision="fp32"))
    assert (session.precision, exact.precision) == ("fp16", "fp32")
    assert 0 < apart.max() <= TOLERANCE["engine frames", "float16"]


def test_tensorrts_provider_narrows_nothing_by_itself(halves: Path, any_window: Path) -> None:
    asked: list[str] = []
    for root in (any_window, halves):
        library = FakeLibrary(FakeCuda())
        with machine(library):
            restored(session_of("onnxruntime_tensorrt", root))
        asked.append(library.opened[0][0][1]["trt_fp16_enable"])
        assert [name for name, _ in library.opened[0][:-1]] == [TENSORRT, CUDA]
    assert asked == ["False", "True"]


def test_a_provider_that_does_not_start_is_one_line(any_window: Path) -> None:
    """The library itself would go on with the CPU."""
    library = FakeLibrary(FakeCuda(), starts=False)
    with machine(library), pytest.raises(BackendUnavailable, match=r"^[^\n]*CUDAExecutionProvider: [^\n]*--backend"):
        restored(session_of("onnxruntime_cuda", any_window))


def test_a_gpu_that_fails_is_one_line(any_window: Path) -> None:
    library = FakeLibrary(FakeCuda(), fails=True)
    with machine(library), pytest.raises(DeviceFailed, match=r"^[^\n]*failure 719[^\n]*--backend onnxruntime$"):
        restored(session_of("onnxruntime_cuda", any_window))


def test_a_file_that_is_no_graph_shows_before_a_stream_is_there(any_window: Path, tmp_path: Path) -> None:
    library = FakeLibrary(FakeCuda())
    root = Path(shutil.copytree(any_window, tmp_path / "bundle"))
    manifest = read_bundle(root).manifest
    path = root / manifest.stages[0].files["onnx"].path
    path.write_bytes(b"no graph")
    first = replace(manifest.stages[0], files={"onnx": file_record(root, path)})
    write_manifest(root, replace(manifest, stages=(first, *manifest.stages[1:])))
    with machine(library), pytest.raises(BackendUnavailable, match="cannot load this graph"):
        session_of("onnxruntime_cuda", root)
    assert not library.cuda.streams


@pytest.mark.parametrize(
    ("available", "gpus", "reason"),
    [
        ((CPU,), (GPU,), "the installed onnxruntime has no CUDAExecutionProvider: pip uninstall onnxruntime, then"),
        ((CUDA, CPU), (), "no NVIDIA GPU here"),
        ((CUDA, CPU), (GPU,), None),
    ],
)
def test_what_is_missing_is_said_in_one_sentence(
    available: tuple[str, ...], gpus: tuple[Any, ...], reason: str | None
) -> None:
    with machine(FakeLibrary(FakeCuda(), available)), patch("runtime.backends._onnxruntime.gpus", lambda: gpus):
        found = backends.get("onnxruntime_cuda").why_not()
    assert (found or "").startswith(reason or "")
    assert (found is None) == (reason is None)
