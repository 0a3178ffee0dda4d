"""Motion that is estimated, against motion that is known."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from calib.metrics import warping_error
from calib.motion import STEP, camera_move, estimated_motions
from runtime.frame import RGB
from tests.tolerances import TOLERANCE


def texture(seed: int, height: int = 96, width: int = 128) -> RGB:
    """Soft noise with detail of some pixels."""
    noise = np.random.default_rng(seed).normal(128, 200, (height, width, 3))
    return np.clip(cv2.GaussianBlur(noise, (0, 0), 2.5), 0, 255).astype(np.uint8)


def test_a_shift_is_found() -> None:
    wide = texture(0, 112, 144)
    before, now = wide[8:104, 8:136], wide[5:101, 12:140]  # what is now at (x, y) was at (x + 4, y - 3)
    (motion,) = estimated_motions([before, now])
    inner = motion.flow[12:-12, 12:-12]
    assert np.median(np.abs(inner[..., 0] - 4)) < TOLERANCE["motion", "pixels"]
    assert np.median(np.abs(inner[..., 1] + 3)) < TOLERANCE["motion", "pixels"]
    assert motion.visible[12:-12, 12:-12].mean() > TOLERANCE["motion", "share found visible"]


def test_what_was_covered_counts_as_hidden() -> None:
    background, square = texture(1), texture(2)[:40, :40]
    before, now = background.copy(), background.copy()
    before[30:70, 30:70] = square
    now[30:70, 42:82] = square  # it uncovers columns 30 to 42
    (motion,) = estimated_motions([before, now])
    assert 1 - motion.visible[34:66, 32:40].mean() > TOLERANCE["motion", "share found hidden"]
    assert motion.visible[:, 104:].mean() > TOLERANCE["motion", "share found visible"]


def test_a_clip_of_one_frame_has_no_motion() -> None:
    assert list(estimated_motions([texture(0)])) == []


@pytest.mark.parametrize("shape", [(96, 128), (300, 90), (20, 30)], ids=["alike", "upright", "small"])
def test_the_camera_never_leaves_its_picture(shape: tuple[int, int]) -> None:
    windows, motions = camera_move(np.full((*shape, 3), 200, np.uint8), (128, 96), 12)
    assert len(windows) == 12
    assert len(motions) == 11
    for window in windows:
        assert window.shape == (96, 128, 3)
        assert (window == 200).all()


def test_the_motion_of_the_camera_is_the_one_that_is_told() -> None:
    windows, motions = camera_move(texture(3, 240, 320), (128, 96), 5)
    assert all((motion.flow == np.array(STEP, np.float32)).all() for motion in motions)
    holes = [np.ones((96, 128), np.bool_)] * 5
    told = warping_error(windows, [motion.flow for motion in motions], holes)
    assert told < TOLERANCE["motion", "levels of softening"]
    assert warping_error(windows, [-motion.flow for motion in motions], holes) > 5 * told
