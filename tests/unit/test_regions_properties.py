"""What holds of every plan of regions, whatever the mask does."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from runtime.frame import Hole, MaskRun
from runtime.regions import MAX_ACTIVE, MAX_TILES, Canvas, Choice, Region, plan

PICTURES = [(32, 16), (16, 16), (24, 40), (108, 60)]
MODES = ["auto", "full", "tiles"]
STEPS = [1.0, 1.25, 1.5, 2.0, 3.0, 4.5, 9.0]


@st.composite
def canvases(draw: st.DrawFn, longest: int = 200) -> Canvas:
    width, height = draw(st.integers(1, longest)), draw(st.integers(1, longest))
    return Canvas(width, height, draw(st.integers(0, 2)), draw(st.integers(0, 2)), draw(st.integers(0, 3)))


@st.composite
def clips(draw: st.DrawFn, canvas: Canvas) -> list[MaskRun]:
    """Frames and corners that come, move, meet and go, with pauses in between; at times an old hole comes back."""
    random = np.random.default_rng(draw(st.integers(0, 9999)))
    pieces = draw(st.integers(0, 4))
    boxes = [
        random.integers(0, [canvas.width, canvas.height, canvas.width // 2 + 1, canvas.height // 2 + 1])
        for _ in range(pieces)
    ]
    speeds = [random.integers(-9, 10, 2) for _ in range(pieces)]
    runs: list[MaskRun] = []
    first = draw(st.integers(0, 5))
    for number in range(draw(st.integers(0, 8))):
        hole = np.zeros((canvas.height, canvas.width), np.bool_)
        for (x, y, width, height), (right, down) in zip(boxes, speeds, strict=True):
            if random.random() < 0.8:
                left, top = max(0, x + number * right), max(0, y + number * down)
                hole[top : top + 1 + height, left : left + 1 + width // 9] = True  # an L on its head
                hole[top : top + 1 + height // 9, left : left + 1 + width] = True
        if runs and random.random() < 0.2:
            hole = runs[0].hole
        last = first + int(random.choice([0, 0, 3, 40]))
        runs.append(MaskRun(first, last, hole))
        first = last + int(random.choice([1, 1, 2, 30, 70]))
    if runs and draw(st.booleans()):
        runs[-1] = MaskRun(runs[-1].first, None, runs[-1].hole)
    return runs


@st.composite
def cases(draw: st.DrawFn, longest: int = 200) -> tuple[Canvas, list[MaskRun], tuple[int, int]]:
    canvas = draw(canvases(longest))
    return canvas, draw(clips(canvas)), draw(st.sampled_from(PICTURES))


def choices() -> st.SearchStrategy[Choice]:
    return st.builds(Choice, st.sampled_from(MODES), st.sampled_from(STEPS), st.sampled_from([0.3, 0.5, 0.75]))


def active(regions: tuple[Region, ...], run: MaskRun) -> Iterator[Region]:
    """The regions that are there in all frames of the run."""
    for region in regions:
        ends = region.last is None or (run.last is not None and run.last <= region.last)
        if region.first <= run.first and ends:
            yield region


def held(regions: tuple[Region, ...], run: MaskRun, rim: float = 0.0) -> Hole:
    """Where a pixel lies in a region in every frame of the run, `rim` of the crop's size away from its inner edges."""
    inside = np.zeros_like(run.hole)
    rows, columns = run.hole.shape
    for region in active(regions, run):
        crop = region.crop
        across, down = int(crop.width * rim), int(crop.height * rim)
        left = crop.left + across if crop.left else 0
        top = crop.top + down if crop.top else 0
        right = crop.right - across if crop.right < columns else columns
        bottom = crop.bottom - down if crop.bottom < rows else rows
        inside[top : max(top, bottom), left : max(left, right)] = True
    return inside


@settings(max_examples=150)
@given(cases(), choices())
def test_every_hole_pixel_lies_in_a_region_that_is_there_then(
    case: tuple[Canvas, list[MaskRun], tuple[int, int]], choice: Choice
) -> None:
    canvas, runs, picture = case
    regions = plan(runs, canvas, picture, choice)
    for run in runs:
        assert not (run.hole & ~held(regions, run)).any()


@settings(max_examples=100)
@given(cases(), choices())
def test_some_crop_shows_the_surroundings_of_every_hole_pixel(
    case: tuple[Canvas, list[MaskRun], tuple[int, int]], choice: Choice
) -> None:
    canvas, runs, picture = case
    regions = plan(runs, canvas, picture, choice)
    for run in runs:
        assert not (run.hole & ~held(regions, run, rim=1 / 20)).any()  # wanted: an eighth less what grids round away


