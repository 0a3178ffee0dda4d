"""What parameter sets say of fields: those that the encoders write here, and made-up ones."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import av
import pytest
from av.bitstream import BitStreamFilterContext

from runtime._video.nal import frames_only, sequence_sets
from tests.clips import Clip, write_clip

QUIET = "log-level=none:pools=1:frame-threads=1"
SCALES = ":cqm=jvt"  # with lists of scales


def sets_of(path: Path, codec: str) -> list[bytes]:
    """Every sequence parameter set of the file."""
    found: list[bytes] = []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        to_annex_b = BitStreamFilterContext(f"{codec}_mp4toannexb", stream)
        for packet in container.demux(stream):
            for part in to_annex_b.filter(packet) if packet.size else ():
                found += sequence_sets(codec, bytes(part))
    return found


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv444p10le"])
@pytest.mark.parametrize(
    ("params", "fields", "wanted"),
    [
        ("bframes=3", "", True),
        (f"keyint=4{SCALES}", "", True),
        ("fake-interlaced=1", "", False),
        ("", "tff", False),
        (SCALES.removeprefix(":"), "bff", False),
    ],
)
def test_h264(pix_fmt: str, params: str, fields: Literal["", "tff", "bff"], wanted: bool, tmp_path: Path) -> None:
    options = (("x264-params", params),) if params else ()
    clip = Clip(frames=6, gop=3, pix_fmt=pix_fmt, options=options, fields=fields)
    found = sets_of(write_clip(tmp_path / "v.mp4", clip), "h264")
    assert len(found) >= 1
    assert {frames_only("h264", each) for each in found} == {wanted}


@pytest.mark.parametrize(("params", "wanted"), [("", True), (":interlace=tff", False)])
def test_hevc(params: str, wanted: bool, tmp_path: Path) -> None:
    clip = Clip(144, 144, frames=4, codec="libx265", options=(("x265-params", QUIET + params),))
    found = sets_of(write_clip(tmp_path / "v.mkv", clip), "hevc")
    assert len(found) >= 1
    assert {frames_only("hevc", each) for each in found} == {wanted}


def test_a_count_of_order_by_differences_is_passed_over() -> None:
    # Profile 66; ue 0, 0; pic_order_cnt_type 1: a flag, se 1, -1, two of se -1, 2; ue 3; a flag; ue 7, 5; the flag
    bits = "01000010" + "0" * 16 + "1" + "1" + "010" + "0" + "1" + "010" + "011" + "011" + "00100" + "00100"
    bits += "0" + "0001000" + "00110"
    for flag in "01":
        whole = bits + flag + "1"
        data = bytes([0x67]) + int(whole.ljust(-(-len(whole) // 8) * 8, "0"), 2).to_bytes(-(-len(whole) // 8), "big")
        assert frames_only("h264", data) is (flag == "1")


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_a_set_that_is_cut_off_is_none(codec: str) -> None:
    with pytest.raises(ValueError, match="ends early"):
        frames_only(codec, b"\x67\x64\x00")


def test_sets_are_found_between_other_units() -> None:
    packet = b"\0\0\0\1\x09\xf0\0\0\1\x67ab\0\0\0\1\x68c\0\0\1\x65\0\0\1\x67d"
    assert list(sequence_sets("h264", packet)) == [b"\x67ab", b"\x67d"]
    assert list(sequence_sets("hevc", b"\0\0\1\x42\x01ab\0\0\1\x44\x01c")) == [b"\x42\x01ab"]
    assert list(sequence_sets("h264", b"no start \0\0\1")) == []
