"""Every region is repaired as if its crop were the video, and only where and while it has a hole."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from runtime import backends
from runtime.bundle import Compute, read_bundle
from runtime.device import Stream, host_array
from runtime.frame import RGB, Hole, Masked
from runtime.patch import Crop, Patch
from runtime.program import Backend, Program, Request, Tensors
from runtime.regions import Region
from runtime.session import Restored, Session, Settings
from tests.pictures import as_clip, moving_pictures, picture_of, whole
from tests.stand_ins import Counting, Mixing
from tests.tiny import HEIGHT, WIDTH

LENGTH = 30
BIG_WIDTH, BIG_HEIGHT = 3 * WIDTH, 3 * HEIGHT
PICTURES = moving_pictures(LENGTH, BIG_WIDTH, BIG_HEIGHT)
LEFT = Region(Crop(10, 8, WIDTH, HEIGHT))  # of the network's own size
PLAIN = Settings()
RIGHT = Region(Crop(120, 40, WIDTH * 3 // 2, HEIGHT * 3 // 2))


def hole_in(*regions: Region) -> Hole:
    """A square in the middle of each region's crop."""
    hole = np.zeros((BIG_HEIGHT, BIG_WIDTH), np.bool_)
    for crop in (region.crop for region in regions):
        x, y = crop.left + crop.width // 2, crop.top + crop.height // 2
        hole[y - 6 : y + 6, x - 6 : x + 6] = True
    return hole


def restored(
    bundle: Path, backend: Backend, clip: Sequence[Masked], regions: Sequence[Region], chosen: Settings = PLAIN
) -> list[Restored]:
    return list(Session(read_bundle(bundle), backend, chosen).restore(clip, regions))


def clip_of(holes: Sequence[Hole | None], pictures: Sequence[RGB] = PICTURES) -> list[Masked]:
    return list(as_clip(pictures, holes))


def assert_same(found: Sequence[Restored], wanted: Sequence[Restored]) -> None:
    for one, other in zip(found, wanted, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(one.frame.planes, other.frame.planes, strict=True))


def assert_equal_patches(found: Sequence[Patch], wanted: Sequence[Patch]) -> None:
    for one, other in zip(found, wanted, strict=True):
        assert np.array_equal(one.view, other.view)
        assert np.array_equal(one.fill, other.fill)
        assert np.array_equal(one.hole, other.hole)


@pytest.mark.parametrize("schedule", ["steady", "reference"])
def test_a_crop_is_repaired_as_if_it_were_the_video(schedule: str, any_window: Path) -> None:
    crop = LEFT.crop
    inside = np.s_[crop.top : crop.bottom, crop.left : crop.right]
    hole = hole_in(LEFT)
    backend, chosen = backends.get("onnxruntime"), Settings(schedule=schedule)
    found = restored(any_window, backend, clip_of([hole] * LENGTH), [LEFT], chosen)
    alone = clip_of([hole[inside]] * LENGTH, [picture[inside] for picture in PICTURES])
    for big, small, picture in zip(
        found, restored(any_window, backend, alone, whole(WIDTH, HEIGHT), chosen), PICTURES, strict=True
    ):
        assert np.array_equal(picture_of(big.frame)[inside], picture_of(small.frame))
        assert (picture_of(big.frame)[inside] != picture[inside]).any()
        rest = np.ones(hole.shape, np.bool_)
        rest[inside] = False
        assert np.array_equal(picture_of(big.frame)[rest], picture[rest])


def test_two_regions_side_by_side_are_repaired_as_each_alone(any_window: Path) -> None:
    clip = clip_of([hole_in(LEFT, RIGHT)] * LENGTH)
    both = restored(any_window, Mixing(), clip, [LEFT, RIGHT])
    for regions, number in (([LEFT], 0), ([RIGHT], 1)):
        alone = restored(any_window, Mixing(), clip, regions)
        for together, single in zip(both, alone, strict=True):
            assert together.patches[number].crop == regions[0].crop
            assert_equal_patches(single.patches, [together.patches[number]])


