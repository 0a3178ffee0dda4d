"""Previews: what is drawn lies where the viewer sees it."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from runtime.errors import InputError, OutputError
from runtime.frame import Frame, Hole
from runtime.patch import Crop
from runtime.preview import write_preview
from runtime.regions import Region
from runtime.stills import HOLE_COLOUR
from tests.reported import INFO, frame_of
from tests.tolerances import TOLERANCE

WIDTH, HEIGHT = 640, 320
PICTURE = (64, 32)
LARGE = replace(INFO, width=WIDTH, height=HEIGHT)
PAPER = 24 + 256 * 26 + 65536 * 28

Pixels = npt.NDArray[np.uint8]


def frame(index: int = 0) -> Frame:
    return frame_of(index, WIDTH, HEIGHT)


def hole_of(left: int, top: int, width: int, height: int) -> Hole:
    hole = np.zeros((HEIGHT, WIDTH), np.bool_)
    hole[top : top + height, left : left + width] = True
    return hole


def sheet(path: Path) -> Pixels:
    return np.asarray(Image.open(path))


def boxes(found: npt.NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Left, top, width and height of what is True."""
    rows, columns = np.flatnonzero(found.any(axis=1)), np.flatnonzero(found.any(axis=0))
    return int(columns[0]), int(rows[0]), int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1


def tinted(picture: Pixels) -> npt.NDArray[np.bool_]:
    """Where red is far above green."""
    return picture[..., 0].astype(int) - picture[..., 1] > 40


def panel_of(picture: Pixels) -> tuple[int, int, int, int]:
    """Where the only frame lies: the rows and columns that hold much of the commonest colour beside the paper's."""
    levels = picture.astype(int) @ (1, 256, 65536)
    colours, counts = np.unique(levels, return_counts=True)
    grey = next(colour for _, colour in sorted(zip(-counts, colours, strict=True)) if colour != PAPER)
    like = levels == grey
    return boxes((like.sum(axis=1) > 99)[:, None] & (like.sum(axis=0) > 99))


@pytest.mark.parametrize("turns", range(4))
def test_the_hole_is_tinted_where_the_viewer_sees_it(tmp_path: Path, turns: int) -> None:
    hole = hole_of(80, 40, 160, 80)
    info = replace(LARGE, rotation=90 * turns)
    write_preview(tmp_path / "look.png", [(frame(), hole)], (), info, PICTURE)
    picture = sheet(tmp_path / "look.png")
    left, top, width, height = panel_of(picture)
    seen = np.rot90(hole, turns)
    assert (width, height) == seen.shape[::-1]
    rim = TOLERANCE["preview", "pixels of the rim"]
    assert boxes(tinted(picture)[top : top + height, left : left + width]) == pytest.approx(boxes(seen), abs=2 * rim)
    edges = np.all(picture == HOLE_COLOUR, axis=-1)
    assert edges.any()


def test_regions_are_drawn_in_the_frames_in_which_they_are_active(tmp_path: Path) -> None:
    region = Region(Crop(160, 80, 320, 160), 1, 1)
    write_preview(tmp_path / "look.png", [(frame(index), None) for index in range(3)], (region,), LARGE, PICTURE)
    picture = sheet(tmp_path / "look.png")
    below = slice(40, None)  # the heading
    white = np.all(picture[below] == 255, axis=-1)
    half = picture.shape[1] // 2
    assert not white[:, :half].any()  # frames 0 and 2 stand on the left
    left, top, width, height = boxes(white[:, half:] & (np.cumsum(white[:, half:], axis=0) > 0))
    assert (width, height) == pytest.approx((320, 160), abs=TOLERANCE["preview", "pixels of the rim"] * 2)
    assert left > 160
    assert top > 80


@pytest.mark.parametrize(("width", "height"), [(640, 2), (2, 960), (2, 320), (960, 4)])
def test_a_frame_of_a_few_rows_or_columns_has_a_preview(tmp_path: Path, width: int, height: int) -> None:
    info = replace(INFO, width=width, height=height)
    region = Region(Crop(width // 2, height // 2, 1, 1))
    everything = Region(Crop(0, 0, width, height))
    write_preview(tmp_path / "look.png", [(frame_of(0, width, height), None)], (region, everything), info, PICTURE)
    picture = sheet(tmp_path / "look.png")
    assert np.all(picture == 255, axis=-1).any()
    assert picture.shape[0] <= 1080


def test_wide_samples_make_a_wide_picture(tmp_path: Path) -> None:
    write_preview(tmp_path / "look.png", [(frame(), None)], (), replace(LARGE, sample_aspect=Fraction(2)), PICTURE)
    assert panel_of(sheet(tmp_path / "look.png"))[2:] == (2 * WIDTH, HEIGHT)


@pytest.mark.parametrize(
    ("count", "width", "rotation", "tallest"),
    [
        (1, 3840, 0, 1080),
        (1, 3840, 90, 1080),
        (2, 3840, 0, 600),
        (5, 3840, 270, 2100),
        (7, 3840, 0, 2200),
        (3, 64, 0, 700),
    ],
)
def test_a_sheet_stays_a_size_that_can_be_looked_at(
    tmp_path: Path, count: int, width: int, rotation: int, tallest: int
) -> None:
    frames = [(frame_of(index, width, width // 2), None) for index in range(count)]
    info = replace(INFO, width=width, height=width // 2, rotation=rotation)
    write_preview(tmp_path / "look.png", frames, (), info, PICTURE)
    rows, columns = sheet(tmp_path / "look.png").shape[:2]
    assert 480 <= columns <= 1920
    assert 240 <= rows <= tallest


def test_a_preview_is_whole_or_not_there(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"away.look\.png"):
        write_preview(tmp_path / "away" / "look.png", [(frame(), None)], (), LARGE, PICTURE)
    with pytest.raises(InputError, match="nothing to preview"):
        write_preview(tmp_path / "look.png", [], (), LARGE, PICTURE)
    assert not list(tmp_path.iterdir())
