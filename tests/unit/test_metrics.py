"""Metrics against their formulas in double precision, on numbers small enough to check by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from calib.metrics import EQUAL_DB, frechet_distance, psnr, psnr_in_hole, warping_error
from tests.tolerances import TOLERANCE


def flat(value: int, height: int = 4, width: int = 6) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


def test_psnr_of_a_known_difference() -> None:
    assert psnr(flat(110), flat(100)) == pytest.approx(20 * math.log10(25.5), abs=TOLERANCE["metrics", "db"])


def test_psnr_does_not_wrap_around() -> None:
    assert psnr(flat(0), flat(255)) == 0


def test_equal_pictures_have_the_conventional_ceiling() -> None:
    assert psnr(flat(3), flat(3)) == EQUAL_DB


def test_only_the_hole_counts_and_frames_are_pooled() -> None:
    hole_small = np.zeros((4, 6), np.bool_)
    hole_small[0, 0] = True
    hole_large = np.zeros((4, 6), np.bool_)
    hole_large[1:3, 1:4] = True
    found = [flat(10), flat(20)]
    truth = [flat(13), flat(20)]
    found[1][hole_large] = 21
    found[1][3, 5] = 200  # outside the hole
    pooled = (9 * 1 + 1 * 6) / 7
    wanted = 10 * math.log10(255**2 / pooled)
    assert psnr_in_hole(found, truth, [hole_small, hole_large]) == pytest.approx(wanted, abs=TOLERANCE["metrics", "db"])


def test_a_clip_without_a_hole_has_no_psnr() -> None:
    with pytest.raises(ValueError, match="no frame has a hole"):
        psnr_in_hole([flat(0)], [flat(0)], [np.zeros((4, 6), np.bool_)])


def test_pictures_of_different_sizes_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="cannot be compared"):
        psnr(flat(0), flat(0, width=5))


def test_clips_of_different_lengths_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="shorter"):
        psnr_in_hole([flat(0)], [], [])


def test_what_follows_the_motion_does_not_flicker() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (8, 12, 3)).astype(np.uint8)
    moved = np.roll(picture, -2, axis=1)  # the camera goes right: what was at column x + 2 is now at column x
    motion = np.zeros((8, 12, 2), np.float32)
    motion[..., 0] = 2
    hole = np.ones((8, 12), np.bool_)
    assert warping_error([picture, moved], [motion], [hole, hole]) == 0
    assert warping_error([picture, moved], [np.zeros_like(motion)], [hole, hole]) > 0


@pytest.mark.parametrize("flow", [(0.5, 0.0), (-0.5, 0.25), (1.4, -0.7)])
def test_an_even_picture_does_not_flicker_at_its_edges_either(flow: tuple[float, float]) -> None:
    motion = np.broadcast_to(np.array(flow, np.float32), (8, 12, 2))
    hole = np.ones((8, 12), np.bool_)
    even = np.full((8, 12, 3), 200, np.uint8)
    assert warping_error([even, even], [motion], [hole, hole]) == pytest.approx(0, abs=TOLERANCE["metrics", "levels"])


def test_a_warping_error_is_counted_in_levels_inside_the_later_hole() -> None:
    hole = np.zeros((4, 6), np.bool_)
    hole[1:3, 1:3] = True
    now = np.where(hole[..., None], flat(107), flat(0)).astype(np.uint8)
    still = [np.zeros((4, 6, 2), np.float32)]
    assert warping_error([flat(100), now], still, [~hole, hole]) == pytest.approx(7, abs=TOLERANCE["metrics", "db"])


def test_a_clip_without_a_pixel_to_compare_has_no_warping_error() -> None:
    away = [np.full((4, 6, 2), 100, np.float32)]
    assert math.isnan(warping_error([flat(1), flat(2)], away, [np.ones((4, 6), np.bool_)] * 2))
    with pytest.raises(ValueError, match=r"shorter|longer"):
        warping_error([flat(1), flat(2)], [], [np.ones((4, 6), np.bool_)] * 2)


def test_the_distance_of_single_features_is_that_of_means_and_deviations() -> None:
    first, second = np.array([[1.0], [2.0], [6.0]]), np.array([[10.0], [14.0]])
    # means 3 and 12, unbiased variances 7 and 8
    wanted = (3 - 12) ** 2 + (math.sqrt(7) - math.sqrt(8)) ** 2
    assert frechet_distance(first, second) == pytest.approx(wanted, abs=TOLERANCE["metrics", "frechet"])


@pytest.mark.parametrize("clips", [3, 40], ids=["fewer than features", "more"])
def test_the_distance_is_that_of_the_written_formula(clips: int) -> None:
    generator = np.random.default_rng(clips)
    first = generator.normal(size=(clips, 6)) @ generator.normal(size=(6, 6))
    second = generator.normal(1, 2, (clips + 2, 6))
    apart = first.mean(0) - second.mean(0)
    one, other = np.cov(first, rowvar=False), np.cov(second, rowvar=False)
    # the trace of a root is the sum of the roots of the eigenvalues; rounding leaves some just below zero
    root = np.sqrt(np.clip(np.linalg.eigvals(one @ other).real, 0, None)).sum()
    wanted = apart @ apart + np.trace(one) + np.trace(other) - 2 * root
    assert frechet_distance(first, second) == pytest.approx(wanted, rel=TOLERANCE["metrics", "frechet by eigenvalues"])


def test_equal_features_are_at_no_distance() -> None:
    features = np.random.default_rng(0).normal(size=(5, 400)).astype(np.float32)
    assert frechet_distance(features, features) == pytest.approx(0, abs=TOLERANCE["metrics", "frechet"])


@pytest.mark.parametrize("shape", [(1, 4), (3, 5)], ids=["one clip", "another network"])
def test_what_has_no_covariance_or_other_features_has_no_distance(shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="two or more"):
        frechet_distance(np.zeros((3, 4)), np.zeros(shape))
