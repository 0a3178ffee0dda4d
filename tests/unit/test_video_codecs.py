"""Which codec a video leaves in: its own where that can be, the one asked for, or one line that says why not."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import accumulate
from pathlib import Path

import av
import numpy as np
import pytest

from runtime._video.codecs import CODECS, Chosen, choose, codec_of
from runtime._video.declared import Declared, Mastering, read_declared
from runtime._video.encoder import Encoder
from runtime.errors import OutputError
from runtime.frame import Frame, Layout
from runtime.video import Encoding, VideoInfo, VideoReader, probe
from tests.clips import Clip, write_clip
from tests.recoded import recode_as

HDR10 = (9, 9, 16, 1)  # matrix, primaries, transfer, range: BT.2020, PQ, limited
HLG = (9, 9, 18, 1)
MASTERING = Mastering((34000, 16000), (13250, 34500), (7500, 3000), (15635, 16450), 10000000, 50)
GRADED = f"log-level=error:master-display={MASTERING.text}:max-cll=1000,400"


@pytest.fixture(scope="module")
def info(tmp_path_factory: pytest.TempPathFactory) -> VideoInfo:
    return probe(write_clip(tmp_path_factory.mktemp("codecs") / "v.mp4", Clip(frames=2)))


def chosen(info: VideoInfo, out: str, encoding: Encoding | None = None, declared: Declared | None = None) -> Chosen:
    return choose(Path(out), encoding or Encoding(), info, declared or Declared(), 2)


OWN = [
    ("h264", "yuv420p", "out.mp4"),
    ("h264", "yuv422p10le", "out.mkv"),
    ("hevc", "yuv420p10le", "out.mov"),
    ("vp9", "yuv444p", "out.webm"),
    ("libdav1d", "yuv420p10le", "out.webm"),
    ("ffv1", "yuv444p16le", "out.mkv"),
    ("prores", "yuv444p12le", "out.mov"),
]
LAYOUTS = {
    "yuv420p": Layout("yuv", 8, 1, 1),
    "yuv444p": Layout("yuv", 8, 0, 0),
    "yuv420p10le": Layout("yuv", 10, 1, 1),
    "yuv422p10le": Layout("yuv", 10, 1, 0),
    "yuv444p12le": Layout("yuv", 12, 0, 0),
    "yuv444p16le": Layout("yuv", 16, 0, 0),
}


@pytest.mark.parametrize(("codec", "pix_fmt", "out"), OWN)
def test_a_video_stays_in_its_codec(info: VideoInfo, codec: str, pix_fmt: str, out: str) -> None:
    name = "av1" if codec == "libdav1d" else codec
    of_source = replace(info, codec=codec, layout=LAYOUTS[pix_fmt])
    assert chosen(of_source, out).codec is CODECS[name]
    assert not any("leaves as" in note for note in chosen(of_source, out).notes)


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "out", "other", "why"),
    [
        ("mpeg4", "yuv420p", "out.mp4", "h264", "it is not written here"),
        ("mpeg4", "yuv420p", "out.webm", "vp9", "it is not written here"),
        ("ffv1", "yuv420p", "out.mp4", "h264", "FFV1 does not go into .mp4"),
        ("ffv1", "yuv420p10le", "out.mp4", "hevc", "FFV1 does not go into .mp4"),
        ("h264", "yuv420p", "out.webm", "vp9", "H.264 does not go into .webm"),
        ("hevc", "yuv420p10le", "out.webm", "av1", "HEVC does not go into .webm"),
        ("vp9", "yuv420p10le", "out.mkv", "hevc", "VP9 holds 8 bits a sample here, the video has 10"),
        ("libdav1d", "yuv444p", "out.mkv", "h264", "AV1 is written in 4:2:0 only here, the video is 4:4:4"),
    ],
)
def test_a_codec_that_cannot_be_kept_is_replaced_with_a_note(
    info: VideoInfo, codec: str, pix_fmt: str, out: str, other: str, why: str
) -> None:
    found = chosen(replace(info, codec=codec, layout=LAYOUTS[pix_fmt]), out)
    assert found.codec is CODECS[other]
    assert found.notes[0].startswith(
        f"{'av1' if codec == 'libdav1d' else codec} leaves as {CODECS[other].title}: {why}"
    )


def test_pictures_become_a_video_without_a_note(info: VideoInfo) -> None:
    found = chosen(replace(info, codec="png", stills=True), "out.mp4")
    assert (found.codec, found.notes) == (CODECS["h264"], ())


@pytest.mark.parametrize(
    ("out", "encoding", "message"),
    [
        (
            "out.mp4",
            Encoding("ffv1"),
            r"out\.mp4: FFV1 does not go into \.mp4, but into \.mkv; wanted --out out\.mkv, or",
        ),
        ("out.webm", Encoding("h264"), r"out\.webm: H\.264 does not go into \.webm"),
        ("out.mov", Encoding("av1"), r"AV1 does not go into \.mov"),
        ("out.mkv", Encoding("ffv1", crf=20), r"--crf 20: FFV1 has no such setting; leave it out, or choose --codec"),
        ("out.mov", Encoding("prores", crf=0), r"--crf 0: ProRes has no such setting"),
        ("out.mov", Encoding("prores", preset="slow"), r"--preset slow: ProRes has none"),
        ("out.mp4", Encoding("h264", crf=52), r"--crf 52: H\.264 takes 0 \(best\) to 51"),
        ("out.mp4", Encoding("h264", crf=-1), r"--crf -1: H\.264 takes 0"),
        ("out.mp4", Encoding("av1", crf=0), r"--crf 0: AV1 takes 1 \(best\) to 63"),
        ("out.mp4", Encoding("h264", preset="9"), r"--preset 9: H\.264 takes one of ultrafast, superfast"),
        ("out.webm", Encoding("vp9", preset="slow"), r"--preset slow: VP9 takes one of 8, 7, 6"),
        ("out.mkv", Encoding(preset="lightspeed"), r"--preset lightspeed: H\.264 takes one of"),
    ],
)
def test_what_cannot_be_asked_for_is_refused_in_one_line(
    info: VideoInfo, out: str, encoding: Encoding, message: str
) -> None:
    with pytest.raises(OutputError, match=message) as caught:
        chosen(info, out, encoding)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("out", "codec", "layout", "wanted"),
    [
        ("out.mp4", "ffv1", "yuv420p", "--out out.mkv, or another --codec, of: h264, hevc, vp9, av1"),
        ("out.webm", "h264", "yuv420p", "--out out.mp4, or another --codec, of: vp9, av1"),
        ("out.mov", "av1", "yuv444p", "another --codec, of: h264, hevc, prores"),
        ("out.webm", "prores", "yuv444p16le", "--out out.mov"),
        ("out.webm", "av1", "yuv422p10le", "pictures, as --out out/%05d.png"),
    ],
)
def test_what_was_refused_is_not_advised(info: VideoInfo, out: str, codec: str, layout: str, wanted: str) -> None:
    with pytest.raises(OutputError) as caught:
        chosen(replace(info, layout=LAYOUTS[layout]), out, Encoding(codec))
    assert str(caught.value).split("; wanted ")[1] == wanted


@pytest.mark.parametrize(
    ("codec", "layout", "message"),
    [
        ("av1", Layout("yuv", 8, 0, 0), r"AV1 is written in 4:2:0 only here, the video is 4:4:4"),
        ("av1", Layout("rgb", 8, 0, 0), r"AV1 is written in 4:2:0 only here, the video is RGB"),
        ("vp9", Layout("yuv", 10, 1, 1), r"VP9 holds 8 bits a sample here, the video has 10"),
    ],
)
def test_a_codec_that_would_lose_samples_is_refused(info: VideoInfo, codec: str, layout: Layout, message: str) -> None:
    with pytest.raises(OutputError, match=message):
        chosen(replace(info, layout=layout), "out.mkv", Encoding(codec))


def test_a_size_below_the_encoders_least_is_refused(info: VideoInfo) -> None:
    with pytest.raises(OutputError, match=r"HEVC takes no less than 16x16 pixels here"):
        chosen(replace(info, width=14), "out.mp4", Encoding("hevc"))


@pytest.mark.parametrize("name", sorted(CODECS))
def test_every_preset_and_quality_is_one_that_the_encoder_knows(tmp_path: Path, info: VideoInfo, name: str) -> None:
    """The quickest and the slowest preset at the best and the worst quality; in between lie names of the same list."""
    codec = CODECS[name]
    out = tmp_path / f"out{codec.suffixes[0]}"
    ends = [(codec.presets[0], codec.crf[0]), (codec.presets[-1], codec.crf[-1])] if codec.presets else [(None, None)]
    for preset, crf in ends:
        recode_as(info.path, out, Encoding(name, crf, preset))
        with VideoReader(out) as reader:
            assert len(list(reader)) == 2


@pytest.mark.parametrize(
    ("name", "out"), [("h264", "out.mp4"), ("hevc", "out.mkv"), ("vp9", "out.webm"), ("ffv1", "out.mkv")]
)
def test_the_best_quality_loses_nothing(tmp_path: Path, name: str, out: str) -> None:
    source = write_clip(tmp_path / "v.mkv", Clip(frames=3, codec="ffv1"))
    recode_as(source, tmp_path / out, Encoding(name, None if name == "ffv1" else 0))
    with VideoReader(source) as before, VideoReader(tmp_path / out) as after:
        for frame, other in zip(before, after, strict=True):
            assert all(np.array_equal(plane, same) for plane, same in zip(frame.planes, other.planes, strict=True))


def quality(path: Path, source: Path) -> float:
    with VideoReader(source) as before, VideoReader(path) as after:
        pairs = [(a.planes[0].astype(float), b.planes[0]) for a, b in zip(before, after, strict=True)]
    return -float(np.mean([(a - b) ** 2 for a, b in pairs]))


@pytest.mark.parametrize("name", ["h264", "hevc", "vp9", "av1"])
def test_a_lower_crf_is_a_better_picture(tmp_path: Path, name: str) -> None:
    source = write_clip(tmp_path / "v.mkv", Clip(frames=6, codec="ffv1"))
    better, worse = (tmp_path / f"{crf}.mkv" for crf in (10, 45))
    recode_as(source, better, Encoding(name, 10))
    recode_as(source, worse, Encoding(name, 45))
    assert quality(better, source) > quality(worse, source)


@pytest.mark.parametrize("colour", [HDR10, HLG])
@pytest.mark.parametrize(
    ("name", "out"), [("hevc", "out.mp4"), ("hevc", "out.mkv"), ("av1", "out.webm"), ("h264", "out.mp4")]
)
def test_hdr_leaves_as_hdr(tmp_path: Path, colour: tuple[int, int, int, int], name: str, out: str) -> None:
    options = (("x265-params", GRADED),) if colour == HDR10 else (("x265-params", "log-level=error"),)
    clip = Clip(frames=3, codec="libx265", pix_fmt="yuv420p10le", colour=colour, options=options)
    before = probe(write_clip(tmp_path / "v.mp4", clip))
    assert recode_as(before.path, tmp_path / out, Encoding(name)) == []
    after = probe(tmp_path / out)
    assert (after.layout, after.colour) == (before.layout, before.colour)
    declared = read_declared(after)
    assert (declared.mastering, declared.light) == ((MASTERING, (1000, 400)) if colour == HDR10 else (None, None))


def test_what_a_container_says_of_the_mastering_is_kept_where_the_codec_has_no_words(tmp_path: Path) -> None:
    """FFV1 does not tell, Matroska does; a stream of the same codec takes over what the source's container says."""
    clip = Clip(frames=4, codec="libx265", pix_fmt="yuv420p10le", colour=HDR10, options=(("x265-params", GRADED),))
    graded = write_clip(tmp_path / "v.mp4", clip)
    said = tmp_path / "said.mkv"
    with av.open(str(graded)) as source, av.open(str(said), "w") as output:
        target = output.add_stream_from_template(source.streams.video[0], opaque=True)
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = target
                output.mux(packet)
    notes = recode_as(said, tmp_path / "out.mkv", Encoding("ffv1"))
    assert any("what display the video was mastered on dropped" in note for note in notes)
    assert recode_as(said, tmp_path / "again.mkv", Encoding()) == []
    assert read_declared(probe(tmp_path / "again.mkv")).mastering == MASTERING


