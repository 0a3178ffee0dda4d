"""The committed demo clip is what its script makes, and its ground truth is one."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import ModuleType

import numpy as np
import numpy.typing as npt
import pytest

from runtime.frame import Frame
from runtime.masks import Request, find_mask_beside, open_masks
from runtime.video import VideoReader
from tests.tolerances import TOLERANCE

FOLDER = Path(__file__).resolve().parents[2] / "assets" / "demo"
SIZE_BYTES = 1_500_000
SOME = (0, 7, 15, 22, 29)  # frames; drawing all of them takes a while


@pytest.fixture(scope="module")
def script() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("make_demo", FOLDER / "make_demo.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    module.badge.cache_clear()
    module.balloon.cache_clear()


@pytest.fixture(scope="module")
def damaged() -> list[Frame]:
    return _read("city.mp4")


@pytest.fixture(scope="module")
def clean() -> list[Frame]:
    return _read("city_clean.mp4")


@pytest.fixture(scope="module")
def holes() -> list[npt.NDArray[np.bool_]]:
    with VideoReader(FOLDER / "city.mp4") as reader:
        path = find_mask_beside(FOLDER / "city.mp4")
        assert path is not None
        assert path == FOLDER / "city_mask.mp4"
        masks = open_masks(Request(masks=(path,)), reader.info)
        read = [masks.read(index, index / 10) for index in range(30)]
        masks.finish(30)
        masks.close()
    return [hole for hole in read if hole is not None]


def test_clip_truth_and_mask_fit_each_other(
    damaged: list[Frame], clean: list[Frame], holes: list[npt.NDArray[np.bool_]]
) -> None:
    assert len(damaged) == len(clean) == len(holes) == 30
    shapes = {frame.planes[0].shape for frame in (*damaged, *clean)} | {hole.shape for hole in holes}
    assert shapes == {(404, 720)}
    assert [frame.pts for frame in damaged] == [frame.pts for frame in clean]
    with VideoReader(FOLDER / "city.mp4") as reader:
        assert reader.info.rate == Fraction(10)
        assert reader.info.colour.matrix == 6
        assert not reader.info.colour.full_range


def test_the_mask_is_exactly_what_the_script_says(script: ModuleType, holes: list[npt.NDArray[np.bool_]]) -> None:
    for index in SOME:
        assert np.array_equal(holes[index], script.hole(script.overlay(index)))


def test_the_drawings_on_the_clean_frames_give_the_damaged_ones(
    script: ModuleType, damaged: list[Frame], clean: list[Frame], holes: list[npt.NDArray[np.bool_]]
) -> None:
    for index in SOME:
        drawn = script.overlay(index)
        assert (drawn[..., 3] > 0).sum() > 4000  # both the badge and the balloon
        painted = script.paint(clean[index].planes, drawn)[0]
        inside = holes[index]
        assert _psnr(painted[inside], damaged[index].planes[0][inside]) > TOLERANCE["demo", "db between encodings"]
        unpainted = _psnr(clean[index].planes[0][inside], damaged[index].planes[0][inside])
        assert unpainted < TOLERANCE["demo", "db under the drawings"]


def test_outside_the_mask_clip_and_truth_agree_up_to_its_very_edge(
    damaged: list[Frame], clean: list[Frame], holes: list[npt.NDArray[np.bool_]]
) -> None:
    edges: list[float] = []
    for before, truth, hole in zip(damaged, clean, holes, strict=True):
        for number, plane in enumerate(before.planes):
            outside = ~_at(hole, plane.shape)
            assert _psnr(plane[outside], truth.planes[number][outside]) > TOLERANCE["demo", "db between encodings"]
        edge = _grown(hole, 2) & ~hole
        difference = before.planes[0][edge].astype(float) - truth.planes[0][edge]
        edges.append(float((difference**2).mean()))
    assert 10 * np.log10(255**2 / np.mean(edges)) > TOLERANCE["demo", "db between encodings"]


def test_the_files_are_small_and_credited() -> None:
    assert sum(path.stat().st_size for path in FOLDER.glob("*.mp4")) < SIZE_BYTES
    credit = (FOLDER / "CREDITS.md").read_text(encoding="utf-8")
    assert "CC0" in credit
    assert "894" in credit
    assert all(path.name in credit for path in FOLDER.glob("*.mp4"))


def _read(name: str) -> list[Frame]:
    with VideoReader(FOLDER / name) as reader:
        return list(reader)


def _psnr(found: npt.NDArray[np.integer], wanted: npt.NDArray[np.integer]) -> float:
    return float(10 * np.log10(255**2 / np.mean((found.astype(float) - wanted) ** 2)))


def _at(hole: npt.NDArray[np.bool_], shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    """The hole on a plane of `shape`: a chroma sample is in it when any of its pixels is."""
    step = hole.shape[0] // shape[0]
    return np.asarray(hole.reshape(shape[0], step, shape[1], step).any(axis=(1, 3)))


def _grown(hole: npt.NDArray[np.bool_], pixels: int) -> npt.NDArray[np.bool_]:
    """Grown by a square of `2 * pixels + 1`."""
    padded = np.pad(hole, pixels)
    reach = range(2 * pixels + 1)
    moved = [padded[y : y + hole.shape[0], x : x + hole.shape[1]] for y in reach for x in reach]
    return np.asarray(np.stack(moved).any(axis=0))
