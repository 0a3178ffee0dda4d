"""onnxruntime on the GPU: a session for each stream, the caller's memory, and what is said where it cannot run.

The library here accepts CUDA's provider and computes on the CPU when the stream of the fake GPU comes to it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
import onnx
import onnxruntime
import pytest

from export.precision import lower
from runtime import backends
from runtime.bundle import ParityRecord, TypedGraph, file_record, read_bundle, write_manifest
from runtime.errors import BackendUnavailable, DeviceFailed
from runtime.session import Session, Settings
from tests.engined import GPU
from tests.pictures import as_clip, moving_holes, moving_pictures, picture_of, whole
from tests.stand_in_cuda import FakeCuda, bytes_at
from tests.tiny import HEIGHT, WIDTH
from tests.tolerances import TOLERANCE

CUDA, TENSORRT, CPU = "CUDAExecutionProvider", "TensorrtExecutionProvider", "CPUExecutionProvider"
LENGTH = 6
PICTURES = moving_pictures(LENGTH, WIDTH, HEIGHT)
HOLES = moving_holes(LENGTH, WIDTH, HEIGHT)


@dataclass
class FakeLibrary:
    """onnxruntime with providers for a GPU."""

    cuda: FakeCuda
    available: tuple[str, ...] = (TENSORRT, CUDA, CPU)
    starts: bool = True  # whether a provider's libraries are found
    fails: bool = False  # whether the GPU fails in a run
    opened: list[list[Any]] = field(default_factory=list[list[Any]])  # the providers of each session on the GPU

    __version__ = "1.31.1"
    SessionOptions = onnxruntime.SessionOptions
    RunOptions = onnxruntime.RunOptions

    def get_available_providers(self) -> tuple[str, ...]:
        return self.available

    def InferenceSession(  # noqa: N802
        self, path: str, options: Any, providers: list[Any], enable_fallback: int
    ) -> Any:
        assert enable_fallback == 0, "it would go on with the CPU and print"
        inner = onnxruntime.InferenceSession(path, options, providers=[CPU])
        if providers == [CPU]:
            return inner
        self.opened.append(providers)
        return _Session(self, inner, providers)


class _Session:
    def __init__(self, library: FakeLibrary, inner: Any, providers: list[Any]) -> None:
        self._library, self._inner, self._providers = library, inner, providers
        self._stream = library.cuda.streams[int(providers[0][1]["user_compute_stream"])]

    def get_providers(self) -> list[str]:
        return [provider[0] for provider in self._providers[:-1] if self._library.starts] + [CPU]

    def io_binding(self) -> Any:
        bound: list[tuple[Any, ...]] = []
        return SimpleNamespace(bound=bound, bind_input=_binder(bound, "in"), bind_output=_binder(bound, "out"))

    def run_with_iobinding(self, binding: Any, run_options: Any) -> None:
        assert run_options.get_run_config_entry("disable_synchronize_execution_providers") == "1"
        if self._library.fails:
            raise RuntimeError("CUDA failure 719: unspecified launch failure\nfile: cuda_call.cc")
        feed, results = dict[str, Any](), dict[str, Any]()
        for way, name, place, _, dtype, shape, address in binding.bound:
            count = int(np.prod(shape)) * np.dtype(dtype).itemsize
            memory = bytes_at(address, count).view(dtype).reshape(shape)
            if place == "cpu":
                memory = memory.copy()  # read while work is enqueued
            (feed if way == "in" else results)[name] = memory

        def compute() -> None:
            for name, found in zip(results, self._inner.run(list(results), feed), strict=True):
                results[name][...] = found

        self._stream.put(compute)


def _binder(bound: list[tuple[Any, ...]], way: str) -> Callable[..., None]:
    return lambda *given: bound.append((way, *given))


@contextmanager
def machine(library: FakeLibrary) -> Generator[None, None, None]:
    pycuda = ModuleType("pycuda")
    pycuda.__spec__ = ModuleSpec("pycuda", None)
    modules = {"pycuda": pycuda, "pycuda.driver": library.cuda.module()}
    chosen = [backends.get(name) for name in ("onnxruntime_cuda", "onnxruntime_tensorrt")]
    try:
        with (
            patch.dict("sys.modules", modules),
            patch("runtime.backends._onnxruntime.gpus", lambda: (GPU,)),
            patch("runtime.backends.onnxruntime_cuda.BACKEND", replace(chosen[0], library=lambda: library)),  # type: ignore[type-var]
            patch("runtime.backends.onnxruntime_tensorrt.BACKEND", replace(chosen[1], library=lambda: library)),  # type: ignore[type-var]
        ):
            yield
    finally:
        for stream in library.cuda.streams.values():
            stream.end()


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
