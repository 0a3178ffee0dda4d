"""Colour tags that stand in the container alone."""

from __future__ import annotations

from pathlib import Path

import av
import pytest
from av.container import InputContainer, OutputContainer

from runtime.frame import Colour
from runtime.video import Encoding, probe
from tests.clips import Clip, write_clip
from tests.recoded import recode_as

HDR = (9, 9, 16)  # matrix, primaries, transfer
CLIP = Clip(frames=3, codec="prores_ks", pix_fmt="yuv422p10le")


def tagged(source: Path, out: Path, tags: tuple[int, int, int]) -> Path:
    """The packets of `source` in a container that says `tags`, which the packets do not."""
    with av.open(str(source)) as start, av.open(str(out), "w") as output:
        _copy(start, output, tags)
    return out


def _copy(start: InputContainer, output: OutputContainer, tags: tuple[int, int, int]) -> None:
    source = start.streams.video[0]
    target = output.add_stream_from_template(source, opaque=True)
    context = target.codec_context
    context.colorspace, context.color_primaries, context.color_trc = tags
    for packet in start.demux(source):
        if packet.dts is not None:
            packet.stream = target
            output.mux(packet)


@pytest.mark.parametrize("suffix", [".mov", ".mkv"])
@pytest.mark.parametrize("codec", ["source", "h264", "hevc"])
def test_prores_keeps_what_its_container_says_of_its_colours(tmp_path: Path, suffix: str, codec: str) -> None:
    plain = write_clip(tmp_path / f"plain{suffix}", CLIP)
    path = tagged(plain, tmp_path / f"v{suffix}", HDR)
    assert probe(path).colour == Colour(*HDR, full_range=False)
    recode_as(path, tmp_path / f"out{suffix}", Encoding(codec))
    assert probe(tmp_path / f"out{suffix}").colour == Colour(*HDR, full_range=False)


def test_what_the_pictures_say_themselves_counts_before_the_container(tmp_path: Path) -> None:
    plain = write_clip(tmp_path / "plain.mov", Clip(frames=3, colour=(6, 6, 6, 1)))
    path = tagged(plain, tmp_path / "v.mov", HDR)
    assert probe(path).colour == Colour(6, 6, 6, full_range=False)


def test_colours_of_which_nobody_says_anything_stay_untold(tmp_path: Path) -> None:
    assert probe(write_clip(tmp_path / "v.mov", CLIP)).colour == Colour(2, 2, 2, full_range=False)
