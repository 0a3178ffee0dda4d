"""Structural similarity against its formula, written out for one window."""

from __future__ import annotations

import numpy as np
import pytest

from calib.similarity import RIM, WINDOW, similarity
from runtime.errors import UsageError
from runtime.frame import RGB, Hole
from tests.tolerances import TOLERANCE

CLOSE = TOLERANCE["metrics", "ssim"]


def noise(seed: int, side: int = WINDOW) -> RGB:
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3)).astype(np.uint8)


def hole_of(side: int, *pixels: tuple[int, int]) -> Hole:
    hole = np.zeros((side, side), np.bool_)
    for pixel in pixels:
        hole[pixel] = True
    return hole


def of_one_window(found: RGB, truth: RGB) -> float:
    """The published formula with sample covariances over two pictures of the window's size, mean of the channels."""
    low, high = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    values: list[float] = []
    for channel in range(3):
        x, y = (picture[..., channel].astype(np.float64).ravel() for picture in (found, truth))
        (xx, xy), (_, yy) = np.cov(x, y)
        top = (2 * x.mean() * y.mean() + low) * (2 * xy + high)
        values.append(top / ((x.mean() ** 2 + y.mean() ** 2 + low) * (xx + yy + high)))
    return float(np.mean(values))


def test_a_picture_of_the_windows_size_has_the_formulas_value() -> None:
    truth = noise(0)
    found = (truth // 2 + noise(1) // 3).astype(np.uint8)
    wanted = of_one_window(found, truth)
    got = similarity([found], [truth], [hole_of(WINDOW, (RIM, RIM))])
    assert got.whole == pytest.approx(wanted, abs=CLOSE)
    assert got.hole == pytest.approx(wanted, abs=CLOSE)
    assert 0 < wanted < 1


def test_the_whole_leaves_the_rim_out() -> None:
    truth = noise(0, WINDOW + 2)
    found = (truth // 2 + noise(1, WINDOW + 2) // 3).astype(np.uint8)
    windows = [
        of_one_window(found[row : row + WINDOW, left : left + WINDOW], truth[row : row + WINDOW, left : left + WINDOW])
        for row in range(3)
        for left in range(3)
    ]
    got = similarity([found], [truth], [hole_of(WINDOW + 2, (RIM, RIM))])
    assert got.whole == pytest.approx(np.mean(windows), abs=CLOSE)
    assert got.hole == pytest.approx(windows[0], abs=CLOSE)


def test_holes_of_all_frames_are_pooled_and_frames_count_alike() -> None:
    truth, found = noise(0), noise(1)
    value = of_one_window(found, truth)
    centre = (RIM, RIM)
    got = similarity([found, truth], [truth, truth], [hole_of(WINDOW, centre), hole_of(WINDOW, centre, (0, 0), (9, 3))])
    assert got.whole == pytest.approx((value + 1) / 2, abs=CLOSE)
    assert got.hole == pytest.approx((value + 3) / 4, abs=CLOSE)


def test_a_hole_at_the_edge_counts() -> None:
    truth = noise(0, 80)
    found = truth.copy()
    found[:4, :4] = 255 - found[:4, :4]
    got = similarity([found], [truth], [hole_of(80, (0, 0))])
    assert got.hole < got.whole < 1


def test_a_picture_that_is_smaller_than_the_window_is_refused_in_one_line() -> None:
    small = noise(0, WINDOW - 1)
    with pytest.raises(UsageError, match=r"--size 64x64: .*wanted at least 65"):
        similarity([small], [small], [hole_of(WINDOW - 1, (0, 0))])


def test_a_clip_without_a_hole_has_no_similarity_in_it() -> None:
    with pytest.raises(ValueError, match="no frame has a hole"):
        similarity([noise(0)], [noise(0)], [hole_of(WINDOW)])
