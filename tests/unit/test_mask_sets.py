"""Where the holes of an evaluation come from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from calib.mask_sets import DILATIONS, MASK_SETS, Wanted, check_masks, holes_of
from runtime.errors import UsageError
from runtime.frame import Hole
from tests.clips import Clip, write_clip

WIDTH, HEIGHT = 64, 48


def write_masked(folder: Path, name: str, holes: list[Hole]) -> Path:
    """A clip of as many frames as it has masks."""
    masks = folder / f"{name}_mask"
    masks.mkdir()
    for index, hole in enumerate(holes):
        Image.fromarray(hole).save(masks / f"{index}.png")
    return write_clip(folder / f"{name}.mp4", Clip(WIDTH, HEIGHT, frames=len(holes)))


def point(x: int, y: int) -> Hole:
    hole = np.zeros((HEIGHT, WIDTH), np.bool_)
    hole[y, x] = True
    return hole


def diamond(x: int, y: int, width: int = WIDTH, height: int = HEIGHT) -> Hole:
    """What a 3x3 cross makes of a point in `DILATIONS` steps."""
    rows, columns = np.mgrid[0:height, 0:width]
    return np.asarray(abs(rows - y) + abs(columns - x) <= DILATIONS, np.bool_)


def wanted_of(clip: Path, lender: Path | None = None, frames: int = 3) -> Wanted:
    return Wanted(clip, lender or clip, frames, WIDTH, HEIGHT, seed=5)


def test_a_clips_own_masks_are_dilated_by_four_crosses(tmp_path: Path) -> None:
    clip = write_masked(tmp_path, "clip", [point(20, 20), point(30, 25), ~np.ones((HEIGHT, WIDTH), np.bool_)])
    holes = holes_of("own", wanted_of(clip))
    assert DILATIONS == 4
    assert (holes[0] == diamond(20, 20)).all()
    assert (holes[1] == diamond(30, 25)).all()
    assert not holes[2].any()


def test_masks_come_to_another_size_by_the_nearest_pixel_before_they_grow(tmp_path: Path) -> None:
    clip = write_masked(tmp_path, "clip", [point(20, 20)])
    (hole,) = holes_of("own", replace(wanted_of(clip, frames=1), width=2 * WIDTH, height=2 * HEIGHT))
    grown = [diamond(x, y, 2 * WIDTH, 2 * HEIGHT) for x in (40, 41) for y in (40, 41)]
    assert (hole == np.logical_or.reduce(grown)).all()


def test_borrowed_masks_begin_again_where_the_lender_is_shorter(tmp_path: Path) -> None:
    clip = write_masked(tmp_path, "clip", [point(5, 5)] * 5)
    lender = write_masked(tmp_path, "lender", [point(20, 20), point(40, 30)])
    holes = holes_of("other", wanted_of(clip, lender, frames=5))
    places = [(20, 20), (40, 30), (20, 20), (40, 30), (20, 20)]
    assert all((hole == diamond(*place)).all() for hole, place in zip(holes, places, strict=True))


def test_no_more_masks_are_taken_than_frames(tmp_path: Path) -> None:
    clip = write_masked(tmp_path, "clip", [point(20, 20), point(40, 30)])
    assert len(holes_of("own", wanted_of(clip, frames=1))) == 1


def test_a_stationary_shape_stays_and_a_random_one_can_move() -> None:
    clip = Path("clip.mp4")
    still = holes_of("stationary", wanted_of(clip, frames=6))
    assert all((hole == still[0]).all() for hole in still)
    assert len(still) == 6
    seeds = [replace(wanted_of(clip, frames=6), seed=seed) for seed in range(8)]
    moved = [not (holes_of("random", wanted)[-1] == holes_of("random", wanted)[0]).all() for wanted in seeds]
    assert any(moved)
    assert not all(moved)


@pytest.mark.parametrize("name", ["stationary", "random"])
def test_shapes_follow_from_the_seed_and_the_clips_name_alone(name: str) -> None:
    wanted = wanted_of(Path("one/clip.mp4"))
    first = np.stack(holes_of(name, wanted))
    again = np.stack(holes_of(name, replace(wanted, clip=Path("two/clip.mkv"), lender=Path("x.mp4"))))
    assert (first == again).all()
    assert not (first == np.stack(holes_of(name, replace(wanted, seed=6)))).all()
    assert not (first == np.stack(holes_of(name, replace(wanted, clip=Path("clap.mp4"))))).all()


def test_the_two_kinds_of_shape_differ() -> None:
    wanted = wanted_of(Path("clip.mp4"))
    assert not (holes_of("stationary", wanted)[0] == holes_of("random", wanted)[0]).all()


def test_a_single_clip_has_nobody_to_borrow_from() -> None:
    with pytest.raises(UsageError, match=r"--masks other: clip.mp4 is the only clip"):
        check_masks(["stationary", "other"], [Path("clip.mp4")])


@pytest.mark.parametrize("name", MASK_SETS)
def test_missing_masks_are_noticed_before_any_work_where_they_are_needed(name: str, tmp_path: Path) -> None:
    clips = [write_masked(tmp_path, "one", [point(5, 5)]), write_clip(tmp_path / "two.mp4", Clip(WIDTH, HEIGHT))]
    check_masks([name], [clips[0], clips[0]])
    if name in ("own", "other"):
        with pytest.raises(UsageError, match=r"two.mp4: no mask beside it"):
            check_masks([name], clips)
    else:
        check_masks([name], clips)


@pytest.mark.parametrize("name", ["own", "other"])
def test_masks_that_are_not_there_are_named(name: str, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", Clip(WIDTH, HEIGHT, frames=2))
    with pytest.raises(UsageError, match=r"clip.mp4: no mask beside it; wanted clip_mask/"):
        holes_of(name, wanted_of(clip, clip, frames=2))


def test_masks_without_a_hole_measure_nothing(tmp_path: Path) -> None:
    clip = write_masked(tmp_path, "clip", [np.zeros((HEIGHT, WIDTH), np.bool_)] * 2)
    with pytest.raises(UsageError, match=r"--masks own: empty in all 2 frames"):
        holes_of("own", wanted_of(clip, frames=2))


def test_the_sets_are_those_of_the_command_line() -> None:
    assert list(MASK_SETS) == ["own", "other", "stationary", "random"]
