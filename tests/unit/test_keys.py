"""Which keys the runtime silences: what the network was trained with, and fillers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models._spec import Size
from models._sttn_masking import SILENT
from models._sttn_masking import key_biases as trained
from runtime.bundle import StageSpec, TensorSpec
from runtime.frame import Hole
from runtime.keys import SILENCED, key_biases, mostly_hole

FEATURES = (12, 24)  # rows, columns
GRIDS = ((1, 1), (3, 3), (12, 12))
PATCHES = tuple(Size(FEATURES[1] // columns, FEATURES[0] // rows) for rows, columns in GRIDS)


def stage(*shapes: tuple[int | str, ...]) -> StageSpec:
    biases = [TensorSpec(f"key_bias_{head}", "float32", shape) for head, shape in enumerate(shapes)]
    return StageSpec("transformer", (TensorSpec("features", "float32", ("T", 4, *FEATURES)), *biases), (), {})


MASKED = stage(*(("T", *grid) for grid in GRIDS))


def box(height: int, width: int) -> Hole:
    hole = np.zeros((48, 96), np.bool_)
    hole[:height, :width] = True
    return hole


@given(
    corners=st.lists(st.one_of(st.none(), st.tuples(st.integers(0, 48), st.integers(0, 96))), min_size=1, max_size=4)
)
@settings(max_examples=50, deadline=None)
def test_a_run_silences_what_training_silenced(corners: list[tuple[int, int] | None]) -> None:
    holes = [None if corner is None else box(*corner) for corner in corners]
    found = key_biases(MASKED, np.ones(len(holes), np.bool_), holes, FEATURES)
    masks = np.stack([box(0, 0) if hole is None else hole for hole in holes])[:, None]
    wanted = trained(torch.from_numpy(masks).float()[..., ::4, ::4], PATCHES, clips=1)
    for head, bias in enumerate(wanted):
        assert found[f"key_bias_{head}"].dtype == np.float32
        np.testing.assert_array_equal(found[f"key_bias_{head}"].reshape(-1), bias.reshape(-1).numpy())
    assert SILENCED == SILENT


@pytest.mark.parametrize(("columns", "silent"), [(48, False), (52, True)])
def test_half_a_hole_is_not_mostly_hole(columns: int, silent: bool) -> None:
    assert mostly_hole(box(48, columns), FEATURES, (1, 1)).tolist() == [[silent]]


def test_a_feature_is_in_the_hole_when_its_top_left_pixel_is() -> None:
    hole = np.zeros((48, 96), np.bool_)
    hole[4, 8] = True
    assert np.argwhere(mostly_hole(hole, FEATURES, FEATURES)).tolist() == [[1, 2]]
    assert not mostly_hole(np.roll(hole, 1, axis=1), FEATURES, FEATURES).any()


def test_fillers_stay_silent_where_every_frame_is_hole() -> None:
    """The frames then are heard, hole or not, and the fillers are not."""
    real = np.array([True, False, True, False])
    found = key_biases(MASKED, real, [box(48, 96), None, box(48, 96), None], FEATURES)
    for bias in found.values():
        assert (bias[real] == 0).all()
        assert (bias[~real] == SILENCED).all()


def test_fillers_do_not_count_as_frames_to_look_at() -> None:
    """One frame half a hole among fillers: its own free patches are what is left."""
    found = key_biases(MASKED, np.array([True, False]), [box(48, 32), None], FEATURES)["key_bias_1"]
    assert (found[0] == [[SILENCED, 0, 0]] * 3).all()
    assert (found[1] == SILENCED).all()


def test_biases_over_tokens_alone_know_fillers_and_no_holes() -> None:
    found = key_biases(stage((3,), (27,)), np.array([True, False, True]), [box(48, 96), None, None], FEATURES)
    assert found["key_bias_0"].tolist() == [0, SILENCED, 0]
    assert found["key_bias_1"].tolist() == [0.0] * 9 + [SILENCED] * 9 + [0.0] * 9


def test_a_transformer_without_biases_gets_none() -> None:
    assert key_biases(stage(), np.ones(2, np.bool_), [None, None], FEATURES) == {}
