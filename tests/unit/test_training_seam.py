"""What training learns through is what a run does to a fill."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from runtime.frame import Hole
from runtime.patch import Crop, Patch
from runtime.seam import seamless as of_the_run
from tests.noise import RULE, holes, random_fill
from training.seam import seamless


@given(data=st.data())
def test_it_is_the_runs_before_rounding(data: st.DataObject) -> None:
    frames = [(random_fill(RULE, seed), random_fill(RULE, 9 - seed)) for seed in range(2)]
    drawn: list[Hole] = [data.draw(holes(RULE.height, RULE.width)) for _ in frames]
    clip, prediction = (
        torch.from_numpy(np.stack([pair[k] for pair in frames]).astype(np.float32)).movedim(-1, 1) for k in range(2)
    )
    mask = torch.from_numpy(np.stack(drawn)[:, None].astype(np.float32))
    found = seamless(prediction[None], clip[None], mask[None])[0].movedim(1, -1).numpy()
    for (view, fill), hole, moved in zip(frames, drawn, found, strict=True):
        wanted = of_the_run(Patch(Crop(0, 0, RULE.width, RULE.height), view, fill, hole)).fill
        rounded = np.clip(np.floor(moved + np.float32(0.5)), 0, 255)
        assert np.abs(rounded - wanted)[hole].max(initial=0) <= 1  # where float rounding crosses a half
        assert (moved[~hole] == fill[~hole]).all()


def test_it_can_be_learnt_through() -> None:
    """What the prediction is beside the hole counts inside, against finite differences in doubles."""
    rng = torch.Generator().manual_seed(0)
    clip, prediction = (torch.rand(2, 3, 6, 9, dtype=torch.float64, generator=rng) for _ in range(2))
    mask = torch.zeros(2, 1, 6, 9, dtype=torch.float64)
    mask[0, :, 2:4, 3:7] = 1
    mask[1, :, :, :4] = 1
    assert torch.autograd.gradcheck(lambda painted: seamless(painted, clip, mask), prediction.requires_grad_())


@pytest.mark.parametrize("value", [0.0, 1.0], ids=["no hole", "nothing but a hole"])
def test_without_a_rim_a_frame_stays(value: float) -> None:
    clip, prediction = torch.rand(1, 2, 3, 5, 8), torch.rand(1, 2, 3, 5, 8)
    assert torch.equal(seamless(prediction, clip, torch.full((1, 2, 1, 5, 8), value)), prediction)