@pytest.mark.parametrize("profile", ["proxy", "lt", "standard", "hq"])
def test_prores_keeps_its_profile(tmp_path: Path, profile: str) -> None:
    clip = Clip(frames=2, codec="prores_ks", pix_fmt="yuv422p10le", options=(("profile", profile),))
    source = write_clip(tmp_path / "v.mov", clip)
    assert recode_as(source, tmp_path / "out.mov", Encoding()) == []
    assert probe(tmp_path / "out.mov").profile == probe(source).profile


@pytest.mark.parametrize("profile", ["baseline", "main", "high"])
def test_h264_keeps_its_profile(tmp_path: Path, profile: str) -> None:
    source = write_clip(tmp_path / "v.mp4", Clip(frames=4, options=(("profile", profile),)))
    assert recode_as(source, tmp_path / "out.mp4", Encoding()) == []
    assert probe(tmp_path / "out.mp4").profile == probe(source).profile


@pytest.mark.parametrize(
    ("name", "out", "tag"), [("hevc", "out.mp4", "hvc1"), ("hevc", "out.mov", "hvc1"), ("prores", "out.mov", "apch")]
)
def test_the_container_names_the_codec_as_players_expect(
    tmp_path: Path, info: VideoInfo, name: str, out: str, tag: str
) -> None:
    recode_as(info.path, tmp_path / out, Encoding(name))
    with av.open(str(tmp_path / out)) as container:
        assert container.streams.video[0].codec_context.codec_tag == tag


