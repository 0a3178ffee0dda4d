"""What a run says of itself."""

from __future__ import annotations

import json
from dataclasses import replace

from runtime.summary import Summary, describe

RUN = Summary(
    video="a.mp4",
    out="b.mp4",
    frames=100,
    repaired=40,
    masks=("mask.png",),
    resumed=0,
    seconds=10.0,
    busy={"decode": 1.0, "transformer": 9.5},
    overlap=0.8,
    bundle="x",
    backend="openvino",
    decoder="cpu",
    precision="fp32",
    schedule="steady",
    quality="standard",
    encoder="H.264 (libx264), crf 18",
    regions=((0, 0, 432, 240),),
    cuts=(),
    copied=False,
    notes=(),
    lost=(),
)


def test_one_line_tells_frames_speed_regions_cuts_and_shares() -> None:
    line = describe(RUN)
    assert line == (
        "b.mp4: 100 frames in 10.0 s, 10.00 fps on openvino fp32, 1 region, no cut; "
        "busy: transformer 95%, decode 10%; two or more at once 8%"
    )


def test_cuts_are_named_the_first_of_them() -> None:
    assert "1 cut (at frame 20)" in describe(replace(RUN, cuts=(20,)))
    many = describe(replace(RUN, cuts=tuple(range(10, 200, 10))))
    assert "19 cuts (at frame 10, 20, 30, 40, 50, 60, 70, 80, ...)" in many


def test_speed_is_that_of_this_run_alone() -> None:
    resumed = replace(RUN, resumed=60)
    assert resumed.fps == 4.0
    assert "100 frames, 60 of them from an earlier run" in describe(resumed)


def test_a_copy_says_so() -> None:
    assert describe(replace(RUN, copied=True)) == "b.mp4: 100 frames copied in 10.0 s"


def test_machines_get_everything() -> None:
    assert json.loads(RUN.as_json())["fps"] == 10.0
    assert json.loads(RUN.as_json())["regions"] == [[0, 0, 432, 240]]
