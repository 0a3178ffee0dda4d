"""What a clip keeps in memory: the views that a window may look at, those, and no others."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime._device.host import HostDevice
from runtime.bundle import ScheduleRule
from runtime.clip import Agenda, Staged, View, shots
from runtime.clock import Clock
from runtime.device import Form
from runtime.patch import Crop
from runtime.pool import Pool
from runtime.regions import Region
from runtime.schedule import make_schedule, steps

RULE = ScheduleRule("windowed", targets=11, references=5, neighbour_stride=5, reference_step=10, fixed=False)
CROP = Crop(0, 0, 8, 8)
RGB = np.zeros((8, 8, 3), np.uint8)
HOLE = np.ones((8, 8), np.bool_)

rules = st.builds(
    ScheduleRule,
    kind=st.just("windowed"),
    targets=st.integers(1, 12),
    references=st.integers(0, 6),
    neighbour_stride=st.integers(1, 6),
    reference_step=st.integers(1, 12),
    fixed=st.just(False),
).filter(lambda rule: rule.neighbour_stride <= rule.targets)
spans = st.tuples(st.integers(0, 120), st.none() | st.integers(0, 60)).map(
    lambda span: Region(CROP, span[0], None if span[1] is None else span[0] + span[1])
)


def is_repainted(region: Region, index: int, paint_from: int) -> bool:
    return max(region.first, paint_from) <= index and (region.last is None or index <= region.last)


@given(
    rules,
    st.lists(spans, max_size=5),
    st.integers(1, 150),
    st.integers(0, 150),
    st.sampled_from(["steady", "reference"]),
)
def test_whatever_a_window_looks_at_was_foreseen(
    rule: ScheduleRule, regions: list[Region], length: int, paint_from: int, name: str
) -> None:
    schedule = make_schedule(name, rule)
    agenda = Agenda(regions, schedule.reach_frames, paint_from)
    foreseen = [{number for number, _ in agenda.at(index)} for index in range(length)]
    for window in schedule.windows(lambda index: index < length):
        for number, region in enumerate(regions):
            if any(is_repainted(region, target, paint_from) for target in window.targets):
                assert all(number in foreseen[index] for index in (*window.targets, *window.references))


@given(rules, st.lists(spans, max_size=5), st.integers(1, 150))
def test_a_region_is_passed_over_where_its_time_is_out_of_reach(
    rule: ScheduleRule, regions: list[Region], length: int
) -> None:
    reach = make_schedule("steady", rule).reach_frames
    assert reach is not None
    agenda = Agenda(regions, reach, paint_from=0)
    for index in range(length):
        wanted = [
            number
            for number, region in enumerate(regions)
            if region.first - reach <= index and (region.last is None or index <= region.last + reach)
        ]
        assert [number for number, _ in agenda.at(index)] == wanted


def test_regions_that_end_before_the_start_are_never_looked_at() -> None:
    agenda = Agenda([Region(CROP, 0, 49), Region(CROP, 0, 50)], 10, paint_from=50)
    assert [[number for number, _ in agenda.at(index)] for index in (39, 40, 60, 61)] == [[], [1], [1], []]
    assert not agenda.repaints(Region(CROP, 0, 50), 49)


def staged(cuts: list[int], length: int) -> Iterator[Staged]:
    for index in range(length):
        yield Staged(index, index in cuts, ((0, View(RGB, HOLE, repainted=True)),))


@given(st.integers(0, 40), st.lists(st.integers(0, 39), max_size=6))
def test_shots_split_the_clip_at_its_cuts_and_lose_no_frame(length: int, cuts: list[int]) -> None:
    found: list[list[int]] = []
    for shot in shots(staged(cuts, length), [Region(CROP)]):
        frames = 0
        while shot.exists(frames):
            frames += 1
        found.append([shot.frame_index(index) for index in range(frames)])
        assert shot.number == len(found) - 1
    assert [index for shot in found for index in shot] == list(range(length))
    assert [shot[0] for shot in found] == sorted({0, *(cut for cut in cuts if cut < length)} if length else set())


def test_a_shot_reads_no_further_than_it_is_asked_and_one_frame_into_the_next() -> None:
    read: list[int] = []

    def watched() -> Iterator[Staged]:
        for item in staged([20], 40):
            read.append(item.index)
            yield item

    first = next(shots(watched(), [Region(CROP)]))
    assert first.exists(7)
    assert read[-1] == 7
    assert not first.exists(35)
    assert read[-1] == 20


@pytest.mark.parametrize("name", ["steady", "reference"])
def test_every_feature_returns_to_its_pool_when_its_shot_is_over(name: str) -> None:
    schedule = make_schedule(name, RULE)
    device = HostDevice(Clock(), threads=False)
    pool, stream = Pool(device), device.stream("inline")
    for shot in shots(staged([100], 220), [Region(CROP)]):
        for step in steps(schedule, shot.exists):
            (lane,) = shot.lanes()
            for index in (*step.window.targets, *step.window.references):
                assert lane.views[index].hole is HOLE
                if index not in lane.features:
                    lane.features[index] = pool.take(Form((4,)), stream)
            oldest = step.oldest_target
            shot.forget(lambda index, oldest=oldest, shot=shot: schedule.keeps(index, oldest, shot.exists))
            assert name == "reference" or pool.leased <= 11 + 5 + 5
        shot.forget(lambda _: False)
        assert not shot.lanes()
        assert pool.leased == 0
