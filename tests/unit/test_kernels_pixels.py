"""The kernel `pixels` on the host, its reference, and the runtime's own arithmetic give the same bytes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.layout import ToRgb
from kernels.pixels.reference import Tensor, Wanted, pixels
from runtime import kernels
from runtime.bundle import PixelRule
from runtime.colour import resolve_matrix, to_rgb_table
from runtime.frame import Colour, Frame, Hole, Layout
from runtime.holes import coded_size
from runtime.kernels import Picture, packed_rgb, semi_planar
from runtime.patch import Crop
from runtime.pixels import normalise, shrink
from tests.machines import MACHINES, Memory, OnMachine, axes, picture_of
from tests.noise import BT601, LAYOUTS, RULE, crops, holes, random_frame, whole

RULES = [
    RULE,
    replace(RULE, colour_order="bgr", low=0.0, hole_value=0.5),
    replace(RULE, low=-0.3, high=1.7, width=33, height=17),
    replace(RULE, mask_applied=False, width=1, height=50),
]


@dataclass(frozen=True)
class Output:
    """How the network wants a crop."""

    crop: Crop
    rule: PixelRule
    hole: Hole | None
    half: bool


def on_machine(machine: OnMachine, picture: Callable[[Memory], Picture], wanted: Output) -> Tensor:
    rule, half = wanted.rule, wanted.half
    out = np.full((3, rule.height, rule.width), np.nan, np.float16 if half else np.float32)
    blanked = None if wanted.hole is None else wanted.hole.astype(np.uint8)
    with machine().memory() as memory:
        hole = 0 if blanked is None else memory.put(blanked)
        target = (memory.put(out), half)
        machine().run(kernels.pixels(picture(memory), wanted.crop, rule, hole, target, axes(memory)))
        memory.get(out)
    return out


def by_reference(frame: Frame, output: Output) -> Tensor:
    crop, rule = output.crop, output.rule
    across, down = frame.layout.chroma_shift_x, frame.layout.chroma_shift_y
    shifts = [(0, 0), (across, down), (across, down)]
    planes = [
        plane[crop.top >> sy : -(-crop.bottom >> sy), crop.left >> sx : -(-crop.right >> sx)]
        for plane, (sx, sy) in zip(frame.planes, shifts, strict=False)
    ]
    columns, rows = coded_size(rule.width, rule.height, crop.turns)
    bgr = rule.colour_order == "bgr"
    wanted = Wanted(columns, rows, crop.turns, rule.low, rule.high, rule.hole_value, bgr, output.half)
    hole = output.hole if rule.mask_applied else None
    return pixels(planes, frame.layout.bits, frame.layout.family, table_of(frame), wanted, hole)


def table_of(frame: Frame) -> ToRgb:
    matrix = resolve_matrix(frame.colour.matrix, frame.width, frame.height)
    table = to_rgb_table(matrix, frame.colour.full_range, frame.layout.bits)
    black, neutral = table.scale.black, table.scale.neutral
    return ToRgb(table.shift, black, neutral, table.luma, table.red_v, table.green_u, table.green_v, table.blue_u)


def by_runtime(frame: Frame, wanted: Output) -> Tensor:
    rule = wanted.rule
    out = np.empty((3, rule.height, rule.width), np.float32)
    hole = np.zeros(out.shape[1:], np.bool_) if wanted.hole is None else wanted.hole
    normalise(shrink(frame, wanted.crop, rule), hole, rule, out)
    return out.astype(np.float16) if wanted.half else out


@pytest.mark.parametrize("machine", MACHINES)
@settings(max_examples=150)
@given(data=st.data())
def test_kernel_reference_and_runtime_agree_to_the_byte(machine: OnMachine, data: st.DataObject) -> None:
    layout = data.draw(st.sampled_from(LAYOUTS))
    colour = Colour(data.draw(st.sampled_from([1, 2, 4, 5, 6, 7, 9])), 2, 2, data.draw(st.booleans()))
    size = (data.draw(st.integers(1, 150)), data.draw(st.integers(1, 90)))
    frame = random_frame(layout, *size, seed=data.draw(st.integers(0, 9)), colour=colour)
    rule = data.draw(st.sampled_from(RULES))
    output = Output(
        data.draw(crops(frame)), rule, data.draw(st.none() | holes(rule.height, rule.width)), data.draw(st.booleans())
    )
    wanted = by_runtime(frame, output)
    assert np.array_equal(on_machine(machine, partial(picture_of, frame), output), wanted)
    assert np.array_equal(by_reference(frame, output), wanted)


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_whole_frame_without_a_hole(machine: OnMachine, layout: Layout) -> None:
    frame = random_frame(layout, 321, 241, colour=Colour(9, 9, 1, full_range=True))
    output = Output(whole(frame), replace(RULE, width=107, height=61), None, half=True)
    assert np.array_equal(on_machine(machine, partial(picture_of, frame), output), by_runtime(frame, output))


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("bits", [8, 10, 12, 16])
@pytest.mark.parametrize("size", [(64, 48), (65, 47), (1, 1)])
def test_interleaved_chroma_is_read_as_planes_are(machine: OnMachine, bits: int, size: tuple[int, int]) -> None:
    frame = random_frame(Layout("yuv", bits, 1, 1), *size)
    held = as_semi_planar(frame)
    output = Output(whole(frame), RULE, None, half=False)
    got = on_machine(machine, lambda memory: semi_planar_picture(frame, held, memory), output)
    assert np.array_equal(got, by_runtime(frame, output))


@pytest.mark.parametrize("machine", MACHINES)
def test_packed_rgb_is_read_as_planes_are(machine: OnMachine) -> None:
    frame = random_frame(Layout("rgb", 8, 0, 0), 71, 33)
    packed = np.zeros((33, 80, 3), np.uint8)
    packed[:, :71] = np.stack(frame.planes, axis=-1)
    output = Output(Crop(5, 7, 50, 20, 1), RULE, None, half=False)

    def picture(memory: Memory) -> Picture:
        return Picture(packed_rgb(memory.put(packed), 240, 71, 33), frame.layout, frame.colour)

    assert np.array_equal(on_machine(machine, picture, output), by_runtime(frame, output))


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("first", ["black", "white"])
def test_extreme_samples_overflow_nothing(machine: OnMachine, bits: int, first: str) -> None:
    frame = random_frame(Layout("yuv", bits, 1, 1), 90, 60, colour=BT601)
    lowest_first = first == "black"
    planes = tuple(
        np.where((np.indices(plane.shape).sum(axis=0) % 5 < 2) == lowest_first, 0, (1 << bits) - 1).astype(plane.dtype)
        for plane in frame.planes
    )
    stark = replace(frame, planes=planes)
    output = Output(whole(stark), RULE, None, half=False)
    assert np.array_equal(on_machine(machine, partial(picture_of, stark), output), by_runtime(stark, output))


@pytest.mark.parametrize("machine", MACHINES)
def test_deep_samples_are_rounded_to_float32_between_the_passes(machine: OnMachine) -> None:
    # A byte of the result changes between levels 51,529 and 51,530: one level more or less shows nowhere else.
    plane = (51_529 + np.random.default_rng(5).integers(0, 2, (480, 640))).astype(np.uint16)
    frame = Frame(0, 0, (plane,), Layout("gray", 16, 0, 0), Colour(2, 2, 2, full_range=True))
    output = Output(whole(frame), replace(RULE, width=300, height=200), None, half=False)
    assert np.array_equal(on_machine(machine, partial(picture_of, frame), output), by_runtime(frame, output))
    assert np.array_equal(by_reference(frame, output), by_runtime(frame, output))


def as_semi_planar(frame: Frame) -> np.ndarray:
    """Luma, and under it the interleaved chroma of NV12 or P010, in rows that are longer than the picture."""
    bits, (height, width) = frame.layout.bits, frame.planes[0].shape
    chroma_rows, chroma_columns = frame.planes[1].shape
    kind, shift = (np.uint8, 0) if bits == 8 else (np.uint16, 16 - bits)
    held = np.full((height + chroma_rows, 2 * chroma_columns + 6), 77, kind)
    held[:height, :width] = frame.planes[0] << shift
    held[height:, 0 : 2 * chroma_columns : 2] = frame.planes[1] << shift
    held[height:, 1 : 2 * chroma_columns : 2] = frame.planes[2] << shift
    return held


def semi_planar_picture(frame: Frame, held: np.ndarray, memory: Memory) -> Picture:
    """The frame as `as_semi_planar` holds it, in a machine's memory."""
    at, pitch = memory.put(held), held.strides[0]
    chroma = at + frame.height * pitch
    surfaces = semi_planar(at, chroma, pitch, (frame.width, frame.height), frame.layout.bits)
    return Picture(surfaces, frame.layout, frame.colour)
