"""Where fills are moved to continue the picture: in runs, unless told, and never in the published protocol."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from runtime import backends
from runtime.bundle import read_bundle
from runtime.cli import main
from runtime.frame import RGB
from runtime.program import Backend
from runtime.seam import seamless
from runtime.session import Restored, Session, Settings
from tests.clips import Clip, write_clip
from tests.pictures import as_clip, moving_holes, moving_pictures, picture_of, whole
from tests.stand_in_cuda import FakeCuda, MixingOnCuda, installed
from tests.stand_ins import Counting
from tests.tiny import HEIGHT, WIDTH

FRAMES = 12
WHOLE = whole(WIDTH, HEIGHT)
PLAIN = np.full((HEIGHT, WIDTH, 3), (200, 90, 30), np.uint8)
GREY = 128  # what a network paints that gives zeros


def restored(bundle: Path, backend: Backend, settings: Settings, pictures: Sequence[RGB]) -> list[Restored]:
    holes = moving_holes(len(pictures), WIDTH, HEIGHT)
    with Session(read_bundle(bundle), backend, settings) as session:
        return list(session.restore(as_clip(pictures, holes), WHOLE))


@pytest.mark.parametrize("smooth", [0, 1])
def test_in_a_plain_picture_nothing_is_left_to_see(smooth: int, any_window: Path) -> None:
    """Nor of what lay in the hole, which is black."""
    holes = moving_holes(FRAMES, WIDTH, HEIGHT)
    marked = [np.where(hole[..., None], np.uint8(0), PLAIN) for hole in holes]
    done = restored(any_window, Counting(), Settings(smooth=smooth), marked)
    assert all((picture_of(item.frame) == PLAIN).all() for item in done)


@pytest.mark.parametrize(
    "settings", [Settings(seamless=False), Settings("reference")], ids=["not asked for", "the published protocol"]
)
def test_else_a_fill_is_what_the_network_painted(settings: Settings, any_window: Path) -> None:
    for item in restored(any_window, Counting(), settings, [PLAIN] * FRAMES):
        (patch,) = item.patches
        assert set(picture_of(item.frame)[patch.hole].ravel()) <= {GREY - 1, GREY}


def test_each_fill_is_moved_by_itself(any_window: Path) -> None:
    pictures = moving_pictures(FRAMES, WIDTH, HEIGHT)
    backend = backends.get("onnxruntime")
    moved = restored(any_window, backend, Settings(), pictures)
    for one, other in zip(moved, restored(any_window, backend, Settings(seamless=False), pictures), strict=True):
        (found,), (painted,) = one.patches, other.patches
        assert (found.fill == seamless(painted).fill).all()
        assert (found.fill[found.hole] != painted.fill[found.hole]).any()
        assert (picture_of(one.frame)[found.hole] == found.fill[found.hole]).all()


def test_on_a_gpu_views_come_back_as_the_encoders_input(any_window: Path) -> None:
    pictures = moving_pictures(FRAMES, WIDTH, HEIGHT)
    cuda = FakeCuda()
    with installed(cuda):
        moved = restored(any_window, MixingOnCuda(cuda), Settings(), pictures)
        painted = restored(any_window, MixingOnCuda(cuda), Settings(seamless=False), pictures)
    for picture, one, other in zip(pictures, moved, painted, strict=True):
        (found,), (left,) = one.patches, other.patches
        assert left.shown is None
        assert (found.view[~found.hole] == picture[~found.hole]).all()
        assert (found.fill == seamless(replace(left, shown=picture)).fill).all()


@pytest.mark.parametrize(("asked", "told"), [((), "moved to continue"), (("--no-seamless",), "as the network painted")])
def test_infer_takes_it_and_the_report_says_which(asked: tuple[str, ...], told: str, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", Clip(frames=3))
    mask = np.zeros((48, 64), np.uint8)
    mask[10:30, 20:44] = 255
    Image.fromarray(mask).save(tmp_path / "clip_mask.png")
    report = tmp_path / "report.html"
    out = tmp_path / "out" / "%05d.png"
    assert main([str(clip), "--backend", "null", "--out", str(out), "--report", str(report), *asked]) == 0
    assert told in report.read_text(encoding="utf-8")
    inside = np.asarray(Image.open(tmp_path / "out" / "00000.png"))[14:26, 24:40].astype(int)
    flat = np.ptp(inside, axis=(0, 1)).max() <= 1
    assert flat == bool(asked)  # zeros are one grey, and no grey at all once they continue the picture
