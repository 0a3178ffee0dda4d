"""The kernel `dilate` on the host, its reference, and the runtime's holes are the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.dilate.reference import dilate
from runtime import kernels
from runtime.bundle import PixelRule
from runtime.frame import Hole, Layout
from runtime.holes import coded_size, cover
from runtime.kernels import Surface
from runtime.patch import Crop
from tests.machines import MACHINES, OnMachine
from tests.noise import LAYOUTS, RULE, crops, holes, random_frame


def on_machine(machine: OnMachine, mask: Hole, crop: Crop, rule: PixelRule) -> np.ndarray:
    rows, columns = mask.shape
    padded = np.full((rows, columns + 5), 255, np.uint8)  # what lies behind a row is no mask
    padded[:, :columns] = mask * 200
    picture = coded_size(rule.width, rule.height, crop.turns)
    covered = np.full((picture[1] + 2 * rule.dilate, picture[0] + 2 * rule.dilate), 7, np.uint8)
    found, hole = np.zeros(1, np.uint32), np.full((rule.height, rule.width), 9, np.uint8)
    with machine().memory() as memory:
        surface = Surface(memory.put(padded), padded.strides[0], 1, columns, rows)
        scratch = (memory.put(covered), memory.put(found))
        machine().run(*kernels.dilate(surface, crop, rule, scratch, memory.put(hole)))
        memory.get(hole)
    return hole


@pytest.mark.parametrize("machine", MACHINES)
@settings(max_examples=200)
@given(data=st.data())
def test_kernel_reference_and_runtime_agree(machine: OnMachine, data: st.DataObject) -> None:
    frame = random_frame(
        data.draw(st.sampled_from(LAYOUTS)), data.draw(st.integers(1, 150)), data.draw(st.integers(1, 90))
    )
    mask, crop = data.draw(holes(frame.height, frame.width)), data.draw(crops(frame))
    width, height = data.draw(st.sampled_from([(48, 24), (31, 57), (1, 1)]))
    rule = replace(RULE, width=width, height=height, dilate=data.draw(st.integers(0, 6)))
    wanted = cover(mask, crop, rule, rule.dilate)
    if wanted is None:
        wanted = np.zeros((height, width), np.bool_)
    picture = coded_size(width, height, crop.turns)
    corner, size = (crop.left, crop.top), (crop.width, crop.height)
    assert np.array_equal(on_machine(machine, mask, crop, rule), wanted)
    assert np.array_equal(dilate(mask, corner, size, picture, rule.dilate, crop.turns), wanted)


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("beyond", [1, 2, 3])
def test_a_hole_beyond_the_crop_grows_into_it_only_beside_one_of_its_own(machine: OnMachine, beyond: int) -> None:
    rule = replace(RULE, width=20, height=10, dilate=2)
    crop = Crop(20, 0, 20, 10)
    mask = np.zeros((10, 60), np.bool_)
    mask[5, 20 - beyond] = True
    assert not on_machine(machine, mask, crop, rule).any()
    mask[0, 39] = True
    hole = on_machine(machine, mask, crop, rule)
    assert hole[5, 0] == (beyond <= 2)
    assert hole[0, 19] == 1


@pytest.mark.parametrize("machine", MACHINES)
def test_every_cell_of_a_frame_without_a_hole_is_written(machine: OnMachine) -> None:
    frame = random_frame(Layout("gray", 8, 0, 0), 64, 40)
    assert not on_machine(machine, np.zeros((40, 64), np.bool_), Crop(0, 0, frame.width, frame.height), RULE).any()
