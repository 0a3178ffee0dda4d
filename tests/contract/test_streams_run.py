"""Stages that work beside each other give, byte for byte, what they give one after the other, and leave nothing."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime import backends
from runtime.bundle import Compute, read_bundle
from runtime.clock import Clock
from runtime.device import Device, Memory, Stream
from runtime.frame import RGB, Hole, Masked
from runtime.patch import Crop
from runtime.pool import Buffer
from runtime.program import Backend, Program, Request, Tensors
from runtime.regions import Region
from runtime.session import Session, Settings
from tests.ordered import CheckedBackend, CheckedDevice, Hazard, forgetting
from tests.pictures import as_clip, moving_holes, moving_pictures, picture_of, whole
from tests.slowed import STREAMS, Delays, SlowedDevice, delays_of_streams
from tests.stand_ins import Counting, Mixing
from tests.tiny import HEIGHT, WIDTH

LONGEST = 80  # long enough for features to be given up and their memory used again
PICTURES = moving_pictures(LONGEST, WIDTH, HEIGHT)
HOLES: list[Hole] = moving_holes(LONGEST, WIDTH, HEIGHT)
WHOLE = whole(WIDTH, HEIGHT)
TWO = [Region(Crop(0, 0, WIDTH // 2, HEIGHT)), Region(Crop(WIDTH // 2, 0, WIDTH // 2, HEIGHT), 4, 10)]
CLIPS = {"one frame": (1, ()), "one window": (4, ()), "a short scene": (9, (2,)), "three scenes": (13, (6, 7))}


class Pipelined:
    """A session whose streams are threads, slowed and watched."""

    def __init__(self, bundle: Path, backend: Backend, chosen: Settings, deaf: str = "") -> None:
        self.device: CheckedDevice | None = None
        self._slowed: SlowedDevice | None = None
        self._deaf = deaf
        self.session = Session(read_bundle(bundle), CheckedBackend(backend), chosen, self._make)

    def restore(
        self, clip: Iterator[Masked], delays: Delays, regions: Sequence[Region] = WHOLE
    ) -> Generator[RGB, None, None]:
        assert self._slowed is not None
        assert self.device is not None
        self._slowed.delays = delays
        self.device.forget()
        with closing(self.session.restore(clip, regions)) as restored:
            for done in restored:
                yield picture_of(done.frame)

    def _make(self, memory: Memory, clock: Clock, windows: int) -> Device:
        self._slowed = SlowedDevice(clock, {})
        self.device = CheckedDevice(self._slowed, self._deaf)
        return self.device


def clip_of(name: str) -> Iterator[Masked]:
    length, cuts = CLIPS[name]
    return as_clip(PICTURES[:length], HOLES[:length], cuts)


def sequential(bundle: Path, backend: Backend, chosen: Settings, name: str, regions: Sequence[Region]) -> list[RGB]:
    session = Session(read_bundle(bundle), backend, chosen)
    return [picture_of(done.frame) for done in session.restore(clip_of(name), regions)]


def assert_same(found: Sequence[RGB], wanted: Sequence[RGB]) -> None:
    assert np.array_equal(np.stack(found), np.stack(wanted))


@pytest.fixture(scope="module")
def wanted(narrow_window: Path) -> dict[str, list[RGB]]:
    """The tiny network's results, one window after the other."""
    backend = backends.get("onnxruntime")
    return {name: sequential(narrow_window, backend, Settings(), name, WHOLE) for name in CLIPS}


@pytest.fixture(scope="module")
def pipelined(narrow_window: Path) -> dict[int, Pipelined]:
    """The tiny network with 1, 2 and 4 windows in flight."""
    backend = backends.get("onnxruntime")
    return {windows: Pipelined(narrow_window, backend, Settings(windows=windows)) for windows in (1, 2, 4)}


@pytest.mark.slow
@settings(max_examples=200)
@given(name=st.sampled_from(sorted(CLIPS)), windows=st.sampled_from([1, 2, 4]), delays=delays_of_streams)
def test_whatever_the_streams_do_the_result_is_that_of_a_sequential_run(
    name: str, windows: int, delays: Delays, wanted: dict[str, list[RGB]], pipelined: dict[int, Pipelined]
) -> None:
    before = threading.active_count()
    assert_same(list(pipelined[windows].restore(clip_of(name), delays)), wanted[name])
    assert threading.active_count() == before
    device = pipelined[windows].device
    assert device is not None
    assert device.ledger.checked > 0


@pytest.mark.parametrize("chosen", [Settings(smooth=2), Settings(schedule="reference"), Settings(feather=3)], ids=str)
@settings(max_examples=8)
@given(name=st.sampled_from(["a short scene", "three scenes"]), delays=delays_of_streams)
def test_with_several_regions_and_every_schedule_too(
    chosen: Settings, name: str, delays: Delays, any_window: Path, narrow_window: Path
) -> None:
    bundle = any_window if chosen.schedule == "reference" else narrow_window
    found = Pipelined(bundle, Mixing(), replace(chosen, windows=3))
    assert_same(list(found.restore(clip_of(name), delays, TWO)), sequential(bundle, Mixing(), chosen, name, TWO))


