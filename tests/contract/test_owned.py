"""Whatever becomes of a run, all that it had of the GPU is given back: once, in time, and where it may be.

The driver is a stand-in that counts (tests/stand_in_owned.py); test_owned_engines.py is about TensorRT.  Nothing here
leaves anything to the garbage collector, and errors are held with their tracebacks while it is counted.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench._gpu_backend import stage_ms
from bench._gpu_spy import Spy
from runtime._composite.device import DeviceComposite
from runtime.bundle import read_bundle
from runtime.errors import DeviceFailed, DeviceFull, KernelsUnfit
from runtime.frame import Layout, Masked
from runtime.patch import Crop
from runtime.program import Program, Request
from runtime.regions import Region
from runtime.session import Session, Settings
from tests.noise import random_frame
from tests.pictures import moving_holes
from tests.stand_in_cuda import FakeCuda, MixingOnCuda, installed

WIDTH, HEIGHT, LENGTH = 118, 66, 10
YUV = Layout("yuv", 8, 1, 1)
REGIONS = [Region(Crop(0, 0, 40, 20)), Region(Crop(20, 16, 60, 40)), Region(Crop(60, 8, 58, 58), 2, 8)]
ONE_LINE = r"^[^\n]*--backend onnxruntime$"


@pytest.fixture(autouse=True)
def without_garbage_collector() -> Generator[None, None, None]:
    """What is part of a cycle, then, is never freed."""
    gc.disable()
    yield
    gc.enable()


def clip(width: int = WIDTH, height: int = HEIGHT, length: int = LENGTH) -> Iterator[Masked]:
    holes = moving_holes(length, width, height)
    for index in range(length):
        frame = random_frame(YUV, width, height, seed=index)
        yield Masked(replace(frame, index=index, pts=index), holes[index], index == 6)


@contextmanager
def running(cuda: FakeCuda, bundle: Path) -> Generator[Session, None, None]:
    """A session on `cuda`; when the block ends, however it does, everything is given back and no thread is left."""
    before = threading.active_count()
    caught: BaseException | None = None
    with installed(cuda):
        try:
            with Session(read_bundle(bundle), MixingOnCuda(cuda), Settings(feather=2)) as session:
                yield session
        except BaseException as error:  # noqa: BLE001  (held, with its traceback, while it is counted what is left)
            caught = error
    assert threading.active_count() == before
    if caught is not None:
        raise caught


def restored(session: Session, regions: Sequence[Region] = REGIONS) -> int:
    return sum(1 for _ in session.restore(clip(), regions))


def test_clips_of_several_sizes_each_leave_what_they_found(narrow_window: Path) -> None:
    cuda = FakeCuda(delays=(0.0, 0.0003))
    with running(cuda, narrow_window) as session:
        before = cuda.owned.alive
        for width, height in ((WIDTH, HEIGHT), (64, 48), (200, 90)):
            whole = [Region(Crop(0, 0, width, height)), Region(Crop(4, 4, 32, 20))]
            assert sum(1 for _ in session.restore(clip(width, height), whole)) == LENGTH
            assert cuda.owned.alive == before
        assert before == {"module": 1}
        assert cuda.owned.made["memory"] > 20


def test_events_and_pinned_memory_are_as_many_as_are_under_way_however_long_the_clip(narrow_window: Path) -> None:
    made: list[Counts] = []
    for length in (12, 36):
        cuda = FakeCuda()
        with running(cuda, narrow_window) as session:
            assert sum(1 for _ in session.restore(clip(length=length), REGIONS[:1])) == length
        made.append((cuda.owned.made["event"], cuda.owned.made["pinned memory"]))
    (few_events, few_arrays), (events, arrays) = made
    assert events <= 1.5 * few_events
    assert arrays <= 1.5 * few_arrays


Counts = tuple[int, int]


@pytest.mark.parametrize("taken", [0, 1, 4])
def test_a_clip_that_nobody_wants_to_the_end(taken: int, narrow_window: Path) -> None:
    cuda = FakeCuda()
    with running(cuda, narrow_window) as session:
        with closing(session.restore(clip(), REGIONS)) as frames:
            for _ in range(taken):
                next(frames)
        assert cuda.owned.alive == {"module": 1}


def test_a_clip_that_is_still_open_is_closed_with_its_session(narrow_window: Path) -> None:
    with running(FakeCuda(), narrow_window) as session:
        frames = session.restore(clip(), REGIONS)
        next(frames)
    assert list(frames) == []


@pytest.mark.parametrize("at", [0, 3, 9])
def test_ctrl_c_while_frames_are_read(at: int, narrow_window: Path) -> None:
    def interrupted() -> Iterator[Masked]:
        for masked in clip():
            if masked.frame.index == at:
                raise KeyboardInterrupt
            yield masked

    with pytest.raises(KeyboardInterrupt), running(FakeCuda(), narrow_window) as session:
        list(session.restore(interrupted(), REGIONS))


def test_ctrl_c_while_a_frame_is_written(narrow_window: Path) -> None:
    with pytest.raises(KeyboardInterrupt), running(FakeCuda(), narrow_window) as session:
        for done in session.restore(clip(), REGIONS):
            if done.frame.index == 4:
                raise KeyboardInterrupt


def fails(*_: Any, **__: Any) -> None:
    raise OSError("the disk is gone")


@pytest.mark.parametrize(
    "place",
    [
        "runtime.stages.Encoder.of",
        "runtime.transformer.Transformer.run",
        "runtime.decoder.Decoder.run",
        "runtime.canvas.DeviceCanvas._take",
        "runtime.upload.Uploader._view",
        "runtime._composite.device.DeviceComposite._fills",
        "runtime.parcel.Parcel.fill",
        "runtime.pool.Pool.take",
        "runtime._device.cuda_stream.CudaStream.mark",
    ],
)
def test_a_stage_that_fails(place: str, narrow_window: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OSError, match="the disk is gone"), running(FakeCuda(), narrow_window) as session:
        frames = session.restore(clip(length=60), REGIONS)  # of which most is still to come then
        next(frames)
        monkeypatch.setattr(place, fails)
        list(frames)


def memory_needed(bundle: Path) -> int:
    """The least memory in which the clip is repaired, to a kilobyte."""
    low, high = 0, 1 << 22
    while high - low > 1024:
        middle = (low + high) // 2
        try:
            with running(FakeCuda(memory_bytes=middle), bundle) as session:
                restored(session)
        except DeviceFull:
            low = middle
        else:
            high = middle
    return high


def test_memory_that_is_used_up_in_the_middle_is_one_line(narrow_window: Path) -> None:
    needed = memory_needed(narrow_window)
    for part in (0.02, 0.1, 0.3, 0.5):
        line = r"^Fake GPU: out of memory while trying to [^\n]*--streams 1[^\n]*--backend onnxruntime$"
        cuda = FakeCuda(memory_bytes=int(part * needed))
        with pytest.raises(DeviceFull, match=line), running(cuda, narrow_window) as session:
            restored(session)


def test_pinned_memory_that_is_used_up_is_one_line(narrow_window: Path) -> None:
    said, cuda = r"out of memory while trying to pin [^\n]*$", FakeCuda(pinned_bytes=3000)
    with pytest.raises(DeviceFull, match=said), running(cuda, narrow_window) as session:
        restored(session)


@pytest.mark.parametrize("lost_after", [*range(0, 60, 7), 90, 150, 300, 500])
def test_a_gpu_that_is_lost_is_one_line_and_pycuda_has_nothing_to_add(lost_after: int, narrow_window: Path) -> None:
    cuda = FakeCuda(lost_after=lost_after)
    with pytest.raises(DeviceFailed, match=ONE_LINE) as caught, running(cuda, narrow_window) as session:
        restored(session)
    assert "unspecified launch failure" in str(caught.value)


def test_what_fails_first_is_what_is_told(narrow_window: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The GPU is lost while the streams of a run are ended that failed for another reason."""
    cuda = FakeCuda()

    def fails_and_is_lost(*_: Any) -> None:
        cuda.left = -1
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"), running(cuda, narrow_window) as session:
        frames = session.restore(clip(length=60), REGIONS)
        next(frames)
        monkeypatch.setattr(DeviceComposite, "_fills", fails_and_is_lost)
        list(frames)