def test_a_region_costs_calls_only_around_its_hole(any_window: Path) -> None:
    """A clean region costs nothing, and one that is masked for three frames its three windows of eleven."""
    length = 120
    pictures = [PICTURES[0]] * length
    masked = hole_in(RIGHT)
    backend = Counting()
    holes = [masked if 60 <= index < 63 else None for index in range(length)]
    done = restored(any_window, backend, clip_of(holes, pictures), [LEFT, RIGHT])
    assert [len(item.patches) for item in done] == [int(60 <= index < 63) for index in range(length)]
    assert backend.calls["transformer"] == 3  # windows of 11, 5 apart, with one of 60 to 62 among their targets
    assert backend.calls["encoder"] <= 3 * 5 + 11 + 5 + 5  # their targets, and references in tens around them
    assert backend.calls["decoder"] <= 3 * 3


def test_the_time_given_for_a_region_changes_nothing_while_it_holds(any_window: Path) -> None:
    """It saves work and no more: what lies outside it need not be looked at."""
    length = 150
    pictures = moving_pictures(length, BIG_WIDTH, BIG_HEIGHT)
    holes = [hole_in(LEFT) if 70 <= index <= 82 else None for index in range(length)]
    clip = clip_of(holes, pictures)
    timed = Region(LEFT.crop, 70, 82)
    assert_same(restored(any_window, Mixing(), clip, [timed]), restored(any_window, Mixing(), clip, [LEFT]))


def test_outside_its_time_a_region_fills_nothing(any_window: Path) -> None:
    clip = clip_of([hole_in(LEFT)] * LENGTH)
    done = restored(any_window, Mixing(), clip, [Region(LEFT.crop, 5, 7), Region(LEFT.crop, 20, None)])
    assert [len(item.patches) for item in done] == [int(5 <= i <= 7 or i >= 20) for i in range(LENGTH)]
    assert all(item.frame is item.source for item in done if not item.patches)


class Watching(Mixing):
    """Keeps what the encoder was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[np.ndarray] = []

    def open(self, request: Request) -> Program:
        inner = super().open(request)
        return _WatchingProgram(self, inner) if request.stage.name == "encoder" else inner


class _WatchingProgram:
    compute: Compute = "float32"

    def __init__(self, backend: Watching, inner: Program) -> None:
        self.backend, self.inner = backend, inner

    def enqueue(self, inputs: Tensors, outputs: Tensors, stream: Stream) -> None:
        stream.run(lambda: self.backend.shown.append(host_array(inputs["rgb"]).copy()))
        self.inner.enqueue(inputs, outputs, stream)


def test_a_hole_that_another_region_fills_is_still_hidden_from_this_one(any_window: Path) -> None:
    """Frames outside a region's time serve it as references; what is damaged there must not be copied."""
    white = [np.full_like(PICTURES[0], 255)] * LENGTH
    backend = Watching()
    early, late = Region(LEFT.crop, 0, 9), Region(LEFT.crop, 10, LENGTH - 1)
    restored(any_window, backend, clip_of([hole_in(LEFT)] * LENGTH, white), [early, late])
    middle = np.s_[0, :, HEIGHT // 2 - 4 : HEIGHT // 2 + 4, WIDTH // 2 - 4 : WIDTH // 2 + 4]
    assert len(backend.shown) > LENGTH, "the two regions look at each other's frames"
    assert all((picture[middle] == 0).all() for picture in backend.shown)
    assert all((picture[0, :, 0, 0] == 1).all() for picture in backend.shown)


def test_features_that_do_not_fit_are_computed_again_and_the_result_is_the_same(
    any_window: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    regions = [LEFT, RIGHT]
    clip = clip_of([hole_in(*regions)] * LENGTH)
    wanted_backend, backend = Mixing(), Mixing()
    wanted = restored(any_window, wanted_backend, clip, regions)
    monkeypatch.setattr("runtime.session._FEATURE_BYTES", 0)
    assert_same(restored(any_window, backend, clip, regions), wanted)
    assert wanted_backend.calls["encoder"] == LENGTH * len(regions)
    assert backend.calls["encoder"] == 16 * wanted_backend.calls["transformer"]
