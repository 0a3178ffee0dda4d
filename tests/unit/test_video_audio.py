"""Sound in the result: the same packets, in step with the pictures, or a note that says why not."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import pytest

from runtime.video import VideoReader
from tests.clips import Clip, write_clip
from tests.recoded import recode


def times(path: Path) -> list[Fraction]:
    with VideoReader(path) as reader:
        return [frame.pts * reader.info.time_base for frame in reader]


def sound(path: Path) -> list[tuple[Fraction, bytes]]:
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        return [
            (packet.pts * packet.time_base, bytes(packet))
            for packet in container.demux(stream)
            if packet.pts is not None and packet.size
        ]


@pytest.mark.parametrize(("suffix", "precision"), [("mp4", Fraction(1, 10000)), ("mkv", Fraction(1, 1000))])
def test_the_clock_of_a_transport_stream_begins_at_zero_with_sound_still_in_step(
    tmp_path: Path, suffix: str, precision: Fraction
) -> None:
    source = write_clip(tmp_path / "v.ts", Clip(frames=20, audio_codec="ac3", audio_seconds=0.8))
    out = tmp_path / f"out.{suffix}"
    recode(source, out, crf=20)
    before, after = sound(source), sound(out)
    assert [data for _, data in after] == [data for _, data in before]
    shift = before[0][0] - after[0][0]
    assert shift > 1 / 100
    assert min(after[0][0], times(out)[0]) == 0
    wanted = [time - shift for time in times(source)]
    assert max(abs(time - other) for time, other in zip(wanted, times(out), strict=True)) <= precision


COPIES = [
    ("aac", "mp4", "mp4"),
    ("aac", "mp4", "mkv"),
    ("aac", "mkv", "mov"),
    ("libopus", "mkv", "mp4"),
    ("flac", "mkv", "mp4"),
    ("pcm_s16le", "mov", "mkv"),
    ("libmp3lame", "mkv", "mov"),
]


@pytest.mark.parametrize(("codec", "source", "suffix"), COPIES)
@pytest.mark.parametrize("seconds", [0.3, 2.5])
def test_sound_is_copied_packet_for_packet(
    tmp_path: Path, codec: str, source: str, suffix: str, seconds: float
) -> None:
    clip = Clip(frames=20, audio_codec=codec, audio_seconds=seconds)
    path = write_clip(tmp_path / f"v.{source}", clip)
    assert recode(path, tmp_path / f"out.{suffix}", crf=30) == []
    before, after = sound(path), sound(tmp_path / f"out.{suffix}")
    assert [data for _, data in after] == [data for _, data in before]
    # Matroska counts milliseconds.
    assert max(abs(a[0] - b[0]) for a, b in zip(before, after, strict=True)) <= Fraction(1, 1000)
    assert times(tmp_path / f"out.{suffix}")[0] == times(path)[0]


def test_every_track_of_sound_is_copied(tmp_path: Path) -> None:
    first = write_clip(tmp_path / "a.mkv", Clip(frames=10, audio_codec="aac"))
    second = write_clip(tmp_path / "b.mkv", Clip(frames=10, audio_codec="flac"))
    both = tmp_path / "both.mkv"
    with av.open(str(first)) as one, av.open(str(second)) as two, av.open(str(both), "w") as output:
        pairs = [(one, stream) for stream in one.streams] + [(two, two.streams.audio[0])]
        targets = [output.add_stream_from_template(stream) for _, stream in pairs]
        for (container, stream), target in zip(pairs, targets, strict=True):
            container.seek(0)
            for packet in container.demux(stream):
                if packet.dts is not None:
                    packet.stream = target
                    output.mux(packet)
    recode(both, tmp_path / "out.mp4", crf=30)
    with av.open(str(tmp_path / "out.mp4")) as result:
        assert [stream.name for stream in result.streams.audio] == ["aac", "flac"]


def test_sound_that_does_not_fit_is_dropped_with_a_note(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "v.mkv", Clip(frames=5, audio_codec="libopus"))
    notes = recode(source, tmp_path / "out.mov")
    assert len(notes) == 1
    assert "sound dropped: opus" in notes[0]
    with av.open(str(tmp_path / "out.mov")) as container:
        assert not container.streams.audio


def test_sound_and_pictures_lie_beside_each_other_in_the_file(tmp_path: Path) -> None:
    # Longer than the ten seconds for which the muxer itself waits for the other stream.
    clip = Clip(32, 32, frames=100, rate=Fraction(5), audio_codec="aac", audio_seconds=20)
    source = write_clip(tmp_path / "v.mkv", clip)
    recode(source, tmp_path / "out.mkv", crf=30)
    with av.open(str(tmp_path / "out.mkv")) as container:
        kinds = [packet.stream.type for packet in container.demux() if packet.dts is not None]
    longest = max(len(run) for run in "".join(kind[0] for kind in kinds).replace("a", " ").split())
    assert longest < 5
