"""Schedule `reference` is the published program: the same pictures, up to a truncation that fp32 noise may flip."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from runtime import backends
from runtime.bundle import read_bundle
from runtime.errors import UsageError
from runtime.frame import RGB, Hole
from runtime.session import Session, Settings
from tests.oracle import dilated, published
from tests.pictures import as_clip, moving_holes, moving_pictures, picture_of, whole
from tests.tiny import HEIGHT, WIDTH, tiny_network
from tests.tolerances import TOLERANCE

EXACT = ["onnxruntime", "openvino"]


def restored(bundle: Path, backend: str, schedule: str, pictures: list[RGB], holes: list[Hole]) -> list[RGB]:
    session = Session(read_bundle(bundle), backends.able(backend), Settings(schedule=schedule, precision="fp32"))
    repaired = session.restore(as_clip(pictures, holes), whole(WIDTH, HEIGHT))
    return [picture_of(done.frame) for done in repaired]


def oracle(pictures: list[RGB], holes: list[Hole]) -> list[RGB]:
    return published(tiny_network(), pictures, [hole.astype(np.uint8) * 255 for hole in holes], WIDTH, HEIGHT)


def assert_same_pictures(found: list[RGB], wanted: list[RGB]) -> None:
    """At most one grey level apart, on few samples."""
    assert len(found) == len(wanted)
    difference = np.abs(np.stack(found).astype(int) - np.stack(wanted))
    assert difference.max() <= TOLERANCE["published", "levels"]
    assert np.mean(difference.max(axis=-1) > 0) <= TOLERANCE["published", "share of pixels"]


@pytest.mark.parametrize("backend", EXACT)
@pytest.mark.parametrize("length", [1, 2, 5, 11, 16, 73])
def test_reference_equals_the_published_program(backend: str, length: int, any_window: Path) -> None:
    pictures = moving_pictures(length, WIDTH, HEIGHT)
    holes = moving_holes(length, WIDTH, HEIGHT)
    wanted = oracle(pictures, holes)
    assert_same_pictures(restored(any_window, backend, "reference", pictures, holes), wanted)
    inside = np.stack([dilated(hole) for hole in holes])
    assert np.stack(wanted)[inside].std() > 20, "the pictures must have enough contrast for errors to show"
    assert (np.stack(wanted)[~inside] == np.stack(pictures)[~inside]).all()


def test_steady_differs_from_reference(any_window: Path) -> None:
    """The comparison above would see another schedule."""
    pictures, holes = moving_pictures(40, WIDTH, HEIGHT), moving_holes(40, WIDTH, HEIGHT)
    with pytest.raises(AssertionError):
        assert_same_pictures(restored(any_window, "onnxruntime", "steady", pictures, holes), oracle(pictures, holes))


@pytest.mark.parametrize("schedule", ["reference", "steady"])
def test_a_far_reference_frame_changes_the_result(schedule: str, any_window: Path) -> None:
    pictures, holes = moving_pictures(60, WIDTH, HEIGHT), moving_holes(60, WIDTH, HEIGHT)
    before = restored(any_window, "onnxruntime", schedule, pictures, holes)
    changed = [*pictures[:30], 255 - pictures[30], *pictures[31:]]
    after = restored(any_window, "onnxruntime", schedule, changed, holes)
    assert (before[0] != after[0]).any(), "frame 0 looks at frame 30"
    assert (before[30] != after[30]).any()


@pytest.mark.parametrize("length", [1, 2, 5, 10, 11, 12, 15, 16, 17, 40])
@pytest.mark.parametrize("backend", EXACT)
def test_a_fixed_window_gives_what_any_window_gives(
    backend: str, length: int, any_window: Path, fixed_window: Path
) -> None:
    """Fillers in the fixed window are silenced exactly."""
    pictures, holes = moving_pictures(length, WIDTH, HEIGHT), moving_holes(length, WIDTH, HEIGHT)
    wanted = restored(any_window, backend, "steady", pictures, holes)
    assert_same_pictures(restored(fixed_window, backend, "steady", pictures, holes), wanted)


def test_reference_on_a_fixed_window_is_refused_in_one_line(fixed_window: Path) -> None:
    with pytest.raises(UsageError, match=r"^schedule 'reference': .*--schedule steady[^\n]*$"):
        Session(read_bundle(fixed_window), backends.get("onnxruntime"), Settings(schedule="reference"))
