"""Everything beside the pictures: what a prober says of the result is what it says of the source."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import pytest
from av.stream import Disposition

from runtime.errors import OutputError
from runtime.video import Encoding, VideoReader, copy_video, copyable, probe
from tests.clips import Clip, write_clip
from tests.probed import Probed, probed
from tests.recoded import recode, recode_as
from tests.rich import Rich, write_rich

EVERYTHING = Rich(sound=("aac", "flac"), subtitles=True, cover=True, attachment=True, chapters=True)
FOR_MP4 = Rich(sound=("aac", "libopus"), cover=True, timecode=True, chapters=True)
FOR_MOV = Rich(sound=("aac", "pcm_s16le"), timecode=True, chapters=True)
PHONE = Rich(tags=(("com.apple.quicktime.make", "A phone"), ("com.apple.quicktime.location.ISO6709", "+52.5+013.4/")))
HANDLED = (("title", "A title"), ("comment", "as it was"), ("creation_time", "2024-05-06T07:08:09.000000Z"))

CASES = [
    ("mkv", EVERYTHING),
    ("mkv", Rich(sound=("libopus", "aac", "libmp3lame"))),
    ("mkv", replace(EVERYTHING, sound_first=True)),
    ("mp4", FOR_MP4),
    ("mp4", replace(FOR_MP4, sound_first=True, timecode=False)),
    ("mp4", Rich(sound=())),
    ("mp4", replace(PHONE, sound=("aac",))),
    ("mp4", Rich(tags=HANDLED)),
    ("mov", FOR_MOV),
    ("mov", PHONE),
]


@pytest.mark.parametrize(("suffix", "rich"), CASES)
def test_a_prober_sees_no_difference_but_in_the_picture(tmp_path: Path, suffix: str, rich: Rich) -> None:
    source = write_rich(tmp_path / f"v.{suffix}", rich)
    out = tmp_path / f"out.{suffix}"
    assert recode_as(source, out, Encoding()) == []
    assert probed(out) == probed(source)


@pytest.mark.parametrize(
    ("source", "out", "rich", "dropped"),
    [
        ("v.mkv", "out.mp4", EVERYTHING, ["subtitles dropped: srt", "a file dropped: font.ttf"]),
        ("v.mkv", "out.mov", Rich(sound=("libopus",)), ["sound dropped: opus"]),
        ("v.mkv", "out.webm", replace(EVERYTHING, cover=False), ["sound dropped: aac", "sound dropped: flac"]),
        ("v.mp4", "out.webm", FOR_MP4, ["sound dropped: aac", "the cover picture dropped: mjpeg"]),
        ("v.mp4", "out.mkv", FOR_MP4, []),
        ("v.mov", "out.mp4", FOR_MOV, []),
        ("v.mp4", "out.mov", Rich(cover=True), ["the cover picture dropped: mjpeg"]),
    ],
)
def test_what_another_container_does_not_take_is_told(
    tmp_path: Path, source: str, out: str, rich: Rich, dropped: list[str]
) -> None:
    write_rich(tmp_path / source, rich)
    codec = "vp9" if out.endswith("webm") else "h264"
    notes = recode_as(tmp_path / source, tmp_path / out, Encoding(codec))
    for text in dropped:
        assert any(note.startswith(text) for note in notes)
    before, after = probed(tmp_path / source), probed(tmp_path / out)
    lost = [note for note in notes if "dropped" in note]
    assert len(kept(before)) - len(lost) == len(kept(after))
    assert [title for *_, title in after.chapters] == [title for *_, title in before.chapters]


def kept(found: Probed) -> list[str]:
    """The kinds of its streams, but those that MP4 makes of chapters and timecodes."""
    return [stream[1] for stream in found.streams if stream[1] != "data"]


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_cover_stays_a_cover_across_containers(tmp_path: Path, suffix: str) -> None:
    first = write_rich(tmp_path / "v.mp4", Rich(cover=True))
    recode(first, tmp_path / "between.mkv")
    recode(tmp_path / "between.mkv", tmp_path / f"out.{suffix}")
    with av.open(str(first)) as before, av.open(str(tmp_path / f"out.{suffix}")) as after:
        pictures = [
            [bytes(packet) for packet in container.demux(stream) if packet.size]
            for container in (before, after)
            for stream in container.streams.video
            if Disposition.attached_pic in stream.disposition
        ]
    assert len(pictures) == 2
    assert pictures[0] == pictures[1]


@pytest.mark.parametrize("out", ["out.mp4", "out.mkv", "out.mov"])
def test_the_sound_of_a_transport_stream_still_decodes(tmp_path: Path, out: str) -> None:
    """AAC loses the header that its packets have there, and gets one of the container's kind."""
    source = write_clip(tmp_path / "v.ts", Clip(frames=30, audio_codec="aac", audio_seconds=1.2))
    assert recode(source, tmp_path / out) == []
    assert samples(tmp_path / out) == samples(source) > 48000


