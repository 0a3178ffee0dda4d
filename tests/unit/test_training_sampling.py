"""Which frames a sample shows, and which part of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from models._spec import Size
from tests.pictures import moving_pictures
from tests.tolerances import TOLERANCE
from training.sampling import flipped_or_not, random_crop, resized, sample_indices

SEEDS = st.integers(0, 2**32)


@given(SEEDS, st.integers(1, 40), st.integers(0, 200))
def test_frames_are_different_ones_of_the_clip_in_order(seed: int, frames: int, more: int) -> None:
    indices = sample_indices(np.random.default_rng(seed), frames + more, frames)
    assert len(set(indices)) == frames
    assert indices == tuple(sorted(indices))
    assert indices[0] >= 0
    assert indices[-1] < frames + more


def test_half_of_the_samples_are_neighbours_and_every_frame_has_its_turn() -> None:
    generator, runs, seen = np.random.default_rng(1), 0, np.zeros(30)
    for _ in range(2000):
        indices = sample_indices(generator, 30, 5)
        runs += indices[-1] - indices[0] == 4
        seen[list(indices)] += 1
    assert runs / 2000 == pytest.approx(0.5, abs=TOLERANCE["sampling", "share"])
    # Half of the samples give each frame 5 chances in 30; a run reaches the first and the last frame in 1 of 26 places.
    expected = 1000 * 5 / 30 + 1000 * np.minimum(np.minimum(np.arange(1, 31), np.arange(30, 0, -1)), 5) / 26
    assert seen / expected == pytest.approx(1, abs=TOLERANCE["sampling", "of the expected count"])


def test_neighbours_may_be_a_step_apart() -> None:
    """Every step to the most occurs about as often, all frames of the clip are reached, and room bounds the step."""
    generator = np.random.default_rng(3)
    drawn = [sample_indices(generator, 60, 5, apart=4) for _ in range(2000)]
    steps = [set(np.diff(indices)) for indices in drawn]
    even = [step.pop() for step in steps if len(step) == 1]
    counts = np.bincount(even, minlength=5)[1:5]
    assert counts / 250 == pytest.approx(1, abs=TOLERANCE["sampling", "of the expected count"])
    assert {index for indices in drawn for index in indices} == set(range(60))
    tight = [np.diff(sample_indices(generator, 10, 5, apart=40)) for _ in range(200)]
    assert {int(step) for steps in tight if len(set(steps)) == 1 for step in steps} == {1, 2}
    assert sample_indices(generator, 7, 1, apart=9)[0] in range(7)


def test_more_frames_than_the_clip_has_are_refused() -> None:
    with pytest.raises(ValueError, match="6 frames of a clip of 5; wanted 1 to 5"):
        sample_indices(np.random.default_rng(0), 5, 6)


@given(SEEDS, *[st.integers(16, 2000)] * 2, *[st.integers(150, 600)] * 2, st.floats(0.5, 1))
def test_a_crop_lies_in_the_picture_in_the_samples_proportions(
    seed: int, width: int, height: int, wide: int, high: int, smallest: float
) -> None:
    left, top, right, bottom = random_crop(np.random.default_rng(seed), Size(width, height), Size(wide, high), smallest)
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height
    scale = (right - left) / wide
    assert abs((bottom - top) - scale * high) <= (1 + high / wide) / 2  # both sides are rounded to a pixel
    if width >= wide and height >= high:
        assert right - left >= wide
        assert bottom - top >= high
    largest = min(width / wide, height / high)
    assert right - left + 1 >= smallest * largest * wide


def test_crops_differ_in_size_and_place_and_the_largest_leaves_nothing_of_a_side() -> None:
    generator = np.random.default_rng(2)
    boxes = {random_crop(generator, Size(480, 270), Size(160, 90), 0.5) for _ in range(50)}
    widths = {right - left for left, _, right, _ in boxes}
    assert min(widths) < 280
    assert max(widths) > 440
    assert len(boxes) > 45
    assert random_crop(generator, Size(480, 270), Size(160, 90), 1.0) == (0, 0, 480, 270)
    assert random_crop(generator, Size(100, 45), Size(200, 90), 0.5) == (0, 0, 100, 45)  # too small: all of it


def test_a_crop_is_resized_as_the_product_resizes() -> None:
    (picture,) = moving_pictures(1, 90, 60)
    image = Image.fromarray(picture)
    small = resized(image, (10, 4, 70, 44), Size(30, 20))
    assert small.shape == (20, 30, 3)
    whole = np.asarray(image.crop((10, 4, 70, 44)).resize((30, 20), Image.Resampling.BICUBIC))
    assert np.array_equal(small[3:-3, 3:-3], whole[3:-3, 3:-3])  # at the edges the box knows its surroundings
    assert np.array_equal(resized(image, (10, 4, 70, 44), Size(60, 40)), picture[4:44, 10:70])


def test_half_of_the_clips_are_mirrored_as_a_whole() -> None:
    generator = np.random.default_rng(3)
    frames = np.stack(moving_pictures(3, 20, 10))
    found = [flipped_or_not(generator, frames) for _ in range(600)]
    mirrored = [not np.array_equal(clip, frames) for clip in found]
    assert np.mean(mirrored) == pytest.approx(0.5, abs=TOLERANCE["sampling", "share"])
    assert np.array_equal(found[mirrored.index(True)], frames[:, :, ::-1])
