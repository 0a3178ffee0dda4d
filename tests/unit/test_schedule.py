"""Which frames meet: both schedules against their written definition, for every clip length that matters."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.bundle import ScheduleRule
from runtime.errors import UsageError
from runtime.schedule import QUALITIES, FrameWindow, Quality, Schedule, make_schedule, paced, steps

RULE = ScheduleRule("windowed", targets=11, references=5, neighbour_stride=5, reference_step=10, fixed=False)
LENGTHS = [*range(1, 130), 300, 1000]


def windows_of(schedule: Schedule, length: int) -> list[FrameWindow]:
    return list(schedule.windows(lambda index: index < length))


@pytest.mark.parametrize("length", LENGTHS)
def test_reference_is_the_published_protocol(length: int) -> None:
    expected: list[FrameWindow] = []
    for centre in range(0, length, 5):
        targets = [index for index in range(centre - 5, centre + 6) if 0 <= index < length]
        references = [index for index in range(0, length, 10) if index not in targets]
        expected.append(FrameWindow(tuple(targets), tuple(references)))
    assert windows_of(make_schedule("reference", RULE), length) == expected


def nearest_references(targets: range, length: int) -> tuple[int, ...]:
    """The definition in words, by sorting all candidates of the clip."""
    centre = Fraction(targets[0] + targets[-1], 2)
    for step in (10, 5, 2, 1):
        candidates = [index for index in range(0, length, step) if index not in targets]
        if len(candidates) >= 5 or step == 1:
            return tuple(sorted(sorted(candidates, key=lambda index: (abs(index - centre), index))[:5]))
    raise AssertionError


@pytest.mark.parametrize("length", LENGTHS)
def test_steady_windows_are_alike_and_take_the_nearest_references(length: int) -> None:
    size = min(11, length)
    starts = sorted({*range(0, length - size + 1, 5), length - size})
    windows = windows_of(make_schedule("steady", RULE), length)
    assert [window.targets for window in windows] == [tuple(range(start, start + size)) for start in starts]
    for window in windows:
        assert window.references == nearest_references(range(window.targets[0], window.targets[-1] + 1), length)


@pytest.mark.parametrize("length", [16, 17, 21, 33, 61, 80, 1000])
def test_steady_windows_never_change_size_from_sixteen_frames_on(length: int) -> None:
    sizes = {(len(w.targets), len(w.references)) for w in windows_of(make_schedule("steady", RULE), length)}
    assert sizes == {(11, 5)}


rules = st.builds(
    ScheduleRule,
    kind=st.just("windowed"),
    targets=st.integers(1, 12),
    references=st.integers(0, 6),
    neighbour_stride=st.integers(1, 6),
    reference_step=st.integers(1, 12),
    fixed=st.just(False),
)


def usable(rule: ScheduleRule) -> bool:
    """A stride above the number of targets would leave frames that no window repaints."""
    return rule.neighbour_stride <= rule.targets


def frames_shown(quality: Quality, rule: ScheduleRule = RULE, length: int = 200) -> int:
    """How many frames go through the transformer for a clip."""
    windows = windows_of(make_schedule("steady", rule, quality), length)
    return sum(len(window.targets) + len(window.references) for window in windows)


@given(rules.filter(usable), st.integers(0, 150), st.sampled_from(["steady", "reference"]))
def test_every_frame_is_painted_and_leaves_once_and_in_order(rule: ScheduleRule, length: int, name: str) -> None:
    schedule = make_schedule(name, rule)
    left: list[int] = []
    painted: set[int] = set()
    for step in steps(schedule, lambda index: index < length):
        painted |= set(step.window.targets)
        assert painted >= set(step.finished)
        assert not set(step.window.targets) & set(left), "a window repaints a frame that has left"
        left += step.finished
    assert left == list(range(length))


@given(rules.filter(usable), st.integers(0, 150), st.sampled_from(["steady", "reference"]))
def test_nothing_is_forgotten_that_a_later_window_looks_at(rule: ScheduleRule, length: int, name: str) -> None:
    schedule = make_schedule(name, rule)

    def exists(index: int) -> bool:
        return index < length

    forgotten: set[int] = set()
    asked = -1
    for step in steps(schedule, exists):
        seen = {*step.window.targets, *step.window.references}
        assert not seen & forgotten
        asked = max(asked, *seen)
        forgotten |= {index for index in range(asked + 1) if not schedule.keeps(index, step.oldest_target, exists)}


@pytest.mark.parametrize("length", [200, 2000])
def test_steady_looks_and_remembers_no_further_in_a_longer_clip(length: int) -> None:
    schedule = make_schedule("steady", RULE)
    newest = -1
    kept_most = 0
    distance_most = 0

    def exists(index: int) -> bool:
        nonlocal newest
        newest = max(newest, min(index, length - 1))
        return index < length

    for step in steps(schedule, exists):
        distance_most = max(distance_most, newest - step.window.targets[0])
        kept = [index for index in range(newest + 1) if schedule.keeps(index, step.oldest_target, exists)]
        kept_most = max(kept_most, len(kept))
    assert distance_most <= 70
    assert kept_most <= 70


def test_reference_is_refused_on_a_fixed_window() -> None:
    fixed = ScheduleRule("windowed", 11, 5, 5, 10, fixed=True)
    with pytest.raises(UsageError, match=r"^schedule 'reference': .* exactly 11\+5 frames"):
        make_schedule("reference", fixed)


def test_a_draft_paints_a_frame_once_and_the_best_looks_at_twice_as_many_references() -> None:
    assert paced(RULE, "draft") == replace(RULE, neighbour_stride=11, references=2)
    assert paced(RULE, "standard") == RULE
    assert paced(RULE, "best") == replace(RULE, neighbour_stride=3, references=10)
    assert make_schedule("steady", RULE, "draft").full_window == (11, 2)
    assert 2.5 * frames_shown("draft") < frames_shown("standard") < frames_shown("best") / 2


@pytest.mark.parametrize("quality", QUALITIES)
def test_a_fixed_window_keeps_its_frames_at_every_pace(quality: Quality) -> None:
    fixed = replace(RULE, fixed=True)
    assert make_schedule("steady", fixed, quality).full_window == (11, 5)


@given(rules.filter(usable), st.integers(0, 150), st.sampled_from(QUALITIES), st.booleans())
def test_every_frame_is_painted_at_every_pace(rule: ScheduleRule, length: int, quality: Quality, fixed: bool) -> None:
    schedule = make_schedule("steady", replace(rule, fixed=fixed), quality)
    painted = {target for window in windows_of(schedule, length) for target in window.targets}
    assert painted == set(range(length))


@pytest.mark.parametrize("quality", ["draft", "best"])
def test_the_published_protocol_has_one_pace(quality: Quality) -> None:
    with pytest.raises(UsageError, match=rf"^--quality {quality}: schedule 'reference' is the published protocol"):
        make_schedule("reference", RULE, quality)


def test_an_unknown_schedule_names_the_known_ones() -> None:
    with pytest.raises(UsageError, match="'sideways': unknown; choose one of steady, reference"):
        make_schedule("sideways", RULE)


@given(rules.filter(usable), st.integers(0, 150))
def test_no_window_of_steady_looks_further_than_it_says(rule: ScheduleRule, length: int) -> None:
    schedule = make_schedule("steady", rule)
    assert schedule.reach_frames is not None
    for window in schedule.windows(lambda index: index < length):
        seen = (*window.targets, *window.references)
        assert max(abs(index - target) for index in seen for target in window.targets) <= schedule.reach_frames


def test_the_published_protocol_may_look_anywhere() -> None:
    assert make_schedule("reference", RULE).reach_frames is None
