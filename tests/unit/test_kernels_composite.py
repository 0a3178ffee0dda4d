"""The kernels of `composite` on the host, their references, and the runtime's own arithmetic give the same bytes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.composite import reference
from kernels.layout import FromRgb
from runtime import kernels
from runtime.blend import CentredAverage, PublishedAverage, samples
from runtime.bundle import PixelRule
from runtime.colour import from_rgb_table, resolve_matrix
from runtime.composite import Finish, composite
from runtime.frame import Colour, Frame, Layout
from runtime.kernels import Fill, Picture, Visit
from runtime.patch import Crop, Patch
from runtime.resize import Area
from runtime.schedule import FrameWindow
from tests.machines import MACHINES, Memory, OnMachine, axes, picture_of
from tests.noise import LAYOUTS, RULE, patch_of, patches, random_fill, random_frame, whole
from tests.unit.test_kernels_pixels import as_semi_planar, semi_planar_picture

WINDOWS = (
    FrameWindow(tuple(range(5)), (10, 20)),
    FrameWindow(tuple(range(2, 9)), (0, 20)),
    FrameWindow((4,), (0, 10)),
)


def on_machine(machine: OnMachine, frame: Frame, given: tuple[Patch, ...], feather: int) -> list[np.ndarray]:
    written = replace(frame, planes=tuple(plane.copy() for plane in frame.planes))
    with machine().memory() as memory:
        fill_in(machine, memory, picture_of(written, memory), given, feather)
        for plane in written.planes:
            memory.get(plane)
    return list(written.planes)


def fill_in(machine: OnMachine, memory: Memory, picture: Picture, given: tuple[Patch, ...], feather: int) -> None:
    """Composite in place, over the whole frame."""
    soft = [opacity_on(machine, patch, feather) if feather else None for patch in given]
    fills = [
        Fill(
            patch.crop,
            memory.put(np.ascontiguousarray(patch.fill.transpose(2, 0, 1))),
            memory.put(patch.hole.astype(np.uint8)),
            0 if opacity is None else memory.put(opacity),
        )
        for patch, opacity in zip(given, soft, strict=True)
    ]
    layers = memory.put(np.frombuffer(kernels.layers(fills, RULE, axes(memory)), np.uint8))
    full = Area(0, 0, picture.surfaces[0].columns, picture.surfaces[0].rows)
    machine().run(kernels.composite(picture, full, (layers, len(given)), soft=feather > 0))


def opacity_on(machine: OnMachine, patch: Patch, feather: int) -> np.ndarray:
    crop, hole = patch.crop, patch.hole.astype(np.uint8)
    scratch, out = (np.full((crop.height, crop.width), 12345, np.uint16) for _ in range(2))
    with machine().memory() as memory:
        buffers = (memory.put(scratch), memory.put(out))
        machine().run(*kernels.feather(memory.put(hole), crop, RULE, feather, *buffers))
        memory.get(out)
    return out


def reference_fill(patch: Patch) -> reference.Fill:
    crop = patch.crop
    rgb = np.ascontiguousarray(patch.fill.transpose(2, 0, 1))
    return reference.Fill(rgb, patch.hole, crop.left, crop.top, crop.width, crop.height, crop.turns)


def by_reference(frame: Frame, given: tuple[Patch, ...], feather: int) -> list[np.ndarray]:
    layout, peak = frame.layout, (1 << frame.layout.bits) - 1
    target = reference.Target(
        layout.family, layout.bits, layout.chroma_shift_x, layout.chroma_shift_y, table_of(frame, peak)
    )
    return reference.composite(frame.planes, target, [reference_fill(patch) for patch in given], feather)


def table_of(frame: Frame, peak: int) -> FromRgb:
    matrix = resolve_matrix(frame.colour.matrix, frame.width, frame.height)
    table = from_rgb_table(matrix, frame.colour.full_range, frame.layout.bits)
    return FromRgb(table.shift, table.scale.black, table.scale.neutral, peak, table.luma, table.u, table.v)


@pytest.mark.parametrize("machine", MACHINES)
@settings(max_examples=150)
@given(data=st.data())
def test_kernel_reference_and_runtime_agree_to_the_byte(machine: OnMachine, data: st.DataObject) -> None:
    layout = data.draw(st.sampled_from(LAYOUTS))
    colour = Colour(data.draw(st.sampled_from([1, 2, 4, 6, 7, 9])), 2, 2, data.draw(st.booleans()))
    size = (data.draw(st.integers(1, 100)), data.draw(st.integers(1, 60)))
    frame = random_frame(layout, *size, seed=data.draw(st.integers(0, 9)), colour=colour)
    given = data.draw(patches(frame))
    feather = data.draw(st.sampled_from([0, 0, 1, 3, 20]))
    wanted = composite(frame, given, Finish(feather=feather)).planes
    for got in (on_machine(machine, frame, given, feather), by_reference(frame, given, feather)):
        assert all(np.array_equal(a, b) for a, b in zip(got, wanted, strict=True))


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("size", [(65, 47), (66, 45), (63, 49), (1, 1)])
def test_a_hole_reaches_the_edges_of_odd_frames(machine: OnMachine, layout: Layout, size: tuple[int, int]) -> None:
    frame = random_frame(layout, *size)
    given = (patch_of(whole(frame), random_fill(RULE), np.ones((RULE.height, RULE.width), np.bool_)),)
    wanted = composite(frame, given, Finish()).planes
    got = on_machine(machine, frame, given, 0)
    assert all(np.array_equal(a, b) for a, b in zip(got, wanted, strict=True))


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("feather", [1, 17, 255])
@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_opacity_falls_with_the_exact_distance(machine: OnMachine, feather: int, turns: int) -> None:
    hole = np.zeros((RULE.height, RULE.width), np.bool_)
    hole[4:6, 30:33] = hole[20, 3] = True
    patch = patch_of(Crop(0, 0, 130, 90, turns), random_fill(RULE), hole)
    got = opacity_on(machine, patch, feather)
    assert np.array_equal(got, reference.opacity(reference_fill(patch), feather))
    spread = reference.opacity(reference_fill(patch), 0) == 1
    holes = np.argwhere(spread)
    for place in np.argwhere(~spread)[::97]:
        distance = np.sqrt(((holes - place) ** 2).sum(axis=1).min())
        within = distance <= feather
        assert got[tuple(place)] == (np.floor(256 * (1 - distance / (feather + 1)) + 0.5) if within else 0)
    assert (got[spread] == 256).all()


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("bits", [8, 10, 16])
@pytest.mark.parametrize("size", [(64, 48), (65, 47)])
def test_interleaved_chroma_is_written_as_planes_are(machine: OnMachine, bits: int, size: tuple[int, int]) -> None:
    frame = random_frame(Layout("yuv", bits, 1, 1), *size)
    hole = np.zeros((RULE.height, RULE.width), np.bool_)
    hole[5:20, 3:44] = True
    given = (patch_of(whole(frame), random_fill(RULE), hole),)
    held = as_semi_planar(frame)
    with machine().memory() as memory:
        fill_in(machine, memory, semi_planar_picture(frame, held, memory), given, 3)
        memory.get(held)
    wanted = replace(frame, planes=composite(frame, given, Finish(feather=3)).planes)
    assert np.array_equal(held, as_semi_planar(wanted))


@pytest.mark.parametrize("machine", MACHINES)
def test_nothing_outside_of_the_area_is_looked_at(machine: OnMachine) -> None:
    frame = random_frame(LAYOUTS[0], 64, 48)
    everywhere = patch_of(whole(frame), random_fill(RULE), np.ones((RULE.height, RULE.width), np.bool_))
    written = replace(frame, planes=tuple(plane.copy() for plane in frame.planes))
    fill = np.ascontiguousarray(everywhere.fill.transpose(2, 0, 1))
    with machine().memory() as memory:
        one = Fill(everywhere.crop, memory.put(fill), memory.put(everywhere.hole.astype(np.uint8)), 0)
        layers = memory.put(np.frombuffer(kernels.layers([one], RULE, axes(memory)), np.uint8))
        launch = kernels.composite(picture_of(written, memory), Area(11, 6, 30, 21), (layers, 1), soft=False)
        machine().run(launch)
        for plane in written.planes:
            memory.get(plane)
    full = composite(frame, (everywhere,), Finish()).planes
    for plane, before, after, shift in zip(written.planes, frame.planes, full, (0, 1, 1), strict=True):
        box = np.s_[6 >> shift : 22 >> shift, 10 >> shift : 30 >> shift]  # grown to whole cells
        wanted = before.copy()
        wanted[box] = after[box]
        assert np.array_equal(plane, wanted)


@pytest.mark.parametrize("machine", MACHINES)
@settings(max_examples=60)
@given(data=st.data())
def test_what_windows_painted_becomes_the_runtimes_picture(machine: OnMachine, data: st.DataObject) -> None:
    low, high = data.draw(st.sampled_from([(-1.0, 1.0), (0.0, 1.0), (-0.3, 1.7)]))
    order = data.draw(st.sampled_from(["rgb", "bgr"]))
    rule = replace(RULE, low=low, high=high, colour_order=order, width=47, height=11)
    halving, kind = data.draw(st.booleans()), data.draw(st.sampled_from([np.float16, np.float32]))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    noise = [rng.uniform(low, high, (3, 11, 47)) for _ in range(data.draw(st.integers(1, 3)))]
    painted = [picture.astype(kind).clip(kind(low), kind(high)) for picture in noise]
    check_average(machine, rule, painted, halving=halving)


def check_average(machine: OnMachine, rule: PixelRule, painted: list[np.ndarray], *, halving: bool) -> None:
    """Frame 4, of which each of the first windows painted another picture."""
    blend = PublishedAverage() if halving else CentredAverage()
    sums = np.full((3, rule.height, rule.width), np.nan, np.float32)
    fill = np.full(sums.shape, 77, np.uint8)
    before, total = None, 0.0
    with machine().memory() as memory:
        for number, picture in enumerate(painted):
            window, last = WINDOWS[number], number == len(painted) - 1
            blend.add(samples(picture.astype(np.float32), rule), window, 4)
            weight = (window.targets[-1] - window.targets[0]) / 2 + 1 - abs(4 - window.centre)
            total += weight
            visit = Visit(weight, total, first=number == 0, halving=halving)
            source, out = (memory.put(picture), picture.dtype == np.float16), memory.put(fill) if last else 0
            machine().run(kernels.accumulate(source, memory.put(sums), out, rule, visit))
            memory.get(sums)
            red_first = picture[::-1] if rule.colour_order == "bgr" else picture
            before = reference.accumulate(red_first, before, rule.low, rule.high, None if halving else weight)
            assert np.array_equal(sums, before)
        memory.get(fill)
    assert np.array_equal(fill.transpose(1, 2, 0), blend.result())
    assert np.array_equal(reference.settle(sums, None if halving else total), fill)


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("low", [-1.0, 0.0])
def test_what_a_decoder_overshoots_is_clipped(machine: OnMachine, low: float) -> None:
    rule = replace(RULE, low=low, high=1.0)
    painted = np.full((3, rule.height, rule.width), 1.5, np.float32)
    painted[1] = low - 0.5
    sums, fill = np.zeros_like(painted), np.full(painted.shape, 77, np.uint8)
    visit = Visit(1.0, 1.0, first=True, halving=False)
    with machine().memory() as memory:
        source = (memory.put(painted), False)
        machine().run(kernels.accumulate(source, memory.put(sums), memory.put(fill), rule, visit))
        memory.get(fill)
    assert [np.unique(channel).tolist() for channel in fill] == [[255], [0], [255]]


@pytest.mark.parametrize("machine", MACHINES)
def test_a_crop_that_shows_nowhere_changes_nothing(machine: OnMachine) -> None:
    frame = random_frame(LAYOUTS[1], 20, 10)
    nothing = patch_of(Crop(2, 2, 10, 6), random_fill(RULE), np.zeros((RULE.height, RULE.width), np.bool_))
    for feather in (0, 9):
        got = on_machine(machine, frame, (nothing,), feather)
        assert all(np.array_equal(a, b) for a, b in zip(got, frame.planes, strict=True))
