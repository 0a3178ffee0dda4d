"""Frames that do not fit in memory are read a second time, and a run that begins late gives the end of a whole one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime import backends
from runtime.bundle import Bundle, read_bundle
from runtime.errors import InputError
from runtime.frame import Frame, Hole, Masked
from runtime.program import Backend
from runtime.session import Restored, Session, Settings
from tests.pictures import as_clip, moving_holes, moving_pictures, whole
from tests.stand_ins import Counting, Mixing
from tests.tiny import HEIGHT, WIDTH

LONGEST = 90
PICTURES = moving_pictures(LONGEST, WIDTH, HEIGHT)
HOLES = moving_holes(LONGEST, WIDTH, HEIGHT)
WHOLE = whole(WIDTH, HEIGHT)
FRAME_BYTES = 3 * WIDTH * HEIGHT


def clip_of(length: int, cuts: list[int], masked: range) -> list[Masked]:
    holes: list[Hole | None] = [HOLES[index] if index in masked else None for index in range(length)]
    return list(as_clip(PICTURES[:length], holes, cuts))


def run(
    bundle: Bundle, backend: Backend, chosen: Settings, clip: list[Masked], start: int = 0, *, twice: bool = False
) -> list[Restored]:
    def again() -> Iterator[Frame]:
        return (replace(item.frame) for item in clip)

    session = Session(bundle, backend, chosen)
    return list(session.restore(clip, WHOLE, start=start, again=again if twice else None))


def assert_same(found: list[Restored], wanted: list[Restored]) -> None:
    for one, other in zip(found, wanted, strict=True):
        assert one.frame.index == other.frame.index
        assert all(np.array_equal(a, b) for a, b in zip(one.frame.planes, other.frame.planes, strict=True))
        assert len(one.patches) == len(other.patches)


@pytest.mark.parametrize("schedule", ["steady", "reference"])
@settings(max_examples=20)
@given(data=st.data())
def test_what_is_yielded_from_a_start_on_is_what_a_whole_run_yields(
    schedule: str, any_window: Path, data: st.DataObject
) -> None:
    length = data.draw(st.integers(1, LONGEST), "length")
    cuts = data.draw(st.lists(st.integers(0, length - 1), max_size=3, unique=True), "cuts")
    first = data.draw(st.integers(0, length), "first masked")
    clip = clip_of(length, cuts, range(first, data.draw(st.integers(first, length), "end of the mask")))
    start = data.draw(st.integers(0, length + 3), "start")
    bundle = read_bundle(any_window)
    smooth = data.draw(st.integers(0, 2), "smooth")
    waiting = data.draw(st.sampled_from([0, 7 * FRAME_BYTES, 1 << 30]), "waiting bytes")
    plain = Settings(schedule=schedule, smooth=smooth)
    whole_backend, late_backend = Mixing(), Mixing()
    wanted = run(bundle, whole_backend, plain, clip)
    late = run(bundle, late_backend, replace(plain, waiting_bytes=waiting), clip, start, twice=True)
    assert_same(late, wanted[start:])
    assert all(late_backend.calls[stage] <= calls for stage, calls in whole_backend.calls.items())


def test_with_a_real_network_too(any_window: Path) -> None:
    bundle, backend = read_bundle(any_window), backends.get("onnxruntime")
    clip = clip_of(50, [31], range(50))
    wanted = run(bundle, backend, Settings(), clip)
    assert_same(run(bundle, backend, Settings(waiting_bytes=0), clip, 23, twice=True), wanted[23:])


@pytest.mark.parametrize("start", [30, 61, 89])
def test_a_late_start_runs_only_the_windows_that_are_left(start: int, any_window: Path) -> None:
    backend = Counting()
    run(read_bundle(any_window), backend, Settings(), clip_of(LONGEST, [], range(LONGEST)), start)
    windows = [range(first, first + 11) for first in (*range(0, 76, 5), 79)]
    assert backend.calls["transformer"] == sum(window[-1] >= start for window in windows)


@pytest.mark.parametrize(
    ("schedule", "most_frames", "times"),
    [
        ("steady", 80, 0),  # its reach, the threads' queues, and what the writer has not taken
        ("steady", 59, 1),  # less than its reach
        ("reference", LONGEST, 0),  # the whole clip
        ("reference", LONGEST - 1, 1),
    ],
)
def test_frames_wait_in_memory_where_they_fit_and_else_are_read_again(
    schedule: str, most_frames: int, times: int, any_window: Path
) -> None:
    clip = clip_of(LONGEST, [], range(LONGEST))
    readings: list[int] = []

    def again() -> Iterator[Frame]:
        readings.append(0)
        return (item.frame for item in clip)

    chosen = Settings(schedule=schedule, waiting_bytes=most_frames * FRAME_BYTES)
    session = Session(read_bundle(any_window), Counting(), chosen)
    assert len(list(session.restore(clip, WHOLE, again=again))) == LONGEST
    assert len(readings) == times


def test_a_second_reading_that_differs_is_an_error_in_one_line(any_window: Path) -> None:
    clip = clip_of(LONGEST, [], range(LONGEST))

    def again() -> Iterator[Frame]:
        return (item.frame for item in clip[:40])

    before = threading.active_count()
    session = Session(read_bundle(any_window), Counting(), Settings(waiting_bytes=0))
    with pytest.raises(InputError, match=r"^frame 40: was there .* read again[^\n]*$"):
        list(session.restore(clip, WHOLE, again=again))
    assert threading.active_count() == before


def test_an_error_of_the_second_reading_arrives_and_stops_every_thread(any_window: Path) -> None:
    clip = clip_of(LONGEST, [], range(LONGEST))

    def again() -> Iterator[Frame]:
        yield from (item.frame for item in clip[:10])
        raise OSError("the disk is gone")

    before = threading.active_count()
    session = Session(read_bundle(any_window), Counting(), Settings(waiting_bytes=0))
    with pytest.raises(OSError, match="the disk is gone"):
        list(session.restore(clip, WHOLE, again=again))
    assert threading.active_count() == before


def test_leaving_early_closes_the_second_reading(any_window: Path) -> None:
    clip = clip_of(LONGEST, [], range(LONGEST))
    closed: list[str] = []

    def again() -> Iterator[Frame]:
        try:
            yield from (item.frame for item in clip)
        finally:
            closed.append(threading.current_thread().name)

    session = Session(read_bundle(any_window), Counting(), Settings(waiting_bytes=0))
    restored = session.restore(clip, WHOLE, again=again)
    for _ in range(7):
        next(restored)
    restored.close()
    assert closed == ["ahead"]


def test_frames_before_the_start_do_not_wait(any_window: Path) -> None:
    """Nobody takes them: a start late in a long video must not fill the memory with what lies before it."""
    clip = clip_of(LONGEST, [], range(LONGEST))

    def again() -> Iterator[Frame]:
        raise AssertionError("few enough frames wait")

    chosen = Settings(schedule="reference", waiting_bytes=12 * FRAME_BYTES)
    session = Session(read_bundle(any_window), Counting(), chosen)
    done = list(session.restore(clip, WHOLE, start=LONGEST - 10, again=again))
    assert [item.frame.index for item in done] == list(range(LONGEST - 10, LONGEST))
