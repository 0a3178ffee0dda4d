"""What is said to be looked at of a fill is all that is: everything else may change, and no frame does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime._composite.layers import read_of
from runtime.composite import Finish, composite
from runtime.frame import Frame, Layout
from runtime.patch import Crop, Painted, Patch
from runtime.smooth import smoothed
from tests.noise import LAYOUTS, RULE, patches, random_fill, random_frame, whole


def disturbed(patch: Patch, feather: int, seed: int) -> Patch:
    """Noise wherever nobody is to look."""
    area, fill = read_of(patch.hole, patch.crop, feather), random_fill(RULE, seed)
    box = np.s_[area.top : area.bottom, area.left : area.right]
    fill[box] = patch.fill[box]
    return replace(patch, fill=fill)


def samples_of(frame: Frame) -> list[bytes]:
    return [plane.tobytes() for plane in frame.planes]


@settings(max_examples=80)
@given(data=st.data(), layout=st.sampled_from(LAYOUTS), feather=st.sampled_from([0, 0, 1, 7, 40]))
def test_a_composite_looks_at_nothing_else(data: st.DataObject, layout: Layout, feather: int) -> None:
    width, height = data.draw(st.integers(1, 150)), data.draw(st.integers(1, 90))
    frame = random_frame(layout, width, height)
    painted = [patch for patch in data.draw(patches(frame)) if patch.hole.any()]
    others = [disturbed(patch, feather, 100 + number) for number, patch in enumerate(painted)]
    finish = Finish(feather, grain=data.draw(st.booleans()))
    assert samples_of(composite(frame, others, finish)) == samples_of(composite(frame, painted, finish))


@pytest.mark.parametrize("layout", [each for each in LAYOUTS if each.bits == 8], ids=str)
def test_what_shares_a_chroma_sample_with_a_hole_is_not_looked_at(layout: Layout) -> None:
    """At the network's own size, where no resize looks further; every place in a cell is tried."""
    frame = random_frame(layout, RULE.width, RULE.height)
    for place in range(4):
        hole = np.zeros((RULE.height, RULE.width), np.bool_)
        hole[8 + place, 20 + place] = True
        painted = Patch(whole(frame), random_fill(RULE, 2), random_fill(RULE, 3), hole)
        other = disturbed(painted, 0, 4)
        assert samples_of(composite(frame, [other], Finish())) == samples_of(composite(frame, [painted], Finish()))


def test_smoothing_looks_at_nothing_else() -> None:
    hole = np.zeros((RULE.height, RULE.width), np.bool_)
    hole[8:15, 20:31] = True
    frame, crop = random_frame(LAYOUTS[0], 90, 60), Crop(4, 2, 84, 50)
    views = [random_fill(RULE, seed) for seed in range(3)]
    before = [Patch(crop, view, random_fill(RULE, 10 + number), hole) for number, view in enumerate(views)]
    after = [disturbed(patch, 0, 20 + number) for number, patch in enumerate(before)]
    found, wanted = (
        [
            samples_of(composite(item.frame, item.patches, Finish()))
            for item in smoothed((Painted(frame, (patch,), 0) for patch in patches), 1)
        ]
        for patches in (after, before)
    )
    assert found == wanted


@given(data=st.data())
def test_what_is_looked_at_is_no_more_than_the_taps_of_a_resize(data: st.DataObject) -> None:
    """At the network's own scale or above it two cells more on each side, one for a chroma sample's neighbours."""
    frame = random_frame(LAYOUTS[0], 48 * 4, 24 * 4)
    crop = Crop(0, 0, 48 * data.draw(st.integers(2, 4)), 24 * data.draw(st.integers(2, 4)))
    hole = np.zeros((RULE.height, RULE.width), np.bool_)
    top, left = data.draw(st.integers(0, 20)), data.draw(st.integers(0, 44))
    hole[top : top + 3, left : left + 3] = True
    area = read_of(hole, crop, 0)
    assert frame.width >= crop.width
    assert (area.top, area.left) >= (max(top - 4, 0), max(left - 4, 0))
    assert (area.bottom, area.right) <= (min(top + 7, 24), min(left + 7, 48))