@pytest.mark.parametrize("deaf", STREAMS)
def test_a_stream_that_does_not_wait_is_noticed(deaf: str, narrow_window: Path) -> None:
    found = Pipelined(narrow_window, Mixing(), Settings(windows=3), deaf)
    with pytest.raises(Hazard, match=f"^{deaf} "):
        list(found.restore(clip_of("three scenes"), {}))


@pytest.mark.parametrize(
    ("forgotten", "writer"),
    [("encoder", "upload"), ("transformer", "encoder"), ("decoder", "transformer"), ("download", "decoder")],
)
def test_a_buffer_that_is_reused_while_it_is_read_is_noticed(forgotten: str, writer: str, any_window: Path) -> None:
    found = Pipelined(any_window, Mixing(), Settings(windows=3))
    expected = f"^{writer} writes what {forgotten} reads"
    with patch.object(Buffer, "hold", forgetting(forgotten)), pytest.raises(Hazard, match=expected):
        list(found.restore(as_clip(PICTURES, HOLES), {}))


@settings(max_examples=25)
@given(taken=st.integers(0, 20), delays=delays_of_streams)
def test_leaving_early_leaves_no_thread(taken: int, delays: Delays, any_window: Path) -> None:
    before = threading.active_count()
    found = Pipelined(any_window, Mixing(), Settings(windows=3))
    with closing(found.restore(as_clip(PICTURES, HOLES), delays)) as restored:
        pictures = [next(restored) for _ in range(taken)]
    assert len(pictures) == taken
    assert threading.active_count() == before


class Failing(Mixing):
    """Stage `stage` fails when it is computed for the `at`-th time."""

    def __init__(self, stage: str, at: int) -> None:
        super().__init__()
        self.stage, self.at, self.computed = stage, at, 0

    def open(self, request: Request) -> Program:
        inner = super().open(request)
        return _FailingProgram(self, inner) if request.stage.name == self.stage else inner


class _FailingProgram:
    compute: Compute = "float32"

    def __init__(self, backend: Failing, inner: Program) -> None:
        self._backend, self._inner = backend, inner

    def enqueue(self, inputs: Tensors, outputs: Tensors, stream: Stream) -> None:
        stream.run(self._fail)
        self._inner.enqueue(inputs, outputs, stream)

    def _fail(self) -> None:
        self._backend.computed += 1
        if self._backend.computed == self._backend.at:
            raise RuntimeError(f"the {self._backend.stage} is gone")


@pytest.mark.parametrize("stage", ["encoder", "transformer", "decoder"])
@settings(max_examples=8)
@given(at=st.integers(1, 6), delays=delays_of_streams)
def test_a_stage_that_fails_stops_all_of_them(stage: str, at: int, delays: Delays, any_window: Path) -> None:
    before = threading.active_count()
    found = Pipelined(any_window, Failing(stage, at), Settings(windows=3))
    with pytest.raises(RuntimeError, match=f"the {stage} is gone"):
        list(found.restore(as_clip(PICTURES, HOLES), delays))
    assert threading.active_count() == before


class Meeting(Counting):
    """The first window's transformer waits until a frame is encoded that only the second window sees."""

    def __init__(self, patience_s: float) -> None:
        super().__init__()
        self.patience_s = patience_s
        self.second_began = threading.Event()
        self.met = False

    def open(self, request: Request) -> Program:
        return _MeetingProgram(self, request.stage.name)


class _MeetingProgram:
    compute: Compute = "float32"

    def __init__(self, backend: Meeting, stage: str) -> None:
        self._backend, self._stage = backend, stage

    def enqueue(self, inputs: Tensors, outputs: Tensors, stream: Stream) -> None:
        stream.run(self._meet)
        for output in outputs.values():
            stream.zero(output)

    def _meet(self) -> None:
        backend = self._backend
        backend.calls[self._stage] += 1
        if self._stage == "encoder" and backend.calls["encoder"] == 17:  # a window has 16 frames
            backend.second_began.set()
        if self._stage == "transformer" and backend.calls["transformer"] == 1:
            backend.met = backend.second_began.wait(self._backend.patience_s)


@pytest.mark.parametrize(("windows", "met"), [(1, False), (2, True)])
def test_two_windows_are_under_way_at_once_when_two_may_be(windows: int, met: bool, any_window: Path) -> None:
    backend = Meeting(patience_s=60 if met else 0.2)
    found = Pipelined(any_window, backend, Settings(windows=windows))
    assert len(list(found.restore(as_clip(PICTURES, HOLES), {}))) == LONGEST
    assert backend.met == met
    assert found.session.clock.overlap() > 0 or not met
