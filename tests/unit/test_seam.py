"""A fill is moved to continue the picture around it: by what it is off at the rim of the hole, and by no more."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.frame import RGB, Hole
from runtime.patch import Crop, Patch
from runtime.seam import seamless
from tests.noise import RULE, holes, random_fill
from tests.tolerances import TOLERANCE

HEIGHT, WIDTH = 60, 90
INSIDE = (slice(15, 45), slice(20, 65))


def patch(view: RGB, fill: RGB, hole: Hole | None = None) -> Patch:
    return Patch(Crop(0, 0, *view.shape[1::-1]), view, fill, rectangle() if hole is None else hole)


def rectangle() -> Hole:
    hole = np.zeros((HEIGHT, WIDTH), np.bool_)
    hole[INSIDE] = True
    return hole


def textured(seed: int, low: int = 60, high: int = 180) -> RGB:
    return np.random.default_rng(seed).integers(low, high, (HEIGHT, WIDTH, 3)).astype(np.uint8)


def rim_of(hole: Hole) -> Hole:
    """By the definition: what lies beside the hole, diagonals too."""
    rim = np.zeros_like(hole)
    for row, column in np.argwhere(hole):
        rim[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2] = True
    return rim & ~hole


def membrane(off: np.ndarray, hole: Hole) -> np.ndarray:
    """`off` `[h, w, C]` at the rim continued into the hole by Laplace's equation, solved; Perez et al., eq. 4."""
    places = np.argwhere(hole)
    number = {(int(row), int(column)): k for k, (row, column) in enumerate(places)}
    equations, known = 4 * np.eye(len(places)), np.zeros((len(places), off.shape[2]))
    for k, (row, column) in enumerate(places):
        for beside in ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)):
            if beside in number:
                equations[k, number[beside]] = -1
            else:
                known[k] += off[beside]
    found = np.zeros(off.shape)
    found[hole] = np.linalg.solve(equations, known)
    return found


@pytest.mark.parametrize("step", [-50, -3, 1, 40])
def test_a_fill_that_is_off_by_the_same_everywhere_becomes_right(step: int) -> None:
    view = textured(1)
    assert (seamless(patch(view, (view.astype(int) + step).astype(np.uint8))).fill == view).all()


@given(data=st.data())
def test_so_it_does_in_every_hole_that_has_a_rim(data: st.DataObject) -> None:
    hole = data.draw(holes(RULE.height, RULE.width))
    view = np.clip(random_fill(RULE, 3), 20, 235)
    off = view + np.uint8(data.draw(st.integers(0, 20)))
    assert (seamless(patch(view, off, hole)).fill[hole] == view[hole]).all() or not rim_of(hole).any()


def test_a_fill_that_continues_the_view_stays() -> None:
    view, fill = textured(1), textured(2)
    beside = rim_of(rectangle())
    fill[beside] = view[beside]
    assert (seamless(patch(view, fill)).fill[INSIDE] == fill[INSIDE]).all()


def test_outside_the_hole_the_fill_is_the_view() -> None:
    view = textured(1)
    done = seamless(patch(view, textured(2)))
    assert (done.fill[~rectangle()] == view[~rectangle()]).all()
    assert (done.view == view).all()


def test_the_step_at_the_rim_is_gone_and_the_texture_stays() -> None:
    """The fill is right but for a slope of its own, which no network knows from the rim's outside."""
    view = textured(1, 90, 110)
    slope = np.linspace(-60, 60, WIDTH)[None, :, None] + np.linspace(20, -20, HEIGHT)[:, None, None]
    fill = np.clip(view + slope, 0, 255).astype(np.uint8)
    before, after = (
        np.abs(each[INSIDE].astype(int) - view[INSIDE]).mean() for each in (fill, seamless(patch(view, fill)).fill)
    )
    assert after <= TOLERANCE["seam", "share left of a slope"] * before


@pytest.mark.parametrize("seed", range(3))
def test_it_is_near_the_membrane(seed: int) -> None:
    rng = np.random.default_rng(seed)
    grid = rng.uniform(-40, 40, (4, 5, 3))
    off = np.kron(grid, np.ones((15, 18, 1)))  # patches of difference, steps between them
    view = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    fill = np.clip(np.rint(view - off), 0, 255).astype(np.uint8)
    moved = seamless(patch(view, fill)).fill[INSIDE].astype(float) - fill[INSIDE]
    wanted = membrane(view.astype(float) - fill, rectangle())[INSIDE]
    error = np.sqrt(np.mean((moved - wanted) ** 2)) / np.sqrt(np.mean(wanted**2))
    assert error <= TOLERANCE["seam", "membrane"]


@given(data=st.data())
def test_nothing_moves_further_than_the_rim_is_off(data: st.DataObject) -> None:
    hole = data.draw(holes(RULE.height, RULE.width))
    view, fill = random_fill(RULE, data.draw(st.integers(0, 9))), random_fill(RULE, 10)
    rim = rim_of(hole)
    done = seamless(patch(view, fill, hole)).fill.astype(int)
    if not rim.any():
        assert (done == fill).all()
        return
    off = view[rim].astype(int) - fill[rim]
    moved = done[hole] - fill[hole]
    assert (moved >= off.min(axis=0)).all()
    assert (moved <= off.max(axis=0)).all()


def test_rounding_has_no_side() -> None:
    """What is moved up in a picture is moved down as far in its negative."""
    view, fill = textured(1), textured(2)
    one, other = seamless(patch(view, fill)).fill, seamless(patch(255 - view, 255 - fill)).fill
    bias = np.mean(one[INSIDE].astype(int) + other[INSIDE] - 255)
    assert abs(bias) <= TOLERANCE["seam", "levels of bias"]


def test_pixels_that_touch_the_hole_with_a_corner_count() -> None:
    view, fill = textured(1), textured(1)
    corner = view.copy()
    corner[INSIDE[0].start - 1, INSIDE[1].start - 1] = 255
    assert (seamless(patch(corner, fill)).fill[INSIDE] != fill[INSIDE]).any()


def test_where_all_is_hole_nothing_is_known_and_the_fill_stays() -> None:
    everything = patch(textured(1), textured(2), np.ones((HEIGHT, WIDTH), np.bool_))
    assert seamless(everything) is everything


def test_only_the_rim_is_looked_at() -> None:
    """So that what a part of a picture leaves black around the hole is no difference."""
    view, fill = textured(1), textured(2)
    near = rectangle() | rim_of(rectangle())
    other, elsewhere = np.where(near[..., None], fill, np.uint8(0)), np.where(near[..., None], view, np.uint8(255))
    wanted = seamless(patch(view, fill)).fill[INSIDE]
    assert (seamless(patch(view, other)).fill[INSIDE] == wanted).all()
    assert (seamless(patch(elsewhere, fill)).fill[INSIDE] == wanted).all()


def test_a_patch_whose_view_stayed_on_a_device_is_refused() -> None:
    with pytest.raises(ValueError, match="made on a device"):
        seamless(replace(patch(textured(1), textured(2)), shown=None))
