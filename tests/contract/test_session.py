"""A session repairs what is masked, works only where there is a hole, and leaves nothing behind."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from runtime import backends
from runtime.bundle import read_bundle
from runtime.frame import Masked
from runtime.program import Precision
from runtime.schedule import Quality
from runtime.session import Session, Settings
from tests.oracle import dilated, published
from tests.pictures import as_clip, moving_holes, moving_pictures, picture_of, whole
from tests.stand_ins import Counting
from tests.tiny import HEIGHT, WIDTH, tiny_network
from tests.tolerances import TOLERANCE

WHOLE = whole(WIDTH, HEIGHT)


def clip(length: int, masked: range) -> Iterator[Masked]:
    holes = moving_holes(length, WIDTH, HEIGHT)
    chosen = [hole if index in masked else None for index, hole in enumerate(holes)]
    return as_clip(moving_pictures(length, WIDTH, HEIGHT), chosen)


def test_every_frame_is_encoded_once_however_many_windows_see_it(any_window: Path) -> None:
    backend = Counting()
    done = list(Session(read_bundle(any_window), backend, Settings()).restore(clip(60, range(60)), WHOLE))
    assert [item.frame.index for item in done] == list(range(60))
    windows = 1 + -(-(60 - 11) // 5)
    assert backend.calls == {"encoder": 60, "transformer": windows, "decoder": 11 * windows}


@pytest.mark.parametrize(("quality", "stride"), [("draft", 11), ("standard", 5), ("best", 3)])
def test_a_pace_decides_how_often_a_frame_is_painted(quality: Quality, stride: int, any_window: Path) -> None:
    backend = Counting()
    session = Session(read_bundle(any_window), backend, Settings(quality=quality))
    assert len(list(session.restore(clip(60, range(60)), WHOLE))) == 60
    windows = 1 + -(-(60 - 11) // stride)
    assert backend.calls == {"encoder": 60, "transformer": windows, "decoder": 11 * windows}


def test_windows_without_a_hole_are_not_run(any_window: Path) -> None:
    backend = Counting()
    list(Session(read_bundle(any_window), backend, Settings()).restore(clip(200, range(100, 103)), WHOLE))
    assert backend.calls["transformer"] == 3  # windows of 11 frames, 5 apart, that reach frames 100 to 102
    assert backend.calls["decoder"] <= 3 * 3
    assert backend.calls["encoder"] < 40


def test_a_mask_on_a_few_frames_gives_what_the_published_program_gives(any_window: Path) -> None:
    """Windows that are left out change nothing."""
    pictures = moving_pictures(40, WIDTH, HEIGHT)
    holes = [hole if 12 <= index < 15 else np.zeros_like(hole) for index, hole in enumerate(moving_holes(40, 96, 48))]
    settings = Settings(schedule="reference")
    session = Session(read_bundle(any_window), backends.get("onnxruntime"), settings)
    found = np.stack([picture_of(done.frame) for done in session.restore(as_clip(pictures, holes), WHOLE)])
    wanted = np.stack(published(tiny_network(), pictures, [hole.astype(np.uint8) for hole in holes], WIDTH, HEIGHT))
    difference = np.abs(found.astype(int) - wanted).max(axis=-1)
    assert difference.max() <= TOLERANCE["published", "levels"]
    assert np.mean(difference > 0) <= TOLERANCE["published", "share of pixels"]


@pytest.mark.parametrize("schedule", ["steady", "reference"])
def test_everything_outside_the_hole_is_the_sources_own(schedule: str, any_window: Path) -> None:
    pictures, holes = moving_pictures(23, WIDTH, HEIGHT), moving_holes(23, WIDTH, HEIGHT)
    session = Session(read_bundle(any_window), backends.get("onnxruntime"), Settings(schedule=schedule))
    for picture, hole, done in zip(pictures, holes, session.restore(as_clip(pictures, holes), WHOLE), strict=True):
        grown = dilated(hole)
        assert (picture_of(done.frame)[~grown] == picture[~grown]).all()
        assert (picture_of(done.frame)[grown] != picture[grown]).any()
        assert (picture_of(done.source) == picture).all()


def test_a_session_serves_one_clip_after_another(any_window: Path) -> None:
    session = Session(read_bundle(any_window), backends.get("onnxruntime"), Settings())
    first, second = ([picture_of(done.frame) for done in session.restore(clip(20, range(20)), WHOLE)] for _ in range(2))
    assert (np.stack(first) == np.stack(second)).all()


def test_a_session_that_is_dropped_is_freed_at_once(any_window: Path) -> None:
    """Not when the garbage collector comes by: it cannot see how much memory the libraries hold."""
    session = Session(read_bundle(any_window), backends.get("onnxruntime"), Settings())
    list(session.restore(clip(12, range(12)), WHOLE))
    watched = weakref.ref(session._transformer)
    gc.disable()
    try:
        del session
        assert watched() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("taken", [1, 5])
def test_leaving_early_stops_every_thread(taken: int, any_window: Path) -> None:
    before = threading.active_count()
    repaired = Session(read_bundle(any_window), Counting(), Settings()).restore(clip(300, range(300)), WHOLE)
    for _ in range(taken):
        next(repaired)
    repaired.close()
    assert threading.active_count() == before


def test_an_error_of_the_source_arrives_and_stops_every_thread(any_window: Path) -> None:
    def damaged() -> Iterator[Masked]:
        yield from clip(30, range(30))
        raise OSError("the disk is gone")

    before = threading.active_count()
    with pytest.raises(OSError, match="the disk is gone"):
        list(Session(read_bundle(any_window), Counting(), Settings()).restore(damaged(), WHOLE))
    assert threading.active_count() == before


def test_an_error_of_the_network_arrives_and_stops_every_thread(any_window: Path) -> None:
    before = threading.active_count()
    with pytest.raises(RuntimeError, match="the device is gone"):
        list(Session(read_bundle(any_window), Counting(fails_at=30), Settings()).restore(clip(300, range(300)), WHOLE))
    assert threading.active_count() == before


@pytest.mark.parametrize(("schedule", "precision"), [("steady", "auto"), ("reference", "fp32")])
def test_the_published_protocol_is_never_run_in_less_than_fp32(
    schedule: str, precision: Precision, any_window: Path
) -> None:
    backend = Counting()
    list(Session(read_bundle(any_window), backend, Settings(schedule=schedule)).restore(clip(12, range(12)), WHOLE))
    assert backend.asked == {precision}


def test_no_frames_give_no_frames(any_window: Path) -> None:
    assert list(Session(read_bundle(any_window), Counting(), Settings()).restore(iter(()), WHOLE)) == []


@pytest.mark.parametrize("grown", [0, 4, 9])
def test_dilation_is_what_was_asked_for(grown: int, any_window: Path) -> None:
    hole = np.zeros((HEIGHT, WIDTH), np.bool_)
    hole[24, 48] = True
    pictures = [np.full((HEIGHT, WIDTH, 3), 255, np.uint8)]
    session = Session(read_bundle(any_window), Counting(), Settings(dilate=grown, seamless=False))
    (done,) = session.restore(as_clip(pictures, [hole]), WHOLE)
    assert (picture_of(done.frame)[..., 0] != 255).sum() == 2 * grown * grown + 2 * grown + 1  # a diamond