class Ending(MixingOnCuda):
    """Its programs tell when they are ended, whether they still may free something, and what else there is."""

    def __init__(self, cuda: FakeCuda) -> None:
        super().__init__(cuda)
        self.ended: list[tuple[str, bool, dict[str, int]]] = []

    def open(self, request: Request) -> Program:
        request.at_end(lambda: self._end(request.stage.name))
        return super().open(request)

    def _end(self, stage: str) -> None:
        self.ended.append((stage, self.cuda.here.depth > 0, dict(self.cuda.owned.alive)))


def test_programs_end_with_the_session_the_last_one_first_behind_all_streams_and_before_kernels(
    narrow_window: Path,
) -> None:
    cuda = FakeCuda()
    with installed(cuda):
        backend = Ending(cuda)
        with Session(read_bundle(narrow_window), backend, Settings()) as session:
            restored(session)
            assert backend.ended == []
        session.close()
    stages = ["transformer", "decoder", "encoder"]
    assert backend.ended == [(stage, True, {"module": 1}) for stage in stages]


def test_a_session_that_cannot_be_opened(narrow_window: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unfit(*_: Any) -> None:
        raise KernelsUnfit("of another kind")

    monkeypatch.setattr("runtime.pixelwork.image_of", unfit)
    with pytest.raises(KernelsUnfit), running(FakeCuda(), narrow_window):
        pass


def test_what_is_measured_alone_is_copied_before_the_clips_memory_is_freed(narrow_window: Path) -> None:
    cuda = FakeCuda()
    with installed(cuda):
        spy = Spy(MixingOnCuda(cuda))
        with Session(read_bundle(narrow_window), spy.backend(), Settings(), spy.make_device()) as session:
            for _ in range(2):
                restored(session)
            assert spy.device is not None
            before = cuda.owned.alive
            assert all(stage_ms(seen, spy.device, 1) > 0 for seen in spy.programs.values())
            assert cuda.owned.alive == before
