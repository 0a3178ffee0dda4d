"""Nothing crosses a cut: a clip of several scenes is repaired as if each were a clip of its own."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime import backends
from runtime.bundle import Bundle, read_bundle
from runtime.device import Device
from runtime.frame import RGB, Hole
from runtime.pool import Pool
from runtime.program import Backend
from runtime.session import Session, Settings
from tests.pictures import as_clip, moving_holes, moving_pictures, picture_of, whole
from tests.stand_ins import Mixing
from tests.tiny import HEIGHT, WIDTH

LONGEST = 60
PICTURES = moving_pictures(LONGEST, WIDTH, HEIGHT)
HOLES = moving_holes(LONGEST, WIDTH, HEIGHT)


def repaired(bundle: Bundle, backend: Backend, chosen: Settings, part: slice, cuts: list[int]) -> list[RGB]:
    pictures: list[RGB] = PICTURES[part]
    holes: list[Hole] = HOLES[part]
    session = Session(bundle, backend, chosen)
    return [picture_of(done.frame) for done in session.restore(as_clip(pictures, holes, cuts), whole(WIDTH, HEIGHT))]


def scenes(length: int, cuts: list[int]) -> list[slice]:
    borders = sorted({0, length, *cuts})
    return [slice(begin, end) for begin, end in pairwise(borders)]


@pytest.mark.parametrize("schedule", ["steady", "reference"])
@settings(max_examples=20)
@given(data=st.data())
def test_a_clip_of_several_scenes_equals_its_scenes_one_by_one(
    schedule: str, any_window: Path, data: st.DataObject
) -> None:
    length = data.draw(st.integers(1, LONGEST))
    cuts = data.draw(st.lists(st.integers(0, length - 1), max_size=5, unique=True))
    bundle, chosen = read_bundle(any_window), Settings(schedule=schedule)
    together = repaired(bundle, Mixing(), chosen, slice(0, length), cuts)
    apart = [picture for part in scenes(length, cuts) for picture in repaired(bundle, Mixing(), chosen, part, [])]
    assert np.array_equal(np.stack(together), np.stack(apart))


def test_with_a_real_network_too(any_window: Path) -> None:
    bundle, backend = read_bundle(any_window), backends.get("onnxruntime")
    together = repaired(bundle, backend, Settings(), slice(0, 45), [17, 18])
    apart = [picture for part in scenes(45, [17, 18]) for picture in repaired(bundle, backend, Settings(), part, [])]
    assert np.array_equal(np.stack(together), np.stack(apart))


@pytest.mark.parametrize("schedule", ["steady", "reference"])
def test_without_the_cut_the_scenes_would_see_each_other(schedule: str, any_window: Path) -> None:
    """The comparisons above would notice."""
    bundle, chosen = read_bundle(any_window), Settings(schedule=schedule)
    with_cut = repaired(bundle, Mixing(), chosen, slice(0, 40), [20])
    without = repaired(bundle, Mixing(), chosen, slice(0, 40), [])
    assert not np.array_equal(np.stack(with_cut), np.stack(without))


def test_lost_frames_end_a_scene_and_the_rest_keeps_its_numbers(any_window: Path) -> None:
    bundle = read_bundle(any_window)
    lost = {0, 13, 14, 40}
    clip = [item for item in as_clip(PICTURES, HOLES) if item.frame.index not in lost]
    session = Session(bundle, Mixing(), Settings(waiting_bytes=0))
    done = list(session.restore(clip, whole(WIDTH, HEIGHT), again=lambda: (item.frame for item in clip)))
    assert [item.frame.index for item in done] == [index for index in range(LONGEST) if index not in lost]
    apart: list[RGB] = []
    for part in (slice(1, 13), slice(15, 40), slice(41, LONGEST)):
        apart += repaired(bundle, Mixing(), Settings(), part, [])
    assert np.array_equal(np.stack([picture_of(item.frame) for item in done]), np.stack(apart))


@pytest.mark.parametrize("schedule", ["steady", "reference"])
def test_every_buffer_comes_back_when_its_scene_is_over(
    schedule: str, any_window: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pools: list[Pool] = []

    def watched(device: Device) -> Pool:
        pools.append(Pool(device))
        return pools[-1]

    monkeypatch.setattr("runtime.session.Pool", watched)
    repaired(read_bundle(any_window), Mixing(), Settings(schedule=schedule), slice(0, LONGEST), [3, 20, 41])
    assert [pool.leased for pool in pools] == [0]
