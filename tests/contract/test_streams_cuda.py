"""The pipelined run through the CUDA device, on a driver that is none: the same bytes, and one line where it fails.

What only a GPU shows is in tests/gpu.
"""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.bundle import read_bundle
from runtime.clock import Clock
from runtime.device import Device, Memory
from runtime.devices import open_device
from runtime.errors import DeviceFailed
from runtime.session import Session, Settings
from tests.ordered import CheckedBackend, CheckedDevice
from tests.pictures import as_clip, moving_holes, moving_pictures, picture_of, whole
from tests.stand_in_cuda import FakeCuda, MixingOnCuda, installed
from tests.stand_ins import Mixing
from tests.tiny import HEIGHT, WIDTH, without_parts

LENGTH = 26
PICTURES = moving_pictures(LENGTH, WIDTH, HEIGHT)
HOLES = moving_holes(LENGTH, WIDTH, HEIGHT)
WHOLE = whole(WIDTH, HEIGHT)
CUTS = [9]

pauses = st.lists(st.sampled_from([0.0, 0.0, 0.0, 0.0004, 0.002]), min_size=1, max_size=9)


def checked(memory: Memory, clock: Clock, windows: int) -> Device:
    return CheckedDevice(open_device(memory, clock, windows))


def restored(session: Session) -> np.ndarray:
    return np.stack([picture_of(done.frame) for done in session.restore(as_clip(PICTURES, HOLES, CUTS), WHOLE)])


@pytest.fixture(scope="module")
def wanted(any_window: Path, narrow_window: Path) -> dict[Path, np.ndarray]:
    """What the host gives, one window after the other."""
    bundles = (any_window, narrow_window)
    return {bundle: restored(Session(without_parts(read_bundle(bundle)), Mixing(), Settings())) for bundle in bundles}


@pytest.mark.parametrize("fixed", [False, True], ids=["any window", "fixed window"])
@settings(max_examples=6)
@given(windows=st.sampled_from([1, 2, 3]), delays=pauses)
def test_the_gpu_gives_what_the_host_gives(
    fixed: bool,
    windows: int,
    delays: list[float],
    any_window: Path,
    narrow_window: Path,
    wanted: dict[Path, np.ndarray],
) -> None:
    bundle = narrow_window if fixed else any_window
    cuda = FakeCuda(delays=delays)
    before = threading.active_count()
    with installed(cuda):
        backend = CheckedBackend(MixingOnCuda(cuda))
        with Session(read_bundle(bundle), backend, Settings(windows=windows), checked) as session:
            assert np.array_equal(restored(session), wanted[bundle])
        assert {"upload", "encoder", "transformer", "decoder", "download"} <= set(session.clock.seconds())
    assert threading.active_count() == before


def test_two_windows_are_under_way_unless_one_was_asked_for(any_window: Path) -> None:
    asked: list[int] = []

    def watched(memory: Memory, clock: Clock, windows: int) -> Device:
        asked.append(windows)
        return open_device(memory, clock, windows)

    cuda = FakeCuda()
    with installed(cuda):
        for chosen in (Settings(), Settings(windows=1)):
            Session(read_bundle(any_window), MixingOnCuda(cuda), chosen, watched).close()
        Session(read_bundle(any_window), Mixing(), Settings(), watched).close()
    assert asked == [2, 1, 1]


@pytest.mark.parametrize("lost_after", [20, 200, 600])
def test_a_gpu_that_is_lost_in_the_middle_is_one_line_and_leaves_no_thread(lost_after: int, any_window: Path) -> None:
    cuda = FakeCuda(lost_after=lost_after)
    before = threading.active_count()
    line, chosen = r"^Fake GPU: [^\n]*--backend onnxruntime$", Settings(windows=2)
    with (
        installed(cuda),
        pytest.raises(DeviceFailed, match=line),
        Session(read_bundle(any_window), MixingOnCuda(cuda), chosen) as session,
    ):
        restored(session)
    assert threading.active_count() == before


def test_too_little_memory_is_one_line_and_leaves_no_thread(any_window: Path) -> None:
    cuda = FakeCuda(memory_bytes=400_000)
    before = threading.active_count()
    with (
        installed(cuda),
        pytest.raises(DeviceFailed, match=r"^Fake GPU: out of memory [^\n]*--streams 1"),
        Session(read_bundle(any_window), MixingOnCuda(cuda), Settings()) as session,
    ):
        restored(session)
    assert threading.active_count() == before
