"""What a report draws: when frames were repaired, and where the time went."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from runtime._report.charts import Axis, Timeline, frames_of, moment, stage_chart
from runtime._report.course import MOMENTS, SPANS, Course, Span
from runtime.patch import Crop
from runtime.regions import Region
from tests.tolerances import TOLERANCE


@settings(max_examples=40)
@given(some.lists(some.booleans(), min_size=1, max_size=400), some.integers(0, 50), some.fractions(1, 120))
def test_the_course_knows_every_repaired_frame_and_the_times_of_a_constant_rate(
    repaired: list[bool], start: int, rate: Fraction
) -> None:
    course = Course()
    for index, flag in enumerate(repaired, start):
        course.add(index, float(index / rate), repaired=flag)
    for index, flag in enumerate(repaired, start):
        assert any(span.first <= index <= span.last for span in course.spans) == flag
        assert course.seconds_of(index) == pytest.approx(float(index / rate), abs=TOLERANCE["report", "seconds"])
    if len(repaired) > 1:
        assert course.seconds_of(0) == pytest.approx(0, abs=TOLERANCE["report", "seconds"])


def test_a_long_course_takes_bounded_memory_and_loses_little() -> None:
    course = Course()
    frames = 100_000
    for index in range(frames):
        course.add(index, index * index / frames / 25, repaired=index % 10 < 3)  # a rate that falls
    assert len(course.spans) <= SPANS
    assert len(course._moments) <= MOMENTS
    covered = np.zeros(frames, np.bool_)
    for span in course.spans:
        covered[span.first : span.last + 1] = True
    assert covered[np.arange(frames) % 10 < 3].all()
    worst = max(abs(course.seconds_of(index) - index * index / frames / 25) for index in range(0, frames, 37))
    assert worst <= frames / 25 / MOMENTS


def test_bars_are_as_long_as_their_share() -> None:
    chart = stage_chart({"decode": 1.0, "network": 3.0}, 4.0, 10)
    bars = [bar.get("width") for bar in chart.iter("rect") if bar.get("class") != "track"]
    assert bars == ["75.000%", "25.000%"]
    assert [bar.get("class") for bar in chart.iter("rect")] == ["track", "bar busiest", "track", "bar"]
    assert "25%" in "".join(chart.itertext())
    assert "300.0 ms" in "".join(chart.itertext())
    overlapping = stage_chart({"decode": 8.0}, 4.0, 10)
    assert "200%" in "".join(overlapping.itertext())


@pytest.mark.parametrize(
    ("start", "end", "labels"),
    [
        (0, 1.2, ["0:00.0", "0:00.2", "0:00.4", "0:00.6", "0:00.8", "0:01.0", "0:01.2"]),
        (0, 60, ["0:00", "0:10", "0:20", "0:30", "0:40", "0:50", "1:00"]),
        (100, 130, ["1:40", "1:45", "1:50", "1:55", "2:00", "2:05", "2:10"]),
        (0, 7200, ["0:00", "15:00", "30:00", "45:00", "1:00:00", "1:15:00", "1:30:00", "1:45:00", "2:00:00"]),
    ],
)
def test_an_axis_has_a_handful_of_round_times(start: float, end: float, labels: list[str]) -> None:
    ticks = Axis(start, end).ticks()
    assert [label for _, label in ticks] == labels
    assert ticks[0][0] == 0


@given(some.floats(0, 1e7), some.floats(0, 1e7))
def test_an_axis_of_any_length_stays_readable(start: float, length: float) -> None:
    ticks = Axis(start, start + length).ticks()
    assert len(ticks) <= 10
    assert all(0 <= place <= 100 for place, _ in ticks)


@pytest.mark.parametrize(
    ("seconds", "digits", "text"),
    [(0, 0, "0:00"), (59.999, 2, "1:00.00"), (3723.5, 1, "1:02:03.5"), (-0.04, 2, "-0:00.04"), (-0.001, 2, "0:00.00")],
)
def test_moments_are_written_as_players_do(seconds: float, digits: int, text: str) -> None:
    assert moment(seconds, digits) == text


def test_the_timeline_draws_what_happened_where_it_happened() -> None:
    line = Timeline(Axis(10, 20), "ten seconds")
    line.repaired(12.5, 15)
    line.cut(11)
    line.sample(14, 1)
    line.sample(14.1, 2)  # its number would cover the other's
    line.lane(10, 20, 1)
    drawn = line.drawn()
    (repaired,) = [box for box in drawn.iter("rect") if box.get("class") == "repaired"]
    assert (repaired.get("x"), repaired.get("width")) == ("25.000%", "25.000%")
    (cut,) = [mark for mark in drawn.iter("line") if mark.get("class") == "cut"]
    assert cut.get("x1") == "10.000%"
    assert [pin.get("cx") for pin in drawn.iter("circle")] == ["40.000%"]
    (lane,) = [box for box in drawn.iter("rect") if box.get("class") == "lane"]
    assert (lane.get("x"), lane.get("width")) == ("0.000%", "100.000%")
    assert drawn.get("aria-label") == "ten seconds"


@pytest.mark.parametrize(
    ("first", "last", "span"),
    [(0, None, Span(0, 49)), (5, 9, Span(5, 9)), (5, 99, Span(5, 49)), (80, None, Span(49, 49))],
)
def test_a_region_ends_with_the_video(first: int, last: int | None, span: Span) -> None:
    assert frames_of(Region(Crop(0, 0, 4, 4), first, last), 50) == span