@settings(max_examples=150)
@given(cases(), choices())
def test_crops_lie_inside_the_frame_and_on_its_chroma_grid(
    case: tuple[Canvas, list[MaskRun], tuple[int, int]], choice: Choice
) -> None:
    canvas, runs, picture = case
    across, down = 1 << canvas.chroma_shift_x, 1 << canvas.chroma_shift_y
    for region in plan(runs, canvas, picture, choice):
        crop = region.crop
        assert crop.turns == canvas.turns
        assert 0 <= crop.left < crop.right <= canvas.width
        assert 0 <= crop.top < crop.bottom <= canvas.height
        assert crop.left % across == crop.top % down == 0
        assert crop.right % across == 0 or crop.right == canvas.width
        assert crop.bottom % down == 0 or crop.bottom == canvas.height


@settings(max_examples=100)
@given(cases(), choices())
def test_a_region_begins_and_ends_with_a_hole_inside_it(
    case: tuple[Canvas, list[MaskRun], tuple[int, int]], choice: Choice
) -> None:
    canvas, runs, picture = case
    for region in plan(runs, canvas, picture, choice):
        crop = region.crop
        rows, columns = slice(crop.top, crop.bottom), slice(crop.left, crop.right)
        inside = [run for run in runs if run.hole[rows, columns].any()]
        assert region.first in [run.first for run in inside]
        assert region.last in [run.last for run in inside]


@settings(max_examples=100)
@given(cases(), choices())
def test_the_same_masks_give_the_same_plan(case: tuple[Canvas, list[MaskRun], tuple[int, int]], choice: Choice) -> None:
    canvas, runs, picture = case
    copies = (MaskRun(run.first, run.last, run.hole.copy()) for run in runs)
    assert plan(copies, canvas, picture, choice) == plan(runs, canvas, picture, choice)


@settings(max_examples=150)
@given(cases(longest=80), st.sampled_from(STEPS), st.sampled_from(STEPS))
def test_growing_max_upscale_never_gives_more_regions(
    case: tuple[Canvas, list[MaskRun], tuple[int, int]], one: float, other: float
) -> None:
    canvas, runs, picture = case
    smaller, larger = (len(plan(runs, canvas, picture, Choice(max_upscale=most))) for most in sorted((one, other)))
    assume(smaller <= MAX_ACTIVE)  # beyond it the number that is active at a time is what counts
    assert larger <= smaller


@settings(max_examples=100)
@given(cases(longest=80), st.sampled_from(STEPS))
def test_no_crop_is_shrunk_more_than_max_upscale(
    case: tuple[Canvas, list[MaskRun], tuple[int, int]], most: float
) -> None:
    canvas, runs, picture = case
    wide, tall = picture if canvas.turns % 2 == 0 else picture[::-1]
    regions = plan(runs, canvas, picture, Choice(max_upscale=most))
    assume(len(plan(runs, canvas, picture, Choice(max_upscale=1.0))) <= MAX_ACTIVE)
    for region in regions:
        assert region.crop.width <= wide * most + 2 * (1 << canvas.chroma_shift_x)
        assert region.crop.height <= tall * most + 2 * (1 << canvas.chroma_shift_y)


@pytest.mark.parametrize(("mode", "most"), [("auto", MAX_ACTIVE), ("tiles", MAX_TILES), ("full", 1)])
@pytest.mark.parametrize("dots", [20, 300])
def test_few_regions_are_there_at_a_time_however_many_pieces(mode: str, most: int, dots: int) -> None:
    canvas, random = Canvas(1920, 1080, 1, 1), np.random.default_rng(7)
    runs: list[MaskRun] = []
    for first in range(0, 20, 4):
        hole = np.zeros((canvas.height, canvas.width), np.bool_)
        for x, y in zip(random.integers(0, 1910, dots), random.integers(0, 1070, dots), strict=True):
            hole[y : y + 6, x : x + 6] = True
        runs.append(MaskRun(first, first + 3, hole))
    regions = plan(runs, canvas, (432, 240), Choice(mode=mode))  # pyright: ignore[reportArgumentType]
    for run in runs:
        assert not (run.hole & ~held(regions, run)).any()
        assert 1 <= sum(region.first <= run.first <= (region.last or 0) for region in regions) <= most
