"""Backends on a GPU: engines against the float32 graph, graphs against plain work, two contexts beside each other.

Engines are compiled here, for the GPU that is here, from the graphs of a bundle: the shipped one, whose graphs are
float32, or, where it is there, the one that VIDMEND_GPU_BUNDLE names, exported with --fp16 where PyTorch is.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from export.compile import compile_into
from export.targets._target import Options
from runtime import backends
from runtime._device.cuda import CudaDevice
from runtime._device.host import HostDevice
from runtime.bundle import DEFAULT, Bundle, read_bundle
from runtime.clock import Clock
from runtime.device import Form, HostArray, Stream, Tensor
from runtime.errors import BackendUnavailable, UsageError
from runtime.job import find_bundle
from runtime.numbers import NUMPY_NAMES, as_floats, floats
from runtime.program import Backend, Program, Request, narrowest
from runtime.session import Session, Settings
from runtime.sources import find_sources
from tests.pictures import as_clip, moving_holes, moving_pictures, picture_of, whole
from tests.tolerances import TOLERANCE

pytestmark = pytest.mark.gpu

BUNDLE = "VIDMEND_GPU_BUNDLE"
ON_GPU = [name for name in backends.names() if backends.get(name).memory == "cuda"]
FRAMES = 24
Feed = Mapping[str, HostArray]


@dataclass
class Bench:
    """A backend, and a bundle that it runs here."""

    name: str
    backend: Backend
    bundle: Bundle
    notes: list[str] = field(default_factory=list[str])
    at_rest: list[Callable[[], None]] = field(default_factory=list[Callable[[], None]])
    at_end: list[Callable[[], None]] = field(default_factory=list[Callable[[], None]])

    def open(self, stage: str, device: CudaDevice, *, cuda_graph: bool = False) -> Program:
        source = find_sources(self.bundle, self.backend, narrowest("auto"))[stage]
        ties = (self.notes.append, self.at_rest.append)
        spec = self.bundle.stage(stage)
        sizes, allocate = _sizes(self.bundle), device.allocate
        return self.backend.open(
            Request(
                source.path,
                spec,
                sizes,
                "auto",
                source.compute,
                cuda_graph,
                *ties,
                at_end=self.at_end.append,
                allocate=allocate,
                stream=device.stream,
            )
        )

    def end(self) -> None:
        """What a session does behind its last clip, while the device is there."""
        for call in (*self.at_rest, *self.at_end):
            call()
        self.at_rest.clear()
        self.at_end.clear()


@pytest.fixture(scope="module", params=ON_GPU)
def bench(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    backend = backends.get(request.param)
    if reason := backend.why_not():
        pytest.skip(f"{request.param}: {reason}")
    given = Path(os.environ.get(BUNDLE, ""), "manifest.json")
    root = tmp_path_factory.mktemp(request.param) / "bundle"
    shutil.copytree(given.parent if given.is_file() else find_bundle(DEFAULT), root)
    machine = backend.machine()
    if machine is not None:
        only = (machine.capability,) if machine.portable and machine.capability else ()
        try:
            compile_into(root, [machine.target], Options(capabilities=only), lambda _: None)
        except UsageError as error:  # RTX knows some GPUs only
            pytest.skip(str(error))
    return Bench(request.param, backend, read_bundle(root))


@pytest.fixture
def device(bench: Bench) -> Iterator[CudaDevice]:
    made = CudaDevice(Clock())
    with made.bound():
        yield made
        bench.end()
    made.close()


def feed_of(bundle: Bundle, stage: str) -> Feed:
    """Seeded numbers of order 1 for every input of a full window."""
    generator = np.random.default_rng(5)
    feed: dict[str, HostArray] = {}
    sizes = _sizes(bundle)
    for spec in bundle.stage(stage).inputs:
        shape = tuple(sizes[axis] if isinstance(axis, str) else axis for axis in spec.shape)
        if spec.holds is not None:
            feed[spec.name] = np.array(sizes[spec.holds], np.int64)
        elif spec.name.startswith("key_bias"):
            feed[spec.name] = np.zeros(shape, np.float32)
        else:
            feed[spec.name] = generator.uniform(-1, 1, shape).astype(np.float32)
    return feed


class Work:
    """One stage's tensors on the GPU, uploaded once."""

    def __init__(self, device: CudaDevice, bundle: Bundle, stage: str, program: Program, stream: Stream) -> None:
        sizes, dtype = _sizes(bundle), NUMPY_NAMES[program.compute]
        (output,) = bundle.stage(stage).outputs
        shape = tuple(sizes[axis] if isinstance(axis, str) else axis for axis in output.shape)
        self.program, self.stream, self.name = program, stream, output.name
        self.result = device.allocate(Form(shape, dtype))
        self.inputs: dict[str, Tensor] = {}
        for name, values in feed_of(bundle, stage).items():
            if values.ndim == 0:
                self.inputs[name] = values
                continue
            self.inputs[name] = device.allocate(Form(values.shape, dtype))
            stream.write(self.inputs[name], lambda out, values=values: _fill(out, values))

    def enqueue(self) -> None:
        self.program.enqueue(self.inputs, {self.name: self.result}, self.stream)

    def found(self) -> HostArray:
        seen: list[HostArray] = []
        self.stream.read(self.result, lambda array: seen.append(floats(array).astype(np.float32)))
        self.stream.mark().wait()
        self.stream.zero(self.result)
        return seen[0]