def test_encoders_keep_quiet(tmp_path: Path, info: VideoInfo, capfd: pytest.CaptureFixture[str]) -> None:
    for name, codec in CODECS.items():
        recode_as(info.path, tmp_path / f"out-{name}{codec.suffixes[0]}", Encoding(name))
    assert capfd.readouterr() == ("", "")


def packets(info: VideoInfo, frames: list[Frame], name: str) -> bytes:
    encoder = Encoder(choose(Path("out.mkv"), Encoding(name), info, Declared(), 2), info)
    ready = [packet for frame in frames for packet in encoder.encode(frame, frame.pts)] + encoder.end()
    return b"".join(bytes(packet) for packet in ready)


@pytest.mark.parametrize("name", sorted(CODECS))
def test_the_same_frames_become_the_same_packets_whatever_lay_in_memory(tmp_path: Path, name: str) -> None:
    """What a resumed run rests on; the encoders allocate where arrays of noise lay before."""
    uneven = list(accumulate(np.random.default_rng(5).integers(10, 90, 40).tolist()))
    clip = Clip(320, 180, frames=40, codec="ffv1", time_base=Fraction(1, 1000), pts=uneven)
    with VideoReader(write_clip(tmp_path / "v.mkv", clip)) as reader:
        frames = list(reader)
    generator = np.random.default_rng(0)
    results: set[bytes] = set()
    for _ in range(8 if name == "h264" else 3):  # the one that was seen to differ
        noise = [generator.bytes(int(size)) for size in generator.integers(100, 200_000, 300)]
        del noise[::2]
        results.add(packets(reader.info, frames, name))
    assert len(results) == 1


@pytest.mark.parametrize("name", sorted(CODECS))
def test_every_container_holds_the_codec_and_the_frame_rate(tmp_path: Path, name: str) -> None:
    source = write_clip(tmp_path / "v.mp4", Clip(frames=8, rate=Fraction(30000, 1001)))
    for suffix in CODECS[name].suffixes:
        recode_as(source, tmp_path / f"out{suffix}", Encoding(name))
        found = probe(tmp_path / f"out{suffix}")
        assert (codec_of(found), found.rate) == (name, Fraction(30000, 1001))
