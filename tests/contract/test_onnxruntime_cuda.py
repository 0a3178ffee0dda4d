"""onnxruntime on the GPU: a session for each graph, the caller's memory, and what is said where it cannot run.

The library is a stand-in (tests/stand_in_onnxruntime.py); errors are held with their tracebacks while it is looked at
what is left.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import onnx
import pytest

from export.precision import lower
from runtime import backends
from runtime._device.cuda import CudaDevice
from runtime.bundle import ParityRecord, TensorSpec, TypedGraph, file_record, read_bundle, write_manifest
from runtime.clock import Clock
from runtime.device import Form
from runtime.errors import BackendUnavailable, DeviceFailed, VidmendError
from runtime.program import Request
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


def form_of(spec: TensorSpec) -> Form:
    return Form((1, *(int(side) for side in spec.shape[1:])))


def session_of(name: str, root: Path) -> Session:
    return Session(read_bundle(root), backends.get(name), Settings())


@contextmanager
def running(library: FakeLibrary, name: str, root: Path) -> Generator[Session, None, None]:
    """A session; once it is closed all was given back in its turn, while the error that ended it is held."""
    caught: VidmendError | None = None
    with machine(library):
        try:
            with session_of(name, root) as session:
                yield session
        except VidmendError as error:
            caught = error
        library.cuda.owned.check()
    if caught is not None:
        raise caught


@pytest.mark.parametrize("name", ["onnxruntime_cuda", "onnxruntime_tensorrt"])
def test_frames_are_those_of_the_cpu_and_a_graph_is_loaded_once_for_all_clips(name: str, any_window: Path) -> None:
    library = FakeLibrary(FakeCuda(delays=(0.0, 0.0003)))
    with running(library, name, any_window) as session:
        for _ in range(2):
            assert np.array_equal(restored(session), wanted(any_window))
            assert len(library.opened) == 3  # one a stage
            assert not session.clock._overlap._open, "the clock waits for work that is through"
    handles = [options["user_compute_stream"] for ((_, options), *_) in library.opened]
    assert len(set(handles)) == 3
    assert all(providers[-1] == CPU for providers in library.opened)
    assert session.precision == "fp32"


def test_a_graph_without_a_stream_of_its_own_is_loaded_for_its_callers(any_window: Path) -> None:
    bundle, library = read_bundle(any_window), FakeLibrary(FakeCuda())
    at_rest = list[Callable[[], None]]()
    spec = bundle.stage("encoder")
    with machine(library):
        device = CudaDevice(Clock())
        with device.bound():
            request = Request(bundle.file(spec, "onnx"), spec, {"B": 1}, "fp32", at_rest=at_rest.append)
            program = backends.get("onnxruntime_cuda").open(request)
            inputs, outputs = (
                {port.name: device.allocate(form_of(port)) for port in ports} for ports in (spec.inputs, spec.outputs)
            )
            for stream in (device.stream("one"), device.stream("other")):
                for _ in range(2):
                    program.enqueue(inputs, outputs, stream)
                stream.rest()
            assert library.cuda.owned.alive["session"] == 1
            for call in at_rest:
                call()
            assert library.cuda.owned.alive["session"] == 0
        device.close()
        library.cuda.owned.check()
    assert len(library.opened) == 2


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
    said = r"^[^\n]*CUDAExecutionProvider: [^\n]*--backend"
    with (
        pytest.raises(BackendUnavailable, match=said),
        running(library, "onnxruntime_cuda", any_window) as session,
    ):
        restored(session)


@pytest.mark.parametrize(
    ("library", "error", "said"),
    [
        (FakeLibrary(FakeCuda(), fails=True), DeviceFailed, r"^[^\n]*failure 719[^\n]*--backend onnxruntime$"),
        (FakeLibrary(FakeCuda(), refuses=True), BackendUnavailable, r"^[^\n]*failure 2: out of memory[^\n]*--backend"),
    ],
    ids=["at work", "when a graph is loaded"],
)
def test_a_gpu_that_fails_is_one_line(
    library: FakeLibrary, error: type[VidmendError], said: str, any_window: Path
) -> None:
    with pytest.raises(error, match=said), running(library, "onnxruntime_cuda", any_window) as session:
        restored(session)


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