@pytest.mark.parametrize("stage", ["encoder", "transformer", "decoder"])
def test_a_stage_computes_what_the_float32_graph_does(stage: str, bench: Bench, device: CudaDevice) -> None:
    """Several times over: the first run is the one that allocates."""
    wanted = on_the_cpu(bench.bundle, stage)
    with closing(device.stream(stage)) as stream:
        work = Work(device, bench.bundle, stage, bench.open(stage, device), stream)
        for _ in range(3):
            work.enqueue()
            found = work.found()
            assert np.isfinite(found).all()
            assert psnr(found, wanted) > TOLERANCE["gpu stage db", work.program.compute]


@pytest.mark.parametrize("stage", ["encoder", "transformer", "decoder"])
def test_a_cuda_graph_gives_what_plain_work_gives(stage: str, bench: Bench, device: CudaDevice) -> None:
    if not bench.backend.machine():
        pytest.skip(f"{bench.name} runs graphs through a library of its own, which records nothing for us")
    with closing(device.stream(stage)) as stream:
        plain = Work(device, bench.bundle, stage, bench.open(stage, device), stream)
        plain.enqueue()
        wanted = plain.found()
        recorded = Work(device, bench.bundle, stage, bench.open(stage, device, cuda_graph=True), stream)
        for _ in range(5):
            recorded.enqueue()
            assert np.array_equal(recorded.found(), wanted)
        for call in bench.at_rest:
            call()
    assert not [note for note in bench.notes if "CUDA graph" in note]


def test_two_contexts_beside_each_other_disturb_nothing(bench: Bench, device: CudaDevice) -> None:
    with ExitStack() as stack:
        streams = [stack.enter_context(closing(device.stream(name))) for name in ("one", "other")]
        works = [
            Work(device, bench.bundle, "transformer", bench.open("transformer", device), stream) for stream in streams
        ]
        works[0].enqueue()
        wanted = works[0].found()
        for _ in range(4):
            for work in works:
                for _ in range(3):
                    work.enqueue()
            for work in works:
                assert np.array_equal(work.found(), wanted)


def test_frames_are_those_of_the_cpu(bench: Bench) -> None:
    rule = bench.bundle.manifest.pixels
    pictures = moving_pictures(FRAMES, rule.width, rule.height)
    holes = moving_holes(FRAMES, rule.width, rule.height)

    def restored(backend: Backend, settings: Settings) -> HostArray:
        clip = as_clip(pictures, holes)
        with Session(bench.bundle, backend, settings) as session:
            return np.stack([picture_of(done.frame) for done in session.restore(clip, whole(rule.width, rule.height))])

    wanted = restored(reference(), Settings(precision="fp32"))
    assert psnr(restored(bench.backend, Settings()), wanted, peak=255) > TOLERANCE["gpu frames", "db"]
    assert (
        psnr(restored(bench.backend, Settings(windows=1, cuda_graph=False)), wanted, peak=255)
        > TOLERANCE["gpu frames", "db"]
    )


def test_what_rtx_compiled_is_found_beside_its_engine(bench: Bench, device: CudaDevice) -> None:
    machine = bench.backend.machine()
    if machine is None or not machine.portable:
        pytest.skip(f"{bench.name} compiles nothing when it opens an engine")
    with closing(device.stream("encoder")) as stream:
        work = Work(device, bench.bundle, "encoder", bench.open("encoder", device), stream)
        work.enqueue()
        wanted = work.found()
        for call in bench.at_rest:
            call()
        assert list(bench.bundle.root.glob("encoder.*.cache"))
        again = Work(device, bench.bundle, "encoder", bench.open("encoder", device), stream)
        again.enqueue()
        assert np.array_equal(again.found(), wanted)


def reference() -> Backend:
    """What is compared with; skips where it cannot run."""
    try:
        return backends.able("onnxruntime")
    except BackendUnavailable as error:
        pytest.skip(str(error))


def on_the_cpu(bundle: Bundle, stage: str) -> HostArray:
    """What onnxruntime makes of the float32 graph."""
    backend, spec, sizes = reference(), bundle.stage(stage), _sizes(bundle)
    program = backend.open(Request(bundle.file(spec, backend.target), spec, sizes, "fp32"))
    (output,) = spec.outputs
    result = np.empty([sizes[axis] if isinstance(axis, str) else axis for axis in output.shape], np.float32)
    stream = HostDevice(Clock(), threads=False).stream(stage)
    program.enqueue(feed_of(bundle, stage), {output.name: result}, stream)
    return result


def psnr(found: HostArray, wanted: HostArray, peak: float | None = None) -> float:
    """In dB, against the largest value unless told."""
    top = float(np.abs(wanted).max()) if peak is None else peak
    error = np.mean((found.astype(np.float64) - wanted) ** 2)
    return float("inf") if error == 0 else float(10 * np.log10(top**2 / error))


def _sizes(bundle: Bundle) -> dict[str, int]:
    rule = bundle.manifest.schedule
    return {"B": 1, "T": rule.targets + rule.references, "N": rule.targets}


def _fill(out: HostArray, values: HostArray) -> None:
    with as_floats(out) as numbers:
        numbers[...] = values
