"""Several windows, one picture: both rules against their formulas in exact arithmetic."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.blend import CentredAverage, PublishedAverage, samples, weight_of
from runtime.bundle import PixelRule
from runtime.schedule import FrameWindow

visits = st.lists(st.tuples(st.integers(0, 255 * 8), st.integers(-5, 5)), min_size=1, max_size=4)


def picture(eighths: int) -> np.ndarray:
    return np.full((1, 1, 3), eighths / 8, np.float32)


def window_around(centre: int) -> FrameWindow:
    return FrameWindow(tuple(range(centre - 5, centre + 6)), ())


@given(visits)
def test_published_average_truncates_and_halves_in_order(painted: list[tuple[int, int]]) -> None:
    blend = PublishedAverage()
    stored: Fraction | None = None
    for eighths, _ in painted:
        blend.add(picture(eighths), window_around(0), 0)
        new = Fraction(eighths // 8)
        stored = new if stored is None else stored / 2 + new / 2
    assert stored is not None
    assert blend.result().tolist() == [[[math.floor(stored)] * 3]]


@given(visits)
def test_centred_average_weighs_by_the_distance_from_the_centre_and_rounds_half_up(
    painted: list[tuple[int, int]],
) -> None:
    blend = CentredAverage()
    total = Fraction(0)
    weights = 0
    for eighths, distance in painted:
        blend.add(picture(eighths), window_around(100 + distance), 100)
        weight = 6 - abs(distance)
        total += weight * Fraction(eighths, 8)
        weights += weight
    mean = total / weights
    wanted = math.floor(mean + Fraction(1, 2))
    at_a_tie = (mean + Fraction(1, 2)).denominator == 1  # float32 may fall on either side of it
    assert abs(int(blend.result()[0, 0, 0]) - wanted) <= at_a_tie


@pytest.mark.parametrize(("targets", "weights"), [(1, [1]), (3, [1, 2, 1]), (4, [1, 2, 2, 1]), (5, [1, 2, 3, 2, 1])])
def test_windows_of_every_length_weigh_their_ends_once(targets: int, weights: list[int]) -> None:
    window = FrameWindow(tuple(range(7, 7 + targets)), ())
    assert [weight_of(window, index) for index in window.targets] == weights


@pytest.mark.parametrize("order", ["rgb", "bgr"])
def test_samples_are_red_first_and_scaled_to_255(order: str) -> None:
    rule = PixelRule(2, 1, order, -1.0, 1.0, True, 0.0, "bicubic-antialias", 4)  # type: ignore[arg-type]
    red_green_blue = np.array([[[-1.0, 1.0]], [[0.0, 0.5]], [[1.0, -1.0]]], np.float32)
    planes = red_green_blue if order == "rgb" else red_green_blue[::-1]
    expected = [[[0.0, 127.5, 255.0], [255.0, 191.25, 0.0]]]
    assert samples(np.ascontiguousarray(planes), rule).tolist() == expected
