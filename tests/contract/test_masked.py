"""A network with masked attention, from its graphs to repaired clips."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from runtime import backends
from runtime.bundle import read_bundle
from runtime.frame import RGB, Hole
from runtime.session import Session, Settings
from tests.oracle import published
from tests.pictures import as_clip, moving_pictures, picture_of, whole
from tests.tiny import HEIGHT, MASKED, WIDTH, tiny_bundle, tiny_network
from tests.tolerances import TOLERANCE

LENGTH = 23


@pytest.fixture(scope="module")
def any_window(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bundle(tmp_path_factory.mktemp("masked"), of=MASKED)


@pytest.fixture(scope="module")
def fixed_window(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bundle(tmp_path_factory.mktemp("masked-fixed"), frames=(11, 5), of=MASKED)


def holes(length: int) -> list[Hole | None]:
    """Large boxes that walk, a frame that is all hole, one without any."""
    found: list[Hole | None] = []
    for time in range(length):
        hole = np.zeros((HEIGHT, WIDTH), np.bool_)
        hole[6:40, 5 * time % 40 : 5 * time % 40 + 40] = True
        found.append(hole)
    found[length // 2] = np.ones((HEIGHT, WIDTH), np.bool_)
    found[length // 3] = None
    return found


def repaired(bundle: Path, backend: str, schedule: str, pictures: list[RGB]) -> np.ndarray:
    session = Session(read_bundle(bundle), backends.get(backend), Settings(schedule=schedule, precision="fp32"))
    clip = as_clip(pictures, holes(len(pictures)))
    return np.stack([picture_of(done.frame) for done in session.restore(clip, whole(WIDTH, HEIGHT))]).astype(int)


def assert_same_pictures(found: np.ndarray, wanted: np.ndarray) -> None:
    difference = np.abs(found - wanted)
    assert difference.max() <= TOLERANCE["published", "levels"]
    assert np.mean(difference.max(axis=-1) > 0) <= TOLERANCE["published", "share of pixels"]


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_a_run_is_the_published_program_around_the_masked_network(backend: str, any_window: Path) -> None:
    pictures = moving_pictures(LENGTH, WIDTH, HEIGHT)
    masks = [np.zeros((HEIGHT, WIDTH), np.uint8) if hole is None else hole.astype(np.uint8) for hole in holes(LENGTH)]
    found = repaired(any_window, backend, "reference", pictures)
    assert_same_pictures(found, np.stack(published(tiny_network(MASKED), pictures, masks, WIDTH, HEIGHT)))
    with pytest.raises(AssertionError):  # the same weights without living masks paint something else
        assert_same_pictures(found, np.stack(published(tiny_network(), pictures, masks, WIDTH, HEIGHT)))


@pytest.mark.parametrize("length", [3, LENGTH])
def test_fixed_windows_give_what_others_give(length: int, any_window: Path, fixed_window: Path) -> None:
    """Three frames leave most slots to fillers."""
    pictures = moving_pictures(length, WIDTH, HEIGHT)
    found, wanted = (repaired(path, "onnxruntime", "steady", pictures) for path in (fixed_window, any_window))
    assert_same_pictures(found, wanted)


@pytest.mark.parametrize("name", ["any_window", "fixed_window"])
def test_the_manifest_says_that_holes_count(name: str, request: pytest.FixtureRequest) -> None:
    bundle = read_bundle(request.getfixturevalue(name))
    assert bundle.manifest.variant == "tiny-masked"
    inputs = bundle.stage("transformer").inputs
    frames = "T" if name == "any_window" else 16
    assert [spec.shape for spec in inputs if spec.name.startswith("key_bias")] == [
        (frames, *grid) for grid in ((1, 1), (3, 3), (6, 6), (12, 12))
    ]