def samples(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(frame.samples for frame in container.decode(audio=0))


def test_a_second_video_is_copied(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "v.mkv", Clip(frames=5))
    both = tmp_path / "both.mkv"
    with av.open(str(source)) as one, av.open(str(source)) as two, av.open(str(both), "w") as output:
        for container in (one, two):
            target = output.add_stream_from_template(container.streams.video[0], opaque=True)
            target.disposition = Disposition.default
        for number, container in enumerate((one, two)):
            for packet in container.demux():
                if packet.size:
                    packet.stream = output.streams[number]
                    output.mux(packet)
    assert recode(both, tmp_path / "out.mkv") == []
    assert probed(tmp_path / "out.mkv").packets[1] == probed(both).packets[1]


@pytest.mark.parametrize(("suffix", "rich"), [("mkv", EVERYTHING), ("mp4", FOR_MP4), ("mov", FOR_MOV)])
def test_a_copy_into_the_same_container_is_the_same_file(tmp_path: Path, suffix: str, rich: Rich) -> None:
    source = write_rich(tmp_path / f"v.{suffix}", rich)
    info = probe(source)
    assert copyable(info, tmp_path / f"out.{suffix}", Encoding())
    assert copy_video(info, tmp_path / f"out.{suffix}") == (50, [])
    assert (tmp_path / f"out.{suffix}").read_bytes() == source.read_bytes()


@pytest.mark.parametrize(("source", "out"), [("v.mkv", "out.mp4"), ("v.mp4", "out.mkv"), ("v.mp4", "out.mov")])
def test_a_copy_into_another_container_has_the_same_packets(tmp_path: Path, source: str, out: str) -> None:
    info = probe(write_rich(tmp_path / source, Rich(chapters=True)))
    assert copyable(info, tmp_path / out, Encoding())
    assert copy_video(info, tmp_path / out) == (50, [])
    with VideoReader(tmp_path / source) as before, VideoReader(tmp_path / out) as after:
        for frame, other in zip(before, after, strict=True):
            assert all((plane == same).all() for plane, same in zip(frame.planes, other.planes, strict=True))
            drift = frame.pts * before.info.time_base - other.pts * after.info.time_base
            assert abs(drift) <= Fraction(1, 2000)  # Matroska counts milliseconds
    sound = [[data for _, data in probed(path).packets[1]] for path in (tmp_path / source, tmp_path / out)]
    assert sound[0] == sound[1]
    assert len(probed(tmp_path / out).chapters) == 2


@pytest.mark.parametrize(
    ("source", "clip", "out", "encoding"),
    [
        ("v.avi", Clip(frames=3), "out.mkv", Encoding()),
        ("v.mp4", Clip(frames=3), "out.webm", Encoding()),
        ("v.mp4", Clip(frames=3), "out/%d.png", Encoding()),
        ("v.mp4", Clip(frames=3), "out.mp4", Encoding("hevc")),
        ("v.mp4", Clip(frames=3), "out.mp4", Encoding(crf=20)),
        ("v.mkv", Clip(frames=3, codec="ffv1"), "out.mp4", Encoding()),
    ],
)
def test_what_cannot_be_the_result_as_it_is_is_not_copied(
    tmp_path: Path, source: str, clip: Clip, out: str, encoding: Encoding
) -> None:
    info = probe(write_clip(tmp_path / source, clip))
    assert not copyable(info, tmp_path / out, encoding)


def test_a_copy_is_whole_or_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = probe(write_rich(tmp_path / "v.mp4", Rich()))
    (tmp_path / "out.mkv").write_text("older")
    monkeypatch.setattr("secrets.token_hex", lambda count: "full")
    (tmp_path / ".out.mkv.full.part").symlink_to("/dev/full")
    with pytest.raises(OutputError, match=r"out\.mkv: cannot be written: No space left on device"):
        copy_video(info, tmp_path / "out.mkv")
    assert (tmp_path / "out.mkv").read_text() == "older"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.mkv", "v.mp4"]
