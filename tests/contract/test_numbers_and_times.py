"""Videos whose packets are not their frames one by one: what a mask marks is replaced, or the run fails."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import av
import pytest

from runtime.boxes import Box
from runtime.cli import main
from runtime.errors import OutputError
from runtime.masks import Request, open_masks
from runtime.video import VideoReader, probe
from tests.clips import Clip, write_clip
from tests.tiny import HEIGHT, WIDTH

GOP, CUT_AT, FRAMES = 60, 20, 130
SHOWN = "@3.4-4.4"  # of a recording that has 110 packets, 70 of which decode, from 1.6 s on


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """A stream that was recorded from the middle of a group of pictures on."""
    options = (("sc_threshold", "0"), ("bf", "0"))
    whole = write_clip(tmp_path / "whole.mkv", Clip(WIDTH, HEIGHT, FRAMES, gop=GOP, options=options))
    cut = tmp_path / "cut.mkv"
    with av.open(str(whole)) as source, av.open(str(cut), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(source.demux(video=0)):
            if packet.dts is None or packet.pts is None or number < CUT_AT:
                continue
            packet.pts, packet.dts = packet.pts - CUT_AT * 40, packet.dts - CUT_AT * 40  # milliseconds
            packet.stream = stream
            target.mux(packet)
    return cut


def infer(video: Path, bundle: Path, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, Any, str]:
    files = [str(video), "--out", str(video.parent / "out.mkv"), "--bundle", str(bundle), "--overwrite"]
    how = ["--cuts", "none", "--backend", "null", "--json"]
    code = main([*files, *how, *more])
    printed, said = capsys.readouterr()
    return code, json.loads(printed) if code == 0 else None, said


def test_a_timed_box_is_replaced_in_a_stream_whose_first_packets_nobody_can_decode(
    recording: Path, any_window: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with VideoReader(recording) as reader:
        assert sum(1 for _ in reader) == FRAMES - GOP
    code, summary, said = infer(recording, any_window, capsys, "--box", f"20,10,30,20{SHOWN}")
    assert code == 0, said
    assert (summary["frames"], summary["repaired"]) == (FRAMES - GOP, 25)


def test_what_nobody_foresaw_ends_a_run(
    recording: Path, any_window: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was left as it is, without a word."""
    monkeypatch.setattr("runtime._masks.packets.packet_times", lambda _: [40 * number for number in range(FRAMES)])
    code, _, said = infer(recording, any_window, capsys, "--box", f"20,10,30,20{SHOWN}")
    assert code == 2
    assert "its mask marks what none was foreseen for when the masks were read" in said
    assert said.count("\n") == 1
    assert not (recording.parent / "out.mkv").exists()


@pytest.mark.parametrize(("codec", "counted"), [("libx264", True), ("libvpx-vp9", False)])
def test_where_losses_are_not_counted_times_tell_no_numbers(codec: str, counted: bool, tmp_path: Path) -> None:
    path = write_clip(tmp_path / "video.mkv", Clip(WIDTH, HEIGHT, 60, codec=codec))
    request = Request(boxes=(Box(0, 0, 4, 4, 1.6, 2.0),))
    for may_lose in (False, True):
        (run, *_) = open_masks(request, probe(path), may_lose=may_lose).runs()
        foreseen = counted or not may_lose
        assert ((run.first, run.last) == (0, None)) == (not foreseen)


def test_another_list_of_cuts_is_other_work(
    tmp_path: Path, any_window: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    video = write_clip(tmp_path / "clip.mp4", Clip(WIDTH, HEIGHT, 30))
    cuts = tmp_path / "cuts.txt"
    noted: list[str] = []

    def stop(_out: Path, told: str, **_: object) -> None:
        noted.append(told)
        raise OutputError("it is enough")

    monkeypatch.setattr("runtime.repair.open_work", stop)
    for listed in ("7\n", "19\n"):
        cuts.write_text(listed)
        how = ["--backend", "null", "--box", "20,10,30,20", "--cuts", str(cuts), "--resume"]
        assert main([str(video), "--out", str(tmp_path / "out.mkv"), "--bundle", str(any_window), *how]) == 2
    assert capsys.readouterr().err.count("it is enough") == 2
    assert noted[0] != noted[1]
